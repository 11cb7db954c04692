"""The merge equals that of prometheus_client, and stands files that make no sense."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from service.observability.merge import Merger
from service.observability.metric import Metric
from service.observability.metric_names import METRICS
from service.observability.value_files import ValueFiles
from tests.service.observability.counted_bundles import parsed, scraped

COUNTER = Metric("ml_apples_total", "counter", "Apples\\ with\na break.", ("sort",))
GARBAGE = {
    "empty": b"",
    "seven bytes": bytes(7),
    "all ones": b"\xff" * 300,
    "used beyond the end": b"\x00\x10\x00\x00" + bytes(96),
    "entry beyond the end": b"\x40\0\0\0\0\0\0\0\xff\xff\xff\x7f" + bytes(60),
    "no JSON": b"\x28\0\0\0\0\0\0\0\x04\0\0\0{{{{" + b" " * 8 + bytes(16) + bytes(60),
    "other JSON": b"\x28\0\0\0\0\0\0\0\x04\0\0\0[12]" + b" " * 8 + bytes(16) + bytes(60),
}


def by_library(folder: Path) -> dict[str, float]:
    """Merge a folder with the library's collector."""
    registry = CollectorRegistry()
    collector: Callable[[CollectorRegistry, str], object] = MultiProcessCollector
    collector(registry, str(folder))
    return parsed(generate_latest(registry).decode())


def fill(folder: Path, slot: int, seed: int) -> None:
    """Count at random in every metric, with labels that differ between slots."""
    generator = random.Random(seed)
    files = ValueFiles(folder, slot)
    for metric in METRICS.values():
        for _ in range(generator.randint(1, 4)):
            labels = [generator.choice(["a", 'b"\\\n', "ü", f"slot {slot}"]) for _ in metric.labels]
            if metric.type == "histogram":
                histogram = files.histogram(metric, *labels)
                for _ in range(generator.randint(0, 9)):
                    histogram.observe(generator.choice([*metric.bounds, 2 * metric.bounds[-1]]))
            else:
                files.value(metric, *labels).add(generator.randint(0, 1000))


def test_merge_equals_the_librarys(tmp_path: Path) -> None:
    """Every series of five workers has the number that prometheus_client gives it."""
    for slot in range(5):
        fill(tmp_path, slot, 41 + slot)
    ours, theirs = scraped(tmp_path), by_library(tmp_path)
    assert ours.keys() == theirs.keys()
    assert len(ours) > 500
    assert ours == pytest.approx(theirs, rel=1e-12)


def test_what_is_remembered_is_never_stale(tmp_path: Path) -> None:
    """One merger follows new numbers, new series, new files, lost files and a file made anew."""
    merger = Merger()
    for step in range(6):
        fill(tmp_path, step % 3, 71 + step)
        assert parsed(merger.merge(tmp_path).text) == pytest.approx(by_library(tmp_path), rel=1e-12)
    (tmp_path / "counter_w1.db").unlink()
    assert parsed(merger.merge(tmp_path).text) == pytest.approx(by_library(tmp_path), rel=1e-12)
    fill(tmp_path, 1, 97)
    assert parsed(merger.merge(tmp_path).text) == pytest.approx(by_library(tmp_path), rel=1e-12)


def test_other_folder_starts_from_nothing(tmp_path: Path) -> None:
    """After a new start of the predictor nothing of the old one is shown."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    ValueFiles(old, 0).value(COUNTER, "old").add(3)
    ValueFiles(new, 0).value(COUNTER, "new").add(4)
    merger = Merger()
    merger.merge(old)
    assert parsed(merger.merge(new).text) == {"ml_apples_total{sort=new}": 4.0}


def test_folders_add_up(tmp_path: Path) -> None:
    """Files of the same name in two folders are two files: those of a worker, and those of the drainer."""
    workers, totals = tmp_path / "workers", tmp_path / "totals"
    merger = Merger()
    for folder, seed in ((workers, 3), (totals, 4)):
        folder.mkdir()
        fill(folder, 0, seed)
    both = parsed(merger.merge(workers, totals).text)
    alone = [parsed(Merger().merge(folder).text) for folder in (workers, totals)]
    assert both.keys() == alone[0].keys() | alone[1].keys()
    sums = {name for name in both if METRICS.get(name.split("{")[0], COUNTER).fold == "sum"}
    for name in sums:
        assert both[name] == pytest.approx(sum(one.get(name, 0.0) for one in alone), rel=1e-12)
    for name in both.keys() - sums:
        assert both[name] == max(one.get(name, 0.0) for one in alone)
    assert len(both) > len(sums) > 500


def test_folders_change_independently(tmp_path: Path) -> None:
    """What is remembered of one folder is not taken for the other, and either may come later, or go."""
    workers, totals = tmp_path / "workers", tmp_path / "totals"
    workers.mkdir()
    files = ValueFiles(workers, 0)
    files.value(COUNTER, "boskoop").add(3)
    merger = Merger()
    assert parsed(merger.merge(workers, totals).text) == {"ml_apples_total{sort=boskoop}": 3.0}
    totals.mkdir()
    ValueFiles(totals, 0).value(COUNTER, "elstar").add(40)
    ValueFiles(totals, 0).value(COUNTER, "boskoop").add(50)
    files.value(COUNTER, "boskoop").add(1)
    expected = {"ml_apples_total{sort=boskoop}": 54.0, "ml_apples_total{sort=elstar}": 40.0}
    assert parsed(merger.merge(workers, totals).text) == expected
    shutil.rmtree(workers)
    assert parsed(merger.merge(workers, totals).text) == expected | {"ml_apples_total{sort=boskoop}": 50.0}


def test_bad_files_of_every_folder_are_counted(tmp_path: Path) -> None:
    """Neither folder hides what is wrong in the other."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "counter_w0.db").write_bytes(b"")
    merged = Merger().merge(tmp_path / "a", tmp_path / "b")
    assert (merged.files, merged.bad_files) == (0, 2)


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE.keys())
def test_bad_file_is_skipped_and_counted(tmp_path: Path, content: bytes) -> None:
    """A file that cannot be read costs its own numbers only."""
    ValueFiles(tmp_path, 0).value(COUNTER, "boskoop").add(3)
    (tmp_path / "counter_w9.db").write_bytes(content)
    merger = Merger()
    for _ in range(2):
        merged = merger.merge(tmp_path)
        assert parsed(merged.text) == {"ml_apples_total{sort=boskoop}": 3.0}
        assert (merged.files, merged.bad_files) == (1, 1)


def test_file_cut_while_it_is_remembered_is_skipped(tmp_path: Path) -> None:
    """A known file that was cut in the middle is bad like any other."""
    for slot in (0, 1):
        files = ValueFiles(tmp_path, slot)
        for number in range(300):
            files.value(COUNTER, f"sort {number}").add(1)
    merger = Merger()
    assert parsed(merger.merge(tmp_path).text)["ml_apples_total{sort=sort 7}"] == 2.0
    shutil.copy(tmp_path / "counter_w1.db", tmp_path / "copy")
    (tmp_path / "counter_w1.db").write_bytes((tmp_path / "copy").read_bytes()[:5000])
    merged = merger.merge(tmp_path)
    assert parsed(merged.text)["ml_apples_total{sort=sort 7}"] == 1.0
    assert merged.bad_files == 1


def test_models_that_were_counted_are_named(tmp_path: Path) -> None:
    """The pairs of model and version that occur are told, for their constants."""
    files = ValueFiles(tmp_path, 0)
    files.value(METRICS["ml_queue_rows"], "loans", "7")
    files.value(METRICS["ml_listener_errors_total"], "http")
    assert Merger().merge(tmp_path).models == {("loans", "7")}


def test_folder_that_is_a_file_is_empty(tmp_path: Path) -> None:
    """Whatever stands where the folder should be, the scrape goes on."""
    (tmp_path / "file").write_text("")
    assert Merger().merge(tmp_path / "file").files == 0


def test_folder_that_is_gone_is_empty(tmp_path: Path) -> None:
    """Between two starts of the predictor there may be no folder at all."""
    merged = Merger().merge(tmp_path / "gone")
    assert (merged.text, merged.files, merged.bad_files) == ("", 0, 0)
