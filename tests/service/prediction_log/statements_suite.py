"""SQL that the databases write differently: a class of tests runs it with a fixture `target`."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from service.prediction_log.schema import predictions
from service.prediction_log.statements import among, byte_length, insert_new, text_bytes
from tests.service.prediction_log.logged_rows import log_predictions, opened, prediction_id, row

TEXTS = ("", "plain", "Übung", "日本", "\U0001f600", "a\\u0000b")


class StatementsSuite:
    """Bulk insert, membership, bytes."""

    def test_only_new_rows_are_inserted(self, target: Path | str) -> None:
        """Their keys come back."""
        first, second = sorted([prediction_id(), prediction_id()])
        with opened(target) as store, store.transaction() as transaction:
            assert insert_new(transaction.connection, predictions, []) == set()
            assert insert_new(transaction.connection, predictions, [row(second)]) == {second}
            assert insert_new(transaction.connection, predictions, [row(first), row(second)]) == {first}

    @pytest.mark.parametrize("count", [0, 1, 2])
    def test_membership(self, target: Path | str, count: int) -> None:
        """Of none, one or several."""
        ids = [prediction_id() for _ in range(3)]
        with opened(target) as store:
            log_predictions(store, [row(one) for one in ids])
            with store.transaction() as transaction:
                wanted = among(transaction.connection, predictions.c.prediction_id, ids[:count])
                found = transaction.connection.scalars(select(predictions.c.prediction_id).where(wanted))
                assert set(found) == set(ids[:count])

    def test_bytes_are_counted_alike(self, target: Path | str) -> None:
        """In Python and in the database, in UTF-8."""
        ids = {prediction_id(): text for text in TEXTS}
        with opened(target) as store:
            log_predictions(store, [row(key, features=text) for key, text in ids.items()])
            log_predictions(store, [row(prediction_id(), features=None)])
            with store.transaction() as transaction:
                size = byte_length(transaction.connection, predictions.c.features)
                found = transaction.connection.execute(select(predictions.c.features, size)).all()
        assert {one.features: one[1] for one in found} == {text: text_bytes(text) for text in (*TEXTS, None)}
        assert text_bytes("Übung", None, "a") == 7
