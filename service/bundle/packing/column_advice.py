"""Warns of columns whose drift says nothing about the model: calendars, identifiers, slow indices."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from service.bundle.signature import Feature

IDENTIFIER_SHARE = 0.95
MIN_ROWS = 30
ORDER_CORRELATION = 0.8

_CALENDAR = re.compile(
    r"(^|_)(date|time|timestamp|datetime|year|quarter|month|week|weekday|day|hour|minute|season)s?($|_)"
)
_IDENTIFIER = re.compile(r"(^|_)(id|uuid|guid|key)$")


def advise(feature: Feature, column: pd.Series) -> str | None:
    """Say in a few words why a column should not be monitored; None if nothing speaks against it.

    Args:
        feature: as inferred from the column.
        column: its training values in the order of the file.
    """
    name = re.sub(r"\W+", "_", feature.name).lower()
    present = column.dropna()
    if _CALENDAR.search(name) or _holds_dates(feature, present):
        return "looks like a calendar column: it moves by itself"
    share = present.nunique() / max(len(present), 1)
    is_discrete = feature.type in {"integer", "category"}
    if len(present) >= MIN_ROWS and is_discrete and share >= IDENTIFIER_SHARE:
        return f"looks like an identifier: {share:.0%} of its values are distinct"
    if _IDENTIFIER.search(name) and is_discrete:
        return "looks like an identifier by its name"
    if feature.is_numeric and len(present) >= MIN_ROWS and present.nunique() > 1:
        correlation = np.corrcoef(present.rank().to_numpy(), np.arange(len(present)))[0, 1]
        if abs(correlation) >= ORDER_CORRELATION:
            return f"looks like a slow index: rank correlation with the row order is {correlation:.2f}"
    return None


def _holds_dates(feature: Feature, present: pd.Series) -> bool:
    if feature.type != "category":
        return False
    sample = [str(value) for value in present.head(20)]
    return all(re.match(r"\d{4}-\d{2}(-\d{2})?([ T]\d{2}:\d{2})?", value) for value in sample)
