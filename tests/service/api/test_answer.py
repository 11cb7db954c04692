"""An answer carries no headers unless it is given some."""

from __future__ import annotations

from service.api.answer import Answer


def test_defaults() -> None:
    """Status and body are enough."""
    assert Answer(200, b"{}").headers == ()
