"""Bearer tokens from a file."""

from __future__ import annotations

import hmac
import re
from hashlib import sha256
from pathlib import Path

from service.errors import SettingsError, UnauthorizedError

MIN_TOKEN_LENGTH = 32
_LINE = re.compile(r"([A-Za-z0-9_.-]{1,64})\s+(\S+)")


class Tokens:
    """The tokens that may call, each with the name of its holder.

    Only hashes are kept, and every one is compared on each call: neither memory nor time tells a token.
    """

    def __init__(self, hashes: dict[str, bytes]) -> None:
        self._hashes = hashes

    def check(self, authorization: bytes | None) -> str:
        """Return the name of the token's holder.

        Raises:
            UnauthorizedError: no bearer token, or an unknown one.
        """
        scheme, _, token = (authorization or b"").partition(b" ")
        digest = sha256(token.strip()).digest()
        holder = ""
        for name, known in self._hashes.items():
            if hmac.compare_digest(digest, known):
                holder = name
        if scheme.lower() != b"bearer" or not holder:
            raise UnauthorizedError("no valid token")
        return holder


def read_tokens(path: Path) -> Tokens:
    """Read a token file: a line each of `name token`; empty lines and lines that start with # are skipped.

    Raises:
        SettingsError: no file, no token, a malformed line, or a token shorter than 32 characters.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"token file {path}: {error.strerror}") from error
    hashes: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.strip()
        if not content or content.startswith("#"):
            continue
        match = _LINE.fullmatch(content)
        if match is None:
            raise SettingsError(f"token file {path}, line {number}: expected `name token`")
        name, token = match.groups()
        if len(token) < MIN_TOKEN_LENGTH:
            raise SettingsError(
                f"token file {path}, line {number}: token shorter than {MIN_TOKEN_LENGTH} characters"
            )
        if name in hashes:
            raise SettingsError(f"token file {path}, line {number}: second token named {name}")
        hashes[name] = sha256(token.encode()).digest()
    if not hashes:
        raise SettingsError(f"token file {path}: no token in it")
    return Tokens(hashes)
