"""A stand-in for the exporter: every metric that the boards read, as five small models would move them."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

PAIR = ("model_name", "model_version")
LATENCY_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
OUTCOMES = {
    "ok": 0.96,
    "rejected": 0.037,
    "shed": 0.002,
    "failed": 0.001,
    "expired": 0,
    "draining": 0,
    "disconnected": 0,
}
STAGES = {"queue": 0.0007, "preprocess": 0.0004, "predict": 0.0031, "postprocess": 0.0002}
VIOLATIONS = {"missing": 0.4, "type": 0.3, "extra": 0.2, "range": 0.1, "category": 0, "nan": 0, "length": 0}


@dataclass(frozen=True)
class Model:
    """One pretended model: its traffic and what it predicts."""

    name: str
    requests_per_second: float
    seconds: float
    objective: float
    classes: tuple[str, ...] = ()
    out_of_distribution: float = 0.05
    confidence: float = 0.93


MODELS = (
    Model("iris", 21, 0.0022, 0.5, ("setosa", "versicolor", "virginica")),
    Model("breast_cancer", 13, 0.0031, 0.5, ("benign", "malignant"), confidence=0.96),
    Model("tickets", 17, 0.0041, 0.25, ("account", "billing", "hardware", "network", "other"), 0.11, 0.84),
    Model("wide_forest", 9, 0.043, 0.1, ("0", "1"), confidence=0.78),
    Model("diabetes", 7, 0.0026, 0.5, out_of_distribution=0.04),
)
BINS = ("100.0", "150.0", "200.0", "+Inf")


class BelievableService:
    """Metrics of a pretended predictor with four workers; `advance` lets time pass."""

    def __init__(self, seed: int = 20) -> None:
        self._random = random.Random(seed)
        self.registry = CollectorRegistry()
        registry = self.registry
        self._requests = Counter("ml_requests_total", "Requests.", (*PAIR, "outcome"), registry=registry)
        self._seconds = Histogram(
            "ml_request_duration_seconds",
            "Duration.",
            (*PAIR, "kind"),
            buckets=LATENCY_BOUNDS,
            registry=registry,
        )
        self._stages = Histogram("ml_stage_duration_seconds", "Stages.", (*PAIR, "stage"), registry=registry)
        self._confidence = Histogram(
            "ml_confidence",
            "Confidence.",
            PAIR,
            buckets=[step / 20 for step in range(1, 21)],
            registry=registry,
        )
        self._classes = Counter(
            "ml_predictions_total", "Rows.", (*PAIR, "predicted_class"), registry=registry
        )
        self._bins = Counter("ml_prediction_bin_total", "Rows by bin.", (*PAIR, "bin"), registry=registry)
        self._inside = Counter("ml_input_in_distribution_total", "Rows inside.", PAIR, registry=registry)
        self._outside = Counter(
            "ml_input_out_of_distribution_total", "Rows outside.", (*PAIR, "reason"), registry=registry
        )
        self._violations = Counter(
            "ml_schema_violations_total", "Violations.", (*PAIR, "field", "reason"), registry=registry
        )
        self._invalid = Counter(
            "ml_invalid_outputs_total", "Invalid outputs.", (*PAIR, "reason"), registry=registry
        )
        self._constants(registry)

    def _constants(self, registry: CollectorRegistry) -> None:
        for name in ("plumbline_workers", "plumbline_workers_configured", "plumbline_workers_ready"):
            Gauge(name, "Workers.", registry=registry).set(4)
        info = Gauge("ml_model_info", "Identity.", (*PAIR, "role", "sha256", "framework"), registry=registry)
        objective = Gauge("ml_objective", "Objective.", (*PAIR, "signal"), registry=registry)
        ready = Gauge("ml_model_ready", "Workers ready.", PAIR, registry=registry)
        loaded = Gauge("ml_model_loaded_timestamp_seconds", "Load time.", PAIR, registry=registry)
        share = Gauge("ml_out_of_distribution_reference_ratio", "Reference share.", PAIR, registry=registry)
        rows = Gauge("ml_out_of_distribution_reference_rows", "Reference rows.", PAIR, registry=registry)
        classes = Gauge(
            "ml_predicted_class_reference_ratio",
            "Class shares.",
            (*PAIR, "predicted_class"),
            registry=registry,
        )
        bins = Gauge("ml_prediction_bin_reference_ratio", "Bin shares.", (*PAIR, "bin"), registry=registry)
        for model in MODELS:
            pair = (model.name, "1")
            info.labels(*pair, "stable", "5d41", "scikit-learn").set(1)
            objective.labels(*pair, "latency_p95_seconds").set(model.objective)
            ready.labels(*pair).set(4)
            loaded.labels(*pair).set(time.time() - 4711)
            share.labels(*pair).set(0.05)
            rows.labels(*pair).set(1900)
            for name in model.classes:
                classes.labels(*pair, name).set(1 / len(model.classes))
            for bound in BINS if not model.classes else ():
                bins.labels(*pair, bound).set(1 / len(BINS))
            self._create_children(model)

    def _create_children(self, model: Model) -> None:
        pair = (model.name, "1")
        for outcome in OUTCOMES:
            self._requests.labels(*pair, outcome)
        for reason in VIOLATIONS:
            self._violations.labels(*pair, "other", reason)
        for reason in ("nan", "bounds"):
            self._invalid.labels(*pair, reason)
        for reason in ("range", "category", "novelty"):
            self._outside.labels(*pair, reason)

    def advance(self, seconds: float) -> None:
        """Let traffic of some seconds pass."""
        for model in MODELS:
            for _ in range(round(model.requests_per_second * seconds * self._random.uniform(0.7, 1.3))):
                self._one_request(model)

    def _one_request(self, model: Model) -> None:
        pair = (model.name, "1")
        outcome = self._pick(OUTCOMES)
        self._requests.labels(*pair, outcome).inc()
        if outcome == "rejected":
            self._violations.labels(*pair, "other", self._pick(VIOLATIONS)).inc()
        if outcome != "ok":
            return
        self._seconds.labels(*pair, "single").observe(model.seconds * self._random.lognormvariate(0, 0.5))
        for stage, seconds in STAGES.items():
            self._stages.labels(*pair, stage).observe(seconds * self._random.uniform(0.5, 2))
        if self._random.random() < model.out_of_distribution:
            self._outside.labels(*pair, "range").inc()
        else:
            self._inside.labels(*pair).inc()
        if model.classes:
            self._classes.labels(*pair, self._random.choice(model.classes)).inc()
            self._confidence.labels(*pair).observe(min(1, self._random.gauss(model.confidence, 0.05)))
        else:
            self._bins.labels(*pair, self._random.choice(BINS)).inc()

    def _pick(self, weights: dict[str, float]) -> str:
        return self._random.choices(list(weights), list(weights.values()))[0]


@contextmanager
def serving(service: BelievableService) -> Iterator[str]:
    """Serve the metrics on a free port, moving on with the time between scrapes; yield the address."""
    lock, last = threading.Lock(), [time.monotonic() - 1]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with lock:
                now = time.monotonic()
                service.advance(now - last[0])
                last[0] = now
                body = generate_latest(service.registry)
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE_LATEST)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class names it so
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
