"""The front door: every command has help with examples, and failure is one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from operations.__main__ import main
from operations.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("command", ["pack", "inspect", "check"])
def test_every_bundle_command_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Help shows how the command is used."""
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert f"  plumbline {command} " in capsys.readouterr().out


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """A newcomer sees what there is."""
    with pytest.raises(SystemExit):
        main(["--help"])
    output = capsys.readouterr().out
    assert all(f"    {command} " in output for command in COMMANDS)


@pytest.mark.parametrize("arguments", [[], ["unknown"]])
def test_without_a_command_usage_is_shown(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, as for every wrong use."""
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: plumbline" in capsys.readouterr().err


def test_expected_failure_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 1, the command and the reason on stderr, no traceback."""
    assert main(["inspect", str(tmp_path / "m" / "1")]) == 1
    captured = capsys.readouterr()
    assert captured.err == f"plumbline inspect: {tmp_path / 'm' / '1'}: does not exist\n"
    assert captured.out == ""


def test_module_can_be_run() -> None:
    """`python -m operations` is the command."""
    result = subprocess.run(
        [sys.executable, "-m", "operations", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.startswith("usage: plumbline")


def test_closed_pipe_is_no_traceback() -> None:
    """`plumbline inspect ... | head -1` ends quietly."""
    reading, writing = os.pipe()
    os.close(reading)
    result = subprocess.run(
        [sys.executable, "-m", "operations", "check", "/nowhere/m/1"],
        cwd=ROOT,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert result.returncode == 1
    assert result.stderr == ""
