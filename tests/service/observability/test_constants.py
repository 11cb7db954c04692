"""Constants come from the bundles' JSON files; a broken bundle costs its own only."""

from __future__ import annotations

import logging
import math
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.utils import floatToGoString

from service.bundle.reference import FeatureReference
from service.events import ModelKey
from service.observability.binning import FeatureBinner
from service.observability.constants import Constants, Roles, prediction_bins
from service.prediction_log.outcomes import SCORE_BOUNDS
from tests.service.observability.counted_bundles import (
    BUNDLES,
    REGRESSION,
    TABULAR,
    TEXT,
    parsed,
    write_bundle,
)

LOANS = "model_name=loans,model_version=7"


@pytest.fixture
def bundle_dir(tmp_path: Path) -> Path:
    """Write all bundles."""
    for bundle in BUNDLES:
        write_bundle(tmp_path, bundle)
    return tmp_path


def stable(*keys: ModelKey) -> Roles:
    """Give the role stable to versions."""
    return lambda: dict.fromkeys(keys, "stable")


def test_version_with_a_role_has_its_constants(bundle_dir: Path) -> None:
    """Identity, objectives, sizes and smoothed shares, in exact numbers."""
    text = Constants(bundle_dir, stable(TABULAR.key)).text(())
    series = parsed(text)
    features = {name: value for name, value in series.items() if "feature=" in name}
    bins = {name for name in series if name.startswith("ml_score_bin")}
    assert {name: value for name, value in series.items() if name not in {*features, *bins}} == {
        f"ml_model_info{{framework=scikit-learn 1.9.1,{LOANS},role=stable,sha256={'5e' * 32}}}": 1,
        f"ml_objective{{{LOANS},signal=accuracy}}": 0.87,
        f"ml_objective{{{LOANS},signal=latency_p95_seconds}}": 0.05,
        f"ml_reference_rows{{{LOANS}}}": 103,
        f"ml_predicted_class_reference_ratio{{{LOANS},predicted_class=false}}": 61.5 / 79,
        f"ml_predicted_class_reference_ratio{{{LOANS},predicted_class=true}}": 17.5 / 79,
        f"ml_out_of_distribution_reference_ratio{{{LOANS}}}": 3.5 / 79,
        f"ml_out_of_distribution_reference_rows{{{LOANS}}}": 78,
    }
    assert features[f"ml_feature_reference_ratio{{bin=20.5,feature=age,{LOANS}}}"] == 30.5 / 105
    assert features[f"ml_feature_reference_ratio{{bin=other_,feature=colour,{LOANS}}}"] == 20.5 / 105


def test_reference_and_live_counts_can_be_joined(bundle_dir: Path) -> None:
    """Every bin that is counted has a share, and the shares of a feature sum up to 1."""
    series = parsed(Constants(bundle_dir, stable(TABULAR.key)).text(()))
    binner = FeatureBinner(TABULAR.signature, TABULAR.reference)
    for feature in binner.features:
        shares = [
            series[f"ml_feature_reference_ratio{{bin={label},feature={name},{LOANS}}}"]
            for name, label in binner.bins
            if name == feature
        ]
        assert sum(shares) == pytest.approx(1)


def test_regression_has_bins_of_its_prediction(bundle_dir: Path) -> None:
    """A prediction is never missing, so there is no such bin."""
    series = parsed(Constants(bundle_dir, stable(REGRESSION.key)).text(()))
    prices = "model_name=prices,model_version=1"
    assert {name: value for name, value in series.items() if "prediction_bin" in name} == {
        f"ml_prediction_bin_reference_ratio{{bin=-1.5,{prices}}}": 5.5 / 28,
        f"ml_prediction_bin_reference_ratio{{bin=0.0,{prices}}}": 6.5 / 28,
        f"ml_prediction_bin_reference_ratio{{bin=1e+06,{prices}}}": 7.5 / 28,
        f"ml_prediction_bin_reference_ratio{{bin=+Inf,{prices}}}": 8.5 / 28,
    }


def test_regression_has_the_unit_of_its_errors(bundle_dir: Path) -> None:
    """The spread of the target; a classifier has none."""
    spread = REGRESSION.reference.model_copy(update={"target_stddev": 31.25})
    write_bundle(bundle_dir, replace(REGRESSION, reference=spread))
    series = parsed(Constants(bundle_dir, stable(*(bundle.key for bundle in BUNDLES))).text(()))
    assert {name: value for name, value in series.items() if "stddev" in name} == {
        "ml_target_reference_stddev{model_name=prices,model_version=1}": 31.25
    }


def test_bounds_of_the_score_join_with_its_buckets(bundle_dir: Path) -> None:
    """Each upper bound is written as the `le` of a bucket, and is the lower bound of the next."""
    write_bundle(bundle_dir, replace(TABULAR, key=ModelKey("loans", "8")))
    series = parsed(Constants(bundle_dir, stable(TABULAR.key, ModelKey("loans", "8"))).text(()))
    bins = [name.removeprefix("ml_score_bin{") for name in series if name.startswith("ml_score_bin")]
    pairs = [tuple(part.partition("=")[2] for part in name.rstrip("}").split(",")) for name in bins]
    upper = [floatToGoString(bound) for bound in (*SCORE_BOUNDS, math.inf)]
    assert pairs == list(zip(["-Inf", *upper], upper, strict=False))
    assert {series[f"ml_score_bin{{{name}"] for name in bins} == {1.0}


def test_without_a_binary_model_the_score_has_no_bounds(bundle_dir: Path) -> None:
    """Nothing would be joined with them."""
    assert "ml_score_bin" not in Constants(bundle_dir, stable(TEXT.key, REGRESSION.key)).text(())


def test_external_version_is_known_by_its_signature(bundle_dir: Path) -> None:
    """It has no estimator whose hash could tell it from another."""
    write_bundle(
        bundle_dir,
        TABULAR,
        external=True,
        container=None,
        output=None,
        framework="external",
        files={"signature.json": {"size_bytes": 5, "sha256": "3a" * 32}},
    )
    series = parsed(Constants(bundle_dir, stable(TABULAR.key)).text(()))
    assert f"ml_model_info{{framework=external,{LOANS},role=stable,sha256={'3a' * 32}}}" in series


def test_version_that_lost_its_role_keeps_its_constants(bundle_dir: Path) -> None:
    """Its counters are still there, so its reference is needed."""
    series = parsed(Constants(bundle_dir, stable(TABULAR.key)).text({TEXT.key}))
    roles = {
        name.split("model_name=")[1].split(",")[0]: "role=none" in name for name in series if "info" in name
    }
    assert roles == {"loans": False, "mails": True}


@pytest.mark.parametrize("counted", [("other", "other"), ("loans", "99"), ("..", "."), ("../loans", "7")])
def test_versions_that_are_not_on_disk_have_none(bundle_dir: Path, counted: tuple[str, str]) -> None:
    """Neither the stand-in for unknown models nor a name that is no name is looked for."""
    assert Constants(bundle_dir, stable()).text({counted}) == ""


@pytest.mark.parametrize("file", ["manifest.json", "reference.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xff", b"[]", b'{"format_version": 2}'])
def test_broken_bundle_is_left_out_and_logged_once(
    bundle_dir: Path, caplog: pytest.LogCaptureFixture, file: str, content: bytes
) -> None:
    """The scrape goes on with the others."""
    (bundle_dir / "loans" / "7" / file).write_bytes(content)
    constants = Constants(bundle_dir, stable(TABULAR.key, REGRESSION.key))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            series = parsed(constants.text(()))
    assert {name.split("model_name=")[1].split(",")[0] for name in series} == {"prices"}
    assert len(caplog.records) == 1


def test_bundle_is_read_again_when_its_manifest_changes(bundle_dir: Path) -> None:
    """Otherwise the text is the same object: nothing is read or written anew."""
    constants = Constants(bundle_dir, stable(TABULAR.key))
    first = constants.text(())
    assert constants.text(()) is first
    folder = write_bundle(bundle_dir, TABULAR, objectives={"accuracy": 0.91})
    os.utime(folder / "manifest.json", ns=(1, 1))
    assert parsed(constants.text(()))[f"ml_objective{{{LOANS},signal=accuracy}}"] == 0.91
    shutil.rmtree(folder)
    assert constants.text(()) == ""


def test_broken_routing_leaves_the_last_roles(bundle_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A typing mistake in a file does not blind the rules; it is logged once."""
    broken = False

    def roles() -> dict[ModelKey, str]:
        if broken:
            raise ValueError("not TOML")
        return {TABULAR.key: "stable"}

    constants = Constants(bundle_dir, roles)
    before = constants.text(())
    broken = True
    with caplog.at_level(logging.WARNING):
        assert [constants.text(()) for _ in range(3)] == [before] * 3
    assert len(caplog.records) == 1


def test_prediction_bins_leave_missing_out() -> None:
    """Labels and shares have the same length."""
    reference = FeatureReference(kind="numeric", edges=(2.0,), counts=(1, 3, 0))
    assert prediction_bins(reference) == (("2.0", "+Inf"), [1.5 / 5, 3.5 / 5])
