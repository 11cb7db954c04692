"""Prediction ids are distinct and short enough for a URL."""

from __future__ import annotations

import re

from service.api.prediction_answers import _new_ids


def test_ids() -> None:
    """Each is URL-safe, 20 characters long, and no two are alike."""
    ids = _new_ids(1000)
    assert len(set(ids)) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{20}", one) for one in ids)
