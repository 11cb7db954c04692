"""The supervisor with real processes: it never gives up, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from operations.stack.layout import Layout, Ports, Stack, StackError
from operations.stack.programs import Program, supervisor_configuration
from operations.stack.supervision import Supervisor, launch
from tests.stack.running_stack import processes_that_mention
from tests.stack.worker_process import is_alive, wait_until

SECONDS = 40.0
SLEEPER = [sys.executable, "-c", "import time; time.sleep(1000)"]
# A program that does not care for its children, as a shell script would.
PARENT = [sys.executable, "-c", f"import subprocess; subprocess.run({SLEEPER!r})"]
FAILING = [sys.executable, "-c", "raise SystemExit('no port')"]
# The supervisor's own default gives up after so many.
DEFAULT_RETRIES = 3


@pytest.fixture
def stack() -> Iterator[Stack]:
    """Start a supervisor of three small programs; whatever a test did, nothing is left."""
    with tempfile.TemporaryDirectory(prefix="plumbline-") as local:
        stack = Stack(Layout(Path(local)), Ports(), "demo")
        stack.layout.create()
        programs = [
            Program("sink", SLEEPER, stop_seconds=1),
            Program("traffic", PARENT, stop_seconds=1),
            Program("exporter", FAILING),
        ]
        stack.layout.supervisor_configuration.write_text(supervisor_configuration(stack, programs))
        yield stack
        for pid in processes_that_mention(local):
            os.kill(pid, signal.SIGKILL)


def started(stack: Stack) -> tuple[subprocess.Popen[bytes], Supervisor]:
    """Launch the supervisor and wait until its programs run."""
    process = launch(stack.layout, detach=True)
    supervisor = Supervisor(stack.layout)
    wait_until(supervisor.is_running, "a supervisor that answers", SECONDS)
    wait_until(lambda: state(supervisor, "sink") == "RUNNING", "a program that runs", SECONDS)
    wait_until(lambda: state(supervisor, "traffic") == "RUNNING", "a program that runs", SECONDS)
    return process, supervisor


def state(supervisor: Supervisor, name: str) -> str:
    """Return the state of one program."""
    return next(each.state for each in supervisor.programs() if each.name == name)


def restarts(supervisor: Supervisor, name: str) -> int:
    """Return how often one program ended by itself."""
    return next(each.restarts for each in supervisor.programs() if each.name == name)


def test_it_never_gives_up_and_leaves_no_grandchild(stack: Stack) -> None:
    """A program that fails is tried beyond the default limit; a stop ends even children nobody cares for."""
    process, supervisor = started(stack)
    wait_until(lambda: restarts(supervisor, "exporter") > DEFAULT_RETRIES + 1, "more tries", SECONDS)
    assert state(supervisor, "exporter") in {"BACKOFF", "STARTING"}
    everything = processes_that_mention(str(stack.layout.local))
    supervisor.shut_down()
    assert process.wait(SECONDS) == 0
    assert not [pid for pid in everything if is_alive(pid)]
    assert not stack.layout.socket.exists()


def test_killed_program_comes_back_and_a_stopped_one_does_not(stack: Stack) -> None:
    """An end that nobody asked for is repaired, one that was asked for stays."""
    process, supervisor = started(stack)
    before = next(each.pid for each in supervisor.programs() if each.name == "sink")
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: restarts(supervisor, "sink") == 1, "a restart", SECONDS)
    wait_until(lambda: state(supervisor, "sink") == "RUNNING", "a program that runs again", SECONDS)
    supervisor.stop("sink")
    assert state(supervisor, "sink") == "STOPPED"
    with pytest.raises(StackError, match="not running"):
        supervisor.stop("sink")
    supervisor.start("sink")
    wait_until(lambda: state(supervisor, "sink") == "RUNNING", "a program that was started", SECONDS)
    assert restarts(supervisor, "sink") == 1
    supervisor.shut_down()
    assert process.wait(SECONDS) == 0


def test_programs_end_with_a_killed_supervisor(stack: Stack) -> None:
    """After kill -9 of the supervisor its programs get SIGTERM from the kernel, and a new one can start."""
    process, supervisor = started(stack)
    program = next(each.pid for each in supervisor.programs() if each.name == "sink")
    process.kill()
    process.wait(SECONDS)
    wait_until(lambda: not is_alive(program), "the end of the program", SECONDS)
    assert not supervisor.is_running()
    process, again = started(stack)
    again.shut_down()
    assert process.wait(SECONDS) == 0


def test_programs_end_with_a_killed_caller(stack: Stack) -> None:
    """A supervisor that is not detached ends when `plumbline up` is killed, and its programs with it."""
    code = (
        "import sys, time; from pathlib import Path; "
        "from operations.stack.layout import Layout; from operations.stack.supervision import launch; "
        "launch(Layout(Path(sys.argv[1])), detach=False); time.sleep(1000)"
    )
    caller = subprocess.Popen([sys.executable, "-c", code, str(stack.layout.local)])
    supervisor = Supervisor(stack.layout)
    wait_until(supervisor.is_running, "a supervisor that answers", SECONDS)
    wait_until(lambda: state(supervisor, "sink") == "RUNNING", "a program that runs", SECONDS)
    everything = processes_that_mention(str(stack.layout.local))
    caller.kill()
    caller.wait(SECONDS)
    wait_until(lambda: not any(map(is_alive, everything)), "the end of all", SECONDS)
