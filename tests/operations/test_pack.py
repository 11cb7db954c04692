"""`plumbline pack`: options reach the bundle, steps are printed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from operations.__main__ import main
from tests import builders


def arguments(folder: Path, *more: str) -> list[str]:
    """Write what a user packs with and give his command line."""
    request = builders.write_inputs(folder, *builders.regression_model())
    return [
        "pack",
        str(request["model"]),
        *("--data", str(request["data"])),
        *("--validation", str(request["validation"])),
        *("--target", request["target"]),
        *("--name", "flats"),
        *("--version", "2"),
        *("--out", str(folder / "out")),
        *more,
    ]


def manifest(folder: Path) -> Any:
    """Read the manifest that was written."""
    return builders.read_json(folder / "out" / "flats" / "2" / "manifest.json")


def test_bundle_is_written_and_steps_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 0; the output says what was measured and decided."""
    assert main(arguments(tmp_path)) == 0
    lines = capsys.readouterr().out.splitlines()
    starts = [line.split(":")[0].split(" ")[0] for line in lines]
    assert starts == [
        "task",
        "train.csv",
        "validation.csv",
        "validation",
        "objectives",
        "series",
        "golden",
        "wrote",
    ]
    assert manifest(tmp_path)["model_version"] == "2"


def test_options_reach_the_bundle(tmp_path: Path) -> None:
    """Objectives, bounds, fields, what is not monitored, time of creation."""
    (tmp_path / "fields.toml").write_text('[area]\nunit = "m^2"\n')
    more = (
        *("--objective", "mae=21.5", "latency_p95_seconds=0.1"),
        *("--output-minimum", "-500", "--output-maximum", "9000"),
        *("--fields", str(tmp_path / "fields.toml")),
        *("--unmonitored", "rooms"),
        *("--created", "2026-03-07T11:13:17Z"),
    )
    assert main(arguments(tmp_path, *more)) == 0
    found = manifest(tmp_path)
    assert found["objectives"] == {"mae": 21.5, "latency_p95_seconds": 0.1, "drift": 0.1}
    assert found["monitored_features"] == ["area"]
    assert found["created"] == "2026-03-07T11:13:17Z"
    signature = builders.read_json(tmp_path / "out" / "flats" / "2" / "signature.json")
    assert signature["features"][0]["unit"] == "m^2"
    assert (signature["output_minimum"], signature["output_maximum"]) == (-500.0, 9000.0)


def test_source_date_epoch_is_the_time_of_creation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As reproducible builds have it; --created wins."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86461")
    main(arguments(tmp_path))
    assert manifest(tmp_path)["created"] == "1970-01-02T00:01:01Z"
    main(arguments(tmp_path, "--force", "--created", "2026-03-07T11:13:17Z"))
    assert manifest(tmp_path)["created"] == "2026-03-07T11:13:17Z"


def test_bad_source_date_epoch_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line names the variable."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    assert main(arguments(tmp_path)) == 1
    assert "SOURCE_DATE_EPOCH is no Unix time: 'yesterday'" in capsys.readouterr().err


def test_second_time_needs_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line on stderr, status 1."""
    assert main(arguments(tmp_path)) == 0
    assert main(arguments(tmp_path)) == 1
    assert capsys.readouterr().err.startswith("plumbline pack: ")
    assert main(arguments(tmp_path, "--force")) == 0


@pytest.mark.parametrize(
    "objective", ["accuracy", "accuracy=", "accuracy=high", "accuracy=nan", "accuracy=inf"]
)
def test_objective_that_is_no_number_is_wrong_use(
    objective: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2, with an example."""
    with pytest.raises(SystemExit) as stopped:
        main(arguments(tmp_path, "--objective", objective))
    assert stopped.value.code == 2
    assert "is not SIGNAL=VALUE, for example accuracy=0.9" in capsys.readouterr().err
