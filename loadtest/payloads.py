"""Real rows for each demo model, and what is true of them: those of its data that it was not trained on."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, make_classification
from sklearn.model_selection import train_test_split
from sklearn.utils import Bunch

Scalar = bool | int | float | str | None
Row = tuple[Scalar, ...]

DATA = Path(__file__).parent.parent / "training" / "data"
TICKETS = DATA / "tickets.csv"
SLANG = DATA / "tickets_out_of_distribution.csv"
SLANG_MODEL = "tickets"


class PayloadError(Exception):
    """No rows can be had for a model; the text is one line for the person who starts the test."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one data set, in its own names and spellings.

    Args:
        columns: names of the values of a row, in their order.
        rows: the values.
        truths: class or number of each row, as the data set writes it; empty if that is not known.
        classes: in the order of the codes 0, 1, ... that the data set has for them; empty if it has none.
    """

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    truths: tuple[Scalar, ...] = ()
    classes: tuple[Scalar, ...] = ()


def load_table(model_name: str) -> Table:
    """Return the rows that the model of this name is driven with.

    Raises:
        PayloadError: no rows are known for this name, or their file is missing.
    """
    if model_name not in _SOURCES:
        raise PayloadError(f"no rows are known for model {model_name}; known: {', '.join(_SOURCES)}")
    return _SOURCES[model_name]()


def load_slang() -> Table:
    """Return the slang and off-topic messages that no class of `tickets` fits.

    Raises:
        PayloadError: the file is missing.
    """
    return _texts(SLANG)


def _held_out(load: Callable[[], Any], count: int, *, is_stratified: bool = True) -> Callable[[], Table]:
    # The split of training/, written again since a client imports nothing of it (a test compares the rows):
    # on rows it was trained on a model is more certain than it will ever be again.
    def table() -> Table:
        data = load()
        names = data.get("target_names")
        labels = data.target if names is None else names[data.target]
        _, rows, _, truths = train_test_split(
            data.data, labels, test_size=count, stratify=labels if is_stratified else None, random_state=0
        )
        return Table(
            columns=tuple(data.feature_names),
            rows=tuple(map(tuple, rows.tolist())),
            truths=tuple(truths.tolist()),
            classes=() if names is None else tuple(map(str, names)),
        )

    return table


def _load_wide_forest() -> Bunch:
    features, labels = make_classification(
        n_samples=3500,
        n_features=20,
        n_informative=10,
        n_redundant=4,
        class_sep=1.2,
        flip_y=0.03,
        random_state=7,
    )
    names = [f"x{index:02d}" for index in range(features.shape[1])]
    return Bunch(data=features.round(4), target=labels, feature_names=names)


def _tickets() -> Table:
    return _texts(TICKETS, split="validation", target="category")


def _texts(path: Path, split: str | None = None, target: str | None = None) -> Table:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            records = [each for each in csv.DictReader(file) if split in (None, each.get("split"))]
    except FileNotFoundError:
        raise PayloadError(f"{path} is missing") from None
    if not records:
        raise PayloadError(f"{path} has no row to send")
    truths = tuple(record[target] for record in records) if target else ()
    return Table(("text",), tuple((record["text"],) for record in records), truths)


_SOURCES: dict[str, Callable[[], Table]] = {
    "iris": _held_out(load_iris, 60),
    "breast_cancer": _held_out(load_breast_cancer, 200),
    "tickets": _tickets,
    "wide_forest": _held_out(_load_wide_forest, 1500),
    "diabetes": _held_out(partial(load_diabetes, scaled=False), 150, is_stratified=False),
}
DEMO_MODELS = tuple(_SOURCES)
