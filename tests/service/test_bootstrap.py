"""The layers are put together from settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.bootstrap import SERIES_SHARE, build_app, load_bundles
from service.errors import SettingsError
from service.events import ModelKey
from service.settings import Settings
from tests.builders import MIXED, NUMBERS, bundle_dir, copy_bundle


def test_every_bundle_is_loaded() -> None:
    """All versions on disk, by name and version."""
    bundles, _, failures = load_bundles(Settings(bundle_dir=bundle_dir()))
    assert {bundle.key.model_name for bundle in bundles} == {"numbers", "mixed", "texts", "regression"}
    assert not failures


def test_failing_bundle_is_logged_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The others are loaded; the log names file and reason."""
    copy_bundle(MIXED, tmp_path)
    broken = copy_bundle(NUMBERS, tmp_path)
    (broken / "signature.json").write_bytes(b"{}")
    bundles, _, failures = load_bundles(Settings(bundle_dir=tmp_path))
    assert [bundle.key.model_name for bundle in bundles] == ["mixed"]
    assert failures[ModelKey("numbers", "3")].reason == "hash"
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "signature.json" in record.getMessage()
    assert "\n" not in record.getMessage()


def test_series_budget_of_the_target(tmp_path: Path) -> None:
    """A bundle that would take the target above its share is left out with the reason, later ones may fit."""
    copy_bundle(MIXED, tmp_path)
    copy_bundle(NUMBERS, tmp_path)
    every, _, _ = load_bundles(Settings(bundle_dir=tmp_path))
    series = {bundle.key.model_name: bundle.manifest.series for bundle in every}
    limit = int(max(series.values()) / SERIES_SHARE) + 1
    tight = Settings(bundle_dir=tmp_path).model_copy(update={"series_limit": limit})
    bundles, _, failures = load_bundles(tight)
    assert len(bundles) == 1
    assert [error.reason for error in failures.values()] == ["budget"]


def test_bad_token_file_stops_the_start(tmp_path: Path) -> None:
    """Without the tokens that were asked for nothing is served."""
    with pytest.raises(SettingsError, match="token file"):
        build_app(Settings(bundle_dir=bundle_dir(), token_file=tmp_path / "nowhere"))
