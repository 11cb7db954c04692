"""The body of a logged prediction is read by its model's signature, and every mistake has its field."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.logged_prediction import (
    FIELDS,
    LoggedPrediction,
    name_in,
    read_logged_prediction,
    read_object,
)
from service.bundle.distribution import InputJudge
from service.bundle.reference import Reference
from service.bundle.row_schema import RowParser
from service.bundle.signature import Feature, Signature
from service.errors import InvalidInputError
from service.events import ModelKey
from service.inference.models import DescribedModel

REFERENCE = Reference(rows=1, features={}, validation_rows=1, out_of_distribution_rows=0)
FEATURES = (
    Feature(name="x", type="number", minimum=-5.0, maximum=5.0),
    Feature(name="y", type="integer", nullable=True),
)


def model(
    *classes: bool | int | str, low: float | None = None, high: float | None = None, text: bool = False
) -> DescribedModel:
    """Describe a model with these classes, or a regression without."""
    signature = Signature(
        task="multiclass" if classes else "regression",
        input="text" if text else "tabular",
        features=(Feature(name="message", type="text"),) if text else FEATURES,
        classes=classes or None,
        output_minimum=low,
        output_maximum=high,
    )
    return DescribedModel(
        ModelKey("loans", "7"), signature, RowParser(signature, 10), InputJudge(signature, REFERENCE)
    )


CLASSES = model("no", "yes")
NUMBER = model(low=0.0, high=100.0)
GOOD = {"prediction": "yes", "latency_ms": 12.5}


def read(content: object, described: DescribedModel = CLASSES) -> LoggedPrediction:
    """Read a body."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return read_logged_prediction(read_object(body), described)


def problem(content: object, described: DescribedModel = CLASSES) -> tuple[str, str, str]:
    """Read a body that must be refused with one violation; say which."""
    with pytest.raises(InvalidInputError) as caught:
        read(content, described)
    (one,) = caught.value.violations
    return one.field, one.message, one.reason


def test_least_and_most_that_can_be_told() -> None:
    """Prediction and latency are enough; confidence and features may come along."""
    assert read(GOOD) == LoggedPrediction(1, None, 12.5, None, None)
    everything = GOOD | {"confidence": 0.75, "features": {"y": 3, "x": 1}, "model_name": "loans"}
    assert read(everything) == LoggedPrediction(1, None, 12.5, 0.75, (1.0, 3))
    assert read(GOOD | {"confidence": None, "features": None}) == read(GOOD)


@pytest.mark.parametrize("confidence", [0, 0.0, 5e-324, 0.5, 1, 1.0])
def test_confidence_is_a_share(confidence: float) -> None:
    """Its ends belong to it, written as whole numbers too."""
    found = read(GOOD | {"confidence": confidence}).confidence
    assert (found, type(found)) == (confidence, float)


@pytest.mark.parametrize(
    ("described", "prediction", "index"),
    [
        (model(False, True), True, 1),
        (model(0, 1), 1, 1),
        (model(7, 1, 3), 3, 2),
        (model("1", "0"), "1", 0),
        (CLASSES, "no", 0),
    ],
)
def test_classes_have_their_position(described: DescribedModel, prediction: object, index: int) -> None:
    """A class is found by value and type."""
    found = read({"prediction": prediction, "latency_ms": 1}, described)
    assert (found.class_index, found.value) == (index, None)


@pytest.mark.parametrize("prediction", [0, 100, 99.5, -0.0])
def test_numbers_are_predictions_of_a_regression(prediction: float) -> None:
    """Within the bounds of its output, ends included."""
    found = read({"prediction": prediction, "latency_ms": 0}, NUMBER)
    assert (found.class_index, found.value, found.confidence) == (None, prediction, None)
    assert type(found.value) is float


def test_number_without_bounds_is_bounded_all_the_same() -> None:
    """Its square must be a number."""
    assert read({"prediction": -1e30, "latency_ms": 0}, model()).value == -1e30
    assert problem({"prediction": 1.1e30, "latency_ms": 0}, model()) == (
        "prediction",
        "must be from -1e+30 to 1e+30",
        "range",
    )


@pytest.mark.parametrize("features", [[1.5, 3], {"x": 1.5, "y": 3}, {"y": 3, "x": 1.5}])
def test_features_come_in_every_form_of_a_row(features: object) -> None:
    """By name or by position, as in a prediction request."""
    assert read(GOOD | {"features": features}).row == (1.5, 3)


@pytest.mark.parametrize("features", [["two words"], {"message": "two words"}])
def test_texts(features: object) -> None:
    """A text model's row is its text."""
    body = {"prediction": "no", "latency_ms": 1, "features": features}
    assert read(body, model("no", "yes", text=True)).row == ("two words",)


CLASS_PROBLEM = "is not one of the model's classes"
PROBLEMS: list[tuple[DescribedModel, dict[str, object], str, str, str]] = [
    (CLASSES, {"prediction": ...}, "prediction", "is missing", "missing"),
    (CLASSES, {"prediction": None}, "prediction", "is missing", "missing"),
    (CLASSES, {"prediction": "maybe"}, "prediction", CLASS_PROBLEM, "category"),
    (CLASSES, {"prediction": True}, "prediction", CLASS_PROBLEM, "category"),
    (CLASSES, {"prediction": ["yes"]}, "prediction", CLASS_PROBLEM, "category"),
    (model(0, 1), {"prediction": True}, "prediction", CLASS_PROBLEM, "category"),
    (model(0, 1), {"prediction": 1.0}, "prediction", CLASS_PROBLEM, "category"),
    (model(False, True), {"prediction": 1}, "prediction", CLASS_PROBLEM, "category"),
    (NUMBER, {"prediction": "7"}, "prediction", "must be a number", "type"),
    (NUMBER, {"prediction": True}, "prediction", "must be a number", "type"),
    (NUMBER, {"prediction": [7]}, "prediction", "must be a number", "type"),
    (NUMBER, {"prediction": 100.5}, "prediction", "must be from 0 to 100", "range"),
    (NUMBER, {"prediction": 7, "confidence": 0.5}, "confidence", "is not for a regression model", "extra"),
    (CLASSES, {"latency_ms": ...}, "latency_ms", "is missing", "missing"),
    (CLASSES, {"latency_ms": None}, "latency_ms", "is missing", "missing"),
    (CLASSES, {"latency_ms": "3"}, "latency_ms", "must be a number", "type"),
    (CLASSES, {"latency_ms": False}, "latency_ms", "must be a number", "type"),
    (CLASSES, {"latency_ms": -0.001}, "latency_ms", "must be from 0 to 8.64e+07", "range"),
    (CLASSES, {"latency_ms": 86_400_001}, "latency_ms", "must be from 0 to 8.64e+07", "range"),
    (CLASSES, {"confidence": -0.01}, "confidence", "must be from 0 to 1", "range"),
    (CLASSES, {"confidence": 1.0000001}, "confidence", "must be from 0 to 1", "range"),
    (CLASSES, {"confidence": True}, "confidence", "must be a number", "type"),
    (CLASSES, {"confidence": "0.5"}, "confidence", "must be a number", "type"),
    (CLASSES, {"featrues": []}, "featrues", "is not a field of a prediction", "extra"),
    (CLASSES, {"k" * 999: []}, "k" * 64, "is not a field of a prediction", "extra"),
    (CLASSES, {"features": 7}, "features", "must be an object", "type"),
    (CLASSES, {"features": "x"}, "features", "must be an object", "type"),
    (CLASSES, {"features": {"x": "1"}}, "features.x", "must be a number", "type"),
    (CLASSES, {"features": {"x": 6, "y": 1}}, "features.x", "must be at most 5", "range"),
    (CLASSES, {"features": {"y": 1}}, "features.x", "is missing", "missing"),
    (CLASSES, {"features": {"x": 1, "z": 1}}, "features.z", "is not in the signature", "extra"),
    (CLASSES, {"features": {"x": None}}, "features.x", "must be a number", "type"),
    (CLASSES, {"features": [1, 2.5]}, "features[1]", "must be a whole number", "type"),
]


@pytest.mark.parametrize(("described", "changes", "field", "message", "reason"), PROBLEMS)
def test_what_breaks_the_signature(
    described: DescribedModel, changes: dict[str, object], field: str, message: str, reason: str
) -> None:
    """One violation, with its field as the client wrote it."""
    good = GOOD if described.signature.classes else {"prediction": 7, "latency_ms": 1}
    content = {key: value for key, value in (good | changes).items() if value is not ...}
    assert problem(content, described) == (field, message, reason)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"prediction": "yes", "latency_ms": NaN}',
        b'{"prediction": "yes", "latency_ms": 1e999}',
        b'{"prediction": "\\ud800", "latency_ms": 1}',
        b"[" * 5000 + b"]" * 5000,
    ],
)
def test_body_that_is_no_object(body: bytes) -> None:
    """Not JSON, or not an object."""
    field, message, reason = problem(body)
    assert (field, reason) == ("body", "type")
    assert message == "must be an object" or message.startswith("not valid JSON: ")


@pytest.mark.parametrize("depth", [100, 200, 300, 1000])
@pytest.mark.parametrize("field", ["features", "prediction", "latency_ms", "confidence"])
def test_deep_nesting_is_refused_at_any_depth(field: str, depth: int) -> None:
    """What is within the reader's depth is no matter for the writer's."""
    bodies = dict.fromkeys(("prediction", "latency_ms"), b"1") | {field: b"[" * depth + b"]" * depth}
    body = b"{" + b",".join(b'"%b":%b' % (key.encode(), value) for key, value in bodies.items()) + b"}"
    for described in (model(0, 1), NUMBER):
        with pytest.raises(InvalidInputError):
            read(body, described)


@pytest.mark.parametrize("value", [10**18, 2**64 - 1, 10**30, -(10**18)])
def test_large_whole_numbers_are_no_trouble(value: int) -> None:
    """They are numbers like others: too large here, and never an error of ours."""
    for field in ("prediction", "latency_ms", "confidence"):
        assert problem({"prediction": 7, "latency_ms": 1} | {field: value}, NUMBER)[2] in {"range", "extra"}
    assert problem(GOOD | {"features": [1, value]})[2] in {"range", "type"}


@pytest.mark.parametrize("name", ["model_name", "model_version"])
def test_names_are_texts(name: str) -> None:
    """Null or nothing stands for the default."""
    assert name_in({}, name) is None
    assert name_in({name: None}, name) is None
    assert name_in({name: "loans"}, name) == "loans"
    wrongs: list[object] = ["", 7, True, ["loans"], {}]
    for wrong in wrongs:
        with pytest.raises(InvalidInputError) as caught:
            name_in({name: wrong}, name)
        assert caught.value.violations[0].field == name


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, json_values)),
    st.sampled_from([CLASSES, NUMBER, model(False, True), model(0, 1)]),
)
def test_any_content_is_read_or_refused(content: dict[str, Any], described: DescribedModel) -> None:
    """There is no third way, and what is read fits the model."""
    try:
        found = read(content, described)
    except InvalidInputError:
        return
    assert (found.class_index is None) != (found.value is None)
    assert 0 <= found.latency_ms <= 86_400_000
    assert found.confidence is None or 0 <= found.confidence <= 1
    assert found.row is None or len(found.row) == 2
