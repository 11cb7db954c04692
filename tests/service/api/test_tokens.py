"""Tokens come from a file and nothing weak is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.api.tokens import read_tokens
from service.errors import SettingsError, UnauthorizedError

FIRST, SECOND = "a" * 32, "b" * 40


def test_each_holder_has_a_name(tmp_path: Path) -> None:
    """Several tokens at once allow rotation; comments and empty lines are skipped."""
    path = tmp_path / "tokens"
    path.write_text(f"# old\nteam-a {FIRST}\n\nteam-b   {SECOND}\n")
    tokens = read_tokens(path)
    assert tokens.check(b"Bearer " + FIRST.encode()) == "team-a"
    assert tokens.check(b"bearer " + SECOND.encode()) == "team-b"


@pytest.mark.parametrize(
    "header", [None, b"", b"Bearer", b"Bearer ", b"Basic " + FIRST.encode(), FIRST.encode(), b"Bearer aaa"]
)
def test_anything_else_is_refused(tmp_path: Path, header: bytes | None) -> None:
    """Only the whole token under the right scheme opens."""
    path = tmp_path / "tokens"
    path.write_text(f"team-a {FIRST}\n")
    with pytest.raises(UnauthorizedError):
        read_tokens(path).check(header)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no token"),
        ("# nothing\n", "no token"),
        (f"{FIRST}\n", "line 1: expected"),
        ("a short\n", "line 1: token shorter than 32"),
        (f"a {FIRST}\na {SECOND}\n", "line 2: second token named a"),
        (f"a b {FIRST}\n", "line 1: expected"),
    ],
)
def test_bad_files_stop_the_start(tmp_path: Path, content: str, message: str) -> None:
    """A weak or malformed file is named with its line, never with the token."""
    path = tmp_path / "tokens"
    path.write_text(content)
    with pytest.raises(SettingsError, match=message) as caught:
        read_tokens(path)
    assert FIRST not in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    """A path that does not exist stops the start."""
    with pytest.raises(SettingsError, match="No such file"):
        read_tokens(tmp_path / "nowhere")
