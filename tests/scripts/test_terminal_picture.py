"""The picture of the README is what a terminal of 120 columns shows."""

from __future__ import annotations

import html
import re
import sys
from pathlib import Path

import pytest

from scripts.terminal_picture import main, picture, terminal_output

PROGRAM = (
    "import shutil, sys; "
    "print('\\x1b[31mred\\x1b[0m', sys.stdout.isatty(), shutil.get_terminal_size().columns, '±')"
)


def text_of(svg: str) -> str:
    """Return what a person reads."""
    return html.unescape(re.sub(r"<[^>]*>", "", svg.partition("</style>")[2])).replace("\xa0", " ")


def test_the_command_sees_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 120 columns, whatever this one is, and with colours."""
    monkeypatch.setenv("COLUMNS", "70")
    monkeypatch.setenv("NO_COLOR", "1")
    assert terminal_output((sys.executable, "-c", PROGRAM)) == "\x1b[31mred\x1b[0m True 120 ±\n"


def test_the_picture_shows_command_and_output_and_fetches_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Programs of this environment are found by name."""
    out = tmp_path / "images" / "p.svg"
    main(str(out), "python", "-c", "print('a  b')")
    svg = out.read_text()
    assert capsys.readouterr().out == f"{out}\n"
    assert "$ python -c " in text_of(svg)
    assert "a  b" in text_of(svg)
    assert not re.findall(r"url\(.?http|href=", svg)


def test_colours_become_colours() -> None:
    """Red text has another class than plain text."""
    svg = picture("x", "\x1b[31mred\x1b[0m plain\n")
    classes = dict(re.findall(r'<text class="[\w-]+-(r\d)"[^>]*>([a-z]+)', svg.replace("&#160;", "")))
    assert len({name for name, text in classes.items() if text in {"red", "plain"}}) == 2
