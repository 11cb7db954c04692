"""Facts reach their listeners, and a failing listener fails nobody else."""

from __future__ import annotations

import pytest

from service.events import Announcer, HttpRequestStarted, ModelKey, QueueChanged


def test_listeners_hear_only_their_events_in_order() -> None:
    """Each listener hears exactly the type it asked for, in the order of subscription."""
    heard: list[tuple[str, object]] = []
    announcer = Announcer(lambda name, error: pytest.fail(f"{name}: {error}"))
    announcer.subscribe("first", QueueChanged, lambda event: heard.append(("first", event)))
    announcer.subscribe("second", QueueChanged, lambda event: heard.append(("second", event)))
    event = QueueChanged(ModelKey("a", "1"), 7)
    announcer.announce(event)
    announcer.announce(HttpRequestStarted())
    assert heard == [("first", event), ("second", event)]


def test_failing_listener_is_told_and_passed_over() -> None:
    """The error goes to the callback with the listener's name; the next listener still hears."""
    errors: list[tuple[str, str]] = []
    heard: list[object] = []

    def fail(event: object) -> None:
        raise ValueError("broken")

    announcer = Announcer(lambda name, error: errors.append((name, str(error))))
    announcer.subscribe("bad", HttpRequestStarted, fail)
    announcer.subscribe("good", HttpRequestStarted, heard.append)
    announcer.announce(HttpRequestStarted())
    assert errors == [("bad", "broken")]
    assert len(heard) == 1
