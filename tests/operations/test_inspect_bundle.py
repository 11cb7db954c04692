"""`plumbline inspect`: a summary for people, or JSON; nothing is unpickled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from operations.__main__ import main
from service.bundle.packing.external import ExternalRequest, pack_external
from tests import builders


def inspect(name: str, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    """Inspect a test bundle and give what is printed."""
    assert main(["inspect", str(builders.bundle_dir() / name / builders.VERSION), *more]) == 0
    return capsys.readouterr().out


def test_summary_tells_what_a_table_model_takes_and_gives(capsys: pytest.CaptureFixture[str]) -> None:
    """Features with types, limits, categories; scores, objectives, shares."""
    lines = inspect(builders.MIXED, capsys).splitlines()
    assert lines[0] == "mixed 3: binary on tabular input"
    assert "  created     2026-03-07T11:13:17Z, scikit-learn" in "\n".join(lines)
    features = {line.split()[0]: line.split(None, 1)[1] for line in lines if line.startswith("  ")}
    assert features["income"] == "number, 0..inf, nullable, sensitive"
    assert features["visits"] == "integer, 0..500"
    assert features["colour"] == "category, 4 categories (red, green, blue, violet), nullable"
    assert features["plan"] == "category, 2 categories (basic, plus) closed"
    assert features["is_member"] == "boolean"
    assert features["objectives"].startswith("accuracy 0.786")


def test_summary_of_text_and_regression(capsys: pytest.CaptureFixture[str]) -> None:
    """A text is not binned; a number has its bounds."""
    assert "text  text, not monitored" in inspect(builders.TEXTS, capsys)
    assert "output      -500..9000" in inspect(builders.REGRESSION, capsys)


def test_json_holds_all_but_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    """For programs."""
    content = json.loads(inspect(builders.NUMBERS, capsys, "--json"))
    assert set(content) == {"manifest", "signature", "reference"}
    assert content["manifest"]["model_name"] == "numbers"
    assert content["reference"]["rows"] == 263


def test_summary_of_an_external_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Who serves it, what it gives, and that nothing was measured."""
    _, training, _ = builders.mixed_model()
    training.to_csv(tmp_path / "t.csv", index=False)
    request = ExternalRequest(
        data=tmp_path / "t.csv",
        target=builders.TARGET,
        name="ours",
        version="1",
        out=tmp_path,
        store_features=False,
    )
    pack_external(request, lambda line: None)
    assert main(["inspect", str(tmp_path / "ours" / "1")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "ours 1: binary on tabular input, external"
    assert "  libraries   none" in lines
    assert "  validation  none on 0 rows" in lines
    assert "  classes     no, yes" in lines
    assert "  called by   other software" in lines
    assert "  log keeps   no features" in lines
    assert any(line.startswith("  sample      277 rows, sha256 ") for line in lines)
    assert sum(line.endswith(".json") for line in lines) == 2


def test_features_are_kept_but_for_sensitive_ones(capsys: pytest.CaptureFixture[str]) -> None:
    """What the prediction log will hold of a person."""
    line = "  log keeps   features"
    assert f"{line}, except income" in inspect(builders.MIXED, capsys).splitlines()
    assert line in inspect(builders.NUMBERS, capsys).splitlines()


def test_altered_bundle_is_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is shown is what was packed."""
    directory = builders.copy_bundle(builders.NUMBERS, tmp_path)
    (directory / "signature.json").write_text("{}")
    assert main(["inspect", str(directory)]) == 1
    assert "signature.json: has 2 bytes" in capsys.readouterr().err
