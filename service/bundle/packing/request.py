"""What a user gives for a bundle, whatever serves its model, and where the bundle will lie."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from service.bundle.manifest import NAME_PATTERN, Manifest, is_bundle_name
from service.bundle.packing.series_budget import DEFAULT_LIMIT
from service.bundle.packing.writer import refuse_overwrite
from service.errors import PackError

Report = Callable[[str], None]
"""Told each step and each decision, a line at a time."""


@dataclass(frozen=True, kw_only=True)
class BundleRequest:
    """The options of `plumbline pack` that every bundle knows; the fields are named as they are."""

    data: Path
    target: str
    name: str
    version: str
    ignore: tuple[str, ...] = ()
    unmonitored: tuple[str, ...] = ()
    fields: Path | None = None
    objectives: Mapping[str, float] = field(default_factory=dict)
    output_minimum: float | None = None
    output_maximum: float | None = None
    store_features: bool = True
    series_limit: int = DEFAULT_LIMIT
    created: str | None = None
    out: Path = Path("bundles")
    force: bool = False


@dataclass(frozen=True)
class Destination:
    """The folder of a bundle to be, and its time of creation (UTC, ISO 8601)."""

    directory: Path
    created: str


@dataclass(frozen=True)
class Packed:
    """A bundle that was written: where, and its manifest."""

    directory: Path
    manifest: Manifest


def check_destination(request: BundleRequest) -> Destination:
    """Check name, version and time before anything is computed.

    Raises:
        PackError: one of them is malformed, or the bundle exists.
    """
    for option, text in (("--name", request.name), ("--version", request.version)):
        if not is_bundle_name(text):
            raise PackError(f"{option} {text!r} does not match {NAME_PATTERN}")
    directory = request.out / request.name / request.version
    if not request.force:
        refuse_overwrite(directory)
    return Destination(directory, _created(request.created))


def check_features(names: Collection[str], given: Collection[str], option: object) -> None:
    """Raise unless every given name is a feature: a mistyped one would be lost in silence."""
    for name in given:
        if name not in names:
            raise PackError(f"{option}: {name!r} is no feature of the model")


def _created(given: str | None) -> str:
    try:
        moment = datetime.now(UTC) if given is None else datetime.fromisoformat(given)
    except ValueError as error:
        raise PackError(f"--created {given} is no ISO 8601 time") from error
    if moment.tzinfo is None:
        raise PackError(f"--created {given} has no time zone; write for example 2026-01-31T12:00:00Z")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
