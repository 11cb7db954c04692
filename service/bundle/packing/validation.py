"""Predictions on rows that the estimator was not fitted on: a file held out, or out of fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import KFold, StratifiedKFold

from service.bundle.packing.request import Report
from service.bundle.packing.serving_form import estimator_input
from service.bundle.packing.table import Row
from service.bundle.packing.unseen import FOLDS, Unseen, text_novelty, unseen_rows, vocabulary_of
from service.bundle.reference import TextNovelty
from service.bundle.scoring import OUTPUT_OK, Container, Output, Scorer, Scores
from service.bundle.signature import Signature
from service.errors import PackError, one_line
from service.events import IN_DISTRIBUTION

SCORED_AT_ONCE = 1000


@dataclass(frozen=True)
class Model:
    """An estimator with how it is called."""

    estimator: Any
    signature: Signature
    container: Container
    output: Output


@dataclass(frozen=True)
class Validation:
    """Rows, truths and what a model said of them that had not seen them.

    Args:
        rows: n rows as they are served.
        targets: class indices, shape (n,), or numbers for regression.
        predictions: class indices or numbers, shape (n,).
        probabilities: shape (n, classes), or None.
        confidences: shape (n,), or None.
        is_out: shape (n,), which rows the flag of the answer calls out of distribution.
        text_novelty: moments and threshold, for text.
    """

    rows: Sequence[Row]
    targets: NDArray[Any]
    predictions: NDArray[Any]
    probabilities: NDArray[np.float64] | None
    confidences: NDArray[np.float64] | None
    is_out: NDArray[np.bool_]
    text_novelty: TextNovelty | None


@dataclass(frozen=True)
class _Part:
    """Rows with the model that predicts them, which has not seen them."""

    model: Model
    unseen: Unseen
    targets: NDArray[Any]


def hold_out(
    model: Model, training: pd.DataFrame, held_out: pd.DataFrame, targets: NDArray[Any], report: Report
) -> Validation:
    """Score a table that was held out, with ranges and words of the training table.

    Raises:
        PackError: no row of it could be served, or the model's output is invalid.
    """
    part = _part(model, training, held_out, targets, report)
    return _validate([part], model.signature, part.unseen.vocabulary)


def out_of_fold(model: Model, training: pd.DataFrame, targets: NDArray[Any], report: Report) -> Validation:
    """Fit clones on four fifths of the training table and score the fifth; ranges and words per fold.

    Raises:
        PackError: a class, or the table, has too few rows, or the estimator cannot be cloned and fitted.
    """
    parts = []
    for number, (fitted, held_out) in enumerate(_folds(model.signature, targets), start=1):
        report(f"fold {number} of {FOLDS}: fitting a clone on {len(fitted)} rows")
        table = training.iloc[fitted]
        try:
            estimator = clone(model.estimator)
            labels = _fit_targets(model.signature, targets[fitted], model.estimator)
            estimator.fit(estimator_input(model.estimator, table, model.signature), labels)
        except Exception as error:
            raise PackError(
                f"a clone of the estimator cannot be fitted ({one_line(error)}); give --validation"
            ) from error
        fold_model = replace(model, estimator=estimator)
        parts.append(_part(fold_model, table, training.iloc[held_out], targets[held_out], report))
    vocabulary = frozenset(vocabulary_of(training, model.signature))
    return _validate(parts, model.signature, vocabulary)


def _part(
    model: Model, seen: pd.DataFrame, unseen: pd.DataFrame, targets: NDArray[Any], report: Report
) -> _Part:
    part = unseen_rows(model.signature, seen, unseen, report)
    return _Part(model, part, targets[part.kept])


def _validate(parts: Sequence[_Part], signature: Signature, vocabulary: frozenset[str]) -> Validation:
    scores = [_score(part, None) for part in parts]
    confidences = _joined([score.confidences for score in scores])
    novelty = None
    if signature.input == "text" and confidences is not None:
        novelty = text_novelty([part.unseen for part in parts], confidences, vocabulary)
        # Again, now with the threshold: the verdict must come from the code that serves.
        scores = [_score(part, novelty) for part in parts]
    if any((score.invalid != OUTPUT_OK).any() for score in scores):
        raise PackError(
            "the estimator gives an output that is not finite or out of bounds on validation rows"
        )
    predictions = _joined(
        [score.values if score.class_indices is None else score.class_indices for score in scores]
    )
    distribution = _joined([score.distribution for score in scores])
    assert predictions is not None
    assert distribution is not None
    return Validation(
        rows=[row for part in parts for row in part.unseen.rows],
        targets=np.concatenate([part.targets for part in parts]),
        predictions=predictions,
        probabilities=_joined([score.probabilities for score in scores]),
        confidences=confidences,
        is_out=distribution != IN_DISTRIBUTION,
        text_novelty=novelty,
    )


def _score(part: _Part, novelty: TextNovelty | None) -> Scores:
    model, unseen = part.model, part.unseen
    scorer = Scorer(
        unseen.signature, unseen.reference(novelty), model.estimator, model.container, model.output
    )
    starts = range(0, len(unseen.rows), SCORED_AT_ONCE)
    slices = [unseen.rows[start : start + SCORED_AT_ONCE] for start in starts]
    try:
        scores = [scorer.score(rows) for rows in slices]
    except Exception as error:
        raise PackError(f"the estimator cannot predict on validation rows: {one_line(error)}") from error
    return Scores(
        class_indices=_joined([score.class_indices for score in scores]),
        values=_joined([score.values for score in scores]),
        probabilities=_joined([score.probabilities for score in scores]),
        confidences=_joined([score.confidences for score in scores]),
        distribution=np.concatenate([score.distribution for score in scores]),
        invalid=np.concatenate([score.invalid for score in scores]),
    )


def _folds(signature: Signature, targets: NDArray[Any]) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    is_regression = signature.task == "regression"
    rarest = len(targets) if is_regression else int(np.bincount(targets)[np.unique(targets)].min())
    if rarest < FOLDS:
        what = "the table" if is_regression else "the rarest class"
        raise PackError(f"{what} has {rarest} rows, too few for {FOLDS} folds; give --validation")
    splitter = (KFold if is_regression else StratifiedKFold)(FOLDS, shuffle=True, random_state=0)
    return list(splitter.split(np.zeros(len(targets)), targets))


def _fit_targets(signature: Signature, targets: NDArray[Any], estimator: Any) -> NDArray[Any]:
    return targets if signature.classes is None else np.asarray(estimator.classes_)[targets]


def _joined(parts: Sequence[NDArray[Any] | None]) -> NDArray[Any] | None:
    arrays = [part for part in parts if part is not None]
    return np.concatenate(arrays) if arrays else None
