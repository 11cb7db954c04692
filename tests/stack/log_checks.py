"""Compares what clients were told with the database, and the database with what the exporter shows."""

from __future__ import annotations

import json
import math
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from service.events import ModelKey
from service.observability.merge import Merger
from service.observability.truth_metrics import TOTALS_FOLDER, TruthMetrics
from service.prediction_log.consistency import find_differences
from service.prediction_log.database import Database
from service.prediction_log.outcomes import Cells
from service.prediction_log.schema import ground_truths, outcome_totals, predictions
from service.prediction_log.totals import RECORDS, VersionTotals, read_cells
from tests.stack.log_ledger import Ledger, Posted
from tests.stack.log_watch import Watch
from tests.stack.predictor_process import RunningPredictor, parse_samples, sum_of
from tests.stack.worker_process import wait_until

DRAIN_SECONDS = 60.0
_SHOWN = 5


@dataclass(frozen=True)
class Content:
    """What the database holds.

    Args:
        predictions: model name and value, by id.
        truths: model name and the value that counted, by id.
        results: number of rows of truths, by result.
        totals: cells of all writers, added up.
        differences: between totals and truths.
    """

    predictions: Mapping[str, tuple[str, Any]]
    truths: Mapping[str, tuple[str, Any]]
    results: Counter[str]
    totals: Mapping[ModelKey, Cells]
    differences: Sequence[str]

    def total(self, *cell: str) -> float:
        """Add one cell up over all versions."""
        return sum(cells.get(cell, 0.0) for cells in self.totals.values())


def read_content(target: Path | str) -> Content:
    """Read the whole database."""
    database = Database(target, read_only=True)
    try:
        with database.transaction() as connection:
            columns = (predictions.c.prediction_id, predictions.c.model_name, predictions.c.prediction)
            predicted = {
                key: (name, json.loads(text)) for key, name, text in connection.execute(select(*columns))
            }
            truths = connection.execute(select(ground_truths)).all()
            totals: dict[ModelKey, Cells] = {}
            for row in connection.execute(select(outcome_totals)):
                cells = totals.setdefault(ModelKey(row.model_name, row.model_version), {})
                for cell, value in read_cells(row.cells).items():
                    cells[cell] = cells.get(cell, 0) + value
        return Content(
            predicted,
            {
                row.prediction_id: (row.model_name, json.loads(row.first_ground_truth or row.ground_truth))
                for row in truths
            },
            Counter(row.result for row in truths),
            totals,
            find_differences(database),
        )
    finally:
        database.close()


def backlog_of(predictor: RunningPredictor) -> float:
    """Return the bytes that wait for the database, as the exporter sees them."""
    return predictor.total("ml_prediction_log_backlog_bytes")


def wait_until_drained(predictor: RunningPredictor) -> None:
    """Wait until no record waits for the database."""
    wait_until(
        lambda: backlog_of(predictor) == 0, f"everything in the database; see {predictor.log}", DRAIN_SECONDS
    )


def assert_exact(
    ledger: Ledger, target: Path | str, replicas: Sequence[RunningPredictor], watch: Watch
) -> Content:
    """Wait until all is drained; assert that everything is there once and shown so; give what there is."""
    for replica in replicas:
        wait_until_drained(replica)
    content = read_content(target)
    problems = [
        *find_losses(ledger, content),
        *find_exported_differences([replica.samples() for replica in replicas], content),
        *watch.problems,
    ]
    assert not problems, "\n".join(problems)
    return content


def find_losses(ledger: Ledger, content: Content) -> list[str]:
    """Say what of the ledger is not in the database exactly once, a line each."""
    problems = [*content.differences]
    problems += _prediction_problems(ledger, content)
    problems += _truth_problems(ledger, content)
    judged = sum(
        content.total("ground_truth", result) for result in ("counted", "duplicate", "conflict", "revised")
    )
    least = ledger.acknowledged_items
    if not least <= judged <= least + ledger.doubtful_items:
        problems.append(f"truths judged: {judged:g}, acknowledged {least}, in doubt {ledger.doubtful_items}")
    stored = content.total("records", "stored")
    if stored != len(content.predictions) + judged:
        problems.append(
            f"records stored: {stored:g}, rows of predictions {len(content.predictions)}, truths {judged:g}"
        )
    for result in ("unknown_version", "invalid"):
        if content.total("ground_truth", result):
            problems.append(f"truths judged {result}: {content.total('ground_truth', result):g}")
    if content.total("records", "rejected"):
        problems.append(f"records rejected: {content.total('records', 'rejected'):g}")
    return problems


def _prediction_problems(ledger: Ledger, content: Content) -> list[str]:
    lost = [
        f"prediction {key} of {one.model_name}, answered in round {one.round}, is not there"
        for key, one in ledger.predictions.items()
        if key not in content.predictions
    ]
    wrong = [
        f"prediction {key} is {content.predictions[key]}, answered was {one}"
        for key, one in ledger.predictions.items()
        if key in content.predictions and content.predictions[key] != (one.model_name, one.prediction)
    ]
    problems = [*_first(lost), *_first(wrong)]
    more = len(content.predictions.keys() - ledger.predictions.keys())
    if more > ledger.doubtful_rows:
        problems.append(f"{more} predictions nobody was told of, only {ledger.doubtful_rows} are in doubt")
    return problems


def _truth_problems(ledger: Ledger, content: Content) -> list[str]:
    sent: dict[str, list[Posted]] = {}
    for part in (ledger.truths, ledger.doubtful_truths):
        for key, posts in part.items():
            sent.setdefault(key, []).extend(posts)
    lost = [
        f"truth of {key}, acknowledged in round {posts[0].round}, is not there"
        for key, posts in ledger.truths.items()
        if key not in content.truths
    ]
    wrong = [
        f"truth of {key} is {value!r}, sent were {sent.get(key)}"
        for key, (_, value) in content.truths.items()
        if not any(_same(value, post.value) for post in sent.get(key, ()))
    ]
    problems = [*_first(lost), *_first(wrong)]
    if content.results.keys() - {"counted"}:
        problems.append(f"truths by result: {dict(content.results)}")
    return problems


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _first(problems: list[str]) -> list[str]:
    more = len(problems) - _SHOWN
    return [*problems[:_SHOWN], *([f"... and {more} more of these"] if more > 0 else [])]


def find_exported_differences(scrapes: Sequence[Mapping[str, float]], content: Content) -> list[str]:
    """Say where what all exporters show together differs from the rows and the totals in the database."""
    samples: dict[str, float] = {}
    for scrape in scrapes:
        for series, value in scrape.items():
            samples[series] = samples.get(series, 0.0) + value
    problems = []
    for (name, labels), expected in _expected_from_rows(content).items():
        shown = sum_of(samples, name, **dict(labels))
        if shown != expected:
            problems.append(f"{name} {dict(labels)} is {shown:g}, the rows say {expected}")
    for series, value in _shown_totals(content).items():
        # Workers count their own part of this one.
        is_shared = series.startswith("ml_ground_truth_total") and 'result="invalid"' in series
        if not is_shared and not math.isclose(samples.get(series, 0.0), value, rel_tol=1e-9, abs_tol=1e-9):
            problems.append(f"{series} is {samples.get(series)}, the totals say {value}")
    return _first(problems)


def _expected_from_rows(content: Content) -> Counter[tuple[str, tuple[tuple[str, str], ...]]]:
    """Count the rows anew, without any code of the service."""
    expected: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()
    is_joined = content.truths.keys() <= content.predictions.keys()
    for key, (model_name, truth) in content.truths.items():
        pair = ("model_name", model_name)
        expected["ml_ground_truth_total", (pair, ("result", "counted"))] += 1
        expected["ml_ground_truth_delay_seconds_count", (pair,)] += 1
        if not isinstance(truth, float):
            labels = (pair, ("class", str(truth)), ("aspect", "actual"))
            expected["ml_class_outcomes_total", labels] += 1
            if is_joined:
                predicted = str(content.predictions[key][1])
                expected["ml_outcomes_total", (pair, ("actual", str(truth)), ("predicted", predicted))] += 1
    return expected


def _shown_totals(content: Content) -> dict[str, float]:
    """Give the series that the totals stand for."""
    with tempfile.TemporaryDirectory() as folder:
        metrics = TruthMetrics(Path(folder))
        metrics.show({key: VersionTotals(dict(cells)) for key, cells in content.totals.items() if cells})
        text = Merger().merge(Path(folder) / TOTALS_FOLDER).text
    return parse_samples(text)


def corrupt_records(content: Content) -> float:
    """Count what could not be read."""
    return content.totals.get(RECORDS, {}).get(("records", "corrupt"), 0.0)
