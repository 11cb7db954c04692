"""Where the stack keeps things, and what it says when it is not there."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from operations.stack.layout import Layout, Ports, Stack, StackError, load_stack


def test_what_one_command_saves_another_loads(tmp_path: Path) -> None:
    """`status` finds ports and clock of the `up` with the same folder."""
    stack = Stack(Layout(tmp_path), Ports(predictor=8117, sink=9117), "production")
    stack.layout.create()
    stack.save()
    assert load_stack(tmp_path) == stack


def test_a_folder_without_a_stack_says_how_to_start_one(tmp_path: Path) -> None:
    """The error of `status` or `down` too early is an instruction."""
    with pytest.raises(StackError, match="make up"):
        load_stack(tmp_path)


def test_a_busy_port_is_named() -> None:
    """Only the program whose port is taken is named."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        free = [_free_port() for _ in range(4)]
        ports = Ports(other.getsockname()[1], *free)
        assert ports.busy() == ["predictor"]


def test_a_path_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    """The kernel's limit shows as one line before anything is started."""
    with pytest.raises(StackError, match="--local"):
        Layout(tmp_path / ("deep" * 30)).create()


def test_each_clock_has_its_own_databases(tmp_path: Path) -> None:
    """Hours of the demo clock are minutes: they never mix with real ones."""
    layout = Layout(tmp_path)
    assert layout.data("prometheus", "demo") != layout.data("prometheus", "production")


def test_the_run_folder_is_private(tmp_path: Path) -> None:
    """Another user of the machine cannot reach the supervisor's socket."""
    layout = Layout(tmp_path)
    layout.create()
    assert layout.run.stat().st_mode & 0o077 == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
