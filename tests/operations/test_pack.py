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


def external_arguments(folder: Path, *more: str) -> list[str]:
    """Write a sample with predictions of some other software, and give the command line."""
    frame = builders.mixed_model()[1]
    frame = frame.assign(said=frame["target"], sure=0.9375)
    frame.to_csv(folder / "sample.csv", index=False)
    return [
        "pack",
        "--external",
        *("--data", str(folder / "sample.csv")),
        *("--target", "target"),
        *("--name", "flats"),
        *("--version", "2"),
        *("--out", str(folder / "out")),
        *more,
    ]


def test_external_bundle_is_written_and_steps_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 0; every option reaches the bundle."""
    (tmp_path / "fields.toml").write_text('[income]\nunit = "EUR"\nsensitive = true\n')
    more = (
        *("--prediction", "said", "--confidence", "sure", "--task", "binary"),
        *("--objective", "accuracy=0.8", "label_delay_seconds=86400"),
        *("--fields", str(tmp_path / "fields.toml")),
        *("--ignore", "visits", "--unmonitored", "plan"),
        *("--created", "2026-03-07T11:13:17Z"),
        "--no-store-features",
    )
    assert main(external_arguments(tmp_path, *more)) == 0
    lines = capsys.readouterr().out.splitlines()
    starts = [line.split(":")[0].split(" ")[0] for line in lines]
    assert starts == ["task", "sample.csv", "validation", "objectives", "series", "wrote"]
    found = manifest(tmp_path)
    assert (found["external"], found["store_features"]) == (True, False)
    scores = {"accuracy": 1.0, "f1_macro": 1.0, "calibration_error": 0.0625}
    assert found["validation_scores"] == pytest.approx(scores)
    assert (found["objectives"]["accuracy"], found["objectives"]["label_delay_seconds"]) == (0.8, 86400)
    assert found["monitored_features"] == ["income", "colour", "is_member"]
    assert set(found["files"]) == {"signature.json", "reference.json"}


def test_features_are_stored_unless_forbidden(tmp_path: Path) -> None:
    """For a model with an estimator as well."""
    main(arguments(tmp_path))
    assert manifest(tmp_path)["store_features"] is True
    main(arguments(tmp_path, "--force", "--no-store-features"))
    assert manifest(tmp_path)["store_features"] is False


def test_model_file_may_stand_anywhere(tmp_path: Path) -> None:
    """Also among or after the options."""
    command, model, *rest = arguments(tmp_path)
    assert main([command, *rest[:4], model, *rest[4:]]) == 0
    assert main([command, *rest, "--force", model]) == 0


@pytest.mark.parametrize(
    ("drop", "more", "message"),
    [
        ("--external", [], "MODEL.joblib is missing; for a model that other software serves give --external"),
        (
            "",
            ["model.joblib"],
            "--external is for a model that other software serves: leave model.joblib out",
        ),
        ("", ["--validation", "held_out.csv"], "--validation goes with a MODEL.joblib, not with --external"),
        ("--external", ["model.joblib", "--task", "binary"], "--task goes with --external"),
        ("--external", ["model.joblib", "--prediction", "said"], "--prediction goes with --external"),
        ("--external", ["model.joblib", "--confidence", "sure"], "--confidence goes with --external"),
        ("", ["--prediction", "says"], "has no column 'says'; it has income, visits, colour"),
        ("", ["--confidence", "sure"], "give --prediction COLUMN as well"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    drop: str, more: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 1 and one line that says what does."""
    given = [part for part in external_arguments(tmp_path, *more) if part != drop]
    assert main(given) == 1
    error = capsys.readouterr().err
    assert error.startswith("plumbline pack: ")
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_help_shows_an_external_model(capsys: pytest.CaptureFixture[str]) -> None:
    """A user of other software finds his case among the examples."""
    with pytest.raises(SystemExit):
        main(["pack", "--help"])
    assert "plumbline pack --external --data sample.csv --target" in capsys.readouterr().out
