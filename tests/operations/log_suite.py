"""`plumbline log` on a filled log, on any database: a class of tests runs it with a fixture `target`."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from operations.__main__ import main
from service.prediction_log.schema import PredictionRow
from tests.service.prediction_log.logged_rows import (
    DAY,
    NOON,
    PRICES,
    TREES,
    Shelf,
    differences,
    log_predictions,
    opened,
    post,
    prediction_id,
    reading,
    row,
    truth,
)

# Day 20000 is 2024-10-04.
LOUD = prediction_id(TREES, 1, at=NOON + 60.0)
ROWS: tuple[PredictionRow, ...] = (
    row(prediction_id(at=NOON - DAY), predicted_timestamp=NOON - DAY, features=None, caller=""),
    row(
        LOUD,
        predicted_timestamp=NOON + 60.0,
        prediction='"birch"',
        out_of_distribution="range",
        features='{"size":2.5,"note":"a, \\"b\\"\\n=1+1","is_new":true,"colour":null}',
        request_id="request-2",
    ),
    row(
        prediction_id(PRICES, 5.5, at=NOON + 120.0),
        predicted_timestamp=NOON + 120.0,
        model_name="prices",
        prediction="5.5",
        confidence=None,
        features='{"prediction":7,"größe":3}',
        request_id="request-3",
    ),
)


class LogSuite:
    """Query, export, prune."""

    @pytest.fixture(autouse=True)
    def settings(self, target: Path | str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the settings name the database."""
        if isinstance(target, Path):
            monkeypatch.setenv("PLUMBLINE_LOG_DIR", str(target.parent))
        else:
            (tmp_path / "dsn").write_text(f"{target}\n")
            monkeypatch.setenv("PLUMBLINE_LOG_DSN_FILE", str(tmp_path / "dsn"))
            monkeypatch.setenv("PLUMBLINE_ID_KEY_FILE", str(tmp_path / "keys"))

    @pytest.fixture
    def filled(self, target: Path | str) -> None:
        """Log three predictions, with a truth for two of them."""
        with opened(target) as store:
            log_predictions(store, ROWS)
            post(store, [truth(LOUD, "ash"), truth(LOUD, "cedar", 2), truth(ROWS[2].prediction_id, 5.5)])

    def run(self, capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
        """Run a command and return what it printed; what it said on stderr goes with it."""
        assert main(["log", *arguments]) == status
        captured = capsys.readouterr()
        return captured.out if status == 0 else captured.err

    @pytest.mark.usefixtures("filled")
    def test_query_prints_a_table(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The newest first, aligned, each with its id."""
        lines = self.run(capsys, "query").splitlines()
        titles = "time (UTC) model version prediction confidence flagged truth caller prediction id"
        assert lines[0].split() == titles.split()
        assert [line.split()[-1] for line in lines[1:]] == [one.prediction_id for one in reversed(ROWS)]
        assert lines[2].startswith("2024-10-04T12:01:00  trees   1        birch            0.900  range")
        assert "cedar (revision 2)  alice" in lines[2]
        places = {line.index(one.prediction_id) for line, one in zip(lines[1:], ROWS[::-1], strict=True)}
        assert len(places) == 1

    @pytest.mark.usefixtures("filled")
    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            (["--model", "trees"], [1, 0]),
            (["--model", "trees", "--version", "2"], []),
            (["--since", "2024-10-04"], [2, 1]),
            (["--since", "2024-10-04T14:01:30+02:00"], [2]),
            (["--until", "2024-10-04"], [0]),
            (["--since", "2h"], []),
            (["--since", "999999h"], [2, 1, 0]),
            (["--class", "birch"], [1]),
            (["--out-of-distribution"], [1]),
            (["--labeled"], [2, 1]),
            (["--unlabeled"], [0]),
            (["--wrong"], [1]),
            (["--request-id", "request-3"], [2]),
            (["--prediction-id", LOUD], [1]),
            (["--limit", "2"], [2, 1]),
        ],
    )
    def test_query_filters(
        self, capsys: pytest.CaptureFixture[str], options: list[str], expected: list[int]
    ) -> None:
        """Each option alone."""
        found = json.loads(self.run(capsys, "query", "--json", *options))
        assert [one["prediction_id"] for one in found] == [ROWS[index].prediction_id for index in expected]

    @pytest.mark.usefixtures("filled")
    def test_query_as_json_tells_everything(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Values as they are, times as ISO 8601."""
        (found,) = json.loads(self.run(capsys, "query", "--json", "--prediction-id", LOUD))
        assert found == {
            "prediction_id": LOUD,
            "predicted_at": "2024-10-04T12:01:00.000Z",
            "model_name": "trees",
            "model_version": "1",
            "features": {"size": 2.5, "note": 'a, "b"\n=1+1', "is_new": True, "colour": None},
            "prediction": "birch",
            "confidence": 0.9,
            "out_of_distribution": "range",
            "ground_truth": "cedar",
            "ground_truth_revision": 2,
            "ground_truth_at": "2024-10-04T12:10:00.000Z",
            "ground_truth_caller": "bob",
            "request_id": "request-2",
            "caller": "alice",
        }

    @pytest.mark.usefixtures("filled")
    def test_query_says_when_there_may_be_more(self, capsys: pytest.CaptureFixture[str]) -> None:
        """And when there is nothing."""
        assert "the newest 1; there may be more" in self.run(capsys, "query", "--limit", "1")
        assert "there may be more" not in self.run(capsys, "query", "--limit", "4")
        assert self.run(capsys, "query", "--model", "nobody") == "no prediction matches\n"

    def test_query_is_safe_for_the_terminal(
        self, target: Path | str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A truth of a version that is unknown may be any text."""
        text = prediction_id()
        with opened(target) as store:
            log_predictions(store, [row(text, prediction='"\\u001b[2Jash"')])
            post(store, [truth(text, "\x1b]0;title\x07\x9b\u2028" + "x" * 60)], Shelf())
        output = self.run(capsys, "query")
        assert len(output.splitlines()) == 2
        assert "?[2Jash" in output
        assert all(one.isprintable() or one == "\n" for one in output)

    @pytest.mark.usefixtures("filled")
    def test_export_as_json_lines(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """One object a line, the oldest first, nothing else in the folder."""
        path = tmp_path / "out" / "log.jsonl"
        path.parent.mkdir()
        self.run(capsys, "export", "--format", "jsonl", "--output", str(path))
        records = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        assert [one["prediction_id"] for one in records] == [one.prediction_id for one in ROWS]
        assert records[0]["features"] is None
        assert records[2]["features"] == {"prediction": 7, "größe": 3}
        assert (records[2]["prediction"], records[2]["ground_truth"]) == (5.5, 5.5)
        assert [one.name for one in path.parent.iterdir()] == ["log.jsonl"]

    @pytest.mark.usefixtures("filled")
    def test_export_as_csv(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """A column for each feature of any row; one that is named as ours has another name."""
        path = tmp_path / "log.csv"
        self.run(capsys, "export", "--format", "csv", "--output", str(path))
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0]) == [
            "prediction_id",
            "predicted_at",
            "model_name",
            "model_version",
            "size",
            "note",
            "is_new",
            "colour",
            "feature_prediction",
            "größe",
            "prediction",
            "confidence",
            "out_of_distribution",
            "ground_truth",
            "ground_truth_revision",
            "ground_truth_at",
            "ground_truth_caller",
            "request_id",
            "caller",
        ]
        loud = rows[1]
        assert loud["note"] == 'a, "b"\n=1+1'
        assert (loud["size"], loud["is_new"], loud["colour"], loud["größe"]) == ("2.5", "true", "", "")
        assert (loud["prediction"], loud["ground_truth"], loud["confidence"]) == ("birch", "cedar", "0.9")
        assert rows[2]["feature_prediction"] == "7"
        frame = pd.read_csv(path)
        assert frame["ground_truth"].tolist()[1:] == ["cedar", "5.5"]

    @pytest.mark.usefixtures("filled")
    @pytest.mark.parametrize("format_", ["csv", "jsonl"])
    def test_export_to_a_pipe(self, capsys: pytest.CaptureFixture[str], format_: str) -> None:
        """Data on stdout, talk on stderr."""
        assert main(["log", "export", "--format", format_, "--output", "-", "--model", "prices"]) == 0
        captured = capsys.readouterr()
        assert len(captured.out.splitlines()) == (2 if format_ == "csv" else 1)
        assert captured.err == "exported 1 prediction\n"

    @pytest.mark.usefixtures("filled")
    def test_export_that_fails_leaves_nothing(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Neither half a file nor a traceback; an older file stays as it was."""
        missing = tmp_path / "nowhere" / "log.csv"
        message = self.run(capsys, "export", "--format", "csv", "--output", str(missing), status=1)
        assert message == f"plumbline log: {missing}: cannot be written: No such file or directory\n"
        path = tmp_path / "log.csv"
        path.write_text("older")

        def full(_: Any) -> Any:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("operations.log_export._csv_text", full)
        message = self.run(capsys, "export", "--format", "csv", "--output", str(path), status=1)
        assert message.endswith("log.csv: cannot be written: No space left on device\n")
        assert path.read_text() == "older"
        assert not list(tmp_path.glob(".*"))

    @pytest.mark.usefixtures("filled")
    def test_export_tells_of_features_that_came_meanwhile(
        self, target: Path | str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A header cannot grow; the row is left to the next export, and not in silence."""
        from operations import log_export  # noqa: PLC0415 - patched below

        watched = log_export._watched

        def arriving(chunks: log_export.Chunks, done: str) -> log_export.Chunks:
            yield from watched(chunks, done)
            if done == "looked at":
                with opened(target) as store:
                    log_predictions(store, [row(prediction_id(), features='{"brand_new":1}')])

        monkeypatch.setattr(log_export, "_watched", arriving)
        assert main(["log", "export", "--format", "csv", "--output", "-"]) == 0
        captured = capsys.readouterr()
        assert len(captured.out.splitlines()) == 1 + len(ROWS) + 1  # one value holds a line break
        assert "1 predictions came meanwhile with other features: export again" in captured.err

    @pytest.mark.usefixtures("filled")
    def test_prune_says_what_would_go(self, target: Path | str, capsys: pytest.CaptureFixture[str]) -> None:
        """And does nothing."""
        output = self.run(capsys, "prune", "--dry-run", "--days", "30")
        assert "the log holds 5 rows, about 0.0 MB, in 2 days, 2024-10-03 to 2024-10-04" in output
        assert "  2024-10-04             4 rows" in output
        assert "these go: 5 rows" in output
        with reading(target) as reader:
            assert len(reader.stored_days()) == 2

    @pytest.mark.usefixtures("filled")
    def test_prune_removes(self, target: Path | str, capsys: pytest.CaptureFixture[str]) -> None:
        """What it said, without asking if it was told so."""
        output = self.run(capsys, "prune", "--yes")
        assert output.endswith("removed 3 predictions, the values of 2 truths and 2 keys of truths\n"), (
            "the keys are older than truths are accepted"
        )
        assert self.run(capsys, "prune") == "the log is empty\n"
        assert differences(target) == []

    @pytest.mark.usefixtures("filled")
    def test_prune_needs_a_yes(
        self, target: Path | str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without a terminal nobody can give it."""
        monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
        message = self.run(capsys, "prune", status=1)
        assert message == "plumbline log: standard input is no terminal: say --yes, or --dry-run\n"
        with reading(target) as reader:
            assert len(reader.stored_days()) == 2

    @pytest.mark.usefixtures("filled")
    @pytest.mark.parametrize(("answer", "days"), [("n", 2), ("", 2), ("y", 0), ("Yes", 0)])
    def test_prune_asks(
        self,
        target: Path | str,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        answer: str,
        days: int,
    ) -> None:
        """Only a yes is one."""
        asked: list[str] = []
        monkeypatch.setattr("operations.log_prune._is_terminal", lambda: True)
        monkeypatch.setattr("builtins.input", lambda text: asked.append(text) or answer)
        self.run(capsys, "prune", status=0 if days == 0 else 1)
        assert asked == ["Remove 5 rows, about 0.0 MB, in 2 days? [y/N] "]
        with reading(target) as reader:
            assert len(reader.stored_days()) == days

    @pytest.mark.usefixtures("filled")
    def test_prune_by_size(self, target: Path | str, capsys: pytest.CaptureFixture[str]) -> None:
        """The oldest day is enough."""
        with reading(target) as reader:
            young = reader.stored_days()[1].bytes
        output = self.run(capsys, "prune", "--days", "100000", "--bytes", str(young), "--dry-run")
        assert "these go: 1 rows" in output
        output = self.run(capsys, "prune", "--days", "100000", "--bytes", str(10 * young), "--dry-run")
        assert output.endswith("nothing has to go\n")

    @pytest.mark.parametrize("command", ["query", "export --format csv --output -", "prune"])
    def test_without_a_log(self, capsys: pytest.CaptureFixture[str], command: str) -> None:
        """One line that says so."""
        message = self.run(capsys, *command.split(), status=1)
        assert message.startswith("plumbline log: ")
        assert message.endswith((": nothing was logged yet\n", " holds no prediction log yet\n"))
