"""`plumbline check`: a line per check, status 1 with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from operations.__main__ import main
from service.bundle.packing.external import ExternalRequest, pack_external
from tests import builders


def test_whole_bundle_passes_each_check(capsys: pytest.CaptureFixture[str]) -> None:
    """Six lines, all ok."""
    directory = builders.bundle_dir() / builders.MIXED / builders.VERSION
    assert main(["check", str(directory)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert all(line.startswith(f"ok    {directory}: ") for line in lines)
    assert "scikit-learn" in lines[2]
    assert lines[5].endswith("17 golden requests")


def test_altered_bundle_fails_and_the_others_are_still_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line with the file, why, and the reason that the metric counts."""
    broken = builders.copy_bundle(builders.NUMBERS, tmp_path)
    (broken / "golden.json").write_text("{}")
    whole = builders.copy_bundle(builders.REGRESSION, tmp_path)
    assert main(["check", str(broken), str(whole)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"FAIL  {broken / 'golden.json'}: has 2 bytes")
    assert lines[0].endswith("(hash)")
    assert len(lines) == 7


def test_golden_difference_fails_after_what_passed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The lines before it show how far the bundle came."""
    directory = builders.copy_bundle(builders.REGRESSION, tmp_path)
    text = (directory / "golden.json").read_text().replace('"prediction": ', '"prediction": 1', 1)
    builders.replace_file(directory, "golden.json", text.encode())
    assert main(["check", str(directory)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line[:4] for line in lines] == ["ok  "] * 5 + ["FAIL"]
    assert "request 0 (examples): the prediction is" in lines[5]


def test_library_mismatch_is_refused_unless_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the service's own setting has it."""
    directory = builders.copy_bundle(builders.NUMBERS, tmp_path)
    builders.change_manifest(directory, library_versions={"scikit-learn": "0.24.2"})
    assert main(["check", str(directory)]) == 1
    assert "was packed with scikit-learn 0.24.2" in capsys.readouterr().out
    assert main(["check", "--allow-library-mismatch", str(directory)]) == 0


def test_external_bundle_is_checked_as_far_as_it_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is no estimator to ask; an altered file fails all the same."""
    _, training, _ = builders.mixed_model()
    training.to_csv(tmp_path / "t.csv", index=False)
    request = ExternalRequest(
        data=tmp_path / "t.csv", target=builders.TARGET, name="ours", version="1", out=tmp_path
    )
    directory = pack_external(request, lambda line: None).directory
    assert main(["check", str(directory)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"ok    {directory}: manifest, format version 1",
        f"ok    {directory}: sha256 of 2 files",
        f"ok    {directory}: signature and reference fit together",
        f"ok    {directory}: external, so no estimator and no golden requests",
    ]
    (directory / "reference.json").write_text("{}")
    assert main(["check", str(directory)]) == 1
    assert capsys.readouterr().out.startswith(f"FAIL  {directory / 'reference.json'}: has 2 bytes")
