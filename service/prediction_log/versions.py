"""What the prediction log needs to know of each model version, found by the fingerprint in an id.

Read from the JSON files of every bundle on disk, loaded or retired; nothing is unpickled, and a bundle that
cannot be read is as unknown as one that is not there.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from service.bundle.manifest import MANIFEST_FILE, REFERENCE_FILE, SIGNATURE_FILE, Manifest
from service.bundle.reference import Reference
from service.bundle.routing import find_bundles
from service.bundle.signature import Signature
from service.errors import PlumblineError
from service.events import ModelKey
from service.prediction_log.ids import fingerprint_of

MAX_TRUTH = 1e30
"""A larger number is no truth: its square would not be finite."""
# Less than a worker needs to start with a new bundle: its first predictions find a drainer that knows it.
_SECONDS_BETWEEN_LOOKS = 1.0
_log = logging.getLogger("service.prediction_log")


@dataclass(frozen=True, slots=True)
class KnownVersion:
    """One version whose predictions may get truths.

    Args:
        key: name and version.
        signature: inputs, classes, bounds.
        has_confidence: whether its predictions carry a probability.
        target_stddev: unit of error sums, > 0; 1 where it is not known (regression).
        store_features: whether the features of its predictions are kept.
    """

    key: ModelKey
    signature: Signature
    has_confidence: bool
    target_stddev: float
    store_features: bool

    def truth_problem(self, truth: object) -> str | None:
        """Say why a JSON value cannot be a truth of this model; None if it can."""
        if self.signature.classes is not None:
            is_class = self.signature.class_index(truth) is not None
            return None if is_class else "is not one of the model's classes"
        if isinstance(truth, bool) or not isinstance(truth, int | float):
            return "must be a number"
        if not math.isfinite(truth) or abs(truth) > MAX_TRUTH:
            return f"must be a finite number of at most {MAX_TRUTH:g}"
        low, high = self.signature.output_minimum, self.signature.output_maximum
        if (low is not None and truth < low) or (high is not None and truth > high):
            return "is outside the model's output bounds"
        return None

    def class_index(self, truth: object) -> int:
        """Return the position of a class that passed `truth_problem`."""
        index = self.signature.class_index(truth)
        assert index is not None
        return index


class KnownVersions:
    """The versions on disk, by fingerprint; looks again, at most once a second, for one it does not know.

    Args:
        bundle_dir: folder of the bundles.
        clock: monotonic seconds.
    """

    def __init__(self, bundle_dir: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._bundle_dir = bundle_dir
        self._clock = clock
        self._versions: dict[bytes, KnownVersion] = {}
        self._read: dict[Path, int] = {}
        self._told: dict[Path, str] = {}
        self._looked = -math.inf

    def find(self, fingerprint: bytes) -> KnownVersion | None:
        """Return the version with this fingerprint, or None."""
        version = self._versions.get(fingerprint)
        if version is None:
            self.look()
            version = self._versions.get(fingerprint)
        return version

    def all(self) -> list[KnownVersion]:
        """Return the versions known by now, by name and version."""
        return sorted(self._versions.values(), key=lambda version: version.key)

    def look(self) -> None:
        """Read bundles that are new or changed and forget those that are gone, unless just done."""
        if self._clock() - self._looked < _SECONDS_BETWEEN_LOOKS:
            return
        self._looked = self._clock()
        try:
            found = find_bundles(self._bundle_dir)
        except PlumblineError as error:
            _log.warning("bundles cannot be listed, the known ones stand: %s", error)
            return
        gone = self._versions.keys() - {fingerprint_of(key) for key in found}
        for fingerprint in gone:
            del self._versions[fingerprint]
        for key, directory in found.items():
            self._read_if_new(key, directory)

    def _read_if_new(self, key: ModelKey, directory: Path) -> None:
        try:
            changed = (directory / MANIFEST_FILE).stat().st_mtime_ns
        except OSError:
            return
        if self._read.get(directory) == changed and fingerprint_of(key) in self._versions:
            return
        try:
            self._versions[fingerprint_of(key)] = read_known_version(key, directory)
            self._read[directory] = changed
        except (OSError, ValueError) as error:
            if self._told.get(directory) != str(error):
                self._told[directory] = str(error)
                _log.warning("%s %s is unknown to the prediction log: %s", *key, error)


def read_known_version(key: ModelKey, directory: Path) -> KnownVersion:
    """Read one bundle's JSON files.

    Raises:
        OSError: a file is missing.
        ValueError: a file is not what it should be.
    """
    manifest = Manifest.model_validate_json((directory / MANIFEST_FILE).read_bytes())
    signature = Signature.model_validate_json((directory / SIGNATURE_FILE).read_bytes())
    reference = Reference.model_validate_json((directory / REFERENCE_FILE).read_bytes())
    return KnownVersion(
        key=key,
        signature=signature,
        has_confidence=signature.classes is not None,
        target_stddev=reference.target_stddev or 1.0,
        store_features=manifest.store_features,
    )
