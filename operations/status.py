"""`plumbline status`: programs, targets and firing alerts of the running stack."""

from __future__ import annotations

import argparse
from datetime import timedelta
from typing import TYPE_CHECKING

from operations.stack.layout import add_local_option, load_stack
from operations.stack.prometheus_api import TARGETS, firing_alerts, targets
from operations.stack.supervision import Supervisor

if TYPE_CHECKING:
    from operations.commands import Subparsers


def register(subparsers: Subparsers) -> None:
    """Add the parser of `plumbline status`."""
    parser = subparsers.add_parser(
        "status",
        help="show programs with uptime and restarts, targets, firing alerts",
        description="Exit status 0 if every program runs and every target is up, else 1.",
    )
    add_local_option(parser)


def run(options: argparse.Namespace) -> int:
    """Print what runs, what is scraped and what fires."""
    stack = load_stack(options.local)
    programs = Supervisor(stack.layout).programs()
    print(f"{'program':14}{'state':10}{'uptime':>10}{'restarts':>10}  address")
    for program in programs:
        uptime = str(timedelta(seconds=program.uptime_seconds)) if program.pid else "-"
        address = stack.url(program.name) if hasattr(stack.ports, program.name) else ""
        state = program.state.lower()
        print(f"{program.name:14}{state:10}{uptime:>10}{program.restarts:>10}  {address}")

    scraped = targets(stack)
    print(f"\n{'target':14}health")
    for target in scraped:
        print(f"{target.job:14}{target.health:10}{target.error}")
    if not scraped:
        print("none: Prometheus does not answer")

    alerts = firing_alerts(stack)
    print("\nfiring alerts" if alerts else "\nno alert fires")
    for alert in alerts:
        print(f"  {alert.severity:10}{alert.name}: {alert.description}")
    running = all(program.state == "RUNNING" for program in programs)
    up = len(scraped) >= TARGETS and all(target.health == "up" for target in scraped)
    return 0 if running and up else 1
