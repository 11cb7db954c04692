"""What the native stack runs, and how the supervisor is told."""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

from operations.stack.layout import LOOPBACK, ROOT, Stack
from prometheus.build import prometheus_flags
from service.settings import PREFIX, Settings

PROGRAMS = ("predictor", "exporter", "drainer", "prometheus", "alertmanager", "sink", "traffic")
GROUP = "plumbline"
"""One group for all: the supervisor stops the programs of a group at once, but groups one after the other."""

# A connection that is being answered when the stack stops gets its answer first.
_SECONDS_AFTER_GRACE = 5


@dataclass(frozen=True)
class Program:
    """One supervised program.

    Args:
        name: one of `PROGRAMS`.
        command: program and arguments.
        environment: variables besides those inherited.
        stop_seconds: time to end by itself after SIGTERM, before its process group is killed.
        signal_group: also send SIGTERM to its children, for programs that do not care for them themselves.
        needs_predictor: start it only when the predictor is ready.
    """

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    stop_seconds: int = 10
    signal_group: bool = True
    needs_predictor: bool = False


def native_programs(stack: Stack, settings: Settings, binaries: Path, *, traffic: bool) -> list[Program]:
    """List the programs of a stack."""
    python = [sys.executable, "-m"]
    configuration, ports = stack.layout.configuration, stack.ports
    predictor_environment = {
        f"{PREFIX}HOST": LOOPBACK,
        f"{PREFIX}PORT": str(ports.predictor),
        f"{PREFIX}EXPORTER_HOST": LOOPBACK,
        f"{PREFIX}EXPORTER_PORT": str(ports.exporter),
        f"{PREFIX}METRICS_DIR": str(stack.layout.metrics),
        f"{PREFIX}LOG_DIR": str(_prediction_log(stack, settings)),
    }
    programs = [
        Program("sink", [*python, "operations.slack_sink", "--port", str(ports.sink)]),
        Program(
            "alertmanager",
            [
                str(binaries / "alertmanager"),
                f"--config.file={configuration / 'alertmanager.yml'}",
                f"--storage.path={stack.layout.data('alertmanager', stack.clock)}",
                f"--web.listen-address={LOOPBACK}:{ports.alertmanager}",
                f"--web.external-url={stack.url('alertmanager')}",
                # One Alertmanager has no peers, and its gossip would listen on all addresses.
                "--cluster.listen-address=",
            ],
        ),
        Program("exporter", [*python, "service.exporter"], predictor_environment),
        Program("drainer", [*python, "service.drainer"], predictor_environment),
        Program(
            "predictor",
            [*python, "gunicorn", "-c", "python:service.gunicorn_conf"],
            predictor_environment,
            stop_seconds=settings.graceful_timeout_seconds + _SECONDS_AFTER_GRACE,
            # The arbiter stops its workers itself; one that ended before it does it would replace.
            signal_group=False,
        ),
        Program(
            "prometheus",
            [
                str(binaries / "prometheus"),
                f"--config.file={configuration / 'prometheus.yml'}",
                f"--storage.tsdb.path={stack.layout.data('prometheus', stack.clock)}",
                f"--web.listen-address={LOOPBACK}:{ports.prometheus}",
                f"--web.external-url={stack.url('prometheus')}",
                *prometheus_flags(stack.factor),
            ],
            stop_seconds=30,
            # On the demo clock the seconds in which a predictor starts are an outage worth an alert.
            needs_predictor=True,
        ),
    ]
    if traffic:
        programs.append(Program("traffic", _traffic_command(stack, settings), needs_predictor=True))
    return programs


def _prediction_log(stack: Stack, settings: Settings) -> Path:
    """Return the folder that was asked for, else that of the stack."""
    return (
        settings.log_dir.resolve() if "log_dir" in settings.model_fields_set else stack.layout.prediction_log
    )


def _traffic_command(stack: Stack, settings: Settings) -> list[str]:
    command = [sys.executable, "-m", "locust", "--config", str(ROOT / "loadtest/scenarios/demo.conf")]
    command += ["--host", stack.url("predictor")]
    if settings.token_file:
        command += ["--token-file", str(settings.token_file)]
    return command


def supervisor_configuration(stack: Stack, programs: list[Program]) -> str:
    """Render the supervisor's configuration file."""
    run, log = stack.layout.run, stack.layout.log
    header = f"""\
; Rendered by operations/stack/programs.py. DO NOT EDIT.
[supervisord]
nodaemon=true
silent=true
identifier=plumbline
directory={_escape(ROOT)}
pidfile={_escape(run / "supervisord.pid")}
logfile={_escape(log / "supervisord.log")}
logfile_maxbytes=10MB
logfile_backups=1
childlogdir={_escape(log)}

[unix_http_server]
file={_escape(stack.layout.socket)}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
    group = f"\n[group:{GROUP}]\nprograms={','.join(program.name for program in programs)}\n"
    return header + group + "".join(_program_section(program, log) for program in programs)


def tie_to_parent(command: list[str]) -> list[str]:
    """Let a command get SIGTERM when its parent dies, even by kill -9."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--", *command] if setpriv else command


def _program_section(program: Program, log: Path) -> str:
    environment = ",".join(f'{name}="{_escape(value)}"' for name, value in program.environment.items())
    # startretries: never give up; the wait grows by a second per failure. A program that has stayed up for
    # startsecs and then ends is started again at once.
    return f"""
[program:{program.name}]
command={_escape(shlex.join(tie_to_parent(program.command)))}
environment={environment}
autostart={str(not program.needs_predictor).lower()}
autorestart=true
startsecs=2
startretries=1000000000
stopsignal=TERM
stopwaitsecs={program.stop_seconds}
stopasgroup={str(program.signal_group).lower()}
killasgroup=true
redirect_stderr=true
stdout_logfile={_escape(log / program.name)}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=2
"""


def _escape(value: str | Path) -> str:
    return str(value).replace("%", "%%")
