"""`plumbline status`: programs, targets, model versions and firing alerts of a running stack."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from operations.model_table import model_table
from operations.quantities import duration
from operations.stack.layout import add_local_option
from operations.status_report import Program, Report, report_of_prometheus, report_of_stack
from operations.terminal_table import Cell, Column, Paint, Style, colours, show, table

if TYPE_CHECKING:
    from operations.commands import Subparsers
    from operations.stack.prometheus_api import Alert, Target

EXAMPLES = """\
examples:
  plumbline status
  plumbline status --prometheus http://localhost:9090     that of docker compose, or any other
  plumbline status --json | jq '.models[] | {model_name, model_version, quality}'
  watch -n 5 plumbline status

Exit status 0 if every program runs and every target is up, else 1; what models do does not change it.
With --prometheus no program is looked at, and every target of that Prometheus counts.
Columns and the shape of --json: docs/status.md.
"""

_WIDTH = 120  # where standard output is no terminal
_TARGETS_SHOWN = 10
_HOUR_SECONDS, _DAY_SECONDS = 3600, 86_400
_STYLES: dict[str, Style] = {"running": "green", "up": "green", "critical": "red", "warning": "yellow"}


def register(subparsers: Subparsers) -> None:
    """Add the parser of `plumbline status`."""
    parser = subparsers.add_parser(
        "status",
        help="show programs, targets, every model version, firing alerts",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument(
        "--prometheus", metavar="URL", help="read this Prometheus; no native stack has to run"
    )
    add_local_option(parser)


def run(options: argparse.Namespace) -> int:
    """Print what runs, what is scraped, how each model version does, and what fires."""
    report = (
        report_of_prometheus(options.prometheus) if options.prometheus else report_of_stack(options.local)
    )
    if options.json:
        print(json.dumps(dataclasses.asdict(report), indent=2, allow_nan=False))
    else:
        width = shutil.get_terminal_size((_WIDTH, 0)).columns
        show("\n".join(_lines(report, width, colours())))
    return 0 if report.is_healthy else 1


def _lines(report: Report, width: int, paint: Paint) -> Iterator[str]:
    if report.programs is not None:
        yield from _programs(report.programs, width, paint)
        yield ""
    if report.prometheus.error:
        yield paint(report.prometheus.error, "red")
        return
    yield from _targets(report.targets, width, paint)
    yield ""
    yield from _models(report, width, paint)
    yield ""
    yield from _alerts(report.alerts, width, paint)


def _programs(programs: Sequence[Program], width: int, paint: Paint) -> list[str]:
    def uptime(program: Program) -> str:
        return "-" if program.uptime_seconds is None else str(timedelta(seconds=program.uptime_seconds))

    columns = [
        Column(("program",), [Cell(each.name) for each in programs], "left"),
        Column(("state",), [Cell(each.state, _STYLES.get(each.state, "red")) for each in programs], "left"),
        Column(("uptime",), [Cell(uptime(each)) for each in programs]),
        Column(("restarts",), [Cell(str(each.restarts)) for each in programs]),
        Column(("address",), [Cell(each.address or "") for each in programs], "left"),
    ]
    return table(columns, width, paint)


def _targets(targets: Sequence[Target], width: int, paint: Paint) -> Iterator[str]:
    # Somebody's own Prometheus may have thousands: those that are not up come first.
    shown = sorted(targets, key=lambda target: target.health == "up")[:_TARGETS_SHOWN]
    columns = [
        Column(("target",), [Cell(each.job) for each in shown], "left"),
        Column(("health",), [Cell(each.health, _STYLES.get(each.health, "red")) for each in shown], "left"),
        Column(("address",), [Cell(each.address) for each in shown], "left"),
    ]
    errors = {row: [f"  {each.error}"] for row, each in enumerate(shown) if each.error}
    yield from table(columns, width, paint, errors) if shown else ["no target is scraped"]
    if len(targets) > len(shown):
        up = sum(target.health == "up" for target in targets)
        yield f"{up} of {len(targets)} targets are up"


def _models(report: Report, width: int, paint: Paint) -> Iterator[str]:
    factor = report.prometheus.clock_factor
    if factor is None:
        yield paint("no recording rule of Plumbline is loaded there, so most columns stay empty", "yellow")
    elif factor > 1:
        hour, day = duration(_HOUR_SECONDS / factor), duration(_DAY_SECONDS / factor)
        heading = f"models, on the demo clock ({factor} times as fast: 1h passes in {hour}, 1d in {day})"
        yield paint(heading, "bold")
    else:
        yield paint("models", "bold")
    if report.models:
        yield from model_table(report.models, width, paint)
    else:
        yield "none: no model version was exported within the last hour"


def _alerts(alerts: Sequence[Alert], width: int, paint: Paint) -> Iterator[str]:
    yield paint("firing alerts", "bold") if alerts else "no alert fires"
    for alert in alerts:
        severity = paint(alert.severity.ljust(8), _STYLES.get(alert.severity, "plain"))
        text = f"{alert.name}: {alert.description}"
        first, *others = textwrap.wrap(text, max(40, width - 12), break_long_words=False) or [""]
        yield f"  {severity}  {first}"
        yield from (f"            {line}" for line in others)
