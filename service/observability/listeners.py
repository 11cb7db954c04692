"""Connects everything that listens; called once in each worker, after the fork."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from service.bundle.routing import find_bundles
from service.events import Announcer
from service.observability import metrics_dir, slots
from service.observability.feature_bins import FeatureBins
from service.observability.http_metrics import HttpMetrics
from service.observability.listener_errors import ListenerErrors
from service.observability.model_values import Bundle
from service.observability.prediction_log_metrics import PredictionLogMetrics
from service.observability.prediction_metrics import PredictionMetrics
from service.observability.request_log import RequestLog
from service.observability.value_files import ValueFiles
from service.settings import Settings


def connect(
    announcer: Announcer, bundles: Sequence[Bundle], settings: Settings, errors: ListenerErrors
) -> Callable[[], None]:
    """Let the metrics listen to `announcer`; every number of `bundles` exists, at 0, when this returns.

    Args:
        announcer: made with `errors` as its callback.
        bundles: the versions that this worker has loaded.
        settings: where to count, and how often features are.
        errors: also hears of errors in the background.

    Returns:
        what counts the rows that still wait; call it when the worker stops.
    """
    if not metrics_dir.is_started():
        # Without Gunicorn (a development server, a test) this process is its own arbiter.
        metrics_dir.start(settings.metrics_dir)
        metrics_dir.write_pid_file(slots.own())
    files = ValueFiles(metrics_dir.folder(), slots.own())
    errors.count_in(files)
    feature_bins = FeatureBins(files, bundles, settings.metrics_flush_seconds, errors)
    PredictionMetrics(files, bundles, find_bundles(settings.bundle_dir)).subscribe(announcer)
    feature_bins.subscribe(announcer)
    PredictionLogMetrics(files, (bundle.key for bundle in bundles)).subscribe(announcer)
    HttpMetrics(files).subscribe(announcer)
    RequestLog(settings.log_requests).subscribe(announcer)
    return feature_bins.close
