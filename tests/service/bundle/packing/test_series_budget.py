"""The series budget holds what a model really exports."""

from __future__ import annotations

from typing import Any, cast

import pytest

from service.bundle.loader import describe_bundle
from service.bundle.packing.series_budget import refuse_beyond
from service.errors import PackError
from service.observability.constants import constant_lines
from service.observability.feature_bins import FeatureBins
from service.observability.metric_names import Metric
from service.observability.model_values import LoadValues, ModelValues
from service.observability.value_files import ValueFiles
from tests import builders


class CountingFiles:
    """Stands in for the shared files and counts the series that are asked for."""

    def __init__(self) -> None:
        self.series: set[tuple[str, ...]] = set()

    def value(self, metric: Metric, *labels: str) -> None:
        """Count one number."""
        self.series.add((metric.name, *labels))

    def values(self, metric: Metric, rows: Any) -> None:
        """Count one number per row of labels."""
        for labels in rows:
            self.value(metric, *labels)

    def histogram(self, metric: Metric, *labels: str) -> None:
        """Count the buckets, +Inf, sum and count."""
        for part in (*metric.bounds, "+Inf", "sum", "count"):
            self.series.add((metric.name, *labels, str(part)))


@pytest.mark.parametrize("name", builders.MODELS)
def test_budget_covers_what_is_exported_and_little_more(name: str) -> None:
    """A metric that is added without its place in the budget fails here."""
    bundle = describe_bundle(builders.bundle_dir() / name / builders.VERSION)
    counting = CountingFiles()
    files = cast(ValueFiles, counting)
    ModelValues(files, bundle)
    LoadValues(files, bundle.key)
    FeatureBins(files, [bundle], 1.0, lambda name, error: None)
    constants = constant_lines(bundle.key, bundle.manifest, bundle.reference)
    exported = len(counting.series) + sum(map(len, constants.values())) + len(["ml_model_info", "load time"])
    assert exported <= bundle.manifest.series <= 1.15 * exported


def test_budget_beyond_the_limit_is_refused() -> None:
    """The line says what to do."""
    refuse_beyond(300, 300)
    with pytest.raises(PackError, match=r"would export 301 time series, the limit is 300: .*--unmonitored"):
        refuse_beyond(301, 300)
