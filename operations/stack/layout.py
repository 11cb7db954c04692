"""Where the native stack keeps its files and which ports it uses, noted by one command for the others."""

from __future__ import annotations

import argparse
import dataclasses
import json
import socket
from dataclasses import dataclass
from pathlib import Path

from service.errors import PlumblineError

ROOT = Path(__file__).resolve().parents[2]
LOOPBACK = "127.0.0.1"
CLOCKS = {"demo": 60, "production": 1}
"""How many times faster than real time the rules and notifications run."""

_SOCKET_PATH_MAX = 107  # of the kernel
_SOCKET_SUFFIX = 8  # supervisord binds `supervisor.sock.<pid>` first


class StackError(PlumblineError):
    """The stack cannot be started, or does not answer; the text says what to do."""


@dataclass(frozen=True)
class Ports:
    """The port of each program, all on loopback; the names are those of the programs."""

    predictor: int = 8000
    exporter: int = 9101
    prometheus: int = 9090
    alertmanager: int = 9093
    sink: int = 9094

    def busy(self) -> list[str]:
        """Name the programs whose port somebody else holds."""
        return [name for name, port in dataclasses.asdict(self).items() if not _is_free(port)]


@dataclass(frozen=True)
class Layout:
    """The folder of everything that the stack writes."""

    local: Path

    @property
    def run(self) -> Path:
        """Sockets, pids, rendered configuration, shared counter files."""
        return self.local / "run"

    @property
    def log(self) -> Path:
        """A log per program."""
        return self.local / "log"

    @property
    def configuration(self) -> Path:
        """Working folder of Prometheus and Alertmanager, rendered anew at each start."""
        return self.run / "configuration"

    @property
    def metrics(self) -> Path:
        """Counter files that predictor and exporter share."""
        return self.run / "metrics"

    @property
    def socket(self) -> Path:
        """Where the supervisor listens."""
        return self.run / "supervisor.sock"

    @property
    def supervisor_configuration(self) -> Path:
        """What the supervisor runs, rendered anew at each start."""
        return self.run / "supervisord.conf"

    @property
    def prediction_log(self) -> Path:
        """Predictions and truths; one for both clocks, since their times are real."""
        return self.local / "prediction_log"

    def data(self, program: str, clock: str) -> Path:
        """Return the database folder of a program; each clock has its own, since hours mean another thing."""
        return self.local / program / clock

    def create(self) -> None:
        """Make the folders.

        Raises:
            StackError: the path is too long for a socket.
        """
        if len(str(self.socket)) + _SOCKET_SUFFIX > _SOCKET_PATH_MAX:
            raise StackError(f"{self.local} is too long a path for a socket: give a shorter one by --local")
        self.run.mkdir(parents=True, exist_ok=True)
        self.run.chmod(0o700)
        self.log.mkdir(parents=True, exist_ok=True)


@dataclass(frozen=True)
class Stack:
    """One running or starting stack."""

    layout: Layout
    ports: Ports
    clock: str

    @property
    def factor(self) -> int:
        """How many times faster than real time its clock runs."""
        return CLOCKS[self.clock]

    def url(self, program: str) -> str:
        """Return the address of a program."""
        return f"http://{LOOPBACK}:{getattr(self.ports, program)}"

    def save(self) -> None:
        """Note ports and clock for the other commands."""
        content = {"ports": dataclasses.asdict(self.ports), "clock": self.clock}
        (self.layout.run / "stack.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def load_stack(local: Path) -> Stack:
    """Read what `plumbline up` noted.

    Raises:
        StackError: no stack was started with this folder.
    """
    layout = Layout(local.resolve())
    try:
        content = json.loads((layout.run / "stack.json").read_text("utf-8"))
        return Stack(layout, Ports(**content["ports"]), content["clock"])
    except FileNotFoundError:
        raise not_running(layout) from None


def not_running(layout: Layout) -> StackError:
    """Return the error of a command that needs a running stack."""
    return StackError(f"no stack runs with {layout.local}: start one by `make up` or `plumbline up`")


def add_local_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that says which stack is meant."""
    parser.add_argument(
        "--local",
        type=Path,
        default=ROOT / ".local",
        metavar="DIR",
        help="folder of the stack's logs, sockets and data (default: .local of the checkout)",
    )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the programs do: a port that only waits for late packets of its last user is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
