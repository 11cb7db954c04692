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
