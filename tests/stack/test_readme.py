"""What the README and docs/api.md tell a reader to type works as it stands."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.stack.predictor_process import RunningPredictor

ROOT = Path(__file__).resolve().parents[2]


def curl_blocks(page: str) -> list[list[str]]:
    """Collect the curl commands of a page by block, with the variables they use; continued lines joined."""
    text = (ROOT / page).read_text().replace("\\\n", " ")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    lines = [re.findall(r"^(?:curl|id=).*$", block, flags=re.MULTILINE) for block in blocks]
    return [block for block in lines if block]


@pytest.mark.parametrize("page", ["README.md", "docs/api.md"])
def test_curl_lines_are_answered(predictor: RunningPredictor, page: str) -> None:
    """Each line gets an answer that is no error; the README has one for every demo model."""
    status, asked = predictor.post("/v1/predict", {"features": [5.1, 3.5, 1.4, 0.2]})
    assert status == 200
    models, results = set(), set()
    for block in curl_blocks(page):
        script = "\n".join(f"{line}; echo" if line.startswith("curl") else line for line in block)
        script = script.replace("localhost:8000", f"127.0.0.1:{predictor.port}")
        script = script.replace("ID OF THE ANSWER", asked["prediction_id"])
        run = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=30)
        answers = [json.loads(line) for line in run.stdout.splitlines()]
        assert len(answers) == script.count("; echo")
        for answer in answers:
            assert "error" not in answer, (script, answer)
            models.add(answer.get("model_name"))
            results.add(answer.get("result"))
    if page == "README.md":
        assert models == {"iris", "breast_cancer", "tickets", "wide_forest", "diabetes", None}
    assert results == {"accepted", None}
