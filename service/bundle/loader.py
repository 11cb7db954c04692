"""Turns a folder into a model that may be asked: hashes first, then versions, then the estimator."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from io import BufferedReader
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from sklearn.exceptions import InconsistentVersionWarning

from service.bundle.estimator_file import read_estimator
from service.bundle.folder import BundleFolder, open_folder
from service.bundle.golden import Golden
from service.bundle.manifest import (
    FORMAT_VERSION,
    GOLDEN_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    REFERENCE_FILE,
    SIGNATURE_FILE,
    Manifest,
)
from service.bundle.reference import FeatureReference, Reference
from service.bundle.scoring import Scorer
from service.bundle.signature import Signature
from service.errors import BundleError, BundleFailure, one_line
from service.events import ModelKey

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class BundleDescription:
    """All of a bundle but its estimator; every file's hash was checked.

    `golden` is None exactly if `manifest.external`: the model is served by other software.
    """

    key: ModelKey
    directory: Path
    manifest: Manifest
    signature: Signature
    reference: Reference
    golden: Golden | None
    manifest_sha256: str


@dataclass(frozen=True, slots=True)
class ModelBundle(BundleDescription):
    """A loaded bundle. It has not predicted yet: see `golden.check_predictions`."""

    golden: Golden
    scorer: Scorer


def load_bundle(directory: Path, *, allow_library_mismatch: bool = False) -> ModelBundle:
    """Load one version of one model; nothing is unpickled before every hash and version was compared.

    Args:
        directory: `<model_name>/<model_version>`; the names must be those of the manifest.
        allow_library_mismatch: load although libraries differ from those it was packed with.

    Raises:
        BundleError: with the reason, and one line that names the file and says why; also for an external
            bundle, which has no estimator: `describe_bundle` tells.
    """
    with _verified(directory) as (description, model_file):
        if model_file is None:
            message = "is of an external model: there is no estimator to load"
            raise BundleError(directory / MANIFEST_FILE, "manifest", message)
        if not allow_library_mismatch:
            _check_libraries(directory, description.manifest)
        estimator = _unpickle(directory, model_file, allow_library_mismatch)
    _check_estimator(directory, description.signature, estimator)
    manifest = description.manifest
    assert manifest.container is not None
    assert manifest.output is not None
    scorer = Scorer(
        description.signature, description.reference, estimator, manifest.container, manifest.output
    )
    known = {field.name: getattr(description, field.name) for field in fields(description)}
    return ModelBundle(**known, scorer=scorer)


def describe_bundle(directory: Path) -> BundleDescription:
    """Read all of a bundle but its estimator; nothing is unpickled, so no code of the bundle runs.

    Raises:
        BundleError: with the reason, and one line that names the file and says why.
    """
    with _verified(directory) as (description, _):
        return description


@contextmanager
def _verified(directory: Path) -> Iterator[tuple[BundleDescription, BufferedReader | None]]:
    """Check every file on the descriptor that is read; give what they say, and the model's file, unread.

    An external bundle has no such file, and no golden requests.
    """
    absolute = Path(os.path.abspath(directory))  # noqa: PTH100 - resolve() would follow links
    key = ModelKey(absolute.parent.name, absolute.name)
    with ExitStack() as stack:
        folder = stack.enter_context(open_folder(directory))
        content = folder.manifest_bytes()
        manifest = _parse_manifest(directory, content)
        _check_identity(directory, key, manifest)
        _check_entries(folder, manifest)
        files = {name: stack.enter_context(folder.open(name)) for name in manifest.required_files}
        for name, file in files.items():
            folder.verify(name, file, manifest.files[name])
        signature = _parse(directory / SIGNATURE_FILE, Signature, files[SIGNATURE_FILE].read(), "signature")
        reference = _parse(directory / REFERENCE_FILE, Reference, files[REFERENCE_FILE].read(), "reference")
        golden = None
        if not manifest.external:
            golden = _parse(directory / GOLDEN_FILE, Golden, files[GOLDEN_FILE].read(), "golden")
        _check_signature(directory, manifest, signature)
        _check_reference(directory, manifest, reference)
        digest = hashlib.sha256(content).hexdigest()
        description = BundleDescription(key, directory, manifest, signature, reference, golden, digest)
        yield description, files.get(MODEL_FILE)


def _parse_manifest(directory: Path, content: bytes) -> Manifest:
    path = directory / MANIFEST_FILE
    try:
        raw = from_json(content)
    except ValueError as error:
        raise BundleError(path, "manifest", f"is not JSON (truncated?): {error}") from error
    version = raw.get("format_version") if isinstance(raw, dict) else None
    if isinstance(version, int) and version != FORMAT_VERSION:
        message = f"has format version {version}, this program reads {FORMAT_VERSION}; pack the model again"
        raise BundleError(path, "format_version", message)
    return _parse(path, Manifest, content, "manifest")


def _parse(path: Path, model: type[ModelT], content: bytes, reason: BundleFailure) -> ModelT:
    try:
        return model.model_validate_json(content, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        problem = first["msg"].removeprefix("Value error, ")
        raise BundleError(path, reason, f"{place}: {problem}" if place else problem) from error


def _check_identity(directory: Path, key: ModelKey, manifest: Manifest) -> None:
    if key != (manifest.model_name, manifest.model_version):
        message = (
            f"names {manifest.model_name}/{manifest.model_version}, "
            f"but its folder is {key.model_name}/{key.model_version}"
        )
        raise BundleError(directory / MANIFEST_FILE, "manifest", message)


def _check_entries(folder: BundleFolder, manifest: Manifest) -> None:
    listed = set(manifest.files)
    if wrong := sorted(listed ^ set(manifest.required_files)):
        kind = "external bundle" if manifest.external else "bundle"
        verb = f"lists a file that no {kind} has" if wrong[0] in listed else "does not list the file"
        raise BundleError(folder.path / MANIFEST_FILE, "manifest", f"{verb}: {wrong[0]}")
    if extra := sorted(folder.entries() - listed - {MANIFEST_FILE}):
        raise BundleError(folder.path / extra[0], "manifest", "is not listed in the manifest")


def _check_libraries(directory: Path, manifest: Manifest) -> None:
    for library, packed in sorted(manifest.library_versions.items()):
        try:
            installed = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            installed = None
        if installed != packed:
            found = f"installed is {installed}" if installed else "which is not installed"
            message = (
                f"was packed with {library} {packed}, {found}; pack the model again, or allow the mismatch"
            )
            raise BundleError(directory / MANIFEST_FILE, "library_version", message)


def _check_signature(directory: Path, manifest: Manifest, signature: Signature) -> None:
    if (signature.task, signature.input) != (manifest.task, manifest.input):
        expected = f"the manifest for {manifest.task} on {manifest.input}"
        message = f"is for {signature.task} on {signature.input}, {expected}"
        raise BundleError(directory / SIGNATURE_FILE, "signature", message)
    names = {feature.name for feature in signature.features}
    if unknown := sorted(set(manifest.monitored_features) - names):
        raise BundleError(
            directory / SIGNATURE_FILE, "signature", f"has no feature {unknown[0]!r} to monitor"
        )


def _check_reference(directory: Path, manifest: Manifest, reference: Reference) -> None:
    path = directory / REFERENCE_FILE
    if wrong := sorted(set(reference.features) ^ set(manifest.monitored_features)):
        raise BundleError(path, "reference", f"and monitored features differ in {wrong[0]!r}")
    named: Iterable[tuple[str, FeatureReference]] = reference.features.items()
    if reference.prediction is not None:
        named = (*named, ("prediction", reference.prediction))
    for name, feature in named:
        if len(feature.counts) != len(feature.labels):
            message = f"{name} has {len(feature.counts)} counts for {len(feature.labels)} bins"
            raise BundleError(path, "reference", message)
        if any(low >= high for low, high in zip(feature.edges, feature.edges[1:], strict=False)):
            raise BundleError(path, "reference", f"{name} has edges that do not ascend")


def _unpickle(directory: Path, file: BufferedReader, allow_library_mismatch: bool) -> Any:
    try:
        return read_estimator(file, allow_library_mismatch=allow_library_mismatch)
    except InconsistentVersionWarning as error:
        message = f"was written by another scikit-learn: {one_line(error)}"
        raise BundleError(directory / MODEL_FILE, "library_version", message) from error
    except Exception as error:
        message = f"cannot be unpickled: {one_line(error)}"
        raise BundleError(directory / MODEL_FILE, "unpickle", message) from error


def _check_estimator(directory: Path, signature: Signature, estimator: Any) -> None:
    path = directory / MODEL_FILE
    if not hasattr(estimator, "predict"):
        raise BundleError(path, "signature", f"holds a {type(estimator).__name__}, which cannot predict")
    expected = getattr(estimator, "n_features_in_", None)
    if expected is not None and signature.input == "tabular" and expected != len(signature.features):
        message = f"takes {expected} features, the signature has {len(signature.features)}"
        raise BundleError(path, "signature", message)
    classes = getattr(estimator, "classes_", None)
    if signature.classes is not None and (classes is None or list(signature.classes) != list(classes)):
        raise BundleError(path, "signature", "has other classes than the signature")
