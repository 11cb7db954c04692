"""`plumbline log`: look into the prediction log, export it for retraining, remove old days."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from operations import log_export, log_prune, log_query

if TYPE_CHECKING:
    from operations.commands import Subparsers

EXAMPLES = """\
examples:
  plumbline log query --model iris --since 2h --out-of-distribution
  plumbline log query --prediction-id AWkv... --json
  plumbline log export --format csv --output train.csv --model iris --labeled
  plumbline log prune --days 30 --dry-run

Which database is meant the settings say: PLUMBLINE_LOG_DIR, or PLUMBLINE_LOG_DSN_FILE for PostgreSQL.
"""


def register(subparsers: Subparsers) -> None:
    """Add the parser of `plumbline log` with its own commands."""
    parser = subparsers.add_parser(
        "log",
        help="query, export and prune the prediction log",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="log_command", required=True, metavar="COMMAND")
    for module in (log_query, log_export, log_prune):
        module.register(commands)


def run(options: argparse.Namespace) -> int:
    """Run one of its commands."""
    status: int = options.run_log(options)
    return status
