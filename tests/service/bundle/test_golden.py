"""Golden requests: a model may serve if it predicts what it did when it was packed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.bundle.golden import Golden, check_predictions, run_golden, try_prediction
from service.bundle.loader import ModelBundle, load_bundle
from service.bundle.scoring import Scorer
from service.errors import BundleError
from tests import builders


def load(name: str) -> ModelBundle:
    """Load a test bundle."""
    return load_bundle(builders.bundle_dir() / name / builders.VERSION)


def with_golden(bundle: ModelBundle, change: Callable[[Any], None]) -> ModelBundle:
    """Change what was recorded."""
    content = bundle.golden.model_dump(mode="json")
    change(content["requests"])
    return replace(bundle, golden=Golden.model_validate_json(json.dumps(content)))


class Broken:
    """An estimator that raises, or gives what it is told."""

    def __init__(self, output: Any) -> None:
        self.output = output

    def predict(self, inputs: Any) -> Any:
        """Give the same number for each row."""
        if isinstance(self.output, Exception):
            raise self.output
        return np.full(len(inputs), self.output)


def with_estimator(bundle: ModelBundle, estimator: Any) -> ModelBundle:
    """Put another estimator behind the same signature."""
    scorer = Scorer(bundle.signature, bundle.reference, estimator, "array", "predict")
    return replace(bundle, scorer=scorer)


def move_probability(by: float) -> Callable[[Any], None]:
    """Move one recorded probability."""

    def change(requests: Any) -> None:
        requests[1]["output"]["probabilities"][0] += by

    return change


def test_difference_within_tolerance_passes() -> None:
    """The last bits may differ between machines."""
    run_golden(with_golden(load(builders.NUMBERS), move_probability(0.9e-6)))


@pytest.mark.parametrize(
    ("name", "change", "text"),
    [
        (builders.NUMBERS, move_probability(1.1e-6), "a probability differs by 1.1e-06"),
        (builders.NUMBERS, lambda r: r[0]["output"].update(prediction="cedar"), "recorded 'cedar'"),
        (builders.NUMBERS, lambda r: r[0]["output"].update(out_of_distribution="range"), "recorded range"),
        (builders.TEXTS, lambda r: r[0]["output"].update(out_of_distribution="novelty"), "recorded novelty"),
        (builders.REGRESSION, lambda r: r[0]["output"].update(prediction=17.0), "recorded 17.0"),
        (builders.NUMBERS, lambda r: r[0]["request"]["features"].update(girth="wide"), "features.girth"),
        (builders.MIXED, lambda r: r[0]["request"]["features"].pop("visits"), "the signature refuses it"),
    ],
    ids=["probability", "class", "distribution", "novelty", "number", "type", "missing"],
)
def test_difference_is_refused_with_the_request_named(
    name: str, change: Callable[[Any], None], text: str
) -> None:
    """One line names the golden request and both outputs."""
    bundle = with_golden(load(name), change)
    with pytest.raises(BundleError) as caught:
        run_golden(bundle)
    assert caught.value.reason == "golden"
    assert text in str(caught.value)
    assert str(caught.value).startswith(str(bundle.directory / "golden.json"))
    assert "\n" not in str(caught.value)


def test_tied_classes_are_both_right() -> None:
    """Where two classes are equally probable, rounding may choose either."""

    def tie(requests: Any) -> None:
        output = requests[0]["output"]
        others = [i for i, p in enumerate(output["probabilities"]) if p < max(output["probabilities"])]
        output["probabilities"][others[0]] = max(output["probabilities"])
        output["prediction"] = ["ash", "birch", "cedar"][others[0]]

    bundle = with_golden(load(builders.NUMBERS), tie)
    loose = replace(bundle, golden=bundle.golden.model_copy(update={"tolerance": 1.0}))
    run_golden(loose)


@pytest.mark.parametrize("output", [ValueError("too\nmany lines"), float("nan"), 1e7], ids=str)
def test_model_that_cannot_predict_is_refused_by_the_trial(output: Any) -> None:
    """The trial prediction says that the model raises, or gives what must not leave."""
    bundle = with_estimator(load(builders.REGRESSION), Broken(output))
    for check in (try_prediction, check_predictions):
        with pytest.raises(BundleError) as caught:
            check(bundle)
        assert caught.value.reason == "prediction"
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("output", [ValueError("no"), float("nan"), 1e7, 3.0], ids=str)
def test_model_that_fails_on_golden_requests_is_refused(output: Any) -> None:
    """A model that raises, or gives another number, fails its golden requests."""
    with pytest.raises(BundleError) as caught:
        run_golden(with_estimator(load(builders.REGRESSION), Broken(output)))
    assert caught.value.reason == "golden"


def test_altered_model_with_a_right_hash_is_caught(tmp_path: Path) -> None:
    """Golden requests see a model that was exchanged together with its hash."""
    directory = builders.copy_bundle(builders.REGRESSION, tmp_path)
    bundle = load_bundle(directory)
    bundle.scorer.estimator.coef_[0] += 0.01
    with pytest.raises(BundleError, match="recorded"):
        check_predictions(bundle)
