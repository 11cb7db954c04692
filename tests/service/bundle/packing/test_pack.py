"""Packing: any fitted estimator and its table become a bundle; the same inputs give the same bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from service.bundle.golden import check_predictions
from service.bundle.loader import ModelBundle, load_bundle
from service.bundle.packing.pack import PackRequest, pack_bundle
from service.errors import PackError
from tests import builders


def contents(directory: Path) -> dict[str, bytes]:
    """Read all files of a bundle."""
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def pack(folder: Path, model: str = builders.NUMBERS, /, **options: Any) -> tuple[ModelBundle, list[str]]:
    """Pack a test model by plain options; give the loaded bundle and what was reported."""
    estimator, training, validation = builders.MODELS[model]()
    return pack_these(folder, estimator, training, validation, **options)


def pack_these(
    folder: Path, estimator: Any, training: pd.DataFrame, validation: pd.DataFrame | None, /, **options: Any
) -> tuple[ModelBundle, list[str]]:
    """Pack an estimator and load the bundle."""
    request = builders.write_inputs(folder, estimator, training, validation)
    request = {**request, "name": "m", "version": "1", "out": folder / "out", **options}
    lines: list[str] = []
    packed = pack_bundle(PackRequest(**request), lines.append)
    bundle = load_bundle(packed.directory)
    check_predictions(bundle)
    return bundle, lines


@pytest.mark.parametrize("name", builders.MODELS)
def test_same_inputs_give_the_same_bytes(name: str, tmp_path: Path) -> None:
    """All of the bundle, given the time of creation."""
    builders.pack_model(name, tmp_path)
    first = contents(builders.bundle_dir() / name / builders.VERSION)
    assert contents(tmp_path / name / builders.VERSION) == first


def test_folds_are_the_same_each_time(tmp_path: Path) -> None:
    """Out-of-fold validation is part of what is reproducible."""
    estimator, training, _ = builders.mixed_model()
    found = []
    for number in ("1", "2"):
        (tmp_path / number).mkdir()
        bundle, _ = pack_these(tmp_path / number, estimator, training, None, created="2026-03-07T11:13:17Z")
        found.append(contents(bundle.directory))
    assert found[0] == found[1]


def test_model_file_is_the_users_own(tmp_path: Path) -> None:
    """Whoever has the file can find the bundle by its hash."""
    bundle, _ = pack(tmp_path)
    assert (bundle.directory / "model.joblib").read_bytes() == (tmp_path / "model.joblib").read_bytes()


def test_manifest_tells_what_was_packed(tmp_path: Path) -> None:
    """Scores, rows, time and what is monitored."""
    bundle, lines = pack(tmp_path, created="2026-03-07T12:13:17+01:00", unmonitored=("slope",))
    manifest = bundle.manifest
    assert manifest.created == "2026-03-07T11:13:17Z"
    assert (manifest.training_rows, manifest.validation_rows) == (263, 130)
    assert manifest.monitored_features == ("height", "girth")
    assert manifest.validation_scores["accuracy"] > 0.95
    assert manifest.container == "array"
    assert manifest.output == "argmax"
    assert lines[-1] == f"wrote {bundle.directory}"


def test_without_validation_clones_stand_for_it_and_the_output_says_so(tmp_path: Path) -> None:
    """Out of fold, every training row is a validation row."""
    estimator, training, _ = builders.mixed_model()
    bundle, lines = pack_these(tmp_path, estimator, training, None)
    assert bundle.manifest.validation_rows == 277
    assert any("out-of-fold predictions" in line for line in lines)
    assert any(line.startswith("fold 5 of 5") for line in lines)


def test_estimator_that_takes_missing_values_itself(tmp_path: Path) -> None:
    """Nullable without an imputer, served as an array."""
    estimator, training, validation = builders.mixed_model()
    columns = ["income", "visits", "target"]
    estimator = HistGradientBoostingClassifier(max_iter=20).fit(training[columns[:2]], training["target"])
    bundle, _ = pack_these(tmp_path, estimator, training[columns], validation[columns])
    assert [feature.nullable for feature in bundle.signature.features] == [True, False]
    assert bundle.manifest.container == "array"


def test_estimator_without_probabilities(tmp_path: Path) -> None:
    """No confidence, no calibration bins, no calibration error to keep."""
    _, training, validation = builders.numbers_model()
    estimator = SVC().fit(training.drop(columns="target"), training["target"])
    bundle, _ = pack_these(tmp_path, estimator, training, validation)
    assert bundle.manifest.output == "predict"
    assert bundle.reference.confidence_bins == ()
    assert set(bundle.manifest.objectives) == {"accuracy", "error_rate", "latency_p95_seconds", "drift"}


def test_badly_calibrated_estimator_is_packed_with_what_it_has(tmp_path: Path) -> None:
    """Its error on validation rows and three standard deviations are the objective; nearer is refused."""
    estimator, training, validation = builders.numbers_model()
    unsure = clone(estimator).set_params(logisticregression__C=0.003)
    unsure.fit(training.drop(columns="target"), training["target"])
    bundle, lines = pack_these(tmp_path, unsure, training, validation)
    error, objective = (
        bundle.manifest.validation_scores["calibration_error"],
        bundle.manifest.objectives["calibration_error"],
    )
    assert bundle.manifest.validation_scores["accuracy"] > 0.95
    assert 0.3 < error < objective < error + 0.1
    assert f"calibration_error {objective:g}" in next(line for line in lines if line.startswith("objectives"))
    with pytest.raises(PackError, match=r"calibration_error=0\.2 is nearer than 3 standard errors"):
        pack_these(tmp_path, unsure, training, validation, objectives={"calibration_error": 0.2}, version="2")


def test_estimator_fitted_on_an_array_with_integer_classes(tmp_path: Path) -> None:
    """Columns in the order of the file, ignored ones left out, classes as numbers."""
    _, training, validation = builders.numbers_model()
    number = {"ash": 3, "birch": 5, "cedar": 8}
    tables = [
        frame.assign(target=frame["target"].map(number), note=range(len(frame)))
        for frame in (training, validation)
    ]
    estimator = DecisionTreeClassifier(random_state=0)
    estimator.fit(tables[0][["height", "girth", "slope"]].to_numpy(), tables[0]["target"])
    bundle, _ = pack_these(tmp_path, estimator, *tables, ignore=("note",))
    assert bundle.signature.classes == (3, 5, 8)
    assert [feature.name for feature in bundle.signature.features] == ["height", "girth", "slope"]
    assert set(bundle.reference.class_counts) == {"3", "5", "8"}


@pytest.mark.parametrize("labels", [("1", "2", "3"), ("true", "false", "maybe"), ("01", "1", "1.0")])
def test_classes_that_look_like_something_else_stay_strings(labels: tuple[str, ...], tmp_path: Path) -> None:
    """A CSV file does not tell "1" from 1; the estimator does."""
    _, training, validation = builders.numbers_model()
    names = dict(zip(("ash", "birch", "cedar"), labels, strict=True))
    tables = [frame.assign(target=frame["target"].map(names)) for frame in (training, validation)]
    estimator = DecisionTreeClassifier(random_state=0)
    estimator.fit(tables[0].drop(columns="target"), tables[0]["target"])
    bundle, _ = pack_these(tmp_path, estimator, *tables)
    assert bundle.signature.classes == tuple(sorted(labels))
    assert bundle.manifest.validation_scores["accuracy"] > 0.9


def test_codes_are_served_as_strings(tmp_path: Path) -> None:
    """Declared a category, a column of digits keeps its leading zeros up to the estimator."""
    generator = np.random.default_rng(41)
    frame = pd.DataFrame({"code": generator.choice(["01067", "04103", "10115"], 120)})
    frame["target"] = np.where(frame["code"] == "01067", "east", "west")
    estimator = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    estimator.fit(frame[["code"]], frame["target"])
    (tmp_path / "fields.toml").write_text('[code]\ntype = "category"\n')
    bundle, _ = pack_these(tmp_path, estimator, frame, None, fields=tmp_path / "fields.toml")
    assert set(bundle.signature.features[0].categories or ()) == {"01067", "04103", "10115"}
    assert bundle.manifest.validation_scores["accuracy"] == 1.0


def test_columns_that_should_not_be_monitored_are_named(tmp_path: Path) -> None:
    """With the option that leaves them out of drift."""
    _, training, validation = builders.regression_model()
    tables = [frame.rename(columns={"rooms": "month"}) for frame in (training, validation)]
    estimator = LinearRegression().fit(tables[0][["area", "month"]], tables[0]["target"])
    _, lines = pack_these(tmp_path, estimator, *tables)
    assert [line for line in lines if line.startswith("warning")] == [
        (
            "warning: month looks like a calendar column: it moves by itself; "
            "leave it out of drift with --unmonitored month"
        )
    ]


def test_existing_bundle_is_kept_without_force(tmp_path: Path) -> None:
    """And is refused before anything is computed."""
    bundle, _ = pack(tmp_path)
    before = contents(bundle.directory)
    with pytest.raises(PackError, match="out/m/1: exists"):
        pack(tmp_path, created="2026-03-07T11:13:17Z")
    assert contents(bundle.directory) == before
    pack(tmp_path, created="2026-03-07T11:13:17Z", force=True)
    assert contents(bundle.directory) != before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "Upper"}, "--name 'Upper' does not match"),
        ({"version": "../1"}, r"--version '\.\./1' does not match"),
        ({"target": "species"}, "has no column 'species'"),
        ({"unmonitored": ("age",)}, "--unmonitored: 'age' is no feature"),
        ({"created": "yesterday"}, "--created yesterday is no ISO 8601 time"),
        ({"created": "2026-03-07T11:13:17"}, "has no time zone"),
        ({"objectives": {"accuracy": 0.99}}, "nearer than 3 standard errors"),
        ({"objectives": {"latency_p95_seconds": 0.3}}, "is no bucket bound"),
        ({"series_limit": 100}, "time series, the limit is 100"),
        ({"data": Path("none.csv")}, "none.csv: cannot be read"),
        ({"validation": Path("none.csv")}, "none.csv: cannot be read"),
        ({"model": Path("none.joblib")}, "none.joblib: cannot be read"),
        ({"fields": Path("none.toml")}, "none.toml: cannot be read"),
    ],
)
def test_bad_request_is_refused_with_one_line_and_nothing_written(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    """The line names the option or the file."""
    with pytest.raises(PackError, match=message) as caught:
        pack(tmp_path, **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_field_of_no_feature_is_refused(tmp_path: Path) -> None:
    """A mistyped name would be lost in silence."""
    (tmp_path / "fields.toml").write_text("[heigth]\nunit = 'm'\n")
    with pytest.raises(PackError, match=r"fields\.toml: 'heigth' is no feature"):
        pack(tmp_path, fields=tmp_path / "fields.toml")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("height", np.inf, "column 'height' has a value that is not finite"),
        ("target", None, "the target 'target' is missing in line 2"),
        ("target", "oak", "is 'oak' in line 2"),
    ],
)
def test_bad_data_is_refused(column: str, value: Any, message: str, tmp_path: Path) -> None:
    """The line names the column."""
    estimator, training, validation = builders.numbers_model()
    broken = training.copy()
    broken[column] = [value, *training[column].tolist()[1:]]
    with pytest.raises(PackError, match=message):
        pack_these(tmp_path, estimator, broken, validation)


def test_validation_without_a_feature_is_refused(tmp_path: Path) -> None:
    """The line names file and column."""
    estimator, training, validation = builders.numbers_model()
    with pytest.raises(PackError, match=r"validation\.csv: has no column 'girth'"):
        pack_these(tmp_path, estimator, training, validation.drop(columns="girth"))


def test_reference_counts_every_training_row(tmp_path: Path) -> None:
    """Each feature's bins, missing included, add up to the rows."""
    bundle, _ = pack(tmp_path, builders.MIXED)
    for known in bundle.reference.features.values():
        assert sum(known.counts) == bundle.reference.rows == 277
    assert sum(bundle.reference.class_counts.values()) == bundle.reference.validation_rows == 134
    assert sum(part.rows for part in bundle.reference.confidence_bins) == 134


def test_compressed_model_file_is_packed(tmp_path: Path) -> None:
    """Compression by joblib is the user's choice."""
    estimator, training, validation = builders.numbers_model()
    builders.write_inputs(tmp_path, estimator, training, validation)
    joblib.dump(estimator, tmp_path / "small.joblib", compress=9)
    bundle, _ = pack_these(tmp_path, estimator, training, validation, model=tmp_path / "small.joblib")
    assert bundle.manifest.files["model.joblib"].size_bytes == (tmp_path / "small.joblib").stat().st_size


def test_bundle_is_readable_json(tmp_path: Path) -> None:
    """Every file but the model is JSON that a person can read."""
    bundle, _ = pack(tmp_path)
    for name in ("manifest.json", "signature.json", "reference.json", "golden.json"):
        text = (bundle.directory / name).read_text()
        json.loads(text)
        assert text.endswith("}\n")
