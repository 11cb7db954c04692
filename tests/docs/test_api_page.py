"""docs/api.md names every route, and only those."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UNLISTED = {"GET /docs", "GET /openapi.json"}  # the documentation does not describe itself


def test_routes() -> None:
    """The table equals the OpenAPI snapshot, with the demo models folded into {model_name}."""
    paths = json.loads((ROOT / "docs/openapi.json").read_text())["paths"]
    described = {
        f"{method.upper()} {re.sub(r'/v1/models/[a-z_]+/', '/v1/models/{model_name}/', path)}"
        for path, operations in paths.items()
        for method in operations
    }
    page = (ROOT / "docs/api.md").read_text()
    assert set(re.findall(r"^\| `((?:GET|POST) \S+)` \|", page, flags=re.MULTILINE)) == described | UNLISTED


def test_codes_of_the_worker_class() -> None:
    """What is refused before the application sees it stands in the same table."""
    source = (ROOT / "service/gunicorn_worker.py").read_text()
    refused = re.findall(r'RequestRefusedError\((\d+), "(\w+)"', source)
    assert len(refused) >= 5
    page = (ROOT / "docs/api.md").read_text()
    for status, code in refused:
        assert f"| {status} | `{code}` |" in page
