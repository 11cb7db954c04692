"""Bodies are read once, within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from service.api import body as body_module
from service.api.body import discard_body, read_body, wait_for_disconnect
from service.errors import BodyTimeoutError, BodyTooLargeError, ClientGoneError

Receive = Callable[[], Awaitable[dict[str, Any]]]


def channel(*chunks: bytes, ends: bool = True, gone: bool = False) -> Receive:
    """Make an ASGI channel that gives chunks, and then the end, silence or a disconnection."""
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": chunk, "more_body": not ends or index < len(chunks) - 1}
        for index, chunk in enumerate(chunks)
    ]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop(0)
        if not gone:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    return receive


def test_chunks_are_joined() -> None:
    """A body in pieces is the same body."""
    assert asyncio.run(read_body(channel(b"ab", b"", b"c"), None, 3, 5)) == b"abc"


def test_announced_length_is_refused_before_reading() -> None:
    """A large Content-Length needs no byte of the body."""

    async def never() -> dict[str, Any]:
        raise AssertionError("read")

    with pytest.raises(BodyTooLargeError):
        asyncio.run(read_body(never, 4, 3, 5))


def test_real_length_is_refused_while_reading() -> None:
    """Without an announced length the cap holds all the same."""
    with pytest.raises(BodyTooLargeError):
        asyncio.run(read_body(channel(b"ab", b"cd", ends=False), None, 3, 5))


def test_body_that_never_ends() -> None:
    """Dripping or silence ends at the deadline."""
    with pytest.raises(BodyTimeoutError):
        asyncio.run(read_body(channel(b"a", ends=False), 3, 3, 0.01))


def test_client_that_hangs_up() -> None:
    """Half a body is no request."""
    with pytest.raises(ClientGoneError):
        asyncio.run(read_body(channel(b"a", ends=False, gone=True), 3, 3, 5))


def test_rest_is_discarded_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a refused client still sends is read to its end, to a limit, or for a time."""
    asyncio.run(discard_body(channel(b"a", b"b")))
    asyncio.run(discard_body(channel(b"a", ends=False, gone=True)))
    monkeypatch.setattr(body_module, "DISCARD_MAX_BYTES", 1)
    asyncio.run(discard_body(channel(b"a", b"b", b"c", ends=False)))
    monkeypatch.setattr(body_module, "DISCARD_SECONDS", 0.01)
    asyncio.run(discard_body(channel(b"a", ends=False)))


def test_disconnection_is_noticed() -> None:
    """Only the end of the connection counts, not a late empty chunk."""
    asyncio.run(wait_for_disconnect(channel(b"", gone=True)))
