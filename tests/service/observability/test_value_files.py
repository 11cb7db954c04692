"""Numbers live in files that prometheus_client's own collector reads, and outlive their worker."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from service.bundle.reference import number_label
from service.observability.metric import Metric
from service.observability.metric_names import METRICS
from service.observability.value_files import ValueFiles
from tests.service.observability.counted_bundles import parsed

COUNTER = Metric("ml_apples_total", "counter", "Apples.", ("sort",))
GAUGE = Metric("ml_pears", "gauge", "Pears.")
HISTOGRAM = Metric("ml_plums_seconds", "histogram", "Plums.", ("sort",), (0.1, 1.0, 2.5))


def by_library(folder: Path) -> dict[str, float]:
    """Read a folder with the library's collector."""
    registry = CollectorRegistry()
    collector: Callable[[CollectorRegistry, str], object] = MultiProcessCollector
    collector(registry, str(folder))
    return parsed(generate_latest(registry).decode())


def test_numbers_exist_at_zero(tmp_path: Path) -> None:
    """A series is there before its first event, so that no increase is missed."""
    ValueFiles(tmp_path, 0).value(COUNTER, "boskoop")
    assert by_library(tmp_path) == {"ml_apples_total{sort=boskoop}": 0.0}


def test_numbers_that_nobody_asked_for_are_told(tmp_path: Path) -> None:
    """Whoever goes on in the files of another process knows what is left of it."""
    files = ValueFiles(tmp_path, 0)
    files.value(COUNTER, "boskoop")
    files.histogram(HISTOGRAM, "blue")
    assert not files.has_others()
    again = ValueFiles(tmp_path, 0)
    again.histogram(HISTOGRAM, "blue")
    assert not again.has_others()
    again.value(COUNTER, "gala")
    assert again.has_others()
    again.value(COUNTER, "boskoop")
    assert not again.has_others()


def test_added_amounts_are_read_back_by_the_library(tmp_path: Path) -> None:
    """Counters, gauges and histograms of two slots are summed by prometheus_client itself."""
    for slot in (0, 3):
        files = ValueFiles(tmp_path, slot)
        files.value(COUNTER, "boskoop").add(2 + slot)
        files.value(GAUGE).set(7)
        histogram = files.histogram(HISTOGRAM, "blue")
        for seconds in (0.1, 0.11, 2.5, 99.0):
            histogram.observe(seconds)
    assert by_library(tmp_path) == {
        "ml_apples_total{sort=boskoop}": 7.0,
        "ml_pears{}": 14.0,
        "ml_plums_seconds_bucket{le=0.1,sort=blue}": 2.0,
        "ml_plums_seconds_bucket{le=1.0,sort=blue}": 4.0,
        "ml_plums_seconds_bucket{le=2.5,sort=blue}": 6.0,
        "ml_plums_seconds_bucket{le=+Inf,sort=blue}": 8.0,
        "ml_plums_seconds_sum{sort=blue}": 2 * (0.1 + 0.11 + 2.5 + 99.0),
        "ml_plums_seconds_count{sort=blue}": 8.0,
    }


def test_next_worker_continues_counters_and_starts_gauges_anew(tmp_path: Path) -> None:
    """A counter never falls when a slot changes hands; a gauge speaks only of the worker that lives."""
    first = ValueFiles(tmp_path, 0)
    first.value(COUNTER, "boskoop").add(5)
    first.value(GAUGE).set(5)
    second = ValueFiles(tmp_path, 0)
    second.value(COUNTER, "boskoop").add(1)
    assert by_library(tmp_path) == {"ml_apples_total{sort=boskoop}": 6.0}
    second.value(GAUGE).set(1)
    assert by_library(tmp_path)["ml_pears{}"] == 1.0


def test_numbers_handed_out_before_a_file_grew_still_count(tmp_path: Path) -> None:
    """A file that is mapped anew, since it grew, is counted in through the old mapping as well."""
    files = ValueFiles(tmp_path, 0)
    early = files.value(COUNTER, "early")
    size = (tmp_path / "counter_w0.db").stat().st_size
    for number in range(2000):
        files.value(COUNTER, f"sort {number}").add(number)
    early.add(11)
    assert (tmp_path / "counter_w0.db").stat().st_size > size
    series = by_library(tmp_path)
    assert series.pop("ml_apples_total{sort=early}") == 11.0
    assert series == {f"ml_apples_total{{sort=sort {number}}}": float(number) for number in range(2000)}


def test_space_is_reserved_before_it_is_used(tmp_path: Path) -> None:
    """No page of a file is missing, so that a full disk can never kill a worker that counts."""
    files = ValueFiles(tmp_path, 0)
    for number in range(2000):
        files.value(COUNTER, f"sort {number}")
    status = (tmp_path / "counter_w0.db").stat()
    assert status.st_blocks * 512 >= status.st_size


def test_same_labels_are_the_same_number(tmp_path: Path) -> None:
    """Asking twice gives one series."""
    files = ValueFiles(tmp_path, 0)
    files.value(COUNTER, "boskoop").add()
    files.values(COUNTER, [("boskoop",), ("elstar",)]).add(np.array([3, 4]))
    assert by_library(tmp_path) == {"ml_apples_total{sort=boskoop}": 4.0, "ml_apples_total{sort=elstar}": 4.0}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_left_out(tmp_path: Path, value: float) -> None:
    """One NaN in a sum would stay for ever."""
    histogram = ValueFiles(tmp_path, 0).histogram(HISTOGRAM, "blue")
    histogram.observe(value)
    histogram.observe_many(np.array([0.5, value]))
    series = by_library(tmp_path)
    assert series["ml_plums_seconds_count{sort=blue}"] == 1.0
    assert series["ml_plums_seconds_sum{sort=blue}"] == 0.5


def test_arrays_and_single_values_fall_in_the_same_buckets(tmp_path: Path) -> None:
    """Both ways of observing agree, on the bounds too."""
    generator = random.Random(7)
    values = [generator.choice([*HISTOGRAM.bounds, generator.uniform(0, 4)]) for _ in range(997)]
    files = ValueFiles(tmp_path, 0)
    single, many = files.histogram(HISTOGRAM, "single"), files.histogram(HISTOGRAM, "many")
    for value in values:
        single.observe(value)
    many.observe_many(np.array(values))
    series = by_library(tmp_path)
    for name, count in series.items():
        if "sort=single" in name:
            assert series[name.replace("sort=single", "sort=many")] == pytest.approx(count, rel=1e-12)


def test_histogram_may_be_set(tmp_path: Path) -> None:
    """Counts that somebody else keeps replace those of the file: each bucket's own count, +Inf last."""
    histogram = ValueFiles(tmp_path, 0).histogram(HISTOGRAM, "blue")
    histogram.observe(0.5)
    for counts, total in (([1, 2, 3, 4], 99.5), ([1, 2, 3, 5], -7.25)):
        histogram.replace(counts, total)
        assert by_library(tmp_path) == {
            "ml_plums_seconds_bucket{le=0.1,sort=blue}": 1.0,
            "ml_plums_seconds_bucket{le=1.0,sort=blue}": 3.0,
            "ml_plums_seconds_bucket{le=2.5,sort=blue}": 6.0,
            "ml_plums_seconds_bucket{le=+Inf,sort=blue}": sum(counts),
            "ml_plums_seconds_count{sort=blue}": sum(counts),
            "ml_plums_seconds_sum{sort=blue}": total,
        }
    for wrong in ([1, 2, 3], [1, 2, 3, 4, 5]):
        with pytest.raises(ValueError, match="zip"):
            histogram.replace(wrong, 0.0)


@pytest.mark.parametrize(
    "content", [b"", b"\0\0\0", b"\xff" * 4096, b"\x40\0\0\0\0\0\0\0\xff\xff\xff\x7f" + bytes(60)]
)
def test_file_that_makes_no_sense_is_replaced(tmp_path: Path, content: bytes) -> None:
    """A worker starts although its slot's file is broken."""
    (tmp_path / "counter_w0.db").write_bytes(content)
    ValueFiles(tmp_path, 0).value(COUNTER, "boskoop").add(2)
    assert by_library(tmp_path) == {"ml_apples_total{sort=boskoop}": 2.0}


def test_full_disk_is_an_error_at_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be reserved is refused when the number is made."""

    def full(descriptor: int, offset: int, length: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        ValueFiles(tmp_path, 0).value(COUNTER, "boskoop")


def test_wrong_number_of_labels_is_a_mistake_of_ours(tmp_path: Path) -> None:
    """A call that forgets a label never makes a series."""
    with pytest.raises(AssertionError, match="ml_apples_total has labels"):
        ValueFiles(tmp_path, 0).value(COUNTER)


def test_bounds_are_written_as_the_library_writes_them(tmp_path: Path) -> None:
    """Each `le` of each histogram is the text that prometheus_client makes of the bound."""
    files = ValueFiles(tmp_path, 0)
    for metric in METRICS.values():
        if metric.type == "histogram":
            files.histogram(metric, *("x" for _ in metric.labels))
    by_us = {
        line.split(b'"le": "')[1].split(b'"')[0].decode()
        for line in (tmp_path / "histogram_w0.db").read_bytes().split(b"\0")
        if b'"le": "' in line
    }
    assert by_us
    assert {
        name.split("le=")[1].split(",")[0].rstrip("}") for name in by_library(tmp_path) if "le=" in name
    } == {
        number_label(bound)
        for metric in METRICS.values()
        for bound in (*metric.bounds, math.inf)
        if metric.bounds
    }
    assert by_us <= {number_label(float(bound)) for bound in by_us}
