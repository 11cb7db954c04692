"""Tells rows that do not look like the reference; needs no estimator, so that any model's rows are judged."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from service.bundle.reference import Reference, TextNovelty
from service.bundle.signature import Scalar, Signature
from service.events import IN_DISTRIBUTION, OUT_BY_CATEGORY, OUT_BY_NOVELTY, OUT_BY_RANGE

Rows = Sequence[Sequence[Scalar]]

_WORD = re.compile(r"\w+")


class InputJudge:
    """Judges the rows of one model by the ranges, categories and words of its reference.

    Args:
        signature: the model's inputs.
        reference: ranges and novelty thresholds; features without a reference are not judged.
    """

    def __init__(self, signature: Signature, reference: Reference) -> None:
        self._names = tuple(feature.name for feature in signature.features)
        self._text_novelty = reference.text_novelty and TextNoveltyScorer(reference.text_novelty)
        self._range_columns: list[int] = []
        low, high = [], []
        self._known_categories: list[tuple[int, frozenset[str]]] = []
        for position, feature in enumerate(signature.features):
            known = reference.features.get(feature.name)
            if known is None:
                continue
            if feature.is_numeric and known.minimum is not None and known.maximum is not None:
                self._range_columns.append(position)
                low.append(known.minimum)
                high.append(known.maximum)
            if feature.type == "category" and not feature.closed:
                self._known_categories.append((position, frozenset(feature.categories or ())))
        self._low, self._high = np.array(low), np.array(high)
        self._covers_all = self._range_columns == list(range(len(signature.features)))

    def verdicts(
        self,
        rows: Rows,
        confidences: NDArray[np.float64] | None = None,
        numbers: NDArray[np.float64] | None = None,
    ) -> NDArray[np.int8]:
        """Judge n rows; give the first reason that applies, as a code of `service.events`, shape (n,).

        Args:
            rows: values in signature order, as `RowParser` gives them.
            confidences: shape (n,), probability of the predicted class, 0..1; without them no text is novel.
            numbers: the rows as an array of shape (n, features), if the caller has made one already.
        """
        codes = np.full(len(rows), IN_DISTRIBUTION, dtype=np.int8)
        if self._text_novelty and confidences is not None:
            texts = cast(list[str], [row[0] for row in rows])
            codes[self._text_novelty.is_novel(texts, confidences)] = OUT_BY_NOVELTY
        for position, known in self._known_categories:
            for index, row in enumerate(rows):
                if row[position] is not None and row[position] not in known:
                    codes[index] = OUT_BY_CATEGORY
        if self._range_columns:
            if numbers is None or not self._covers_all:
                columns = self._range_columns
                numbers = np.array([[row[column] for column in columns] for row in rows], dtype=np.float64)
            # A missing value (NaN) compares false both ways: it is not out of range.
            codes[((numbers < self._low) | (numbers > self._high)).any(axis=1)] = OUT_BY_RANGE
        return codes

    def explain(self, row: Sequence[Scalar]) -> list[tuple[str, Literal["range", "category"]]]:
        """Name the features of a row that lie outside the reference's range or categories."""
        found: list[tuple[str, Literal["range", "category"]]] = []
        for column, low, high in zip(self._range_columns, self._low, self._high, strict=True):
            value = row[column]
            if value is not None and not low <= cast(float, value) <= high:
                found.append((self._names[column], "range"))
        for column, known in self._known_categories:
            if row[column] is not None and row[column] not in known:
                found.append((self._names[column], "category"))
        return found


class TextNoveltyScorer:
    """Tells texts unlike the training texts: z(confidence) + z(share of known words) below a threshold."""

    def __init__(self, novelty: TextNovelty) -> None:
        self._novelty = novelty
        self._vocabulary = frozenset(novelty.vocabulary)

    def is_novel(self, texts: Sequence[str], confidences: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Judge n texts by their words and the model's confidences, shape (n,)."""
        known = np.array([known_word_share(text, self._vocabulary) for text in texts])
        return self.score(known, confidences) < self._novelty.threshold

    def score(
        self, known_shares: NDArray[np.float64], confidences: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Add the two z-scores, shape (n,); low means unlike the training texts."""
        of = self._novelty
        by_confidence = (confidences - of.confidence_mean) / of.confidence_stddev
        by_words = (known_shares - of.known_words_mean) / of.known_words_stddev
        return np.asarray(by_confidence + by_words)


def words_of(text: str) -> list[str]:
    r"""Split a text into lower-cased words (`\w+`)."""
    return _WORD.findall(text.lower())


def known_word_share(text: str, vocabulary: frozenset[str]) -> float:
    """Share of the words of a text that occur in the vocabulary, 0..1; 0 for a text without words."""
    words = words_of(text)
    return sum(word in vocabulary for word in words) / len(words) if words else 0.0
