"""What is asked for is checked before anything is computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.bundle.packing.request import BundleRequest, check_destination, check_features
from service.errors import PackError


def request(folder: Path, **options: Any) -> BundleRequest:
    """Ask for a bundle in `folder`."""
    given: dict[str, Any] = {"name": "loans", "version": "7", "out": folder, **options}
    return BundleRequest(data=Path("t.csv"), target="y", **given)


def test_destination_is_folder_and_time(tmp_path: Path) -> None:
    """In UTC, without fractions of a second."""
    found = check_destination(request(tmp_path, created="2026-03-07T12:13:17.9+01:00"))
    assert found.directory == tmp_path / "loans" / "7"
    assert found.created == "2026-03-07T11:13:17Z"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "Upper"}, "--name 'Upper' does not match"),
        ({"version": "../1"}, r"--version '\.\./1' does not match"),
        ({"created": "yesterday"}, "--created yesterday is no ISO 8601 time"),
        ({"created": "2026-03-07T11:13:17"}, "has no time zone"),
    ],
)
def test_malformed_request_is_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    """The line names the option."""
    with pytest.raises(PackError, match=message):
        check_destination(request(tmp_path, **options))


def test_existing_bundle_is_refused_without_force(tmp_path: Path) -> None:
    """A version is never changed once it may be served."""
    (tmp_path / "loans" / "7").mkdir(parents=True)
    with pytest.raises(PackError, match="loans/7: exists"):
        check_destination(request(tmp_path))
    check_destination(request(tmp_path, force=True))


def test_features_that_are_none_are_refused() -> None:
    """The line names where they were given."""
    check_features(["age", "income"], ["income"], "--unmonitored")
    with pytest.raises(PackError, match=r"fields\.toml: 'agee' is no feature of the model"):
        check_features(["age"], {"agee": 1}, Path("fields.toml"))
