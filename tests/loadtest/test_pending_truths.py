"""Truths that wait for their time."""

from __future__ import annotations

import json
import logging

import pytest

from loadtest.payloads import Scalar
from loadtest.pending_truths import PendingTruth, PendingTruths, ground_truth_body


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


def _pending(clock: Clock, *, delay_seconds: float = 10.0, capacity: int = 5000) -> PendingTruths:
    return PendingTruths(delay_seconds, capacity, clock)


def test_a_truth_waits_half_to_one_and_a_half_of_the_delay() -> None:
    """None comes before, and each has come after."""
    clock = Clock()
    pending = _pending(clock)
    for number in range(100):
        pending.add(f"id-{number}", "x")
    clock.now += 4.99
    assert pending.take_due() == []
    clock.now += 10.02
    assert {truth.prediction_id for truth in pending.take_due()} == {f"id-{number}" for number in range(100)}
    assert pending.take_due() == []


def test_truths_come_in_another_order_than_predictions() -> None:
    """Waits differ, so a later prediction's truth may come first; values of any type wait together."""
    clock = Clock()
    pending = _pending(clock)
    values: list[Scalar] = ["a", 1, 2.5, True] * 25
    for number, value in enumerate(values):
        pending.add(f"{number:03}", value)
    clock.now += 20
    taken = pending.take_due()
    ids = [truth.prediction_id for truth in taken]
    assert ids != sorted(ids)
    assert [truth.ground_truth for truth in sorted(taken)] == values


def test_truths_without_delay_are_due_at_once_and_in_order() -> None:
    """A delay of 0 has no spread."""
    pending = _pending(Clock(), delay_seconds=0)
    for number in range(3):
        pending.add(f"id-{number}", number)
    assert [truth.ground_truth for truth in pending.take_due()] == [0, 1, 2]


def test_no_more_are_taken_than_a_request_holds() -> None:
    """The rest stays due."""
    pending = _pending(Clock(), delay_seconds=0)
    for number in range(1500):
        pending.add(f"id-{number}", "x")
    assert [len(pending.take_due()) for _ in range(3)] == [1000, 500, 0]


def test_what_waits_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """Beyond the capacity predictions get no truth, which is logged once; room that is made is used."""
    pending = _pending(Clock(), delay_seconds=0, capacity=10)
    with caplog.at_level(logging.WARNING, logger="loadtest"):
        for number in range(30):
            pending.add(f"id-{number}", "x")
    assert len(pending) == 10
    assert caplog.messages == ["loadtest: 10 truths wait already; more are never told"]
    pending.take_due()
    pending.add("id-30", "x")
    assert len(pending) == 1


def test_a_small_share_is_told_twice_and_none_three_times() -> None:
    """What comes again is marked as such; one in twenty is 100 of 2000, give or take five deviations."""
    pending = _pending(Clock(), delay_seconds=0)
    pending.repeat_some([PendingTruth(f"id-{number}", "x", is_repeat=False) for number in range(2000)])
    again = pending.take_due()
    assert 50 < len(again) < 150
    assert all(truth.is_repeat for truth in again)
    pending.repeat_some(again * 20)
    assert len(pending) == 0


def test_truths_that_were_not_kept_come_again() -> None:
    """A shed one is as new; one without an answer may have arrived, and one that was a repeat stays one."""
    clock = Clock()
    pending = _pending(clock)
    pending.put_back([PendingTruth("shed", "x", is_repeat=False)], may_have_arrived=False)
    pending.put_back([PendingTruth("cut", "x", is_repeat=False)], may_have_arrived=True)
    pending.put_back([PendingTruth("twice", "x", is_repeat=True)], may_have_arrived=False)
    assert pending.take_due() == []
    clock.now += 15.01
    assert {truth.prediction_id: truth.is_repeat for truth in pending.take_due()} == {
        "shed": False,
        "cut": True,
        "twice": True,
    }


def test_one_truth_stands_alone_and_several_are_a_batch() -> None:
    """Values keep their JSON type."""
    one, other = PendingTruth("p", 1, is_repeat=False), PendingTruth("q", "x", is_repeat=True)
    assert json.loads(ground_truth_body([one])) == {"prediction_id": "p", "ground_truth": 1}
    assert json.loads(ground_truth_body([one, other])) == {
        "batch": [
            {"prediction_id": "p", "ground_truth": 1},
            {"prediction_id": "q", "ground_truth": "x"},
        ]
    }
