"""Slots are few, distinct among the living, and used again."""

from __future__ import annotations

import pytest

from service.observability import slots


@pytest.fixture(autouse=True)
def fresh_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start without any slot in use."""
    monkeypatch.setattr(slots, "_in_use", set())
    monkeypatch.setattr(slots, "_own", None)


def test_smallest_free_slot_is_handed_out() -> None:
    """Slots count up from 0, and one given back is the next to go."""
    assert [slots.acquire() for _ in range(4)] == [0, 1, 2, 3]
    slots.release(1)
    slots.release(3)
    assert [slots.acquire() for _ in range(3)] == [1, 3, 4]


def test_giving_back_twice_does_no_harm() -> None:
    """A slot is free once, however often it is given back."""
    slots.acquire()
    slots.release(0)
    slots.release(0)
    assert [slots.acquire(), slots.acquire()] == [0, 1]


def test_process_without_arbiter_has_slot_zero() -> None:
    """A predictor that nobody forked counts too."""
    assert slots.own() == 0
    slots.bind(5)
    assert slots.own() == 5
