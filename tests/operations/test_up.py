"""`plumbline up` before anything runs: ports, folders, settings."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from operations.__main__ import main
from operations.stack.layout import Layout, Ports, Stack
from operations.stack.welcome import welcome


@pytest.fixture
def taken() -> Iterator[int]:
    """Return a port that stays taken."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_a_busy_port_ends_the_start_with_its_name_and_a_way_out(
    taken: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line says which port, of which program, and how to move it or all."""
    assert main(["up", "--local", str(tmp_path), "--prometheus-port", str(taken)]) == 1
    error = capsys.readouterr().err
    assert f"port {taken} (prometheus) is in use: choose another by --prometheus-port" in error
    assert "--port-offset" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "options", [["--sink-port", "8000"], ["--port-offset", "60000"], ["--port-offset", "-8000"]]
)
def test_impossible_ports_are_refused(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two programs on one port, or a number that is no port, cannot be meant."""
    assert main(["up", "--local", str(tmp_path), *options]) == 1
    assert "these ports cannot be" in capsys.readouterr().err


def test_a_wrong_setting_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line names the variable; a predictor that can never start is not restarted for ever."""
    monkeypatch.setenv("PLUMBLINE_WORKERS", "many")
    assert main(["up", "--local", str(tmp_path)]) == 1
    assert "PLUMBLINE_WORKERS" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", [["status"], ["down"], ["stop", "predictor"], ["start", "predictor"]])
def test_commands_without_a_stack_say_so(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, and status 1."""
    assert main([*command, "--local", str(tmp_path)]) == 1
    assert "no stack runs" in capsys.readouterr().err


@pytest.mark.parametrize(("detached", "end"), [(True, "down"), (False, "Ctrl-C")])
def test_the_last_line_says_how_to_end_it(tmp_path: Path, detached: bool, end: str) -> None:
    """What starts must be easy to stop; a folder of one's own is part of each command."""
    text = welcome(Stack(Layout(tmp_path), Ports(), "demo"), traffic=True, detached=detached)
    assert end in text.splitlines()[-1]
    assert f"stop predictor --local {tmp_path}" in text
