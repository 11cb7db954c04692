"""Which version answers, and whether it may."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from service.bundle.loader import BundleDescription
from service.errors import BundleError, ExternalModelError, NotReadyError, UnknownModelError
from service.events import ModelBecameReady, ModelKey, ModelLoadFailed, ReadinessChanged
from service.inference.models import Models
from tests.fakes import FakeEstimator, Recorder, make_served_model


def models(recorder: Recorder, *served: Any, **changes: Any) -> Models:
    """Put served models together."""
    values: dict[str, Any] = {
        "bundles": [(one.bundle, one.loaded_timestamp) for one in served],
        "failures": {},
        "stable": {"fake": "1"},
        "default_model": "fake",
        "batch_rows_max": 10,
        "announcer": recorder.announcer,
    }
    return Models(**(values | changes))


@pytest.fixture
def recorder() -> Recorder:
    """Hear of readiness."""
    return Recorder().listen(ModelBecameReady, ModelLoadFailed, ReadinessChanged)


def test_nothing_serves_before_the_checks(recorder: Recorder) -> None:
    """Loaded is not checked: until `check` the worker is not ready."""
    made = models(recorder, make_served_model())
    assert made.not_ready_reason == "no model is ready"
    with pytest.raises(NotReadyError):
        made.serving(made.resolve(None, None))


def test_checked_models_serve(recorder: Recorder) -> None:
    """Default, named and pinned requests find their version; the load time is announced."""
    made = models(recorder, make_served_model(), make_served_model(version="2"))
    made.check()
    assert made.resolve(None, None) == ("fake", "1")
    assert made.resolve("fake", None) == ("fake", "1")
    assert made.resolve("fake", "2") == ("fake", "2")
    assert made.resolve(None, "2") == ("fake", "2")
    assert made.serving(ModelKey("fake", "2")).key == ("fake", "2")
    assert [made.role(ModelKey("fake", version)) for version in ("1", "2")] == ["stable", ""]
    assert recorder.of(ModelBecameReady)[0] == ModelBecameReady(ModelKey("fake", "1"), 12.5)
    assert recorder.of(ReadinessChanged) == [ReadinessChanged(True)]


@pytest.mark.parametrize(("name", "version"), [("ghost", None), ("ghost", "1"), ("fake", "9"), (None, "9")])
def test_unknown_models(recorder: Recorder, name: str | None, version: str | None) -> None:
    """What is not loaded is unknown."""
    made = models(recorder, make_served_model())
    made.check()
    with pytest.raises(UnknownModelError):
        made.resolve(name, version)


def test_model_that_fails_its_golden_requests(recorder: Recorder) -> None:
    """It is announced and does not serve; the others do."""

    class Wrong(FakeEstimator):
        def predict_proba(self, inputs: Any) -> Any:
            return super().predict_proba(inputs)[:, ::-1]

    made = models(recorder, make_served_model(), make_served_model(Wrong(), version="2"))
    made.check()
    assert recorder.of(ModelLoadFailed) == [ModelLoadFailed(ModelKey("fake", "2"), "golden")]
    assert made.failures[ModelKey("fake", "2")].reason == "golden"
    with pytest.raises(NotReadyError):
        made.serving(made.resolve("fake", "2"))
    assert made.not_ready_reason is None


def test_bundle_that_could_not_be_loaded(recorder: Recorder) -> None:
    """It is not unknown but not ready, and if it is the default the worker is not ready either."""
    failures = {ModelKey("broken", "1"): BundleError(Path("x"), "hash", "differs")}
    stable = {"fake": "1", "broken": "1"}
    made = models(recorder, make_served_model(), failures=failures, stable=stable, default_model="broken")
    made.check()
    with pytest.raises(NotReadyError):
        made.serving(made.resolve("broken", None))
    assert made.not_ready_reason == "the default model broken is not ready"
    assert made.resolve("fake", None) == ("fake", "1")


def external(name: str = "far", version: str = "1") -> BundleDescription:
    """Describe a bundle without an estimator, by hand."""
    bundle = make_served_model(name=name, version=version).bundle
    known = {field.name: getattr(bundle, field.name) for field in fields(BundleDescription)}
    manifest = bundle.manifest.model_copy(update={"external": True, "container": None, "output": None})
    return BundleDescription(**(known | {"manifest": manifest, "golden": None}))


def test_external_model_is_known_and_does_not_serve(recorder: Recorder) -> None:
    """It is resolved and described like any other, but other software predicts with it."""
    stable = {"fake": "1", "far": "1"}
    made = models(recorder, make_served_model(), external=[(external(), 42.5)], stable=stable)
    made.check()
    key = made.resolve("far", None)
    assert key == made.resolve("far", "1") == ("far", "1")
    with pytest.raises(ExternalModelError):
        made.serving(key)
    described = made.described(key)
    assert (described.key, described.signature.classes) == (key, ("low", "high"))
    assert described.parser.single(b'{"features":[0.5,null]}') == (0.5, None)
    assert described.judge.verdicts([(0.5, None), (11.0, 1.0)]).tolist() == [0, 1]
    assert made.role(key) == "stable"
    assert [model.key.model_name for model in made.all()] == ["fake"]
    assert ModelBecameReady(key, 42.5) in recorder.of(ModelBecameReady)
    with pytest.raises(UnknownModelError):
        made.resolve("far", "2")


def test_only_external_models_are_ready(recorder: Recorder) -> None:
    """A predictor that monitors other software has nothing to load, and no default."""
    made = models(recorder, external=[(external(), 42.5)], stable={"far": "1"}, default_model=None)
    made.check()
    assert made.not_ready_reason is None
    assert recorder.of(ReadinessChanged) == [ReadinessChanged(True)]
    with pytest.raises(UnknownModelError):
        made.resolve(None, None)


def test_broken_default_is_not_hidden_by_an_external_model(recorder: Recorder) -> None:
    """What should serve and cannot keeps the worker out of traffic."""
    failures = {ModelKey("fake", "1"): BundleError(Path("x"), "hash", "differs")}
    made = models(recorder, external=[(external(), 42.5)], failures=failures)
    made.check()
    assert made.not_ready_reason == "the default model fake is not ready"


def test_served_models_are_described_too(recorder: Recorder) -> None:
    """Also one that fails its checks: its predictions may be made elsewhere. One without a bundle is not."""

    class Wrong(FakeEstimator):
        def predict_proba(self, inputs: Any) -> Any:
            return super().predict_proba(inputs)[:, ::-1]

    failures = {ModelKey("broken", "1"): BundleError(Path("x"), "hash", "differs")}
    made = models(recorder, make_served_model(), make_served_model(Wrong(), version="2"), failures=failures)
    made.check()
    assert [made.described(ModelKey("fake", version)).key[1] for version in ("1", "2")] == ["1", "2"]
    with pytest.raises(NotReadyError):
        made.described(ModelKey("broken", "1"))


def test_draining_is_said_once(recorder: Recorder) -> None:
    """A worker on its way out is not ready, and still answers."""
    made = models(recorder, make_served_model())
    made.check()
    made.drain()
    made.drain()
    assert made.is_draining
    assert made.not_ready_reason == "draining"
    assert made.resolve(None, None) == ("fake", "1")
    assert recorder.of(ReadinessChanged) == [ReadinessChanged(True), ReadinessChanged(False)]
