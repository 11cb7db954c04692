"""A small ASGI application that shows what the Gunicorn worker does to it, and workers with short waits."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

from service.gunicorn_worker import PredictorProtocol, PredictorWorker

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

LARGE_PIECE = b"x" * 131_072
LARGE_PIECES = 512


class HastyProtocol(PredictorProtocol):
    """A connection whose client must be quick."""

    HEAD_SECONDS = 0.5
    LINGER_SECONDS = 0.5
    STALL_SECONDS = 0.5


class HastyWorker(PredictorWorker):
    """A worker whose clients must be quick."""

    CONFIG_KWARGS = PredictorWorker.CONFIG_KWARGS | {"http": HastyProtocol}


class AsyncioWorker(PredictorWorker):
    """A worker on the event loop of the standard library."""

    CONFIG_KWARGS = PredictorWorker.CONFIG_KWARGS | {"loop": "asyncio"}


async def read_body(receive: Receive) -> int:
    """Return the size of the body, or -1 if the client has gone before its end."""
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return -1
        size += len(message["body"])
        if not message.get("more_body"):
            return size


async def answer(send: Send, value: object, *headers: tuple[bytes, bytes]) -> None:
    """Answer 200 with the value as JSON."""
    body = json.dumps(value).encode()
    fields = [(b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": body})


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Serve one route per behaviour; the query is its argument in seconds."""
    if scope["type"] == "lifespan":
        for _ in range(2):
            await send({"type": f"{(await receive())['type']}.complete"})
        return
    path, argument = scope["path"], scope["query_string"].decode()
    if path == "/early":
        await answer(send, "early")
        return
    if path == "/early-close":
        await answer(send, "early", (b"connection", b"close"))
        return
    if path == "/big":
        await answer(send, "x" * 16_777_216)
        return
    if path == "/large":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(LARGE_PIECES):
            await send({"type": "http.response.body", "body": LARGE_PIECE, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        return
    size = await read_body(receive)
    if path == "/slow":
        await asyncio.sleep(float(argument))
    elif path == "/block":
        time.sleep(float(argument))  # the event loop stands still
    draining = scope["state"].get("draining", False)
    await answer(send, {"pid": os.getpid(), "path": path, "size": size, "draining": draining})


async def broken(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Fail to start."""
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no model"})
