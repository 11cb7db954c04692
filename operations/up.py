"""`plumbline up`: the whole stack on this machine, supervised, without containers."""

from __future__ import annotations

import argparse
import dataclasses
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from operations.stack import preparation
from operations.stack.layout import CLOCKS, ROOT, Layout, Ports, Stack, StackError, add_local_option
from operations.stack.programs import Program, native_programs, supervisor_configuration
from operations.stack.prometheus_api import are_all_up, is_predictor_ready, targets
from operations.stack.supervision import ProgramState, Supervisor, launch
from operations.stack.welcome import welcome
from service.settings import Settings, load_settings

if TYPE_CHECKING:
    from operations.commands import Subparsers

EXAMPLES = """\
examples:
  plumbline up                        the demo clock: an hour of the alert rules passes in a minute
  plumbline up --clock production     the windows of production
  plumbline up --port-offset 100      predictor on 8100, Prometheus on 9190, ...
  plumbline up --detach               in the background, until `plumbline down`

The predictor's own settings come from the environment (docs/configuration.md):
  PLUMBLINE_WORKERS=4 plumbline up
"""

STEPS = 6
_UP_SECONDS = 180.0
_POLL_SECONDS = 0.25
_LOG_LINES = 15
_HOPELESS_RESTARTS = 4


def register(subparsers: Subparsers) -> None:
    """Add the parser of `plumbline up`."""
    parser = subparsers.add_parser(
        "up",
        help="start predictor, Prometheus, Alertmanager, Slack sink and a little traffic",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--clock", choices=CLOCKS, default="demo", help="how fast rules and notifications run (default: demo)"
    )
    add("--detach", action="store_true", help="return when everything is up")
    add("--no-traffic", action="store_true", help="send no demo traffic")
    add("--port-offset", type=int, default=0, metavar="N", help="add N to each default port")
    for port in dataclasses.fields(Ports):
        add(
            f"--{port.name}-port", type=int, metavar="PORT", help=f"(default: {port.default} plus the offset)"
        )
    add_local_option(parser)


def run(options: argparse.Namespace) -> int:
    """Start the stack; stay until it ends, unless detached."""
    settings = load_settings()
    stack = Stack(Layout(options.local.resolve()), _ports(options), options.clock)
    supervisor = Supervisor(stack.layout)
    if supervisor.is_running():
        raise StackError("it runs already: see `plumbline status`, end it by `plumbline down`")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    process: subprocess.Popen[bytes] | None = None
    try:
        began = time.monotonic()
        _prepare(stack, settings)
        _say(5, "starting the programs")
        programs = native_programs(stack, settings, preparation.BINARIES, traffic=not options.no_traffic)
        process = _launch(stack, programs, detach=options.detach)
        _wait_for(is_predictor_ready, stack, process)
        for program in programs:
            if program.needs_predictor:
                supervisor.start(program.name)
        _say(6, "waiting until every target is up in Prometheus")
        _wait_for(are_all_up, stack, process)
        print(f"\nUp after {time.monotonic() - began:.0f} s.\n", flush=True)
        print(welcome(stack, traffic=not options.no_traffic, detached=options.detach), flush=True)
        if options.detach:
            process = None
            return 0
        return _stay(process)
    except KeyboardInterrupt:
        print("\nStopping all programs ...", flush=True)
        return 0
    finally:
        if process is not None:
            _stop(process)


def _prepare(stack: Stack, settings: Settings) -> None:
    _say(1, "checking ports")
    _check_ports(stack.ports)
    stack.layout.create()
    fetching = preparation.fetch_binaries()
    try:
        if preparation.are_demo_models_current(settings.bundle_dir):
            _say(2, f"demo models are in {settings.bundle_dir}/")
        else:
            _say(2, f"training demo models into {settings.bundle_dir}/ (once)")
            preparation.finish(preparation.train_demo_models(settings.bundle_dir), "training")
            preparation.note_demo_models(settings.bundle_dir)
        _say(3, "Prometheus and Alertmanager (fetched once)")
        preparation.finish(fetching, "fetching Prometheus and Alertmanager")
    finally:
        fetching.kill()
    slack_url = preparation.render_configuration(stack)
    _say(4, f"configuration: {stack.clock} clock, Slack's address from {_short(slack_url)}")
    preparation.clear_data(stack)


def _launch(stack: Stack, programs: list[Program], *, detach: bool) -> subprocess.Popen[bytes]:
    stack.layout.supervisor_configuration.write_text(supervisor_configuration(stack, programs), "utf-8")
    stack.save()
    return launch(stack.layout, detach=detach)


def _wait_for(condition: Callable[[Stack], bool], stack: Stack, process: subprocess.Popen[bytes]) -> None:
    """Wait until the condition holds, or say which program stands in its way."""
    supervisor = Supervisor(stack.layout)
    deadline = time.monotonic() + _UP_SECONDS
    while not condition(stack):
        if process.poll() is not None:
            raise StackError(f"the supervisor ended:\n{_log_tail(stack, 'supervisord.out')}")
        programs = supervisor.programs() if supervisor.is_running() else []
        hopeless = next((each for each in programs if _is_hopeless(each)), None)
        if hopeless:
            raise StackError(
                f"{hopeless.name} ends again and again:\n{_log_tail(stack, f'{hopeless.name}.log')}"
            )
        if time.monotonic() > deadline:
            down = ", ".join(f"{each.job}: {each.error}" for each in targets(stack) if each.health != "up")
            raise StackError(f"not up after {_UP_SECONDS:.0f} s ({down}); see {stack.layout.log}")
        time.sleep(_POLL_SECONDS)


def _stay(process: subprocess.Popen[bytes]) -> int:
    """Wait for the supervisor's end, which `plumbline down` brings, or for the interrupt that ends it."""
    status = process.wait()
    print("The supervisor ended.", flush=True)
    return 0 if status == 0 else 1


def _stop(process: subprocess.Popen[bytes]) -> None:
    # A second Ctrl-C must not leave half of the stack behind.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    process.terminate()
    process.wait()


def _is_hopeless(program: ProgramState) -> bool:
    return program.state == "BACKOFF" and program.restarts >= _HOPELESS_RESTARTS


def _check_ports(ports: Ports) -> None:
    busy = ports.busy()
    if busy:
        lines = [
            f"port {getattr(ports, name)} ({name}) is in use: choose another by --{name}-port"
            for name in busy
        ]
        raise StackError("\n".join(lines) + ", or move all by --port-offset 100")


def _ports(options: argparse.Namespace) -> Ports:
    chosen = {
        port.name: getattr(options, f"{port.name}_port") or port.default + options.port_offset
        for port in dataclasses.fields(Ports)
    }
    if len(set(chosen.values())) < len(chosen) or not all(0 < port < 65536 for port in chosen.values()):
        raise StackError(f"these ports cannot be: {chosen}")
    return Ports(**chosen)


def _log_tail(stack: Stack, name: str) -> str:
    path = stack.layout.log / name
    lines = path.read_text("utf-8", errors="replace").splitlines() if path.exists() else []
    return "\n".join([*lines[-_LOG_LINES:], f"(the end of {path})"])


def _short(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def _say(step: int, text: str) -> None:
    print(f"[{step}/{STEPS}] {text}", flush=True)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
