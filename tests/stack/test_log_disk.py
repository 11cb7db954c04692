"""The disk of the prediction log is full: what is lost is counted, nothing torn is read, space ends it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.log_checks import (
    backlog_of,
    corrupt_records,
    find_exported_differences,
    read_content,
    wait_until_drained,
)
from tests.stack.log_clients import TRUTHS, describe_models, running_clients, wait_for
from tests.stack.log_watch import watched
from tests.stack.predictor_process import DRAINER, RunningPredictor
from tests.stack.soak import predictor_on
from tests.stack.worker_process import wait_until

DISK_BYTES = 16 * 1024 * 1024


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Give a small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    # It takes root, and containers may forbid it even then.
    mounted = subprocess.run(command, check=False, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a small disk needs the right to mount one: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@contextlib.contextmanager
def full(disk: Path) -> Iterator[None]:
    """Let somebody else take all the space."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65_536, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
    yield
    ballast.unlink()


def has_complained(predictor: RunningPredictor) -> bool:
    """Tell whether the drainer that runs now has logged that it cannot work."""
    lines = predictor.log.read_text().splitlines()
    return any("nothing is drained" in line and f'"pid":{predictor.drainer.pid}}}' in line for line in lines)


@pytest.mark.parametrize(("database", "policy"), [("sqlite", "serve_and_count"), ("postgresql", "refuse")])
def test_full_disk(tmp_path: Path, disk: Path, database: str, policy: str) -> None:
    """The policy holds, the counter is what is missing, and a drainer that starts meanwhile waits."""
    settings = {"log_dir": disk / "log", "log_full_policy": policy}
    with predictor_on(database, tmp_path, **settings) as (predictor, _, target):
        models = describe_models(predictor.url)
        result = "dropped" if policy == "serve_and_count" else "refused"

        def unkept() -> float:
            return predictor.total("ml_prediction_log_records_total", result=result)

        with watched([predictor], target) as watch, running_clients([predictor.port], models, 4) as ledger:
            wait_for(ledger, predictions=200, truths=50)
            with full(disk):
                wait_until(lambda: unkept() > 100, f"{result} predictions")
                predictor.drainer.kill()
                predictor.drainer.wait()
                predictor.drainer = predictor.start(*DRAINER)
                # On another disk the database takes what the spool held, and makes room by that.
                wait_until(
                    lambda: has_complained(predictor) or backlog_of(predictor) == 0, "a drainer that waits"
                )
                before = unkept()
                wait_until(lambda: unkept() > before + 500, f"more {result} predictions")
                assert predictor.drainer.poll() is None, predictor.log.read_text()[-2000:]
            wait_for(ledger, predictions=100, truths=100)
            now = unkept()
            wait_for(ledger, predictions=100, truths=100)
            assert unkept() == now
        wait_until_drained(predictor)
        content = read_content(target)
        missing = ledger.predictions.keys() - content.predictions.keys()
        if policy == "serve_and_count":
            assert unkept() == len(missing)
            assert {route for route, _ in ledger.errors} <= {TRUTHS}
        else:
            assert not missing
        assert {status for _, status in ledger.errors} == {503}
        assert not ledger.cuts
        assert not content.predictions.keys() - ledger.predictions.keys()
        assert content.truths.keys() == ledger.truths.keys()
        assert corrupt_records(content) == 0
        assert not (disk / "log" / "damaged").exists()
        assert not content.differences
        assert not find_exported_differences([predictor.samples()], content)
        assert not watch.problems
        assert backlog_of(predictor) == 0
        assert sum(path.stat().st_size for path in os.scandir(disk / "log" / "spool")) < DISK_BYTES / 4


def test_spool_that_reached_the_end_of_its_disk_is_emptied(tmp_path: Path, disk: Path) -> None:
    """It leaves what a drainer needs to start and to drain, so nobody has to make room for it."""
    with predictor_on("postgresql", tmp_path, log_dir=disk / "log") as (predictor, _, dsn):
        models = describe_models(predictor.url)
        with running_clients([predictor.port], models, 5) as ledger:
            wait_for(ledger, predictions=100, truths=20)
            predictor.drainer.kill()
            predictor.drainer.wait()
            shared = disk / "ballast"
            shared.write_bytes(bytes(DISK_BYTES * 3 // 4))
            wait_until(lambda: ledger.errors[TRUTHS, 503] > 10, "a spool that takes no more")
            predictor.drainer = predictor.start(*DRAINER)
            wait_for(ledger, predictions=100, truths=100)
        wait_until_drained(predictor)
        content = read_content(dsn)
        missing = ledger.predictions.keys() - content.predictions.keys()
        assert predictor.total("ml_prediction_log_records_total", result="dropped") == len(missing)
        assert content.truths.keys() == ledger.truths.keys()
        assert corrupt_records(content) == 0
        assert not content.differences
