"""A real stack: `plumbline up` with ports and a folder of its own, ended as a person ends it."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from operations.stack.layout import Ports, Stack, load_stack
from operations.stack.supervision import ProgramState, Supervisor
from tests.stack.predictor_process import ROOT, answers, fetch
from tests.stack.worker_process import free_port, wait_until

UP_SECONDS = 240.0
ALERT_SECONDS = 180.0
END_SECONDS = 60.0


@dataclass
class RunningStack:
    """What a test needs of a running stack."""

    stack: Stack
    process: subprocess.Popen[bytes]
    output: Path

    def run(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a `plumbline` command on this stack."""
        local = str(self.stack.layout.local)
        return subprocess.run(
            [sys.executable, "-m", "operations", command, *arguments, "--local", local],
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
        )

    def program(self, name: str) -> ProgramState:
        """Return one program as the supervisor sees it."""
        return next(each for each in Supervisor(self.stack.layout).programs() if each.name == name)

    def processes(self) -> list[int]:
        """Find every process of this stack: each has its folder in its command line or environment."""
        return processes_that_mention(str(self.stack.layout.local))


def sink_message(sink: str, title: str) -> dict[str, Any]:
    """Wait for a Slack message with this title and return its attachment."""
    found: list[dict[str, Any]] = []

    def arrived() -> bool:
        messages = fetch(f"{sink}/messages")[1]
        attachments = [each["message"]["attachments"][0] for each in messages]
        found.extend(each for each in attachments if each["title"] == title)
        return bool(found)

    wait_until(answers(arrived), f"{title} in the sink", ALERT_SECONDS)
    return found[0]


def slang() -> Iterator[str]:
    """Give messages that the text model was not made for, for ever."""
    with (ROOT / "training" / "data" / "tickets_out_of_distribution.csv").open(newline="") as file:
        return itertools.cycle([row["text"] for row in csv.DictReader(file)])


def forget_messages(sink: str) -> None:
    """Empty the sink."""
    with urllib.request.urlopen(urllib.request.Request(f"{sink}/messages", method="DELETE"), timeout=10):
        pass


@contextlib.contextmanager
def repeating(act: Callable[[], object]) -> Iterator[None]:
    """Do something again and again in the background, ten times a second."""
    ended = threading.Event()

    def loop() -> None:
        while not ended.wait(0.1):
            with contextlib.suppress(OSError):
                act()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def processes_that_mention(text: str) -> list[int]:
    """Find the processes with a text in their command line or environment, but this one."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            content = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
            if text.encode() in content and int(folder.name) != os.getpid():
                found.append(int(folder.name))
    return found


@contextlib.contextmanager
def running_stack(*arguments: str, **settings: object) -> Iterator[RunningStack]:
    """Run `plumbline up` in the foreground until everything is up; end it by Ctrl-C."""
    # Short, since the path of a socket may have about a hundred characters only.
    local = Path(tempfile.mkdtemp(prefix="plumbline-"))
    ports = Ports(**{port.name: free_port() for port in dataclasses.fields(Ports)})
    options = [f"--{name}-port={port}" for name, port in dataclasses.asdict(ports).items()]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PLUMBLINE_")}
    environment |= {f"PLUMBLINE_{name.upper()}": str(value) for name, value in settings.items()}
    output = local / "up.out"
    with output.open("wb") as opened:
        process = subprocess.Popen(
            [sys.executable, "-m", "operations", "up", "--local", str(local), *options, *arguments],
            cwd=ROOT,
            env=environment,
            stdout=opened,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: process.poll() is not None or "Up after" in output.read_text(), "up", UP_SECONDS)
        assert process.poll() is None, output.read_text()
        yield RunningStack(load_stack(local), process, output)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(END_SECONDS)
        shutil.rmtree(local)
