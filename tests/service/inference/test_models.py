"""Which version answers, and whether it may."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.errors import BundleError, NotReadyError, UnknownModelError
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
