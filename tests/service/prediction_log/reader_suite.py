"""Reading the log, on any database: a class of tests runs it with a fixture `target`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from service.errors import StoreSchemaError
from service.prediction_log.reader import LogEntry, LogFilter, LogReader
from service.prediction_log.store import Store
from tests.service.prediction_log.logged_rows import (
    NOON,
    Shelf,
    log_predictions,
    many_ids,
    opened,
    post,
    prediction_id,
    reading,
    row,
    truth,
)

PAGE = Path(__file__).resolve().parents[3] / "docs" / "prediction_log.md"


def fill(store: Store) -> None:
    """Log seven predictions, a minute apart, named by their request: each filter finds another."""
    rows = {
        name: row(prediction_id(at=NOON + 60 * index), predicted_timestamp=NOON + 60 * index, request_id=name)
        for index, name in enumerate(("plain", "version", "model", "class", "strange", "right", "wrong"))
    }
    rows["version"] = rows["version"]._replace(model_version="2")
    rows["model"] = rows["model"]._replace(model_name="prices", prediction="3.5", confidence=None)
    rows["class"] = rows["class"]._replace(prediction='"birch"')
    rows["strange"] = rows["strange"]._replace(out_of_distribution="novelty")
    log_predictions(store, list(rows.values()))
    post(store, [truth(rows["right"].prediction_id, "ash"), truth(rows["wrong"].prediction_id, "birch")])


def names(entries: list[LogEntry]) -> set[str | None]:
    """Return which predictions were found."""
    return {entry.request_id for entry in entries}


class ReaderSuite:
    """Filters, order, joins."""

    @pytest.fixture
    def filled(self, target: Path | str) -> Path | str:
        """Name a database that holds the seven predictions."""
        with opened(target) as store:
            fill(store)
        return target

    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            ({}, {"plain", "version", "model", "class", "strange", "right", "wrong"}),
            ({"model_name": "prices"}, {"model"}),
            ({"model_name": "trees", "model_version": "2"}, {"version"}),
            ({"since": NOON + 300.0}, {"right", "wrong"}),
            ({"until": NOON + 60.0}, {"plain"}),
            ({"since": NOON + 60.0, "until": NOON + 180.0}, {"version", "model"}),
            ({"predicted_class": "birch"}, {"class"}),
            ({"predicted_class": "3.5"}, {"model"}),
            ({"predicted_class": '"birch"'}, {"class"}),
            ({"predicted_class": "oak"}, set()),
            ({"is_out_of_distribution": True}, {"strange"}),
            ({"is_labeled": True}, {"right", "wrong"}),
            ({"is_labeled": False}, {"plain", "version", "model", "class", "strange"}),
            ({"is_wrong": True}, {"wrong"}),
            ({"request_id": "strange"}, {"strange"}),
            ({"is_labeled": True, "is_out_of_distribution": True}, set()),
        ],
    )
    def test_filters(self, filled: Path | str, wanted: dict[str, Any], expected: set[str]) -> None:
        """Each alone, and two together."""
        with reading(filled) as reader:
            assert names(reader.newest(LogFilter(**wanted), 50)) == expected
            assert (
                names([one for chunk in reader.oldest_first(LogFilter(**wanted)) for one in chunk])
                == expected
            )

    def test_newest_come_first(self, filled: Path | str) -> None:
        """As many as are asked for, each with its truth."""
        with reading(filled) as reader:
            wrong, right = reader.newest(LogFilter(), 2)
        assert (wrong.request_id, wrong.prediction, wrong.ground_truth) == ("wrong", '"ash"', '"birch"')
        assert right[1:] == (
            NOON + 300.0,
            "trees",
            "1",
            '"ash"',
            0.9,
            None,
            '{"size":1.5}',
            "right",
            "alice",
            '"ash"',
            0,
            NOON + 600.0,
            "bob",
        )

    def test_prediction_is_found_by_its_id(self, filled: Path | str) -> None:
        """And nothing else."""
        with reading(filled) as reader:
            (wanted,) = reader.newest(LogFilter(request_id="strange"), 5)
            assert reader.newest(LogFilter(prediction_id=wanted.prediction_id), 5) == [wanted]
            assert reader.newest(LogFilter(prediction_id=prediction_id()), 5) == []

    def test_truth_without_prediction_is_found_by_its_id(self, target: Path | str) -> None:
        """Who looks for an id sees what there is."""
        known, unknown = prediction_id(), prediction_id()
        with opened(target) as store:
            post(store, [truth(known)])
            post(store, [truth(unknown)], Shelf())
        with reading(target) as reader:
            (entry,) = reader.newest(LogFilter(prediction_id=known), 5)
            assert (entry.model_name, entry.prediction, entry.ground_truth) == ("trees", None, '"ash"')
            (entry,) = reader.newest(LogFilter(prediction_id=unknown), 5)
            assert (entry.model_name, entry.ground_truth_caller) == ("", "bob")
            assert reader.newest(LogFilter(), 5) == []

    @pytest.mark.parametrize("chunk_rows", [1, 7, 50, 1000])
    def test_chunks_hold_every_row_once(self, target: Path | str, chunk_rows: int) -> None:
        """Also where many rows have one time."""
        ids = [text for second in range(5) for text in many_ids(20, at=NOON + second)]
        with opened(target) as store:
            log_predictions(
                store, [row(one, predicted_timestamp=NOON + index // 20) for index, one in enumerate(ids)]
            )
            with reading(target) as reader:
                chunks = list(reader.oldest_first(LogFilter(), chunk_rows))
        assert max(len(chunk) for chunk in chunks) <= chunk_rows
        found = [entry for chunk in chunks for entry in chunk]
        assert sorted(entry.prediction_id for entry in found) == sorted(ids)
        assert [entry.predicted_timestamp for entry in found] == sorted(
            entry.predicted_timestamp for entry in found
        )

    def test_writer_goes_on_while_a_reader_reads(self, target: Path | str) -> None:
        """Neither waits for the other; what came after the reader began is left out by time."""
        with opened(target) as store:
            log_predictions(store, [row(one) for one in many_ids(10)])
            with reading(target) as reader:
                chunks = reader.oldest_first(LogFilter(until=NOON + 1.0), 4)
                first = next(chunks)
                late = [row(one, predicted_timestamp=NOON + 9.0) for one in many_ids(5, at=NOON + 9.0)]
                assert log_predictions(store, late) == 5
                assert sum(len(chunk) for chunk in chunks) + len(first) == 10

    def test_queries_of_the_page_run(self, filled: Path | str) -> None:
        """Those that docs/prediction_log.md shows, on this database too."""
        (block,) = re.findall(r"```sql\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
        queries = [query for query in block.split(";") if query.strip()]
        with reading(filled) as reader, reader.database.transaction() as connection:
            found = [connection.execute(text(query)).all() for query in queries]
        assert found[0] == [("trees", "1", 2, 1)]
        assert len(found) == 3

    def test_database_without_a_log(self, target: Path | str) -> None:
        """Said as such, whether there is a file or not."""
        with pytest.raises(StoreSchemaError, match=r"nothing was logged yet|holds no prediction log yet"):
            LogReader(target)
