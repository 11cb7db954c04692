"""Reads a request body once, with a cap on bytes and a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from service.api.request_head import RequestHead, refuse_query
from service.errors import (
    BodyTimeoutError,
    BodyTooLargeError,
    ClientGoneError,
    MediaTypeError,
    MethodNotAllowedError,
)

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

DISCARD_MAX_BYTES = 64 * 1024 * 1024
DISCARD_SECONDS = 2.0


def check_media_type(content_type: bytes | None, content_encoding: bytes | None) -> None:
    """Accept application/json without compression.

    Raises:
        MediaTypeError: anything else.
    """
    if content_type != b"application/json":
        name, _, parameters = (content_type or b"").partition(b";")
        charset = parameters.strip().lower().replace(b'"', b"")
        if name.strip().lower() != b"application/json" or charset not in {b"", b"charset=utf-8"}:
            raise MediaTypeError("not JSON")
    if content_encoding is not None and content_encoding.lower() != b"identity":
        raise MediaTypeError("compressed")


async def read_body(receive: Receive, content_length: int | None, max_bytes: int, seconds: float) -> bytes:
    """Read the whole body.

    Args:
        receive: the ASGI channel.
        content_length: as announced by the client, if it was.
        max_bytes: most bytes.
        seconds: time in which the body must arrive.

    Raises:
        BodyTooLargeError: announced or real length above `max_bytes`.
        BodyTimeoutError: not complete in time.
        ClientGoneError: the client closed the connection before.
    """
    if content_length is not None and content_length > max_bytes:
        raise BodyTooLargeError(max_bytes)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGoneError("client gone")
                chunk: bytes = message.get("body", b"")
                size += len(chunk)
                if size > max_bytes:
                    raise BodyTooLargeError(max_bytes)
                if not message.get("more_body", False):
                    return b"".join(chunks) + chunk if chunks else chunk
                chunks.append(chunk)
    except TimeoutError:
        raise BodyTimeoutError(seconds) from None


async def read_post(head: RequestHead, receive: Receive, max_bytes: int, seconds: float) -> bytes:
    """Read the JSON body of a route that takes POST and no query parameters.

    Raises:
        RequestError: another method, a query, another media type, or a body that `read_body` refuses.
    """
    if head.method != "POST":
        raise MethodNotAllowedError("POST")
    refuse_query(head.query)
    check_media_type(head.content_type, head.content_encoding)
    return await read_body(receive, head.content_length, max_bytes, seconds)


async def wait_for_disconnect(receive: Receive) -> None:
    """Return once the client has closed the connection; call it when the body has been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def discard_body(receive: Receive) -> None:
    """Throw away what the client still sends, within a bound.

    Most clients read the answer only after they have sent everything; a connection closed before would show
    them a reset instead of the answer.
    """
    size = 0
    try:
        async with asyncio.timeout(DISCARD_SECONDS):
            while size <= DISCARD_MAX_BYTES:
                message = await receive()
                size += len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return
