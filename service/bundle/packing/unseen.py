"""Judges rows by what other rows look like: the ranges, categories and words of those."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from service.bundle.distribution import known_word_share, words_of
from service.bundle.packing.reference_bins import feature_reference
from service.bundle.packing.request import Report
from service.bundle.packing.table import Row, rows_of
from service.bundle.reference import Reference, TextNovelty
from service.bundle.row_schema import RowParser
from service.bundle.signature import Signature
from service.errors import InvalidInputError, PackError

FOLDS = 5
NOVELTY_QUANTILE = 0.05


@dataclass(frozen=True)
class Unseen:
    """Rows, and what judges them.

    Args:
        signature: with the categories of the rows seen.
        rows: those of the unseen rows that the service would not refuse, as they are served.
        kept: the position of each of them among the unseen rows.
        vocabulary: words of the rows seen; none for a tabular model.
        ranges: a reference that knows the rows seen, but no novelty of texts.
    """

    signature: Signature
    rows: list[Row]
    kept: list[int]
    vocabulary: frozenset[str]
    ranges: Reference

    def reference(self, novelty: TextNovelty | None) -> Reference:
        """Give the reference that judges these rows: with that novelty, by the words of the rows seen."""
        if novelty is not None:
            novelty = novelty.model_copy(update={"vocabulary": tuple(sorted(self.vocabulary))})
        return self.ranges.model_copy(update={"text_novelty": novelty})


def unseen_rows(signature: Signature, seen: pd.DataFrame, unseen: pd.DataFrame, report: Report) -> Unseen:
    """Prepare rows to be judged by others.

    Raises:
        PackError: the service would refuse every row.
    """
    columns = list(zip(*rows_of(seen, signature.features), strict=True))
    features = tuple(
        feature
        if feature.categories is None or feature.closed
        else feature.model_copy(
            update={"categories": tuple(sorted({str(v) for v in column if v is not None}))}
        )
        for feature, column in zip(signature.features, columns, strict=True)
    )
    references = {
        feature.name: feature_reference(feature, column)
        for feature, column in zip(features, columns, strict=True)
        if feature.type != "text" and any(value is not None for value in column)
    }
    rows, kept = _servable(signature, rows_of(unseen, signature.features), report)
    return Unseen(
        signature=signature.model_copy(update={"features": features}),
        rows=rows,
        kept=kept,
        vocabulary=frozenset(vocabulary_of(seen, signature)),
        ranges=Reference(rows=len(seen), features=references, validation_rows=1, out_of_distribution_rows=0),
    )


def vocabulary_of(frame: pd.DataFrame, signature: Signature) -> set[str]:
    """Collect the distinct words of the training texts; none for a tabular model."""
    if signature.input != "text":
        return set()
    texts = frame[signature.features[0].name].dropna()
    return {word for text in texts for word in words_of(str(text))}


def text_novelty(
    parts: Sequence[Unseen], confidences: NDArray[np.float64], vocabulary: frozenset[str]
) -> TextNovelty:
    """Measure moments and threshold on texts that none of the words came from.

    Args:
        parts: the texts, each judged by the words of others.
        confidences: of all of them in their order, shape (n,).
        vocabulary: words of all training texts, by which the served model will judge.
    """
    known = np.array([known_word_share(str(row[0]), part.vocabulary) for part in parts for row in part.rows])
    # A spread of nothing (every word known) would make one unknown word infinitely novel.
    moments = {
        "confidence_mean": float(confidences.mean()),
        "confidence_stddev": max(float(confidences.std()), 1e-3),
        "known_words_mean": float(known.mean()),
        "known_words_stddev": max(float(known.std()), 1e-3),
    }
    by_confidence = (confidences - moments["confidence_mean"]) / moments["confidence_stddev"]
    by_words = (known - moments["known_words_mean"]) / moments["known_words_stddev"]
    # Rounded, so that no validation text lies exactly on the threshold and turns on the last bit.
    threshold = round(float(np.quantile(by_confidence + by_words, NOVELTY_QUANTILE)), 6)
    return TextNovelty(vocabulary=tuple(sorted(vocabulary)), threshold=threshold, **moments)


def _servable(signature: Signature, rows: Sequence[Row], report: Report) -> tuple[list[Row], list[int]]:
    """Keep the rows that the service would not refuse."""
    parser = RowParser(signature, 1)
    kept_rows, kept, refusals = [], [], []
    for index, row in enumerate(rows):
        named = dict(zip((feature.name for feature in signature.features), row, strict=True))
        try:
            kept_rows.append(parser.single(json.dumps({"features": named}).encode()))
        except InvalidInputError as error:
            refusals.append(error.violations[0])
            continue
        kept.append(index)
    if refusals:
        first = refusals[0]
        report(
            f"{len(refusals)} of {len(rows)} validation rows left out: the service refuses them "
            f"(first: {first.field} {first.message})"
        )
    if not kept:
        raise PackError(f"the service would refuse every validation row: {first.field} {first.message}")
    return kept_rows, kept
