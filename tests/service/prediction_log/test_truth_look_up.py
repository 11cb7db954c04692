"""The database is asked within a bound, and whatever it does, the truth that was posted goes on."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from service.prediction_log import truth_look_up
from service.prediction_log.truth_intake import KnownTruth
from service.prediction_log.truth_look_up import PAUSE_SECONDS, TruthLookUp
from tests.service.prediction_log.logged_rows import (
    LOANS,
    PRICES,
    TREES,
    many_ids,
    opened,
    post,
    prediction_id,
    truth,
)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Start a clock."""
    return Clock()


@pytest.fixture
def look_up(target: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[TruthLookUp]:
    """Look up in a file; with a bound that no busy machine meets."""
    monkeypatch.setattr(truth_look_up, "LOOK_UP_SECONDS", 10.0)
    made = TruthLookUp(target, clock)
    made.open()
    yield made
    made.close()


def ask(look_up: TruthLookUp, *prediction_ids: str) -> Mapping[str, KnownTruth]:
    """Ask on a loop of its own."""

    async def asked() -> Mapping[str, KnownTruth]:
        return await look_up(prediction_ids)

    return asyncio.run(asked())


def after_pause(look_up: TruthLookUp, clock: Clock, *prediction_ids: str) -> Mapping[str, KnownTruth]:
    """Ask once an earlier failure is forgotten."""
    clock.now += PAUSE_SECONDS
    return ask(look_up, *prediction_ids)


def test_known_truths_come_with_value_and_revision(target: Path, look_up: TruthLookUp) -> None:
    """Each with the type that was posted; unknown ids are left out."""
    tree, loan, price, unknown = (
        prediction_id(TREES),
        prediction_id(LOANS),
        prediction_id(PRICES, 7.0),
        prediction_id(TREES),
    )
    with opened(target) as store:
        post(store, [truth(tree, "ash"), truth(loan, True), truth(price, 3, 2)])
    found = ask(look_up, tree, unknown, loan, price, tree)
    assert found == {tree: KnownTruth("ash", 0), loan: KnownTruth(True, 0), price: KnownTruth(3, 2)}
    assert {key: type(one.ground_truth) for key, one in found.items()} == {tree: str, loan: bool, price: int}
    assert ask(look_up, unknown) == {}


def test_thousand_ids_at_once(target: Path, look_up: TruthLookUp) -> None:
    """The largest request is one question."""
    ids = many_ids(1000)
    with opened(target) as store:
        post(store, [truth(text, "birch") for text in ids[::2]])
    assert ask(look_up, *ids) == dict.fromkeys(ids[::2], KnownTruth("birch", 0))


def test_what_is_posted_later_is_seen_later(target: Path, look_up: TruthLookUp) -> None:
    """No transaction stays open that would show the past for ever."""
    first, second = prediction_id(), prediction_id()
    with opened(target) as store:
        post(store, [truth(first, "ash")])
        assert ask(look_up, first, second) == {first: KnownTruth("ash", 0)}
        post(store, [truth(second, "cedar")])
        assert ask(look_up, first, second) == {first: KnownTruth("ash", 0), second: KnownTruth("cedar", 0)}


def test_nothing_is_known_without_a_database(target: Path, look_up: TruthLookUp, clock: Clock) -> None:
    """Before the first drain there is no file, and none is made; once there is one it is found."""
    text = prediction_id()
    assert ask(look_up, text) == {}
    assert not target.exists()
    with opened(target) as store:
        post(store, [truth(text, "ash")])
        assert ask(look_up, text) == {}
        assert after_pause(look_up, clock, text) == {text: KnownTruth("ash", 0)}


@pytest.mark.parametrize("content", [b"", b"no database" * 100])
def test_file_that_is_no_database(target: Path, look_up: TruthLookUp, clock: Clock, content: bytes) -> None:
    """Empty, or anything else: nothing is known, now and later."""
    target.write_bytes(content)
    assert ask(look_up, prediction_id()) == {}
    assert after_pause(look_up, clock, prediction_id()) == {}


def test_database_without_our_tables(target: Path, look_up: TruthLookUp) -> None:
    """Someone else's file, or one that the drainer has only just begun."""
    connection = sqlite3.connect(target)
    connection.execute("CREATE TABLE other (id TEXT)")
    connection.close()
    assert ask(look_up, prediction_id()) == {}


def test_row_that_makes_no_sense_fails_no_truth(
    target: Path, look_up: TruthLookUp, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever is wrong in the database, the truth that a client posts is spooled all the same."""
    text = prediction_id()
    with opened(target) as store:
        post(store, [truth(text, "ash")])
    connection = sqlite3.connect(target)
    with connection:
        connection.execute("UPDATE ground_truths SET ground_truth = '{broken'")
    connection.close()
    assert ask(look_up, text) == {}
    assert "the look-up of truths raised JSONDecodeError" in caplog.text


def count_questions(monkeypatch: pytest.MonkeyPatch, answer: Callable[[], Any]) -> list[int]:
    """Replace the question to the database; count how often it is asked."""
    asked: list[int] = []

    def replaced(self: TruthLookUp, prediction_ids: tuple[str, ...]) -> Any:
        if not prediction_ids:  # only connects
            return {}
        asked.append(len(prediction_ids))
        return answer()

    monkeypatch.setattr(TruthLookUp, "_ask", replaced)
    return asked


def test_database_that_is_down_is_left_alone_for_a_while(
    target: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failure the next truths are not held up by another one, until the pause is over."""
    asked = count_questions(monkeypatch, lambda: None)
    look_up = TruthLookUp(target, clock)
    look_up.open()
    for _ in range(10):
        assert ask(look_up, "x") == {}
    assert len(asked) == 1
    assert after_pause(look_up, clock, "x") == {}
    assert len(asked) == 2
    look_up.close()


def test_slow_database_is_not_waited_for(target: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer leaves without it, and the questions behind are not asked; later it is tried again."""
    opened_gate = threading.Event()

    def slow() -> Mapping[str, KnownTruth]:
        opened_gate.wait(20)
        return {"x": KnownTruth("ash", 0)}

    asked = count_questions(monkeypatch, slow)
    look_up = TruthLookUp(target, clock)

    async def scenario() -> None:
        look_up.open()
        found = await asyncio.gather(look_up(["x"]), look_up(["x"]), look_up(["x"]))
        assert found == [{}, {}, {}]
        assert await look_up(["x"]) == {}
        opened_gate.set()

    asyncio.run(scenario())
    monkeypatch.setattr(truth_look_up, "LOOK_UP_SECONDS", 10.0)
    assert after_pause(look_up, clock, "x") == {"x": KnownTruth("ash", 0)}
    look_up.close()
    assert len(asked) <= 2


def test_before_it_is_opened_and_after_it_is_closed_nothing_is_known(target: Path) -> None:
    """The thread lives between the two; closing twice is no mistake."""
    text = prediction_id()
    with opened(target) as store:
        post(store, [truth(text, "ash")])
    look_up = TruthLookUp(target)
    assert ask(look_up, text) == {}
    look_up.open()
    look_up.close()
    look_up.close()
    assert ask(look_up, text) == {}
