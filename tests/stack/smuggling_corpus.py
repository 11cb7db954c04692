"""Requests that two servers may read differently; each is followed by a second request."""

from __future__ import annotations

SECOND = b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n"


def post(fields: bytes, body: bytes = b"", line: bytes = b"POST /first HTTP/1.1") -> bytes:
    """Return a POST with the raw fields and body, and the second request after it."""
    return line + b"\r\nHost: a\r\n" + fields + b"\r\n" + body + SECOND


def get(head: bytes) -> bytes:
    """Return a raw head, and the second request after it."""
    return head + SECOND


CHUNKED = b"Transfer-Encoding: chunked\r\n"
EMPTY_CHUNKED = b"0\r\n\r\n"

# A strict server answers 400 and closes; the second request is never served.
REFUSED = {
    "length and chunked": post(b"Content-Length: 4\r\n" + CHUNKED, EMPTY_CHUNKED),
    "chunked and length": post(CHUNKED + b"Content-Length: 4\r\n", EMPTY_CHUNKED),
    "two lengths": post(b"Content-Length: 0\r\nContent-Length: 5\r\n"),
    "two equal lengths": post(b"Content-Length: 3\r\nContent-Length: 3\r\n", b"abc"),
    "list of lengths": post(b"Content-Length: 3, 3\r\n", b"abc"),
    "signed length": post(b"Content-Length: +3\r\n", b"abc"),
    "negative length": post(b"Content-Length: -1\r\n"),
    "hexadecimal length": post(b"Content-Length: 0x3\r\n", b"abc"),
    "empty length": post(b"Content-Length:\r\n"),
    "length of 20 digits": post(b"Content-Length: 99999999999999999999\r\n", b"abc"),
    "coding identity": post(b"Transfer-Encoding: identity\r\n"),
    "coding unknown": post(b"Transfer-Encoding: xchunked\r\n", EMPTY_CHUNKED),
    "coding twice in a list": post(b"Transfer-Encoding: chunked, chunked\r\n", EMPTY_CHUNKED),
    "coding with compression": post(b"Transfer-Encoding: gzip, chunked\r\n", EMPTY_CHUNKED),
    "coding not last": post(b"Transfer-Encoding: chunked, identity\r\n", EMPTY_CHUNKED),
    "coding in two fields": post(CHUNKED + CHUNKED, EMPTY_CHUNKED),
    "coding after a control character": post(b"Transfer-Encoding: \x0bchunked\r\n", EMPTY_CHUNKED),
    "coding empty": post(b"Transfer-Encoding:\r\n"),
    "coding in HTTP/1.0": post(CHUNKED, EMPTY_CHUNKED, b"POST /first HTTP/1.0"),
    "folded field": post(b"X-A: b\r\n c\r\n"),
    "folded coding": post(b"Transfer-Encoding:\r\n chunked\r\n", EMPTY_CHUNKED),
    "bare line feeds": get(b"GET /first HTTP/1.1\nHost: a\n\n"),
    "bare line feed after a field": get(b"GET /first HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n"),
    "bare carriage return in a field": post(b"X-A: b\rX-C: d\r\n"),
    "bare line feeds in chunks": post(CHUNKED, b"3\nabc\n0\n\n"),
    "space before the colon": post(b"Content-Length : 3\r\n", b"abc"),
    "no colon": post(b"X-A\r\n"),
    "no field name": post(b": b\r\n"),
    "zero byte in a field": post(b"X-A: b\x00c\r\n"),
    "chunk size of 17 digits": post(CHUNKED, b"f0000000000000003\r\nabc\r\n0\r\n\r\n"),
    "negative chunk size": post(CHUNKED, b"-1\r\nabc\r\n0\r\n\r\n"),
    "chunk size with 0x": post(CHUNKED, b"0x3\r\nabc\r\n0\r\n\r\n"),
    "chunk longer than its size": post(CHUNKED, b"3\r\nabcd\r\n0\r\n\r\n"),
    "HTTP/0.9": get(b"GET /first\r\n\r\n"),
    "HTTP/2.0": get(b"GET /first HTTP/2.0\r\nHost: a\r\n\r\n"),
    "two hosts": post(b"Host: b\r\n"),
    "no host": get(b"GET /first HTTP/1.1\r\n\r\n"),
    "absolute form": get(b"GET http://b/first HTTP/1.1\r\nHost: a\r\n\r\n"),
    "fragment": get(b"GET /first#second HTTP/1.1\r\nHost: a\r\n\r\n"),
    "authority form": get(b"CONNECT b:80 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "CONNECT with a path": get(b"CONNECT /first HTTP/1.1\r\nHost: a\r\n\r\n"),
    "byte above ASCII in the target": get(b"GET /f\xe9 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "HTTP/2 preface": get(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
}
