"""Tables are aligned, fit the terminal, and are coloured only where somebody looks."""

from __future__ import annotations

import io
import sys

import pytest

from operations.terminal_table import Cell, Column, colours, shortened, show, table

RED_A = "\x1b[31ma\x1b[0m"


class Terminal(io.StringIO):
    """Standard output that is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def columns(*widths: int) -> list[Column]:
    """Make columns of one row, each cell of its width."""
    return [Column((f"t{number}",), [Cell("x" * width)]) for number, width in enumerate(widths)]


def plain(text: str, _style: object) -> str:
    """Paint nothing."""
    return text


def test_numbers_stand_on_the_right_and_marks_beside_them() -> None:
    """The last digits stand below each other, marked or not, and no line ends in blanks."""
    name = Column(("model", ""), [Cell("iris"), Cell("b")], "left")
    value = Column(("MAE", "1h"), [Cell("9.5", mark=" !!"), Cell("10.25")])
    note = Column(("n", ""), [Cell("7"), Cell("")])
    assert table([name, value, note], 80, plain, {0: ["  a note"]}) == [
        "model    MAE     n",
        "          1h",
        "iris     9.5 !!  7",
        "  a note",
        "b      10.25",
    ]


def test_a_wide_title_takes_the_room_of_marks() -> None:
    """A title wider than every number is not pushed beyond them."""
    marked = Column(("measured",), [Cell("1", mark=" !")])
    assert table([Column(("m",), [Cell("a")], "left"), marked], 80, plain) == ["m  measured", "a       1 !"]


def test_columns_move_together_before_they_fold() -> None:
    """Two blanks between columns where there is room, else one."""
    assert table(columns(3, 3, 3), 13, plain)[1] == "xxx  xxx  xxx"
    assert table(columns(3, 3, 3), 12, plain)[1] == "xxx xxx xxx"


def test_what_does_not_fit_continues_below_with_the_first_column() -> None:
    """No line is longer than the terminal is wide, and each part can be read by itself; notes come once."""
    lines = table(columns(3, 4, 5, 4), 9, plain, {0: ["note"]})
    assert lines == [
        " t0   t1",
        "xxx xxxx",
        "note",
        "",
        " t0    t2",
        "xxx xxxxx",
        "",
        " t0   t3",
        "xxx xxxx",
    ]


def test_a_column_wider_than_the_terminal_is_still_shown() -> None:
    """Better a broken line than a missing number."""
    assert table(columns(3, 9), 5, plain) == [" t0        t1", "xxx xxxxxxxxx"]


def test_colours_are_for_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe gets none, nor does who set NO_COLOR, nor a terminal without them."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert colours()("a", "red") == RED_A
    assert colours()("a", "plain") == "a"
    assert colours()("", "red") == ""
    monkeypatch.setenv("NO_COLOR", "")
    assert colours()("a", "red") == RED_A
    monkeypatch.setenv("NO_COLOR", "1")
    assert colours()("a", "red") == "a"
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert colours()("a", "red") == "a"
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert colours()("a", "red") == "a"


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("utf-8", "0.9 ±0.1 ≥0.8 a…z ü"), ("ascii", "0.9 ~0.1 >0.8 a~z ?"), ("latin-1", "0.9 ~0.1 >0.8 a~z ü")],
)
def test_output_that_takes_fewer_signs_gets_as_many_characters(
    monkeypatch: pytest.MonkeyPatch, encoding: str, shown: str
) -> None:
    """An old locale is no reason to fail, nor to lose the alignment."""
    buffer = io.BytesIO()
    output = io.TextIOWrapper(buffer, encoding=encoding, write_through=True)
    monkeypatch.setattr(sys, "stdout", output)
    show("0.9 ±0.1 ≥0.8 a…z ü")
    assert buffer.getvalue().decode(encoding) == f"{shown}\n"


@pytest.mark.parametrize(
    ("width", "shown"),
    [(10, "abcdefghij"), (7, "abc…hij"), (6, "abc…ij"), (1, "…")],
)
def test_names_keep_both_ends(width: int, shown: str) -> None:
    """Names of one family differ at an end."""
    assert shortened("abcdefghij", width) == shown
