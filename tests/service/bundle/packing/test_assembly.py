"""What packing found out becomes files and a manifest that fits them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from service.bundle.loader import describe_bundle
from service.bundle.packing.assembly import Content, budget_series, listed, write
from service.bundle.packing.request import BundleRequest, Destination
from service.bundle.packing.table import Table
from service.bundle.reference import FeatureReference, Reference
from service.bundle.signature import Feature, Signature
from service.errors import PackError

EXTERNAL: dict[str, Any] = {
    "external": True,
    "framework": "external",
    "library_versions": {},
    "container": None,
    "output": None,
}


def content(column: str = "age") -> Content:
    """A model of one feature that two of three rows lie in the range of."""
    known = FeatureReference(kind="numeric", edges=(2.0,), counts=(2, 1, 0), minimum=1.0, maximum=3.0)
    return Content(
        signature=Signature(
            task="binary",
            input="tabular",
            classes=("no", "yes"),
            features=(Feature(name=column, type="number", example=2.5),),
        ),
        reference=Reference(rows=3, features={column: known}, validation_rows=3, out_of_distribution_rows=1),
        objectives={"accuracy": 0.87, "label_delay_seconds": 3600.0},
        scores={"accuracy": 0.91},
        validation_rows=3,
        training=Table(Path("t.csv"), pd.DataFrame({column: [1.0, 2.5, 3.0]}), "7f" * 32),
    )


def request(folder: Path, **options: Any) -> BundleRequest:
    """Ask for a bundle in `folder`."""
    return BundleRequest(data=Path("t.csv"), target="y", name="loans", version="7", out=folder, **options)


@pytest.mark.parametrize("stored", [True, False])
def test_bundle_reads_as_it_was_written(tmp_path: Path, stored: bool) -> None:
    """Each fact is in its place, and hashes fit."""
    destination = Destination(tmp_path / "loans" / "7", "2026-03-07T11:13:17Z")
    lines: list[str] = []
    asked = request(tmp_path, store_features=stored)
    packed = write(asked, destination, content(), 123, EXTERNAL, {}, lines.append)
    assert lines == [f"wrote {destination.directory}"]
    found = describe_bundle(packed.directory)
    assert found.manifest == packed.manifest
    assert (found.signature, found.reference) == (content().signature, content().reference)
    manifest = found.manifest
    assert manifest.store_features is stored
    assert (manifest.created, manifest.series, manifest.training_rows) == ("2026-03-07T11:13:17Z", 123, 3)
    assert (manifest.validation_scores, manifest.validation_rows) == ({"accuracy": 0.91}, 3)
    assert manifest.objectives == {"accuracy": 0.87, "label_delay_seconds": 3600.0}
    assert manifest.monitored_features == ("age",)
    assert manifest.training_data_sha256 == "7f" * 32


def test_series_are_counted_and_limited(tmp_path: Path) -> None:
    """A column that should not be monitored is named before."""
    lines: list[str] = []
    series = budget_series(request(tmp_path), content("month"), lines.append)
    assert lines == [
        (
            "warning: month looks like a calendar column: it moves by itself; "
            "leave it out of drift with --unmonitored month"
        ),
        f"series: {series} of at most 15000",
    ]
    with pytest.raises(PackError, match=f"would export {series} time series, the limit is 9"):
        budget_series(request(tmp_path, series_limit=9), content(), print)


def test_numbers_are_listed_with_their_names() -> None:
    """Four digits are enough for a person, but seconds of a week are no 6.048e+05."""
    assert listed({"accuracy": 0.912345, "f1": 1.0}) == "accuracy 0.9123, f1 1"
    assert listed({"label_delay_seconds": 604800.0, "mae": 1e15}) == "label_delay_seconds 604800, mae 1e+15"
