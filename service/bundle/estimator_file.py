"""The one place where bytes become an estimator; unpickling runs code, so callers check the hash first."""

from __future__ import annotations

import pickle
import warnings
from typing import Any, BinaryIO

import joblib
from sklearn.exceptions import InconsistentVersionWarning


def read_estimator(file: BinaryIO, *, allow_library_mismatch: bool = False) -> Any:
    """Unpickle an estimator from an open file.

    Args:
        file: its bytes are trusted: their hash was checked on this descriptor, or they are the user's own.
        allow_library_mismatch: let through an estimator that another scikit-learn wrote.

    Raises:
        Exception: whatever the pickle raises; InconsistentVersionWarning for another scikit-learn.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if allow_library_mismatch else "error", InconsistentVersionWarning)
        return joblib.load(file)


def packages_of(estimator: object) -> set[str]:
    """List the top-level packages that must be importable to unpickle this estimator.

    Raises:
        Exception: the estimator cannot be pickled.
    """
    pickler = _PackageCollector()
    pickler.dump(estimator)
    return pickler.packages


class _Nowhere:
    def write(self, data: bytes | pickle.PickleBuffer) -> int:
        return memoryview(data).nbytes


class _PackageCollector(pickle.Pickler):
    """Pickles to nowhere and notes where the classes and functions on the way come from."""

    def __init__(self) -> None:
        super().__init__(_Nowhere(), protocol=5)
        self.packages: set[str] = set()

    def reducer_override(self, obj: Any) -> Any:
        for owner in (obj, type(obj)):
            module = getattr(owner, "__module__", None)
            if isinstance(module, str):
                self.packages.add(module.partition(".")[0])
        return NotImplemented
