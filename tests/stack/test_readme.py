"""What the README and docs/api.md tell a reader to type works as it stands."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.stack.predictor_process import RunningPredictor

ROOT = Path(__file__).resolve().parents[2]


def curl_lines(page: str) -> list[str]:
    """Collect the curl commands of a page, continuation lines joined."""
    text = (ROOT / page).read_text().replace("\\\n", " ")
    return re.findall(r"^curl .*$", text, flags=re.MULTILINE)


@pytest.mark.parametrize("page", ["README.md", "docs/api.md"])
def test_curl_lines_are_answered(predictor: RunningPredictor, page: str) -> None:
    """Each line gets a prediction; the README has one for every demo model."""
    models = set()
    for line in curl_lines(page):
        command = line.replace("localhost:8000", f"127.0.0.1:{predictor.port}")
        run = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, timeout=30)
        answer = json.loads(run.stdout)
        assert "error" not in answer, (line, answer)
        models.add(answer["model_name"])
    if page == "README.md":
        assert models == {"iris", "breast_cancer", "tickets", "wide_forest", "diabetes"}
    assert models
