"""`plumbline log` on SQLite; tests/stack runs the suite on PostgreSQL."""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime
from pathlib import Path

import joblib
import pytest

from operations.__main__ import main
from operations.log_filters import parse_time, positive_number, time_text
from service.prediction_log.truth_rules import json_text
from tests import builders
from tests.operations.log_suite import LogSuite
from tests.service.prediction_log.logged_rows import (
    Shelf,
    log_predictions,
    many_ids,
    opened,
    post,
    row,
    truth,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "prediction_log.md"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Name an SQLite file that does not exist yet."""
    return tmp_path / "predictions.db"


class TestLog(LogSuite):
    """On a file."""


def test_exported_file_is_what_packing_takes(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command on the page makes the next version out of what was logged."""
    monkeypatch.setenv("PLUMBLINE_LOG_DIR", str(target.parent))
    estimator, training, _ = builders.numbers_model()
    ids = many_ids(len(training))
    features = training.drop(columns=builders.TARGET).to_dict("records")
    with opened(target) as store:
        rows = zip(ids, features, strict=True)
        log_predictions(store, [row(one, features=json_text(values)) for one, values in rows])
        labels = zip(ids, training[builders.TARGET], strict=True)
        post(store, [truth(one, label) for one, label in labels], Shelf())
    exported = tmp_path / "train.csv"
    assert main(["log", "export", "--format", "csv", "--output", str(exported), "--labeled"]) == 0
    joblib.dump(estimator, tmp_path / "model.joblib")
    (options,) = re.findall(
        r"plumbline pack model.joblib --data train.csv (.*?)```", PAGE.read_text(), re.DOTALL
    )
    words = options.replace("\\\n", " ").split()
    command = [
        "pack",
        str(tmp_path / "model.joblib"),
        "--data",
        str(exported),
        *words,
        "--out",
        str(tmp_path),
    ]
    assert main(command) == 0
    signature = builders.read_json(tmp_path / "iris" / "2" / "signature.json")
    assert {feature["name"] for feature in signature["features"]} == {"height", "girth", "slope"}


@pytest.mark.parametrize("command", ["query", "export", "prune"])
def test_every_command_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Help shows how it is used."""
    with pytest.raises(SystemExit) as stopped:
        main(["log", command, "--help"])
    assert stopped.value.code == 0
    assert f"  plumbline log {command} " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("45s", 45), ("30m", 1800), ("2h", 7200), ("7d", 604_800), ("2w", 1_209_600)],
)
def test_time_may_be_so_long_ago(text: str, seconds: int) -> None:
    """Seconds to weeks."""
    assert datetime.now(UTC).timestamp() - parse_time(text) == pytest.approx(seconds, abs=30)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20", "2026-11-20T00:00:00.000Z"),
        ("2026-11-20T08:30", "2026-11-20T08:30:00.000Z"),
        ("2026-11-20 08:30:01.5", "2026-11-20T08:30:01.500Z"),
        ("2026-11-20T08:30+02:00", "2026-11-20T06:30:00.000Z"),
        ("2026-11-20T08:30:00Z", "2026-11-20T08:30:00.000Z"),
    ],
)
def test_time_may_be_a_date(text: str, expected: str) -> None:
    """UTC, unless it says otherwise."""
    assert time_text(parse_time(text)) == expected


@pytest.mark.parametrize("text", ["yesterday", "2 hours", "h", "-2h", "2026-13-01", ""])
def test_other_times_are_refused(text: str) -> None:
    """With an example."""
    with pytest.raises(argparse.ArgumentTypeError, match="for example 2h, 7d or 2026-11-20"):
        parse_time(text)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "²"])
def test_counts_are_whole_numbers_above_zero(text: str) -> None:
    """Whatever else is written is refused."""
    with pytest.raises(argparse.ArgumentTypeError):
        positive_number(text)


@pytest.mark.parametrize("options", [["--labeled", "--unlabeled"], ["--limit", "0"], ["--since", "soon"]])
def test_wrong_options_are_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, as for every wrong use."""
    with pytest.raises(SystemExit) as stopped:
        main(["log", "query", *options])
    assert stopped.value.code == 2
    assert options[0] in capsys.readouterr().err
