"""The one place where the layers meet: from settings to a running application."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

from service.api.cors import with_cors
from service.api.edge import AsgiApp, Edge, LeanRoute
from service.api.framework_app import create_framework_app
from service.api.ground_truth_endpoint import GROUND_TRUTH_ROUTE, GroundTruthEndpoint
from service.api.logged_prediction_endpoint import LOG_PREDICTION_ROUTE, LoggedPredictionEndpoint
from service.api.prediction_endpoint import BodyLimits, PredictionEndpoint
from service.api.tokens import read_tokens
from service.bundle.folder import is_external
from service.bundle.loader import BundleDescription, ModelBundle, describe_bundle, load_bundle
from service.bundle.routing import find_bundles, read_routing
from service.errors import BundleError
from service.events import Announcer, ModelKey
from service.inference.engine import Engine
from service.inference.models import Models
from service.observability.exposition import CONTENT_TYPE, render_exposition
from service.observability.listener_errors import ListenerErrors
from service.observability.listeners import connect
from service.prediction_log.recorder import RecordedVersion
from service.prediction_log.worker_log import WorkerLog
from service.settings import Settings

DRAIN_POLL_SECONDS = 0.1
SERIES_SHARE = 0.8
"""Share of the target's series limit that bundles may fill; an alert warns at the same share."""
_log = logging.getLogger("service")


class Worker:
    """Starts and stops what a worker process needs beyond the code: threads, metric files, checks.

    Nothing here runs before the fork: a thread does not survive it, and a model that has predicted in the
    parent may hang in the child.
    """

    def __init__(
        self,
        models: Models,
        engine: Engine,
        log: WorkerLog,
        connect_metrics: Callable[[], Callable[[], None]],
    ) -> None:
        self._models = models
        self._engine = engine
        self._log = log
        self._connect_metrics = connect_metrics
        self._close_metrics: Callable[[], None] = lambda: None
        self._drain_watch: asyncio.Task[None] | None = None

    async def start(self, state: MutableMapping[str, Any]) -> None:
        """Connect the metrics, open the log, check the models, start inference."""
        self._close_metrics = self._connect_metrics()
        self._log.open()
        self._models.check()
        self._engine.start()
        self._drain_watch = asyncio.create_task(self._watch_for_drain(state))

    async def stop(self) -> None:
        """Finish what is queued and flush the metrics."""
        self._models.drain()
        if self._drain_watch is not None:
            self._drain_watch.cancel()
        await self._engine.stop()
        self._log.close()
        self._close_metrics()

    async def _watch_for_drain(self, state: MutableMapping[str, Any]) -> None:
        while "draining" not in state:
            await asyncio.sleep(DRAIN_POLL_SECONDS)
        self._models.drain()


def build_app(settings: Settings) -> AsgiApp:
    """Load the bundles and put the application together; nothing predicts and no thread starts yet.

    Raises:
        SettingsError: the settings, a token or key file, or the routing cannot be used.
    """
    tokens = read_tokens(settings.token_file) if settings.token_file is not None else None
    routing = read_routing(settings.bundle_dir)
    bundles, external, failures = load_bundles(settings)
    listener_errors = ListenerErrors()
    announcer = Announcer(listener_errors)
    loaded_timestamp = time.time()
    models = Models(
        bundles=[(bundle, loaded_timestamp) for bundle in bundles],
        external=[(bundle, loaded_timestamp) for bundle in external],
        failures=failures,
        stable=routing.stable,
        default_model=routing.default_model,
        batch_rows_max=settings.batch_rows_max,
        announcer=announcer,
    )
    described: list[BundleDescription] = [*bundles, *external]
    log = WorkerLog(settings, announcer, [_recorded(bundle) for bundle in described])
    engine = Engine(
        announcer,
        log.record,
        queue_rows=settings.queue_rows,
        micro_batch_rows=settings.micro_batch_rows,
        deadline_seconds=settings.request_deadline_seconds,
        stall_seconds=settings.inference_stall_seconds,
    )
    limits = BodyLimits(
        settings.single_body_max_bytes, settings.batch_body_max_bytes, settings.body_timeout_seconds
    )

    def render_metrics() -> tuple[bytes, str]:
        return render_exposition(settings), CONTENT_TYPE

    edge = Edge(
        predictions=PredictionEndpoint(models, engine, announcer, limits),
        lean_routes=_lean_routes(models, log, announcer, limits, settings.batch_rows_max),
        framework=create_framework_app(models, engine, render_metrics if settings.is_loopback else None),
        tokens=tokens,
        announcer=announcer,
        lifespan=Worker(
            models, engine, log, lambda: connect(announcer, described, settings, listener_errors)
        ),
    )
    return with_cors(edge, settings.cors_origins)


def _lean_routes(
    models: Models, log: WorkerLog, announcer: Announcer, limits: BodyLimits, items_max: int
) -> dict[str, LeanRoute]:
    elsewhere = LeanRoute(
        LOG_PREDICTION_ROUTE, LoggedPredictionEndpoint(models, log.record_elsewhere, announcer, limits)
    )
    truths = LeanRoute(GROUND_TRUTH_ROUTE, GroundTruthEndpoint(log.intake, limits, items_max))
    return {
        LOG_PREDICTION_ROUTE: elsewhere,
        "/log-prediction": elsewhere,
        GROUND_TRUTH_ROUTE: truths,
        "/log-ground-truth": truths,
    }


def _recorded(bundle: BundleDescription) -> RecordedVersion:
    return RecordedVersion(bundle.key, bundle.signature, bundle.manifest.store_features)


def load_bundles(
    settings: Settings,
) -> tuple[list[ModelBundle], list[BundleDescription], dict[ModelKey, BundleError]]:
    """Load every bundle on disk; one that fails is logged in one line and never stops the others.

    Returns:
        what may serve, what other software serves, and what failed.
    """
    bundles: list[ModelBundle] = []
    external: list[BundleDescription] = []
    failures: dict[ModelKey, BundleError] = {}
    series = 0
    for key, directory in find_bundles(settings.bundle_dir).items():
        try:
            bundle = _read_bundle(directory, settings)
            series += bundle.manifest.series
            if series > SERIES_SHARE * settings.series_limit:
                series -= bundle.manifest.series
                message = (
                    f"its {bundle.manifest.series} series would take the target above "
                    f"{SERIES_SHARE:.0%} of {settings.series_limit}"
                )
                raise BundleError(directory, "budget", message)
            if isinstance(bundle, ModelBundle):
                bundles.append(bundle)
            else:
                external.append(bundle)
        except BundleError as error:
            failures[key] = error
            _log.error("bundle not loaded: %s", error)
    _log.info("loaded %d bundles, %d failed", len(bundles), len(failures))
    return bundles, external, failures


def _read_bundle(directory: Path, settings: Settings) -> BundleDescription:
    """Load a bundle, or, if it has no estimator, describe it."""
    if is_external(directory):
        return describe_bundle(directory)
    return load_bundle(directory, allow_library_mismatch=settings.allow_library_mismatch)
