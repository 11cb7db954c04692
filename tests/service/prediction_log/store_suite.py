"""The store as a whole, on any database: a class of tests runs it with a fixture `target`."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import delete, select, text, update

from service.errors import StoreSchemaError
from service.prediction_log.outcomes import Cells
from service.prediction_log.schema import ground_truths, log_state, metadata, outcome_totals
from service.prediction_log.store import Store
from service.prediction_log.totals import cells_text, read_cells
from service.prediction_log.truth_rules import ArrivedTruth
from tests.service.prediction_log.logged_rows import (
    DAY,
    LOANS,
    NOON,
    PRICES,
    SHELF,
    TREES,
    WRITER,
    Shelf,
    counted,
    differences,
    log_predictions,
    many_ids,
    opened,
    post,
    prediction_id,
    results,
    row,
    truth,
)

WRITERS = ("writer-1", "writer-2", "writer-3", "writer-4")


class StoreSuite:
    """Tables, transactions, several writers."""

    def test_tables_are_made_once(self, target: Path | str) -> None:
        """What is there stays when the store is opened again."""
        with opened(target) as store:
            log_predictions(store, [row(prediction_id())])
            post(store, [truth(prediction_id())])
        with opened(target) as store, store.transaction() as transaction:
            for table in metadata.sorted_tables:
                transaction.connection.execute(select(table))
            assert transaction.connection.execute(select(ground_truths)).one()
        with opened(target) as store:
            assert counted(store.load(WRITER).totals) == 1

    def test_other_schema_is_refused(self, target: Path | str) -> None:
        """Its text says what to do."""
        with opened(target) as store, store.transaction() as transaction:
            version = log_state.c.name == "schema_version"
            transaction.connection.execute(update(log_state).where(version).values(value="2"))
        with pytest.raises(StoreSchemaError, match="version 2, this one knows version 1; use the newer"):
            Store.open(target)

    def test_error_undoes_everything(self, target: Path | str) -> None:
        """Also one of the caller's own."""
        with opened(target) as store:
            with pytest.raises(ZeroDivisionError), store.transaction() as transaction:
                transaction.insert_predictions([row(prediction_id())])
                transaction.save_offset(WRITER, "a", 9)
                raise ZeroDivisionError
            assert store.load(WRITER).offsets == {}
            with store.transaction() as transaction:
                assert not transaction.connection.scalar(text("SELECT count(*) FROM predictions"))
                assert not transaction.connection.scalar(text("SELECT count(*) FROM stored_days"))

    def test_writers_count_each_truth_once(self, target: Path | str) -> None:
        """Four at once, each with all truths, in batches of its own and in its own order, over two days."""
        ids = [*many_ids(150), *many_ids(150, at=NOON + DAY)]
        found = post_by_four(target, [truth(one) for one in ids], SHELF)
        assert (found["counted"], found["duplicate"]) == (300, 900)
        with opened(target) as store:
            assert sum(counted(store.load(name).totals) for name in WRITERS) == 300
            with store.transaction() as transaction:
                sums = transaction.connection.execute(
                    text("SELECT sum(stored_rows), count(*) FROM stored_days")
                )
                assert sums.one() == (300 + 4 * 5 * 20, 2)
        assert differences(target) == []

    def test_writers_revise_each_truth_once(self, target: Path | str) -> None:
        """The row is locked between the look at it and its change."""
        ids = many_ids(200)
        with opened(target) as store:
            post(store, [truth(one) for one in ids])
        found = post_by_four(target, [truth(one, "birch", 1) for one in ids], SHELF)
        assert (found["revised"], found["duplicate"]) == (200, 600)

    def test_writers_count_once_what_was_unknown(self, target: Path | str) -> None:
        """All of them learn of the version at the same time."""
        ids = many_ids(200)
        with opened(target) as store:
            post(store, [truth(one) for one in ids], Shelf())
        found = post_by_four(target, [truth(one) for one in ids], SHELF)
        assert (found["counted"], found["duplicate"]) == (200, 600)
        assert differences(target) == []


def post_by_four(target: Path | str, truths: Sequence[ArrivedTruth], shelf: Shelf) -> Counter[str]:
    """Let four writers post the same truths at once, two from the end, and log predictions between."""
    with opened(target):
        pass
    barrier = threading.Barrier(len(WRITERS))

    def write(name: str) -> Counter[str]:
        mine = truths[:: 1 if name in WRITERS[:2] else -1]
        found: Counter[str] = Counter()
        with opened(target) as store:
            barrier.wait(30)
            for start in range(0, len(mine), 60):
                found.update(results(post(store, mine[start : start + 60], shelf, name)))
                log_predictions(store, [row(one, request_id=name) for one in many_ids(20)])
        return found

    with ThreadPoolExecutor(len(WRITERS)) as threads:
        return sum(threads.map(write, WRITERS), Counter())


class ConsistencySuite:
    """Totals against truths."""

    def test_nothing_differs_after_work(self, target: Path | str) -> None:
        """Every kind of model, by two writers."""
        with opened(target) as store:
            for writer in ("writer-1", "writer-2"):
                truths = [truth(prediction_id(PRICES, value), value + 1.0) for value in range(5)]
                truths += [truth(prediction_id(LOANS, 1), False), truth(prediction_id(TREES, 2), "cedar")]
                truths += [truth(truths[0].prediction_id, 99.0), truth(truths[1].prediction_id, 99.0, 1)]
                post(store, truths, writer=writer)
        assert differences(target) == []

    def test_missing_truth_is_found(self, target: Path | str) -> None:
        """A row that went without being counted as pruned."""
        texts = [prediction_id() for _ in range(3)]
        with opened(target) as store:
            post(store, [truth(one) for one in texts])
            with store.transaction() as transaction:
                gone = ground_truths.c.prediction_id == texts[0]
                transaction.connection.execute(delete(ground_truths).where(gone))
        assert differences(target) == [
            f"trees 1: {family} is 3, truths are 2"
            for family in ("counted", "delay", "actual", "predicted", "outcomes")
        ]

    @pytest.mark.parametrize(
        ("cell", "family"),
        [
            (("ground_truth", "counted"), "counted"),
            (("delay", "5"), "delay"),
            (("class", "ash", "actual"), "actual"),
            (("class", "ash", "predicted"), "predicted"),
            (("outcome", "ash", "ash"), "outcomes"),
        ],
    )
    def test_cell_that_is_off_is_found(self, target: Path | str, cell: tuple[str, ...], family: str) -> None:
        """One more than there is."""
        with opened(target) as store:
            post(store, [truth(prediction_id()), truth(prediction_id())])
            with store.transaction() as transaction:
                cells: Cells = read_cells(
                    transaction.connection.scalars(select(outcome_totals.c.cells)).one()
                )
                assert cells[cell] == 2
                cells[cell] = 3
                transaction.connection.execute(update(outcome_totals).values(cells=cells_text(cells)))
        assert differences(target) == [f"trees 1: {family} is 3, truths are 2"]

    def test_truths_without_totals_are_found(self, target: Path | str) -> None:
        """Totals of a writer that went."""
        with opened(target) as store:
            post(store, [truth(prediction_id())])
            with store.transaction() as transaction:
                transaction.connection.execute(delete(outcome_totals))
        assert differences(target)[0] == "trees 1: counted is 0, truths are 1"
