"""What belongs to one request wherever it goes: its id and its trace."""

from __future__ import annotations

import os
import re

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,128}")
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def request_id_from(header: bytes | None) -> str:
    """Return the client's X-Request-ID if well-formed (8 to 128 of A-Z a-z 0-9 . _ -), else a new id."""
    if header is not None and _REQUEST_ID.fullmatch(header):
        return header.decode("ascii")
    return os.urandom(12).hex()


def traceparent_from(header: bytes | None) -> str | None:
    """Return the W3C traceparent if it is well-formed, else None."""
    if header is not None and _TRACEPARENT.fullmatch(header):
        return header.decode("ascii")
    return None
