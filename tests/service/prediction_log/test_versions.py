"""Versions are found by the fingerprint in an id, loaded or not, as long as their bundle is on disk."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path

import pytest

from service.bundle.signature import Feature, Signature
from service.events import ModelKey
from service.prediction_log.ids import fingerprint_of
from service.prediction_log.versions import KnownVersion, KnownVersions, read_known_version
from tests.builders import MIXED, NUMBERS, REGRESSION, VERSION, bundle_dir, change_manifest, copy_bundle
from tests.service.prediction_log.child_process import names_in

FEATURES = (Feature(name="x", type="number"),)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


def version(*classes: bool | int | str, low: float | None = None, high: float | None = None) -> KnownVersion:
    """Make a version with these classes, or a regression without."""
    signature = Signature(
        task="multiclass" if classes else "regression",
        input="tabular",
        features=FEATURES,
        classes=classes or None,
        output_minimum=low,
        output_maximum=high,
    )
    return KnownVersion(ModelKey("loans", "7"), signature, bool(classes), 1.0, store_features=True)


GOOD_TRUTHS = [
    (version("no", "yes"), "yes", 1),
    (version(False, True), True, 1),
    (version(False, True), False, 0),
    (version(0, 1, 7), 7, 2),
    (version(1, 0), 0, 1),
    (version("1", "0"), "1", 0),
]


@pytest.mark.parametrize(("known", "truth", "index"), GOOD_TRUTHS)
def test_class_of_its_own_type_is_a_truth(known: KnownVersion, truth: object, index: int) -> None:
    """It has a position in the signature's classes."""
    assert known.truth_problem(truth) is None
    assert known.class_index(truth) == index


@pytest.mark.parametrize(
    ("known", "truth"),
    [
        (version("no", "yes"), "maybe"),
        (version("no", "yes"), "Yes"),
        (version("no", "yes"), True),
        (version(False, True), 1),
        (version(False, True), 0),
        (version(False, True), "true"),
        (version(0, 1), True),
        (version(0, 1), False),
        (version(0, 1), 1.0),
        (version(0, 1), "1"),
        (version("1", "0"), 1),
        (version(0, 1), math.nan),
        (version(0, 1), None),
        (version(0, 1), [1]),
    ],
)
def test_class_of_another_type_is_none(known: KnownVersion, truth: object) -> None:
    """1, 1.0, true and "1" are four different labels in JSON, and only one of them is the model's."""
    assert known.truth_problem(truth) == "is not one of the model's classes"


@pytest.mark.parametrize("truth", [0, -0.0, 17, 1e30, -1e30, 5e-324, -9.5])
def test_numbers_are_truths_of_a_regression(truth: float) -> None:
    """Whole or not, any number that can be squared."""
    assert version().truth_problem(truth) is None


@pytest.mark.parametrize(
    ("truth", "reason"),
    [
        (True, "must be a number"),
        ("3", "must be a number"),
        (None, "must be a number"),
        ([3], "must be a number"),
        (math.nan, "must be a finite number of at most 1e+30"),
        (math.inf, "must be a finite number of at most 1e+30"),
        (-1.0000001e30, "must be a finite number of at most 1e+30"),
        (-0.5, "is outside the model's output bounds"),
        (100.25, "is outside the model's output bounds"),
    ],
)
def test_what_is_no_number_or_out_of_bounds(truth: object, reason: str) -> None:
    """The reason never shows the value."""
    assert version(low=0.0, high=100.0).truth_problem(truth) == reason


def test_bounds_themselves_and_single_bounds() -> None:
    """A truth may lie on a bound; a model may have one bound only."""
    assert [version(low=0.0, high=100.0).truth_problem(truth) for truth in (0, 100.0)] == [None, None]
    assert version(low=0.0).truth_problem(1e20) is None
    assert version(high=0.0).truth_problem(1) == "is outside the model's output bounds"


def test_bundle_is_read_without_its_estimator(tmp_path: Path) -> None:
    """Three JSON files are enough: what other software serves, or what no library fits any more, is known."""
    directory = copy_bundle(REGRESSION, tmp_path)
    (directory / "model.joblib").unlink()
    (directory / "golden.json").unlink()
    found = read_known_version(ModelKey(REGRESSION, VERSION), directory)
    assert found.key == (REGRESSION, VERSION)
    assert found.signature.output_minimum == -500.0
    assert found.target_stddev > 50
    assert not found.has_confidence
    assert found.store_features


def test_what_the_manifest_and_the_classes_say(tmp_path: Path) -> None:
    """Features may be kept out of the log; a classifier has confidences and no unit of error."""
    directory = copy_bundle(MIXED, tmp_path)
    change_manifest(directory, store_features=False)
    found = read_known_version(ModelKey(MIXED, VERSION), directory)
    assert (found.has_confidence, found.target_stddev, found.store_features) == (True, 1.0, False)


def test_every_version_on_disk_is_found() -> None:
    """The one that serves and the retired one, each by its own fingerprint; others are unknown."""
    known = KnownVersions(bundle_dir())
    found = known.find(fingerprint_of(ModelKey(NUMBERS, VERSION)))
    assert found is not None
    assert found.key == (NUMBERS, VERSION)
    assert known.find(fingerprint_of(ModelKey(NUMBERS, "4"))) is None
    assert known.find(bytes(8)) is None
    assert [one.key for one in known.all()] == sorted((name, VERSION) for name in names_in(bundle_dir()))


def test_new_version_is_found_within_a_second(tmp_path: Path) -> None:
    """An unknown fingerprint lets it look again, but not with every forged or foreign id."""
    clock = Clock()
    copy_bundle(NUMBERS, tmp_path)
    known = KnownVersions(tmp_path, clock)
    mixed = fingerprint_of(ModelKey(MIXED, VERSION))
    assert known.find(mixed) is None
    copy_bundle(MIXED, tmp_path)
    clock.now += 0.9
    assert known.find(mixed) is None
    clock.now += 0.2
    assert known.find(mixed) is not None
    assert len(known.all()) == 2


def test_version_that_goes_and_comes_back(tmp_path: Path) -> None:
    """A removed bundle is unknown after the next look; put back as it was, it is known again."""
    clock = Clock()
    directory = copy_bundle(NUMBERS, tmp_path / "bundles")
    known = KnownVersions(tmp_path / "bundles", clock)
    numbers = fingerprint_of(ModelKey(NUMBERS, VERSION))
    assert known.find(numbers) is not None
    shutil.move(directory, tmp_path / "away")
    clock.now += 6
    assert known.find(bytes(8)) is None
    assert known.find(numbers) is None
    shutil.move(tmp_path / "away", directory)
    clock.now += 6
    assert known.find(numbers) is not None


def test_changed_bundle_is_read_anew(tmp_path: Path) -> None:
    """The look notices a new manifest; an unchanged bundle is not read again."""
    clock = Clock()
    directory = copy_bundle(MIXED, tmp_path)
    known = KnownVersions(tmp_path, clock)
    mixed = fingerprint_of(ModelKey(MIXED, VERSION))
    first = known.find(mixed)
    clock.now += 6
    known.look()
    assert known.find(mixed) is first
    change_manifest(directory, store_features=False)
    os.utime(directory / "manifest.json", (5, 5))
    clock.now += 6
    known.look()
    second = known.find(mixed)
    assert second is not None
    assert not second.store_features


@pytest.mark.parametrize("broken", ["manifest.json", "signature.json", "reference.json"])
def test_bundle_that_cannot_be_read_is_unknown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    """It is said in the log, with its name, and does not hide the others; repaired, it is known."""
    clock = Clock()
    copy_bundle(NUMBERS, tmp_path)
    directory = copy_bundle(MIXED, tmp_path)
    content = (directory / broken).read_bytes()
    (directory / broken).write_bytes(content[:-20])
    known = KnownVersions(tmp_path, clock)
    known.look()
    assert [one.key for one in known.all()] == [(NUMBERS, VERSION)]
    clock.now += 10
    known.look()
    # Once, not at each look.
    assert caplog.text.count("mixed 3 is unknown to the prediction log") == 1
    (directory / broken).write_bytes(content)
    clock.now += 6
    assert known.find(fingerprint_of(ModelKey(MIXED, VERSION))) is not None


@pytest.mark.parametrize("missing", ["manifest.json", "signature.json", "reference.json"])
def test_bundle_without_a_file_is_unknown(tmp_path: Path, missing: str) -> None:
    """A half-deleted bundle is no version."""
    (copy_bundle(MIXED, tmp_path) / missing).unlink()
    known = KnownVersions(tmp_path)
    assert known.find(fingerprint_of(ModelKey(MIXED, VERSION))) is None
    assert known.all() == []


def test_folder_that_cannot_be_listed_leaves_what_is_known(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A volume that is away for a moment makes no truth unknown."""
    clock = Clock()
    copy_bundle(NUMBERS, tmp_path / "bundles")
    known = KnownVersions(tmp_path / "bundles", clock)
    known.look()
    (tmp_path / "bundles").rename(tmp_path / "away")
    clock.now += 6
    assert known.find(bytes(8)) is None
    assert [one.key for one in known.all()] == [(NUMBERS, VERSION)]
    assert "the known ones stand" in caplog.text
