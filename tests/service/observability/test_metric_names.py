"""Every metric is named by the grammar, said in a sentence, and described in docs/metrics.md."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from service.bundle.objectives import REQUEST_DURATION_BOUNDS
from service.observability.metric import Metric
from service.observability.metric_names import METRICS

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "metrics.md"
GRAMMAR = re.compile(r"(http|ml|plumbline)_[a-z]+(_[a-z]+)*")
LABELS = {
    *("model_name", "model_version", "role", "outcome", "reason", "feature", "field", "bin", "kind", "stage"),
    *("predicted_class", "signal", "sha256", "framework", "handler", "method", "status", "listener", "slot"),
    *("result", "class", "aspect", "actual", "predicted", "lower", "upper"),
}


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
def test_names_follow_the_grammar(metric: Metric) -> None:
    """Prefix, words, unit; counters and only they end in _total; labels are words of the closed list."""
    assert GRAMMAR.fullmatch(metric.name)
    assert (metric.type == "counter") == metric.name.endswith("_total")
    assert not metric.name.endswith(("_count", "_sum", "_bucket", "_milliseconds", "_percent"))
    assert set(metric.labels) <= LABELS
    assert "_duration_" not in metric.name or metric.name.endswith("_seconds")


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
def test_help_is_a_sentence(metric: Metric) -> None:
    """Help begins with a capital and ends with a full stop."""
    assert re.fullmatch(r"[A-Z][^\n]*\.", metric.help)


def test_histogram_bounds_ascend() -> None:
    """Histograms, and only they, have bounds, in ascending order and finite."""
    for metric in METRICS.values():
        assert (metric.type == "histogram") == bool(metric.bounds)
        assert list(metric.bounds) == sorted(set(metric.bounds))
        assert float("inf") not in metric.bounds


def test_page_and_list_name_the_same_metrics() -> None:
    """docs/metrics.md has a row for every metric, with its type and labels, and for nothing else."""
    rows = re.findall(r"^\| `([a-z_]+)` \| (\w+) \| ([^|]*) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    described = {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert len(described) == len(rows)
    assert described == {metric.name: (metric.type, metric.labels) for metric in METRICS.values()}


def test_list_needs_no_library() -> None:
    """Rules and boards read the names without prometheus_client, numpy or pydantic."""
    code = (
        "import sys, service.observability.metric_names; "
        "sys.exit(any(name in sys.modules for name in ('prometheus_client', 'numpy', 'pydantic')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_latency_objectives_are_bounds() -> None:
    """What packing takes for an objective is a bucket, so that slow requests are counted and not guessed."""
    assert METRICS["ml_request_duration_seconds"].bounds == REQUEST_DURATION_BOUNDS
