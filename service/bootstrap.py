"""The one place where the layers meet: from settings to a running application."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, MutableMapping
from typing import Any

from service.api.cors import with_cors
from service.api.edge import AsgiApp, Edge
from service.api.framework_app import create_framework_app
from service.api.prediction_endpoint import BodyLimits, PredictionEndpoint
from service.api.tokens import read_tokens
from service.bundle.loader import ModelBundle, load_bundle
from service.bundle.routing import find_bundles, read_routing
from service.errors import BundleError
from service.events import Announcer, ModelKey
from service.inference.engine import Engine
from service.inference.models import Models
from service.observability.exposition import CONTENT_TYPE, render_exposition
from service.observability.listener_errors import ListenerErrors
from service.observability.listeners import connect
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
        self, models: Models, engine: Engine, connect_metrics: Callable[[], Callable[[], None]]
    ) -> None:
        self._models = models
        self._engine = engine
        self._connect_metrics = connect_metrics
        self._close_metrics: Callable[[], None] = lambda: None
        self._drain_watch: asyncio.Task[None] | None = None

    async def start(self, state: MutableMapping[str, Any]) -> None:
        """Connect the metrics, check the models, start inference."""
        self._close_metrics = self._connect_metrics()
        self._models.check()
        self._engine.start()
        self._drain_watch = asyncio.create_task(self._watch_for_drain(state))

    async def stop(self) -> None:
        """Finish what is queued and flush the metrics."""
        self._models.drain()
        if self._drain_watch is not None:
            self._drain_watch.cancel()
        await self._engine.stop()
        self._close_metrics()

    async def _watch_for_drain(self, state: MutableMapping[str, Any]) -> None:
        while "draining" not in state:
            await asyncio.sleep(DRAIN_POLL_SECONDS)
        self._models.drain()


def build_app(settings: Settings) -> AsgiApp:
    """Load the bundles and put the application together; nothing predicts and no thread starts yet.

    Raises:
        SettingsError: the settings, the token file or the routing cannot be used.
    """
    tokens = read_tokens(settings.token_file) if settings.token_file is not None else None
    routing = read_routing(settings.bundle_dir)
    bundles, failures = load_bundles(settings)
    listener_errors = ListenerErrors()
    announcer = Announcer(listener_errors)
    loaded_timestamp = time.time()
    models = Models(
        bundles=[(bundle, loaded_timestamp) for bundle in bundles],
        failures=failures,
        stable=routing.stable,
        default_model=routing.default_model,
        batch_rows_max=settings.batch_rows_max,
        announcer=announcer,
    )
    engine = Engine(
        announcer,
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
        framework=create_framework_app(models, engine, render_metrics if settings.is_loopback else None),
        tokens=tokens,
        announcer=announcer,
        lifespan=Worker(models, engine, lambda: connect(announcer, bundles, settings, listener_errors)),
    )
    return with_cors(edge, settings.cors_origins)


def load_bundles(settings: Settings) -> tuple[list[ModelBundle], dict[ModelKey, BundleError]]:
    """Load every bundle on disk; one that fails is logged in one line and never stops the others."""
    bundles: list[ModelBundle] = []
    failures: dict[ModelKey, BundleError] = {}
    series = 0
    for key, directory in find_bundles(settings.bundle_dir).items():
        try:
            bundle = load_bundle(directory, allow_library_mismatch=settings.allow_library_mismatch)
            series += bundle.manifest.series
            if series > SERIES_SHARE * settings.series_limit:
                series -= bundle.manifest.series
                message = (
                    f"its {bundle.manifest.series} series would take the target above "
                    f"{SERIES_SHARE:.0%} of {settings.series_limit}"
                )
                raise BundleError(directory, "budget", message)
            bundles.append(bundle)
        except BundleError as error:
            failures[key] = error
            _log.error("bundle not loaded: %s", error)
    _log.info("loaded %d bundles, %d failed", len(bundles), len(failures))
    return bundles, failures
