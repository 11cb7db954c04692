"""Stand-ins for what a unit test does not want to be real."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from service.bundle.golden import Golden, GoldenOutput, GoldenRequest
from service.bundle.loader import ModelBundle
from service.bundle.manifest import Manifest
from service.bundle.reference import FeatureReference, Reference
from service.bundle.row_schema import RowParser
from service.bundle.scoring import Scorer
from service.bundle.signature import Feature, Signature
from service.events import Announcer, Kind, ModelKey, PredictionsServed, ServedRequest
from service.inference.jobs import Job
from service.inference.models import ServedModel

SIGNATURE = Signature(
    task="binary",
    input="tabular",
    classes=("low", "high"),
    features=(
        Feature(name="x", type="number", example=1.5),
        Feature(name="y", type="number", nullable=True, example=2.5),
    ),
)
REFERENCE = Reference(
    rows=10,
    validation_rows=10,
    out_of_distribution_rows=1,
    class_counts={"low": 4, "high": 6},
    features={"x": FeatureReference(kind="numeric", edges=(1.0,), counts=(5, 5, 0), minimum=-10, maximum=10)},
)
GOLDEN = Golden(
    tolerance=1e-6,
    requests=(
        GoldenRequest(
            name="three quarters",
            request={"features": [0.75, 1.0]},
            output=GoldenOutput(prediction="high", probabilities=(0.25, 0.75)),
        ),
    ),
)


class FakeEstimator:
    """Says `high` with the confidence that is the first feature, if that is a share; may misbehave.

    Args:
        before: called with the inputs before each prediction; may raise or wait.
    """

    def __init__(self, before: Callable[[Any], None] = lambda inputs: None) -> None:
        self.before = before
        self.calls: list[int] = []

    def predict_proba(self, inputs: Any) -> Any:
        """Return probabilities, shape (n, 2); NaN stays NaN."""
        self.calls.append(len(inputs))
        self.before(inputs)
        high = np.clip(np.asarray(inputs, dtype=float)[:, 0], 0, 1)
        return np.column_stack([1 - high, high])


def make_served_model(
    estimator: FakeEstimator | None = None, *, version: str = "1", name: str = "fake", loaded: float = 12.5
) -> ServedModel:
    """Make a loaded model around a fake estimator, without files."""
    manifest = Manifest(
        format_version=1,
        model_name=name,
        model_version=version,
        task="binary",
        input="tabular",
        created="2026-01-01T00:00:00Z",
        framework="fake 1.0",
        library_versions={},
        python_version="3.11",
        container="array",
        output="argmax",
        files={},
        validation_scores={"accuracy": 0.9},
        validation_rows=10,
        training_data_sha256="0" * 64,
        training_rows=10,
        objectives={"accuracy": 0.85, "latency_p95_seconds": 0.5},
        monitored_features=("x",),
        series=10,
    )
    key = ModelKey(name, version)
    scorer = Scorer(SIGNATURE, REFERENCE, estimator or FakeEstimator(), "array", "argmax")
    bundle = ModelBundle(
        key=key,
        directory=Path(name) / version,
        manifest=manifest,
        signature=SIGNATURE,
        reference=REFERENCE,
        golden=GOLDEN,
        scorer=scorer,
        manifest_sha256="0" * 64,
    )
    return ServedModel(key, bundle, RowParser(SIGNATURE, 1000), loaded)


def make_job(
    *,
    rows: int = 1,
    version: str = "1",
    model: ServedModel | None = None,
    values: Sequence[Sequence[float | None]] | None = None,
    kind: Kind = "single",
) -> Job:
    """Make a job with a future of its own loop, outside any running loop."""

    async def never() -> None:
        raise AssertionError("nobody watches this client")

    loop = asyncio.new_event_loop()
    future = loop.create_future()
    loop.close()
    now = time.monotonic()
    content: list[Any] = [(0.75, 1.0)] * rows if values is None else [tuple(row) for row in values]
    model = model or make_served_model(version=version)
    return Job(model, content, kind, make_request(len(content)), now, now + 60, future, never)


def make_request(rows: int = 1, *, request_id: str = "request-1", body: bytes = b"{}") -> ServedRequest:
    """Make what the prediction log keeps of a request."""
    return ServedRequest(request_id, "alice", rows, body)


class Recorder:
    """An announcer's ear, and a prediction log: keeps every event and every record."""

    def __init__(self) -> None:
        self.recorded: list[PredictionsServed] = []
        self.record_error: Exception | None = None
        self.events: list[object] = []
        self.errors: list[tuple[str, Exception]] = []
        self.announcer = Announcer(lambda name, error: self.errors.append((name, error)))

    def record(self, served: PredictionsServed) -> list[str]:
        """Number the rows, through all calls; or fail as told."""
        if self.record_error is not None:
            raise self.record_error
        start = sum(len(one.distribution) for one in self.recorded)
        self.recorded.append(served)
        return [f"id-{start + index}" for index in range(len(served.distribution))]

    def listen(self, *event_types: type) -> Recorder:
        """Keep events of these types."""
        for event_type in event_types:
            self.announcer.subscribe("recorder", event_type, self.events.append)
        return self

    def of(self, event_type: type) -> list[Any]:
        """Return the events of one type."""
        return [event for event in self.events if isinstance(event, event_type)]
