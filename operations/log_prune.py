"""`plumbline log prune`: remove old days now, by the limits of the settings or by others."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from operations.log_filters import opened_log, positive_number
from service.errors import PlumblineError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from operations.commands import Subparsers
    from service.prediction_log.reader import StoredDay
    from service.prediction_log.retention import RetentionPolicy

EXAMPLES = """\
examples:
  plumbline log prune --dry-run
  plumbline log prune --days 30 --bytes 5000000000 --yes

Whole days go, the oldest first: predictions, and the values of their truths. Keys of counted truths stay, so
that a truth posted again is still known, and no counter moves. The drainer does the same by itself, by
the settings PLUMBLINE_LOG_RETENTION_DAYS and PLUMBLINE_LOG_RETENTION_BYTES.
"""
_SECONDS_PER_DAY = 86_400
_PROGRESS_SECONDS = 2.0


class PruneError(PlumblineError):
    """Nothing is removed without a yes."""


def register(subparsers: Subparsers) -> None:
    """Add the parser of `plumbline log prune`."""
    parser = subparsers.add_parser(
        "prune",
        help="remove old days",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--days", type=positive_number, metavar="DAYS", help="days older than this go [the setting]")
    add(
        "--bytes",
        type=positive_number,
        metavar="BYTES",
        help="more than this goes, but never today [the setting]",
    )
    add("--dry-run", action="store_true", help="say what would go, remove nothing")
    add("--yes", action="store_true", help="do not ask")
    parser.set_defaults(run_log=run)


def run(options: argparse.Namespace) -> int:
    """Say what goes, ask, remove it."""
    # Here, not above: the database library takes a moment to import, and `--help` should not wait for it.
    from service.prediction_log.retention import days_to_prune, policy_of  # noqa: PLC0415 - see above
    from service.settings import load_settings  # noqa: PLC0415 - see above

    policy = policy_of(load_settings())
    policy = dataclasses.replace(
        policy, days=options.days or policy.days, max_bytes=options.bytes or policy.max_bytes
    )
    now = time.time()
    with opened_log() as log:
        stored = log.stored_days()
    going = days_to_prune(stored, policy, now)
    print("\n".join(_plan(stored, going)))
    if not going or options.dry_run:
        return 0
    if not options.yes and not _is_wanted(going):
        print("nothing was removed")
        return 1
    _prune(policy, now)
    return 0


def _plan(stored: Sequence[StoredDay], going: Sequence[StoredDay]) -> list[str]:
    if not stored:
        return ["the log is empty"]
    lines = [f"the log holds {_amount(stored)}, {_date(stored[0])} to {_date(stored[-1])}"]
    if not going:
        return [*lines, "nothing has to go"]
    lines += [f"  {_date(day)}  {day.rows:>12,} rows  {day.bytes / 1e6:>10,.1f} MB" for day in going]
    return [*lines, f"these go: {_amount(going)}"]


def _is_wanted(going: Sequence[StoredDay]) -> bool:
    if not _is_terminal():
        raise PruneError("standard input is no terminal: say --yes, or --dry-run")
    return input(f"Remove {_amount(going)}? [y/N] ").strip().lower() in {"y", "yes"}


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _prune(policy: RetentionPolicy, now: float) -> None:
    from service.prediction_log.location import database_target  # noqa: PLC0415 - see run
    from service.prediction_log.retention import prune  # noqa: PLC0415 - see run
    from service.prediction_log.store import Store  # noqa: PLC0415 - see run
    from service.settings import load_settings  # noqa: PLC0415 - see run

    predictions = truths = keys = 0
    said = time.monotonic()
    store = Store.open(database_target(load_settings()))
    try:
        for step in prune(store, policy, now):
            predictions, truths, keys = predictions + step.predictions, truths + step.truths, keys + step.keys
            if time.monotonic() - said > _PROGRESS_SECONDS:
                said = time.monotonic()
                print(f"removed {predictions} predictions, {truths} truths", file=sys.stderr)
    finally:
        store.close()
    print(f"removed {predictions} predictions, the values of {truths} truths and {keys} keys of truths")


def _amount(days: Sequence[StoredDay]) -> str:
    rows, size = sum(day.rows for day in days), sum(day.bytes for day in days)
    return f"{rows:,} rows, about {size / 1e6:,.1f} MB, in {len(days)} day{'s' if len(days) != 1 else ''}"


def _date(day: StoredDay) -> str:
    return datetime.fromtimestamp(day.day * _SECONDS_PER_DAY, UTC).date().isoformat()
