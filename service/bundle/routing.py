"""Which version of each model answers: `routing.toml` in the bundle directory, and what holds without it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from service.bundle.folder import is_external
from service.bundle.manifest import BundleName, is_bundle_name
from service.errors import SettingsError
from service.events import ModelKey

ROUTING_FILE = "routing.toml"


@dataclass(frozen=True, slots=True)
class Routing:
    """Who answers.

    Args:
        default_model: answers a request that names no model; None if every model is external.
        stable: by model name, the version that answers a request that names no version.
    """

    default_model: str | None
    stable: Mapping[str, str]


class _ModelSection(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    stable: BundleName | None = None


class _RoutingFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    default_model: BundleName | None = None
    models: dict[BundleName, _ModelSection] = {}


def find_bundles(bundle_dir: Path) -> dict[ModelKey, Path]:
    """List the bundles on disk by name and version, versions in natural order; nothing in them is read.

    Raises:
        SettingsError: the directory cannot be listed.
    """
    try:
        folders = [version for model in _folders(bundle_dir) for version in _folders(model)]
    except OSError as error:
        raise SettingsError(f"{bundle_dir}: cannot be listed: {error.strerror}") from error
    folders.sort(key=lambda folder: (folder.parent.name, _natural(folder.name)))
    return {ModelKey(folder.parent.name, folder.name): folder for folder in folders}


def read_routing(bundle_dir: Path) -> Routing:
    """Read `routing.toml`; without an entry the highest version is stable and the first model the default.

    An external model has a stable version like any other, but cannot answer, so it is never the default.

    Raises:
        SettingsError: there is no bundle, the file is no routing, it names a bundle that is not there, or an
            external model as the default.
    """
    path = bundle_dir / ROUTING_FILE
    found = find_bundles(bundle_dir)
    if not found:
        raise SettingsError(f"{bundle_dir}: holds no bundle; `python -m training` makes the demo models")
    highest = {key.model_name: key.model_version for key in found}
    routing = _read(path)
    stable = dict(highest)
    for name, section in routing.models.items():
        if name not in highest:
            raise SettingsError(f"{path}: models.{name}: {bundle_dir / name} does not exist")
        if section.stable is None:
            continue
        if ModelKey(name, section.stable) not in found:
            missing = bundle_dir / name / section.stable
            raise SettingsError(f"{path}: models.{name}.stable: {missing} does not exist")
        stable[name] = section.stable
    stable_folders = {name: found[ModelKey(name, version)] for name, version in stable.items()}
    return Routing(_default_model(path, routing.default_model, stable_folders), stable)


def _default_model(path: Path, given: str | None, stable_folders: Mapping[str, Path]) -> str | None:
    """Take the given model, else the first by name whose stable version has an estimator."""
    if given is None:
        return next((name for name, folder in stable_folders.items() if not is_external(folder)), None)
    if given not in stable_folders:
        raise SettingsError(f"{path}: default_model: {path.parent / given} does not exist")
    if is_external(stable_folders[given]):
        folder = stable_folders[given]
        raise SettingsError(f"{path}: default_model: {folder} is external, so it answers no request")
    return given


def _read(path: Path) -> _RoutingFile:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return _RoutingFile()
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(f"{path}: is not TOML: {error}") from error
    try:
        return _RoutingFile.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        raise SettingsError(f"{path}: {place}: {first['msg']}") from error


def _folders(directory: Path) -> list[Path]:
    """List the folders that may be a model or version; a half-written one begins with a dot."""
    return [entry for entry in directory.iterdir() if is_bundle_name(entry.name) and entry.is_dir()]


def _natural(version: str) -> list[tuple[int, int, str]]:
    """Order versions as people do: 2 before 10, 1.9 before 1.10."""
    parts = re.findall(r"\d+|\D+", version)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]
