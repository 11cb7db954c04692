"""Rows are judged by what others look like, and only if the service would take them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from service.bundle.packing.unseen import text_novelty, unseen_rows, vocabulary_of
from service.bundle.signature import Feature, Signature
from service.errors import PackError

COLOUR = Feature(name="colour", type="category", categories=("red", "blue"))
HEIGHT = Feature(name="height", type="number", nullable=True, maximum=99.0)
TABLE = Signature(task="binary", input="tabular", classes=(0, 1), features=(HEIGHT, COLOUR))
TEXT = Signature(
    task="binary", input="text", classes=(0, 1), features=(Feature(name="text", type="text", nullable=False),)
)


def table(*rows: tuple[Any, str]) -> pd.DataFrame:
    """Make a table of heights and colours."""
    return pd.DataFrame(rows, columns=["height", "colour"])


def test_ranges_and_categories_are_those_of_the_rows_seen() -> None:
    """Whatever the whole table holds."""
    part = unseen_rows(TABLE, table((1.5, "red"), (2.5, "red")), table((9.0, "blue")), print)
    assert part.rows == [(9.0, "blue")]
    assert part.signature.features[1].categories == ("red",)
    known = part.ranges.features["height"]
    assert (known.minimum, known.maximum) == (1.5, 2.5)
    assert part.ranges.rows == 2


def test_feature_that_no_row_seen_has_is_not_judged() -> None:
    """A fold may lack what is rare."""
    part = unseen_rows(TABLE, table((None, "red")), table((9.0, "red")), print)
    assert list(part.ranges.features) == ["colour"]


def test_rows_that_the_service_refuses_are_left_out_and_counted() -> None:
    """The positions of the others are known, so that truths stay with their rows."""
    lines: list[str] = []
    seen = table((1.5, "red"))
    part = unseen_rows(TABLE, seen, table((100.0, "red"), (2.0, "red"), (None, "red")), lines.append)
    assert part.rows == [(2.0, "red"), (None, "red")]
    assert part.kept == [1, 2]
    assert lines == [
        (
            "1 of 3 validation rows left out: the service refuses them "
            "(first: features.height must be at most 99)"
        )
    ]
    with pytest.raises(PackError, match=r"would refuse every validation row: features\.height must be"):
        unseen_rows(TABLE, seen, table((100.0, "red")), print)


def test_vocabulary_is_lower_cased_words() -> None:
    r"""As serving splits texts: `\w+`; a missing text has none."""
    frame = pd.DataFrame({"text": ["My Old-HAMMER, my 3 saws!", None]})
    assert vocabulary_of(frame, TEXT) == {"my", "old", "hammer", "3", "saws"}
    assert vocabulary_of(table((1.5, "red")), TABLE) == set()


def test_novelty_is_measured_on_words_of_others_and_judges_by_all_words() -> None:
    """Five percent of the texts lie below the threshold."""
    texts = [f"lost my {word}" for word in "abcdefghijklmnopqrst"]
    seen = pd.DataFrame({"text": ["lost my a", "lost my b"]})
    part = unseen_rows(TEXT, seen, pd.DataFrame({"text": texts}), print)
    novelty = text_novelty([part], np.linspace(0.5, 1.0, 20), frozenset({"lost", "my", "saw"}))
    assert novelty.vocabulary == ("lost", "my", "saw")
    assert novelty.confidence_mean == pytest.approx(0.75)
    assert novelty.known_words_mean == pytest.approx((2 * 1 + 18 * 2 / 3) / 20)
    judging = part.reference(novelty).text_novelty
    assert judging is not None
    assert judging.vocabulary == ("a", "b", "lost", "my")
    assert judging.threshold == novelty.threshold
    assert part.reference(None).text_novelty is None


def test_spread_of_nothing_is_no_spread_of_zero() -> None:
    """Where every word is known, one unknown word must not be infinitely novel."""
    frame = pd.DataFrame({"text": ["lost my saw"] * 3})
    novelty = text_novelty([unseen_rows(TEXT, frame, frame, print)], np.ones(3), frozenset())
    assert (novelty.confidence_stddev, novelty.known_words_stddev) == (1e-3, 1e-3)
