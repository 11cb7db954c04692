"""Runs a command in a terminal of 120 columns and draws what stands there then, as SVG.

python -m scripts.terminal_picture docs/images/status.svg plumbline status
"""

from __future__ import annotations

import io
import os
import pty
import re
import shlex
import subprocess
import sys
import termios
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

COLUMNS = 120
_LINES = 50
_BYTES = 65536


def main(out: str, *command: str) -> None:
    """Run the command and write its picture."""
    path = Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(picture(shlex.join(command), terminal_output(command)), encoding="utf-8")
    print(path)


def terminal_output(command: tuple[str, ...]) -> str:
    """Return what a command writes to a terminal, colours included; programs of this Python come first."""
    terminal, end = pty.openpty()
    termios.tcsetwinsize(end, (_LINES, COLUMNS))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    dropped = ("NO_COLOR", "COLUMNS", "LINES")
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    environment |= {"PATH": path, "TERM": "xterm-256color"}
    with subprocess.Popen(command, stdin=end, stdout=end, stderr=end, env=environment):
        os.close(end)
        chunks = []
        while chunk := _read(terminal):
            chunks.append(chunk)
    os.close(terminal)
    return b"".join(chunks).decode().replace("\r\n", "\n")


def picture(title: str, output: str) -> str:
    """Draw the output below a prompt with the command, as SVG that fetches nothing."""
    console = Console(width=COLUMNS, record=True, file=io.StringIO())
    console.print(Text(f"$ {title}"))
    console.print(Text.from_ansi(output.rstrip("\n")))
    svg = console.export_svg(title=title, theme=MONOKAI)
    # Fonts of the internet are not loaded inside of a page; the reader's own monospace font is as good.
    svg = re.sub(r"@font-face \{[^}]*\}\s*", "", svg)
    svg = svg.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace")
    svg = svg.replace("font-variant-east-asian: full-width;", "")
    return re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, _BYTES)
    except OSError:  # how Linux says that the other end is closed
        return b""


if __name__ == "__main__":
    main(*sys.argv[1:])
