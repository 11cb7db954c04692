"""What one transaction does, on any database: a class of tests runs it with a fixture `target`."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from sqlalchemy import func, select

from service.errors import StoreRefusedError
from service.events import OTHER_MODEL
from service.prediction_log.schema import ground_truths, predictions
from service.prediction_log.store import Store
from service.prediction_log.transaction import truth_bytes
from service.prediction_log.truth_rules import StoredTruth
from service.prediction_log.versions import KnownVersion
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
    reading,
    results,
    row,
    truth,
)


def stored_truth(store: Store, text: str) -> StoredTruth:
    """Read one row of the truths."""
    with store.transaction() as transaction:
        wanted = select(ground_truths).where(ground_truths.c.prediction_id == text)
        return StoredTruth._make(transaction.connection.execute(wanted).one())


class TransactionSuite:
    """Predictions, truths, offsets and totals."""

    def test_predictions_are_stored_as_they_are(self, target: Path | str) -> None:
        """Every column, also texts that are not ASCII and times of whole seconds."""
        rows = [
            row(
                prediction_id(),
                prediction='"Übung"',
                features='{"text":"日本 \\u0000 \\ud83d"}',
                out_of_distribution="range",
                confidence=None,
            ),
            row(prediction_id(), predicted_timestamp=int(NOON), features=None, confidence=1, caller=""),
        ]
        with opened(target) as store:
            assert log_predictions(store, rows) == 2
            with store.transaction() as transaction:
                found = {one[0]: tuple(one) for one in transaction.connection.execute(select(predictions))}
        assert found == {one.prediction_id: tuple(one) for one in rows}

    def test_prediction_is_stored_once(self, target: Path | str) -> None:
        """Twice in a batch, or again in a later one: the first row stays."""
        first, second = prediction_id(), prediction_id()
        with opened(target) as store:
            assert log_predictions(store, [row(first), row(first, prediction='"birch"')]) == 1
            assert log_predictions(store, [row(second), row(first, prediction='"cedar"')]) == 1
            assert log_predictions(store, []) == 0
            with store.transaction() as transaction:
                found = transaction.connection.execute(select(predictions.c.prediction)).scalars().all()
        assert found == ['"ash"', '"ash"']
        with reading(target) as reader:
            assert [day.rows for day in reader.stored_days()] == [2]

    def test_thousands_of_rows(self, target: Path | str) -> None:
        """No limit of parameters is in the way, and the order of the rows does not matter."""
        rows = [row(text) for text in many_ids(7001)]
        random.Random(1).shuffle(rows)
        with opened(target) as store:
            assert log_predictions(store, rows) == 7001
            assert log_predictions(store, rows[::-1]) == 0
            assert set(results(post(store, [truth(one.prediction_id) for one in rows]))) == {"counted"}
            assert set(results(post(store, [truth(one.prediction_id) for one in rows]))) == {"duplicate"}
        assert differences(target) == []

    def test_results_come_in_order_of_arrival(self, target: Path | str) -> None:
        """One batch may hold an id several times, among others, and ids that were there before."""
        early, late, price = prediction_id(), prediction_id(), prediction_id(PRICES, 5.0)
        with opened(target) as store:
            post(store, [truth(early, "birch")])
            batch = [
                truth(late, "cedar"),
                truth(early, "birch"),
                truth(price, 4.5),
                truth(late, "cedar"),
                truth(early, "ash"),
                truth(late, "ash"),
                truth(late, "ash", 1),
                truth(price, 4.5, 2),
                truth(late, "birch", 1),
                truth(early, "ash", 1),
            ]
            assert results(post(store, batch)) == [
                "counted",
                "duplicate",
                "counted",
                "duplicate",
                "conflict",
                "conflict",
                "revised",
                "revised",
                "conflict",
                "revised",
            ]
            assert stored_truth(store, late)[5:8] == ('"ash"', '"cedar"', 1)
            assert stored_truth(store, early)[5:8] == ('"ash"', '"birch"', 1)
            assert stored_truth(store, price)[5:8] == ("4.5", "4.5", 2)
            totals = store.load(WRITER).totals
        assert counted(totals) == 2
        assert counted(totals, PRICES) == 1
        assert totals.versions[TREES.key].cells["class", "cedar", "actual"] == 1
        assert ("class", "ash", "actual") not in totals.versions[TREES.key].cells
        assert differences(target) == []

    def test_truth_may_come_before_its_prediction(self, target: Path | str) -> None:
        """Both are there in the end, joined by the id."""
        text = prediction_id()
        with opened(target) as store:
            assert results(post(store, [truth(text)])) == ["counted"]
            assert log_predictions(store, [row(text)]) == 1
            assert results(post(store, [truth(text)])) == ["duplicate"]

    def test_unknown_version_is_kept_until_it_is_known(self, target: Path | str) -> None:
        """Then the next post of the id counts, once."""
        shelf = Shelf()
        text, other = prediction_id(), prediction_id()
        with opened(target) as store:
            batch = [truth(text), truth(text), truth(other)]
            assert results(post(store, batch, shelf)) == ["unknown_version"] * 3
            shelf.versions.append(TREES)
            batch = [truth(text, "birch"), truth(text, "birch"), truth(text, "ash")]
            assert results(post(store, batch, shelf)) == ["counted", "duplicate", "conflict"]
            totals = store.load(WRITER).totals
            assert stored_truth(store, other)[2:4] == ("", "")
        assert totals.versions[OTHER_MODEL].cells["ground_truth", "unknown_version"] == 3
        assert counted(totals) == 1
        assert differences(target) == []

    def test_version_may_become_known_within_a_batch(self, target: Path | str) -> None:
        """A bundle arrives between two truths of one transaction."""
        text = prediction_id()

        class Arriving(Shelf):
            """Knows a version from the second question on."""

            asked = 0

            def find(self, fingerprint: bytes) -> KnownVersion | None:
                self.asked += 1
                return TREES if self.asked > 1 else None

        with opened(target) as store:
            batch = [truth(text), truth(text, "birch"), truth(text, "birch")]
            assert results(post(store, batch, Arriving())) == ["unknown_version", "counted", "duplicate"]
            assert stored_truth(store, text).model_name == "trees"
        assert differences(target) == []

    def test_days_know_what_they_hold(self, target: Path | str) -> None:
        """Rows and bytes by the day of the prediction, also after revisions."""
        old, young = prediction_id(at=NOON - DAY), prediction_id()
        rows = [row(young, features='{"text":"ü"}'), row(old, predicted_timestamp=NOON - DAY, features=None)]
        with opened(target) as store:
            log_predictions(store, rows)
            with reading(target) as reader:
                assert [tuple(day) for day in reader.stored_days()] == [
                    (19_999, 1, 230 + len('"ash"request-1alice')),
                    (20_000, 1, 230 + len('"ash"request-1alice{"text":"??"}')),
                ]
            post(store, [truth(old), truth(young), truth(young)])
            post(store, [truth(old, "birch", 1), truth(young, "cedar", 1), truth(young, "birch", 2)])
            sizes = [truth_bytes(stored_truth(store, text)) for text in (old, young)]
            with reading(target) as reader:
                assert [day.bytes for day in reader.stored_days()] == [
                    230 + len('"ash"request-1alice') + sizes[0],
                    230 + len('"ash"request-1alice{"text":"??"}') + sizes[1],
                ]
        assert sizes == [245 + len('"birch""ash"bob')] * 2

    def test_offsets_are_replaced_and_forgotten(self, target: Path | str) -> None:
        """Each writer has its own."""
        with opened(target) as store:
            with store.transaction() as transaction:
                for segment, offset in (("a", 1), ("b", 2), ("a", 3), ("c", 2**40)):
                    transaction.save_offset(WRITER, segment, offset)
                transaction.save_offset("writer-2", "b", 5)
            assert store.load(WRITER).offsets == {"a": 3, "b": 2, "c": 2**40}
            with store.transaction() as transaction:
                transaction.forget_segments(WRITER, {"c", "new"})
            assert store.load(WRITER).offsets == {"c": 2**40}
            assert store.load("writer-2").offsets == {"b": 5}
            assert store.load("writer-3").offsets == {}

    def test_totals_are_those_of_one_writer(self, target: Path | str) -> None:
        """Two writers share the truths and add up."""
        texts = [prediction_id(LOANS, 1) for _ in range(5)]
        with opened(target) as store:
            post(store, [truth(text, True) for text in texts[:3]], writer="writer-1")
            judged = post(store, [truth(text, True) for text in texts], writer="writer-2")
            assert results(judged) == ["duplicate"] * 3 + ["counted"] * 2
            first, second = (store.load(name).totals.versions[LOANS.key] for name in ("writer-1", "writer-2"))
        assert first.cells["ground_truth", "counted"] == 3
        assert second.cells["ground_truth", "counted"] == 2
        assert second.cells["ground_truth", "duplicate"] == 3
        assert first.timestamp == NOON + 600.0
        assert differences(target) == []

    def test_first_prediction_is_saved(self, target: Path | str) -> None:
        """Until a truth counts it says since when none came."""
        with opened(target) as store:
            totals = store.load(WRITER).totals
            totals.add_predictions(TREES.key, NOON)
            with store.transaction() as transaction:
                transaction.save_totals(WRITER, totals.take_changed())
            assert store.load(WRITER).totals.versions[TREES.key].timestamp == NOON

    @pytest.mark.parametrize(
        "changes",
        [
            {"features": "lone surrogate \ud800"},
            {"request_id": None},
            {"caller": ["no", "text"]},
            {"predicted_timestamp": "noon"},
            {"predicted_timestamp": float("inf")},
        ],
    )
    def test_row_that_cannot_be_stored_is_refused(
        self, target: Path | str, changes: dict[str, object]
    ) -> None:
        """With all that its transaction wrote; the text holds nothing of the row."""
        with opened(target) as store:
            with pytest.raises(StoreRefusedError) as refused, store.transaction() as transaction:
                transaction.save_offset(WRITER, "a", 9)
                transaction.insert_predictions(
                    [row(prediction_id(), **{"caller": "secret-caller", **changes})]
                )
            assert "secret" not in str(refused.value)
            assert "\n" not in str(refused.value)
            assert store.load(WRITER).offsets == {}
            assert log_predictions(store, [row(prediction_id())]) == 1

    @pytest.mark.parametrize("truth_value", ["lone surrogate \ud800", 2**70])
    def test_truth_that_cannot_be_stored_is_refused(self, target: Path | str, truth_value: str) -> None:
        """A version that is unknown takes any value, but not any bytes."""
        with opened(target) as store:
            with pytest.raises(StoreRefusedError), store.transaction() as transaction:
                transaction.receive_truths([truth(prediction_id(), truth_value)], Shelf())
            with pytest.raises(StoreRefusedError), store.transaction() as transaction:
                transaction.receive_truths([truth(prediction_id(), "ash", 2**70)], SHELF)
            with store.transaction() as transaction:
                assert transaction.connection.scalar(select(func.count()).select_from(ground_truths)) == 0
