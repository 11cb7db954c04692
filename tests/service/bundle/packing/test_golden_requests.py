"""Golden requests hold rows of the validation data and the edges of what a model may be asked."""

from __future__ import annotations

import json

import pytest

from service.bundle.loader import load_bundle
from service.bundle.row_schema import RowParser
from tests import builders


def names(model: str) -> list[str]:
    """List the golden requests of a test model."""
    return [request.name for request in load(model).golden.requests]


def load(model: str):  # type: ignore[no-untyped-def]  # a loaded bundle
    """Load a test bundle."""
    return load_bundle(builders.bundle_dir() / model / builders.VERSION)


@pytest.mark.parametrize("model", builders.MODELS)
def test_every_request_is_one_that_the_service_takes(model: str) -> None:
    """They are recorded as a client would send them."""
    bundle = load(model)
    parser = RowParser(bundle.signature, 1)
    for request in bundle.golden.requests:
        parser.single(json.dumps(request.request).encode())


@pytest.mark.parametrize("model", [builders.NUMBERS, builders.MIXED, builders.TEXTS])
def test_every_class_is_predicted_somewhere(model: str) -> None:
    """A model that has lost a class is noticed."""
    bundle = load(model)
    assert {request.output.prediction for request in bundle.golden.requests} == set(bundle.signature.classes)


def test_edges_of_a_table_are_recorded() -> None:
    """Range ends, out of range, unknown categories, missing values."""
    found = names(builders.MIXED)
    for edge in (
        "examples",
        "all at the smallest value",
        "all at the largest value",
        "income out of range",
        "unknown categories",
        "income missing",
        "colour missing",
        "all missing that may be",
    ):
        assert edge in found
    outputs = {request.name: request.output for request in load(builders.MIXED).golden.requests}
    assert outputs["income out of range"].out_of_distribution == "range"
    assert outputs["unknown categories"].out_of_distribution == "category"
    assert outputs["all at the largest value"].out_of_distribution is None


def test_edges_of_text_are_recorded() -> None:
    """Unicode, no words, the longest text."""
    requests = {request.name: request for request in load(builders.TEXTS).golden.requests}
    assert len(requests["longest"].request["text"]) == 10_000
    assert not requests["unicode"].request["text"].isascii()
    assert requests["no words"].output.out_of_distribution == "novelty"


def test_edge_beyond_a_hard_limit_is_left_out() -> None:
    """The service refuses it, so there is no output to repeat."""
    bundle = load(builders.MIXED)
    visits = next(feature for feature in bundle.signature.features if feature.name == "visits")
    recorded = [request.request["features"]["visits"] for request in bundle.golden.requests]
    assert visits.maximum == 500.0
    assert max(recorded) <= 500


def test_sensitive_values_are_not_recorded() -> None:
    """Of a sensitive feature only its example, its range and missing values are in the bundle."""
    bundle = load(builders.MIXED)
    income = bundle.signature.features[0]
    assert income.sensitive
    rows = [
        r.request["features"]["income"] for r in bundle.golden.requests if r.name.startswith("validation")
    ]
    assert set(rows) == {income.example}
