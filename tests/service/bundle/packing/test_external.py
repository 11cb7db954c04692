"""External bundles: what other software's model takes and gives, told by data alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from service.bundle.loader import BundleDescription, describe_bundle, load_bundle
from service.bundle.packing.external import ExternalRequest, pack_external
from service.bundle.scoring import Scorer
from service.errors import BundleError, PackError
from tests import builders

TARGET = builders.TARGET


def pack(
    folder: Path, frame: pd.DataFrame, /, toml: str | None = None, **options: Any
) -> tuple[BundleDescription, list[str]]:
    """Pack a table; give the bundle and what was reported."""
    frame.to_csv(folder / "sample.csv", index=False)
    if toml is not None:
        (folder / "fields.toml").write_text(toml)
        options = {"fields": folder / "fields.toml", **options}
    given: dict[str, Any] = {
        "data": folder / "sample.csv",
        "target": TARGET,
        "name": "m",
        "version": "1",
        "out": folder / "out",
        "created": "2026-03-07T11:13:17Z",
        **options,
    }
    lines: list[str] = []
    packed = pack_external(ExternalRequest(**given), lines.append)
    return describe_bundle(packed.directory), lines


def predicted(name: str) -> pd.DataFrame:
    """Give a test model's held-out rows with what it says of them, as its own software would log it."""
    estimator, _, validation = builders.MODELS[name]()
    inputs: Any = validation.drop(columns=TARGET)
    inputs = inputs["text"].tolist() if name == builders.TEXTS else inputs
    table = validation.assign(said=estimator.predict(inputs))
    if name != builders.REGRESSION:
        table = table.assign(sure=estimator.predict_proba(inputs).max(axis=1))
    return table


def test_table_becomes_signature_and_reference(tmp_path: Path) -> None:
    """Types, categories, missing values and bins as for a model with an estimator; no file of one."""
    _, training, _ = builders.mixed_model()
    bundle, lines = pack(tmp_path, training, toml="[income]\nsensitive = true\nminimum = 0.0\n")
    assert {path.name for path in bundle.directory.iterdir()} == {
        "manifest.json",
        "signature.json",
        "reference.json",
    }
    own = describe_bundle(builders.bundle_dir() / builders.MIXED / builders.VERSION)
    assert bundle.golden is None
    assert bundle.signature.classes == ("no", "yes")
    # The estimator that refuses unknown plans and missing incomes is not known here.
    assert [(feature.name, feature.type, feature.categories) for feature in bundle.signature.features] == [
        (feature.name, feature.type, feature.categories) for feature in own.signature.features
    ]
    assert [feature.nullable for feature in bundle.signature.features] == [True, False, True, False, False]
    assert [feature.sensitive for feature in bundle.signature.features] == [True] + [False] * 4
    assert bundle.reference.features == own.reference.features
    assert lines[0] == "task binary: target holds 2 classes, strings: 'no', 'yes'"
    assert lines[1] == "sample.csv: 277 rows, 5 features"


def test_manifest_says_that_the_model_is_external(tmp_path: Path) -> None:
    """With nothing about an estimator, and no score that nobody measured."""
    _, training, _ = builders.mixed_model()
    manifest = pack(tmp_path, training, store_features=False)[0].manifest
    assert (manifest.external, manifest.framework, manifest.store_features) == (True, "external", False)
    assert (manifest.container, manifest.output, manifest.library_versions) == (None, None, {})
    assert (manifest.validation_scores, manifest.validation_rows, manifest.training_rows) == ({}, 0, 277)
    assert manifest.format_version == 1


def test_without_predictions_nothing_is_said_of_outputs(tmp_path: Path) -> None:
    """Objectives are the defaults, unless they are given."""
    _, training, _ = builders.numbers_model()
    bundle, lines = pack(tmp_path, training, objectives={"label_delay_seconds": 7200.0})
    assert bundle.manifest.objectives == {
        "accuracy": 0.85,
        "error_rate": 0.20,
        "calibration_error": 0.05,
        "latency_p95_seconds": 0.5,
        "drift": 0.1,
        "label_delay_seconds": 7200.0,
    }
    assert bundle.reference.class_counts == {}
    assert bundle.reference.confidence_bins == ()
    assert any("no --prediction column" in line for line in lines)


@pytest.mark.parametrize("name", [builders.NUMBERS, builders.MIXED, builders.TEXTS])
def test_predictions_are_measured_as_those_of_other_bundles(name: str, tmp_path: Path) -> None:
    """Same rows, same model: the same scores, objectives, class counts and confidence bins."""
    own = describe_bundle(builders.bundle_dir() / name / builders.VERSION)
    bundle, _ = pack(tmp_path, predicted(name), prediction="said", confidence="sure")
    scores, expected = bundle.manifest.validation_scores, dict(own.manifest.validation_scores)
    del expected["log_loss"]  # of one probability per row it cannot be told
    assert scores == pytest.approx(expected)
    assert bundle.manifest.validation_rows == own.manifest.validation_rows
    assert bundle.manifest.objectives == own.manifest.objectives
    assert bundle.reference.class_counts == own.reference.class_counts
    found = [(part.rows, part.correct) for part in bundle.reference.confidence_bins]
    assert found == [(part.rows, part.correct) for part in own.reference.confidence_bins]


def test_prediction_without_confidence_has_no_confidence_bins(tmp_path: Path) -> None:
    """Accuracy is measured all the same."""
    frame = predicted(builders.NUMBERS).drop(columns="sure")
    bundle, _ = pack(tmp_path, frame, prediction="said")
    assert bundle.reference.confidence_bins == ()
    assert set(bundle.manifest.validation_scores) == {"accuracy", "f1_macro"}


def test_calibration_that_was_not_measured_has_an_objective(tmp_path: Path) -> None:
    """The predictions that are logged may have a confidence."""
    frame = predicted(builders.NUMBERS).drop(columns="sure")
    bundle, _ = pack(tmp_path, frame, prediction="said")
    assert bundle.manifest.objectives["calibration_error"] == 0.05
    given, _ = pack(tmp_path, frame, prediction="said", version="2", objectives={"calibration_error": 0.01})
    assert given.manifest.objectives["calibration_error"] == 0.01


def test_regression_is_measured(tmp_path: Path) -> None:
    """Bins of the prediction, spread of the target, mean absolute error."""
    own = describe_bundle(builders.bundle_dir() / builders.REGRESSION / builders.VERSION)
    frame = predicted(builders.REGRESSION)
    bundle, lines = pack(tmp_path, frame, prediction="said", output_minimum=0.0)
    assert lines[0] == "task regression: target is a number"
    assert bundle.signature.classes is None
    assert bundle.signature.output_minimum == 0.0
    found, expected = bundle.reference.prediction, own.reference.prediction
    assert found is not None
    assert expected is not None
    assert found.counts == expected.counts
    assert found.edges == pytest.approx(
        expected.edges
    )  # a table as a whole, or by parts: the last bit differs
    assert bundle.reference.target_stddev == pytest.approx(np.std(frame[TARGET]))
    assert bundle.manifest.validation_scores == pytest.approx(own.manifest.validation_scores)
    assert bundle.manifest.objectives == pytest.approx(own.manifest.objectives)


def test_regression_without_predictions_needs_its_objective(tmp_path: Path) -> None:
    """What is a large error, only its user knows."""
    _, training, _ = builders.regression_model()
    with pytest.raises(PackError, match="--objective mae=VALUE"):
        pack(tmp_path, training)
    bundle, _ = pack(tmp_path, training, objectives={"mae": 21.5})
    assert bundle.manifest.objectives["mae"] == 21.5
    assert bundle.reference.prediction is None
    assert bundle.reference.target_stddev == pytest.approx(np.std(training[TARGET]))


def test_share_out_of_distribution_is_that_of_rows_judged_by_others(tmp_path: Path) -> None:
    """By their own range no row of the data would be outside, and each row of tomorrow a surprise."""
    frame = pd.DataFrame({"x": [float(i) for i in range(100)], TARGET: ["a", "b"] * 50})
    bundle, _ = pack(tmp_path, frame)
    assert bundle.reference.validation_rows == 100
    assert 2 <= bundle.reference.out_of_distribution_rows <= 6


def test_single_column_of_strings_is_text(tmp_path: Path) -> None:
    """Novelty needs the confidence; the verdict is the one that a scorer gives."""
    frame = predicted(builders.TEXTS)
    bundle, lines = pack(tmp_path, frame, prediction="said", confidence="sure")
    assert bundle.signature.input == "text"
    assert lines[1].startswith("input text: column 'text'; if it is a category, say type")
    assert bundle.manifest.monitored_features == ()
    novelty = bundle.reference.text_novelty
    assert novelty is not None
    assert "hammer" in novelty.vocabulary
    assert bundle.reference.out_of_distribution_rows == pytest.approx(0.05 * len(frame), abs=2)
    without, _ = pack(tmp_path, frame.drop(columns="sure"), prediction="said", version="2")
    assert without.reference.text_novelty is None
    assert without.reference.out_of_distribution_rows == 0


def test_type_of_a_single_column_can_be_declared(tmp_path: Path) -> None:
    """Digits may be a text, and words a category."""
    frame = pd.DataFrame({"code": ["0404", "0503", "0404", "0500", "0503"] * 2, TARGET: ["a", "b"] * 5})
    text, lines = pack(tmp_path, frame, toml='[code]\ntype = "text"\n')
    assert lines[1] == "input text: column 'code'"
    assert (text.signature.input, text.signature.features[0].example) == ("text", "0404")
    category, _ = pack(tmp_path, frame, toml='[code]\ntype = "category"\n', version="2")
    assert category.signature.input == "tabular"
    assert category.signature.features[0].categories == ("0404", "0503", "0500")


def test_missing_text_is_left_out(tmp_path: Path) -> None:
    """The service refuses it, and `nan` is no word."""
    texts = [f"lost my saw {number}" for number in range(20)]
    frame = pd.DataFrame({"text": [*texts[1:], None], TARGET: ["a", "b"] * 10, "said": ["a", "b"] * 10})
    bundle, lines = pack(tmp_path, frame.assign(sure=0.75), prediction="said", confidence="sure")
    assert not bundle.signature.features[0].nullable
    assert bundle.manifest.validation_rows == 19
    assert sum("left out: the service refuses them" in line for line in lines) == 1
    novelty = bundle.reference.text_novelty
    assert novelty is not None
    assert "nan" not in novelty.vocabulary


def test_truths_stay_with_their_rows_when_some_are_left_out(tmp_path: Path) -> None:
    """A model that is always right stays so."""
    frame = pd.DataFrame({"x": np.arange(60.0), TARGET: ["a", "b", "c"] * 20})
    frame = frame.assign(said=frame[TARGET], sure=0.9)
    frame.loc[[3, 17], "x"] = 1e31  # larger than the service takes
    bundle, _ = pack(tmp_path, frame, prediction="said", confidence="sure")
    assert bundle.manifest.validation_rows == 58
    assert bundle.manifest.validation_scores["accuracy"] == 1.0
    assert bundle.reference.class_counts == {"a": 19, "b": 20, "c": 19}


@pytest.mark.parametrize(
    ("labels", "said", "classes", "kind"),
    [
        (["1", "0"], ["1", "0"], (0, 1), "integers"),
        (["1", "0"], ["1.0", "0.0"], (0, 1), "integers"),
        (["true", "false"], ["True", "False"], (False, True), "booleans"),
        (["01", "x"], ["01", "01"], ("01", "x"), "strings"),
    ],
)
def test_classes_have_the_type_of_the_target(
    labels: list[str], said: list[str], classes: tuple[Any, ...], kind: str, tmp_path: Path
) -> None:
    """Predictions are read in the same type, however they are written."""
    frame = pd.DataFrame({"x": np.arange(60.0), TARGET: labels * 30, "said": said * 30})
    objectives = {"accuracy": 0.1, "error_rate": 0.9}
    bundle, lines = pack(tmp_path, frame, prediction="said", objectives=objectives)
    assert bundle.signature.classes == classes
    assert type((bundle.signature.classes or ())[0]) is type(classes[0])
    assert f"holds 2 classes, {kind}: " in lines[0]


def test_classes_can_be_declared_strings(tmp_path: Path) -> None:
    """A code made of digits keeps its leading zeros."""
    frame = pd.DataFrame({"x": np.arange(60.0), TARGET: ["01", "02"] * 30, "said": ["01", "02"] * 30})
    bundle, _ = pack(tmp_path, frame, toml='[target]\ntype = "category"\n', prediction="said")
    assert bundle.signature.classes == ("01", "02")
    assert bundle.manifest.validation_scores["accuracy"] == 1.0


def test_columns_are_ignored_and_unmonitored(tmp_path: Path) -> None:
    """An identifier is no feature, a calendar no sign of drift."""
    _, training, _ = builders.numbers_model()
    frame = training.assign(row_id=range(len(training)))
    bundle, _ = pack(tmp_path, frame, ignore=("row_id",), unmonitored=("slope",))
    assert [feature.name for feature in bundle.signature.features] == ["height", "girth", "slope"]
    assert bundle.manifest.monitored_features == ("height", "girth")


def test_same_inputs_give_the_same_bytes(tmp_path: Path) -> None:
    """Given the time of creation."""
    frame = predicted(builders.TEXTS)
    found = []
    for _ in range(2):
        bundle, _ = pack(tmp_path, frame, prediction="said", confidence="sure", force=True)
        found.append({path.name: path.read_bytes() for path in bundle.directory.iterdir()})
    assert found[0] == found[1]


def test_external_bundle_is_described_but_not_loaded(tmp_path: Path) -> None:
    """There is nothing to predict with, and the manifest tells before."""
    _, training, _ = builders.numbers_model()
    bundle, _ = pack(tmp_path, training)
    with pytest.raises(BundleError, match="is of an external model: there is no estimator") as caught:
        load_bundle(bundle.directory)
    assert caught.value.reason == "manifest"


NAN = float("nan")
GOOD = pd.DataFrame(
    {
        "x": np.arange(20.0),
        "colour": ["red", "blue"] * 10,
        TARGET: ["a", "b"] * 10,
        "said": ["a", "b"] * 10,
        "sure": [0.75] * 20,
    }
)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "species"}, "has no column 'species'"),
        ({"prediction": "says"}, "has no column 'says'"),
        ({"prediction": "said", "confidence": "surely"}, "has no column 'surely'"),
        ({"ignore": ("row_id",)}, "has no column 'row_id'"),
        ({"unmonitored": ("age",)}, "--unmonitored: 'age' is no feature"),
        ({"unmonitored": ("said",), "prediction": "said"}, "--unmonitored: 'said' is no feature"),
        ({"ignore": ("x", "colour", "said", "sure")}, "has no column that is a feature"),
        ({"confidence": "sure"}, "give --prediction COLUMN as well"),
        ({"prediction": TARGET}, "must be different columns"),
        ({"prediction": "colour"}, "the prediction 'colour' is 'red' in line 2; the classes of the model"),
        ({"prediction": "said", "confidence": "x"}, "the confidence 'x' is not between 0 and 1 in line 4"),
        ({"task": "multiclass"}, "has 2 classes, that is no multiclass"),
        ({"task": "regression"}, "the target 'target' is not a number in every row"),
        ({"target": "x", "prediction": "sure", "confidence": "said"}, "a regression has none"),
        ({"target": "x", "prediction": "sure", "output_minimum": 0.8}, "'sure' is out of bounds in line 2"),
        ({"objectives": {"mae": 3.0}}, "no objective 'mae'"),
        ({"prediction": "said", "objectives": {"accuracy": 0.999}}, "nearer than 3 standard errors"),
        ({"toml": "[age]\nunit = 'years'\n"}, r"fields\.toml: 'age' is no feature"),
        ({"toml": "[target]\nunit = 'years'\n"}, "'target' is the target; it takes type"),
        ({"toml": "[x]\nfill = 1.0\n"}, r"x\.fill: an external model fills missing values itself"),
        ({"toml": '[colour]\ntype = "text"\n'}, "declared text.*leave the others out with --ignore x"),
        ({"toml": "[x]\nminimum = 5.0\n"}, "column 'x' has 0, below its minimum 5"),
        ({"series_limit": 100}, "time series, the limit is 100"),
        ({"name": "Upper"}, "--name 'Upper' does not match"),
        ({"data": Path("none.csv")}, r"none\.csv: cannot be read"),
    ],
)
def test_bad_request_is_refused_with_one_line_and_nothing_written(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    """The line names the option, the column or the file."""
    with pytest.raises(PackError, match=message) as caught:
        pack(tmp_path, GOOD, **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        (TARGET, ["a", None] * 10, "the target 'target' is missing in line 3"),
        (TARGET, ["a"] * 20, "the target 'target' is 'a' in every row"),
        ("said", ["a", None] * 10, "the prediction 'said' is missing in line 3"),
        ("sure", [0.5, NAN] * 10, "the confidence 'sure' is missing in line 3"),
        ("x", [0.5, float("inf")] * 10, "column 'x' has a value that is not finite"),
        ("x", [None] * 20, "column 'x' has no values"),
    ],
)
def test_bad_data_is_refused(column: str, values: list[Any], message: str, tmp_path: Path) -> None:
    """The line names the column."""
    with pytest.raises(PackError, match=message):
        pack(tmp_path, GOOD.assign(**{column: values}), prediction="said", confidence="sure")


def test_too_few_rows_are_refused(tmp_path: Path) -> None:
    """Each fifth is judged by the others."""
    with pytest.raises(PackError, match="has 4 rows, too few for 5 folds"):
        pack(tmp_path, GOOD.head(4))


def test_sensitive_text_needs_an_example_that_is_nobodys(tmp_path: Path) -> None:
    """A real one would be shown in the documentation."""
    frame = GOOD.drop(columns=["x", "said", "sure"])
    with pytest.raises(PackError, match="column 'colour' is sensitive: give an example"):
        pack(tmp_path, frame, toml="[colour]\nsensitive = true\n")
    bundle, _ = pack(tmp_path, frame, toml='[colour]\nsensitive = true\nexample = "a colour"\n')
    assert bundle.signature.features[0].example == "a colour"
    with pytest.raises(PackError, match="'colour' is declared nullable, but a text is never missing"):
        pack(tmp_path, frame, toml="[colour]\nnullable = true\n", version="2")


def test_scorer_and_external_bundle_agree_on_novelty(tmp_path: Path) -> None:
    """The reference of an external bundle judges as that of any other: here with the model itself."""
    estimator, _, validation = builders.texts_model()
    bundle, _ = pack(tmp_path, predicted(builders.TEXTS), prediction="said", confidence="sure")
    scorer = Scorer(bundle.signature, bundle.reference, estimator, "text", "argmax")
    rows = [(text,) for text in [*validation["text"].head(20), "quantum leptons decay"]]
    assert scorer.score(rows).distribution.tolist()[-1] == 3
    assert sum(code == 3 for code in scorer.score(rows).distribution.tolist()) <= 3
