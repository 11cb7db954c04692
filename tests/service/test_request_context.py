"""Ids of clients are kept if they can do no harm."""

from __future__ import annotations

import re

import pytest

from service.request_context import request_id_from, traceparent_from


@pytest.mark.parametrize("good", [b"12345678", b"a.b-c_D9" * 16])
def test_well_formed_ids_are_kept(good: bytes) -> None:
    """8 to 128 harmless characters."""
    assert request_id_from(good) == good.decode()


@pytest.mark.parametrize(
    "odd", [None, b"", b"1234567", b"x" * 129, b"has space", b"new\nline8", b"\xe2\x80\xa8aaaaa"]
)
def test_anything_else_gets_a_new_id(odd: bytes | None) -> None:
    """A new id is 24 hexadecimal digits, and each is different."""
    first, second = request_id_from(odd), request_id_from(odd)
    assert re.fullmatch(r"[0-9a-f]{24}", first)
    assert first != second


def test_traceparent() -> None:
    """Only the form of W3C trace context is taken."""
    good = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert traceparent_from(good) == good.decode()
    assert traceparent_from(good + b"\n") is None
    assert traceparent_from(b"00-xyz") is None
    assert traceparent_from(None) is None
