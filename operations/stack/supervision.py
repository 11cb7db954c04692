"""The supervisor of the native stack: start it, ask it, stop it."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import time
import xmlrpc.client
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from operations.stack.layout import ROOT, Layout, StackError, not_running
from operations.stack.programs import GROUP, PROGRAMS, tie_to_parent

STOP_SECONDS = 90.0
"""More than the slowest program may take."""
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class ProgramState:
    """One program as the supervisor sees it."""

    name: str
    state: str
    pid: int
    uptime_seconds: int
    restarts: int


class Supervisor:
    """Speaks to a running supervisor over its socket."""

    def __init__(self, layout: Layout) -> None:
        """Connect at each call, not here."""
        self._layout = layout

    def pid(self) -> int:
        """Return the supervisor's own pid."""
        return int(self._call("getPID"))

    def is_running(self) -> bool:
        """Tell whether it answers."""
        try:
            self.pid()
        except StackError:
            return False
        return True

    def programs(self) -> list[ProgramState]:
        """Return the state of each program."""
        restarts = self._restarts()
        states = [
            ProgramState(
                name=each["name"],
                state=each["statename"],
                pid=each["pid"],
                uptime_seconds=max(0, each["now"] - each["start"]) if each["pid"] else 0,
                restarts=restarts.get(each["name"], 0),
            )
            for each in self._call("getAllProcessInfo")
        ]
        return sorted(states, key=lambda state: PROGRAMS.index(state.name))

    def start(self, name: str) -> None:
        """Start a program that was stopped."""
        self._call(
            "startProcess", f"{GROUP}:{name}", False
        )  # without waiting: it may take a while until it counts as up

    def stop(self, name: str) -> None:
        """Stop a program and wait for its end; it stays stopped."""
        self._call("stopProcess", f"{GROUP}:{name}")

    def shut_down(self) -> None:
        """Stop everything and wait until the supervisor is gone.

        Raises:
            StackError: it does not end.
        """
        pid = self.pid()
        os.kill(pid, signal.SIGTERM)
        if not wait_for_end(pid):
            raise StackError(f"the supervisor, pid {pid}, does not end; see {self._layout.log}")

    def _call(self, method: str, *arguments: Any) -> Any:
        # A transport that failed once, while the supervisor was starting, would fail for ever.
        transport = SupervisorTransport(None, None, f"unix://{self._layout.socket}")
        try:
            with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as proxy:
                return getattr(proxy.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            raise StackError(fault.faultString.lower().replace("_", " ")) from None
        except (OSError, http.client.HTTPException):
            raise not_running(self._layout) from None

    def _restarts(self) -> dict[str, int]:
        """Count, from the supervisor's log, how often each program ended by itself since the last start."""
        path = self._layout.log / "supervisord.log"
        text = path.read_text("utf-8", errors="replace") if path.exists() else ""
        counts: dict[str, int] = {}
        for name in re.findall(
            r"^\S+ \S+ \w+ exited: (\S+) ", text.rpartition("supervisord started")[2], re.M
        ):
            counts[name] = counts.get(name, 0) + 1
        return counts


def launch(layout: Layout, *, detach: bool) -> subprocess.Popen[bytes]:
    """Start the supervisor in a session of its own, so that Ctrl-C reaches only the caller.

    Without `detach` it ends with the caller, however that ends.
    """
    command = [
        *(sys.executable, "-W", "ignore", "-m", "supervisor.supervisord"),
        *("-c", str(layout.supervisor_configuration)),
    ]
    with (layout.log / "supervisord.out").open("wb") as output:
        return subprocess.Popen(
            command if detach else tie_to_parent(command),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def wait_for_end(pid: int) -> bool:
    """Wait until a process has ended, which need not be a child; tell whether it has."""
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        if not _is_alive(pid):
            return True
        time.sleep(_POLL_SECONDS)
    return False


def _is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    # The name stands in parentheses and may hold anything; the state follows. A zombie has ended.
    return stat.rpartition(")")[2].split()[0] != "Z"
