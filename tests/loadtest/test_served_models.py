"""Rows joined with signatures."""

from __future__ import annotations

import json

import pytest

from loadtest.payloads import PayloadError, Scalar, Table
from loadtest.served_models import (
    Feature,
    ServedModel,
    TargetError,
    describe_model,
    request_prediction_id,
    rows_in_signature_order,
    truths_in_signature_spelling,
)
from tests.loadtest.stub_predictor import SIGNATURES, TOKEN, stub_predictor

TABLE = Table(("petal width (cm)", "age"), ((1.5, 41.0), (2.5, 42.0)))


def _features(*names: str, type_: str = "number") -> tuple[Feature, ...]:
    return tuple(Feature(name, type_, nullable=False) for name in names)


def test_rows_follow_the_names_of_the_signature() -> None:
    """Names that agree but for spelling and unit decide the order, not the place in the table."""
    assert rows_in_signature_order("m", TABLE, _features("Age", "petal_width"))[0] == (41.0, 1.5)


def test_rows_with_other_names_go_by_position() -> None:
    """Where the names are others, the first column is the first feature."""
    assert rows_in_signature_order("m", TABLE, _features("x0", "x1"))[1] == (2.5, 42.0)


def test_integers_are_sent_as_integers() -> None:
    """A signature that wants whole numbers gets them without a fraction."""
    row = rows_in_signature_order("m", Table(("a",), ((7.0,),)), _features("a", type_="integer"))[0]
    assert json.dumps(row) == "[7]"


def test_another_number_of_features_is_refused() -> None:
    """The error says how many features the model wants and how many the rows have."""
    with pytest.raises(PayloadError, match="model m wants 3 features, the rows for it have 2"):
        rows_in_signature_order("m", TABLE, _features("a", "b", "c"))


def test_bodies_of_a_text_model_hold_the_text() -> None:
    """A text model gets the short form, its batches the rows as objects or as lists."""
    model = ServedModel("tickets", _features("text", type_="text"), ("a",), (("hi",),))
    assert json.loads(model.single_body(("hi",))) == {"text": "hi"}
    assert json.loads(model.batch_body([("hi",), ("ho",)])) == {"batch": [{"text": "hi"}, {"text": "ho"}]}
    assert json.loads(model.batch_body([("hi",)], positional=True)) == {"batch": [["hi"]]}


def test_a_model_is_described_by_the_predictor() -> None:
    """Names, types and classes come from the predictor, with the token sent along."""
    table = Table(tuple(f"a{index}" for index in range(4)), ((1.0, 2.0, 3.0, 4.0),))
    with stub_predictor(token=TOKEN) as stub:
        model = describe_model(stub.url, "iris", {"Authorization": f"Bearer {TOKEN}"}, table, 0)
        with pytest.raises(TargetError, match="was answered 401"):
            describe_model(stub.url, "iris", {}, table, 0)
    assert [feature.name for feature in model.features] == [each.name for each in SIGNATURES["iris"].features]
    assert model.classes == SIGNATURES["iris"].classes


def test_an_unknown_model_or_address_is_named() -> None:
    """The error names the address and what came back."""
    with stub_predictor() as stub, pytest.raises(TargetError, match="/v1/models/nope was answered 404"):
        describe_model(stub.url, "nope", {}, TABLE, 0)
    with pytest.raises(TargetError, match="is no http address"):
        describe_model("file:///etc", "iris", {}, TABLE, 0)


def _truths(
    truths: tuple[Scalar, ...], classes: tuple[Scalar, ...] | None, codes: tuple[Scalar, ...] = ()
) -> tuple[Scalar, ...]:
    table = Table(("a",), tuple((float(number),) for number in range(len(truths))), truths, codes)
    return truths_in_signature_spelling("m", table, classes)


@pytest.mark.parametrize(
    ("truths", "classes", "sent"),
    [
        (("low", "high", "low"), ("high", "low"), ["low", "high", "low"]),
        (("Very low", "HIGH"), ("high", "very_low"), ["very_low", "high"]),
        ((0, 1), (0, 1), [0, 1]),
        ((0.0, 1.0), (1, 0), [0, 1]),
        ((-1, 1), (1, -1), [-1, 1]),
        ((0, 1), ("0", "1"), ["0", "1"]),
        (("True", "false"), (False, True), [True, False]),
    ],
)
def test_truths_are_the_json_values_of_the_signature(
    truths: tuple[Scalar, ...], classes: tuple[Scalar, ...], sent: list[Scalar]
) -> None:
    """A class is found by value or by name; what is sent has the type that the signature has."""
    assert json.dumps(_truths(truths, classes)) == json.dumps(sent)


def test_classes_that_are_the_codes_of_the_data_set_go_by_code() -> None:
    """A model trained on codes 0, 1 says them; the data set's order of names tells which is which."""
    assert _truths(("benign", "malignant"), (0, 1), codes=("malignant", "benign")) == (1, 0)


@pytest.mark.parametrize(
    ("truths", "classes", "text"),
    [
        (("low", "mid"), ("low", "high"), "model m has no class for the truth 'mid'"),
        (("low",), (0, 1), "model m has no class for the truth 'low'"),
        ((1, 0), (True, False), "model m has no class for the truth"),
        (("low",), ("LOW", "Low"), "model m has no class for the truth 'low'"),
        (("low",), None, "model m predicts numbers"),
        ((True,), None, "model m predicts numbers"),
    ],
)
def test_truths_that_no_class_means_are_refused(
    truths: tuple[Scalar, ...], classes: tuple[Scalar, ...] | None, text: str
) -> None:
    """A guess would be counted as an error of the model."""
    with pytest.raises(PayloadError, match=text):
        _truths(truths, classes)


def test_rows_without_truths_cannot_be_labeled() -> None:
    """The error says so before anything is sent."""
    with pytest.raises(PayloadError, match="model m has rows whose truth is not known"):
        truths_in_signature_spelling("m", TABLE, ("x", "y"))


def test_truths_of_a_regression_model_are_numbers_as_they_are() -> None:
    """Whole ones too."""
    assert _truths((1.5, 2), None) == (1.5, 2)


def test_a_prediction_is_asked_for_its_id() -> None:
    """A real one, with the token sent along; an error names the address."""
    rows = ((1.0, 2.0, 3.0, 4.0),)
    model = ServedModel("iris", _features(*(each.name for each in SIGNATURES["iris"].features)), None, rows)
    with stub_predictor(token=TOKEN) as stub:
        prediction_id = request_prediction_id(stub.url, model, {"Authorization": f"Bearer {TOKEN}"}, 0)
        assert stub.models == {prediction_id: "iris"}
        with pytest.raises(TargetError, match=r"POST .*/iris/predict was answered 401"):
            request_prediction_id(stub.url, model, {}, 0)
