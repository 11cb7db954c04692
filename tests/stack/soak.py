"""The soak: rounds of random kills under load, and then nothing that was acknowledged may be missing.

Use: `python -m tests.stack.soak --rounds 50 --seed 1`; `make soak` does. Exits with 1 and the list of what
is wrong.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.stack.log_checks import (
    corrupt_records,
    find_exported_differences,
    find_losses,
    read_content,
    wait_until_drained,
)
from tests.stack.log_clients import describe_models, running_clients, wait_for
from tests.stack.log_kills import START_SECONDS, Killer, supervised
from tests.stack.log_ledger import Ledger
from tests.stack.log_watch import watched
from tests.stack.postgres import PostgresServer, running_postgres
from tests.stack.predictor_process import RunningPredictor, running_predictor

DATABASES = ("sqlite", "postgresql")
# Each arrives at most once in a while, as an error that a client is told of and may repeat.
_HONEST_ERRORS = {503, 504}
_SHARE_UNDER_LOAD = 0.8


@dataclass(frozen=True)
class Soaked:
    """What a soak found.

    Args:
        problems: what is wrong, a line each; empty is what is hoped for.
        summary: what was done.
    """

    problems: list[str]
    summary: str


@contextmanager
def predictor_on(
    database: str, folder: Path, **settings: object
) -> Iterator[tuple[RunningPredictor, PostgresServer | None, Path | str]]:
    """Run a predictor on one of the databases; give it, the server if it has one, and where the rows are."""
    if database == "sqlite":
        with running_predictor(folder, **settings) as predictor:
            yield predictor, None, predictor.log_dir / "predictions.db"
        return
    with running_postgres() as server:
        dsn = server.create_database()
        with running_predictor(folder, **write_dsn(folder, dsn), **settings) as predictor:
            yield predictor, server, dsn


def write_dsn(folder: Path, dsn: str) -> dict[str, object]:
    """Write the files that a predictor on PostgreSQL needs; give the settings that name them."""
    (folder / "dsn").write_text(dsn + "\n")
    (folder / "keys").write_text(bytes(range(32)).hex() + "\n")
    return {"log_dsn_file": folder / "dsn", "id_key_file": folder / "keys"}


def soak(database: str, rounds: int, seed: int, folder: Path, report: Callable[[str], None]) -> Soaked:
    """Run one soak.

    Args:
        database: one of `DATABASES`.
        rounds: of kills.
        seed: of every choice.
        folder: for its files; empty.
        report: told each round.
    """
    began = time.monotonic()
    name = f"{database}, seed {seed}"
    # Small segments: the step from one to the next is taken often.
    with predictor_on(database, folder, log_segment_bytes=65_536) as (predictor, server, target):
        killer = Killer(predictor, server, seed)
        models = describe_models(predictor.url)
        with supervised(predictor), watched([predictor], target) as watch:
            with running_clients([predictor.port], models, seed) as ledger:
                try:
                    _run(rounds, ledger, killer, random.Random(seed), lambda line: report(f"{name}: {line}"))
                except AssertionError as error:
                    raise AssertionError(f"{name}, round {ledger.round}: {error}") from error
            killer.wait_for_orphans()
            wait_until_drained(predictor)
            content = read_content(target)
        problems = [
            *find_losses(ledger, content),
            *find_exported_differences([predictor.samples()], content),
            *watch.problems,
            *_unexpected(ledger, killer, corrupt_records(content)),
        ]
    done = ", ".join(f"{count} {kind}" for kind, count in sorted(killer.done.items()))
    summary = (
        f"{name}: {rounds} rounds in {time.monotonic() - began:.0f} s: {done}; "
        f"acknowledged {len(ledger.predictions)} predictions and {ledger.acknowledged_items} truths "
        f"({len(ledger.truths)} ids), in doubt {ledger.doubtful_rows} and {ledger.doubtful_items}; "
        f"stored {len(content.predictions)} and {len(content.truths)}; "
        f"{corrupt_records(content):g} torn records; "
        f"{watch.scrapes} scrapes, {watch.comparisons} comparisons"
    )
    return Soaked([f"{name}: {problem}" for problem in problems], summary)


def _run(
    rounds: int, ledger: Ledger, killer: Killer, choose: random.Random, report: Callable[[str], None]
) -> None:
    for number in range(1, rounds + 1):
        ledger.round = number
        # Mostly under load; now and then before what was killed is back.
        if choose.random() < _SHARE_UNDER_LOAD:
            wait_for(ledger, predictions=50, truths=20, seconds=START_SECONDS)
        time.sleep(choose.uniform(0.0, 1.0))
        kinds = killer.kill()
        report(
            f"round {number}/{rounds}: {', '.join(kinds)}; acknowledged "
            f"{len(ledger.predictions)} predictions, {ledger.acknowledged_items} truths"
        )


def _unexpected(ledger: Ledger, killer: Killer, corrupt: float) -> list[str]:
    problems = []
    # A kill in the middle of a write leaves half a record, which nobody was answered for.
    if corrupt > killer.done.total():
        problems.append(f"{corrupt:g} records are corrupt after {killer.done.total()} kills")
    if {status for _, status in ledger.errors} - _HONEST_ERRORS:
        problems.append(f"answers: {dict(ledger.errors)}")
    return problems


def main() -> int:
    """Soak on each database."""
    parser = argparse.ArgumentParser(prog="soak", description="Kill everything at random, lose nothing.")
    parser.add_argument("--rounds", type=int, default=50, help="rounds of kills on each database [50]")
    parser.add_argument("--seed", type=int, default=1, help="of every choice [1]")
    parser.add_argument("--database", choices=DATABASES, action="append", help="only this one")
    options = parser.parse_args()
    problems: list[str] = []
    summaries = []
    for database in options.database or DATABASES:
        with tempfile.TemporaryDirectory(prefix="plumbline-soak-") as folder:
            soaked = soak(database, options.rounds, options.seed, Path(folder), partial(print, flush=True))
        problems += soaked.problems
        summaries.append(soaked.summary)
    for line in (*summaries, *problems):
        print(line)
    print("soak: failed" if problems else "soak: nothing was lost, nothing was counted twice")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
