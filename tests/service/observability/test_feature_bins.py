"""Rows are counted a moment later, all of them, and a failure costs one flush."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.events import Announcer, PredictionsServed
from service.observability import feature_bins
from service.observability.feature_bins import FeatureBins
from tests.service.observability.counted_bundles import (
    BUNDLES,
    REGRESSION,
    TABULAR,
    TEXT,
    CountedBundle,
    fresh_files,
    nonzero,
    scraped,
)

FAMILIES = ("ml_feature", "ml_text")
SECONDS_NEVER_WAITED = 3600.0


class Errors(list[tuple[str, Exception]]):
    """Collects errors."""

    def __call__(self, listener: str, error: Exception) -> None:
        """Keep the error."""
        self.append((listener, error))


def served(bundle: CountedBundle, *rows: tuple[object, ...]) -> PredictionsServed:
    """Announce rows of a bundle."""
    return PredictionsServed(bundle.key, rows, None, None, None, np.zeros(len(rows), dtype=np.int8))


def connected(folder: Path, flush_seconds: float) -> tuple[FeatureBins, Announcer, Errors]:
    """Let feature bins listen."""
    errors = Errors()
    announcer = Announcer(errors)
    bins = FeatureBins(fresh_files(folder), BUNDLES, flush_seconds, errors)
    bins.subscribe(announcer)
    return bins, announcer, errors


def test_closing_counts_what_waits(tmp_path: Path) -> None:
    """A worker that stops counts its last rows, each value in its bin."""
    bins, announcer, errors = connected(tmp_path, 0.001)
    announcer.announce(served(TABULAR, (None, "pink", 0.5, True, 13)))
    announcer.announce(served(TEXT, ("sch\u00f6n",), ("x" * 26,)))
    announcer.announce(served(REGRESSION, (5.0,)))
    bins.close()
    loans = "model_name=loans,model_version=7"
    mails = "{model_name=mails,model_version=2.1}"
    counted = nonzero(scraped(tmp_path), *FAMILIES)
    assert {name: count for name, count in counted.items() if "_bucket" not in name} == {
        f"ml_feature_bin_total{{bin=missing,feature=age,{loans}}}": 1,
        f"ml_feature_bin_total{{bin=other,feature=colour,{loans}}}": 1,
        f"ml_feature_bin_total{{bin=true,feature=member,{loans}}}": 1,
        f"ml_feature_bin_total{{bin=+Inf,feature=visits,{loans}}}": 1,
        f"ml_feature_missing_total{{feature=age,{loans}}}": 1,
        f"ml_feature_out_of_range_total{{feature=visits,{loans}}}": 1,
        f"ml_feature_unknown_category_total{{feature=colour,{loans}}}": 1,
        "ml_feature_bin_total{bin=5.0,feature=size,model_name=prices,model_version=1}": 1,
        f"ml_text_length_sum{mails}": 31,
        f"ml_text_length_count{mails}": 2,
    }
    assert counted["ml_text_length_bucket{le=10.0,model_name=mails,model_version=2.1}"] == 1
    assert errors == []


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Let the interpreter change threads at every chance."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty_threads")
def test_rows_of_many_threads_are_counted_once(tmp_path: Path) -> None:
    """No row is lost or doubled between threads that bring rows and the one that counts."""
    bins, announcer, errors = connected(tmp_path, 0.0001)

    def bring() -> None:
        for number in range(400):
            announcer.announce(served(REGRESSION, *((float(number % 10),) for _ in range(1 + number % 3))))

    threads = [threading.Thread(target=bring) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bins.close()
    assert sum(nonzero(scraped(tmp_path), "ml_feature_bin").values()) == 4 * sum(
        1 + n % 3 for n in range(400)
    )
    assert errors == []


def test_rows_are_counted_while_the_worker_runs(tmp_path: Path) -> None:
    """The thread counts by itself."""
    bins, announcer, _ = connected(tmp_path, 0.001)
    announcer.announce(served(REGRESSION, (3.0,)))
    deadline = threading.Event()
    for _ in range(2000):
        if nonzero(scraped(tmp_path), "ml_feature_bin"):
            break
        deadline.wait(0.005)
    assert sum(nonzero(scraped(tmp_path), "ml_feature_bin").values()) == 1
    bins.close()


def test_too_many_waiting_rows_are_counted_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded even if the thread does not get its turn."""
    monkeypatch.setattr(feature_bins, "_MAX_WAITING_ROWS", 10)
    _, announcer, _ = connected(tmp_path, SECONDS_NEVER_WAITED)
    announcer.announce(served(REGRESSION, *((3.0,) for _ in range(11))))
    assert sum(nonzero(scraped(tmp_path), "ml_feature_bin").values()) == 11


def test_failing_flush_is_told_and_does_not_end_the_counting(tmp_path: Path) -> None:
    """A row that cannot be counted costs its own flush, of its own model."""
    bins, announcer, errors = connected(tmp_path, SECONDS_NEVER_WAITED)
    broken: tuple[Any, ...] = ("not a number",)
    announcer.announce(served(REGRESSION, broken))
    announcer.announce(served(TEXT, ("fine",)))
    bins.flush()
    announcer.announce(served(REGRESSION, (3.0,)))
    bins.flush()
    assert [listener for listener, _ in errors] == ["feature_bins"]
    assert sum(nonzero(scraped(tmp_path), "ml_feature_bin").values()) == 1
    assert nonzero(scraped(tmp_path), "ml_text_length_count")
    bins.close()
