"""The counters of one worker: 8-byte numbers in memory-mapped files that outlive the worker.

The files are those of prometheus_client's multi-process mode and its collector reads them; the writer is our
own for the sake of the hot path. It adds to a number at a known place, takes whole arrays, and reserves its
disk space before it uses it: a full tmpfs is an error when a model is loaded, not a SIGBUS while it serves.
Prices, measured, are in docs/decisions/0002-slots-and-exporter.md.

A file starts with its used length (int32) and a number that tells it from an earlier file of the same name;
then come entries: key length (int32), key (JSON) padded to 8 bytes, value (float64), timestamp (float64).

Nothing here locks: whoever adds to a number from several threads holds a lock of its own.
"""

from __future__ import annotations

import mmap
import os
import struct
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from prometheus_client.mmap_dict import mmap_key

from service.bundle.reference import number_label
from service.observability.metric import Metric

HEADER = struct.Struct("<iI")
KEY_LENGTH = struct.Struct("<i")
_INITIAL_BYTES = 1 << 16


class CorruptFileError(Exception):
    """A counter file does not hold what its header says."""


def read_entries(data: bytes | mmap.mmap, used: int) -> Iterator[tuple[bytes, int]]:
    """Give each key of a file with the place of its value, counted in 8-byte words.

    Raises:
        CorruptFileError: an entry reaches beyond the used length.
    """
    position = HEADER.size
    while position < used:
        (length,) = KEY_LENGTH.unpack_from(data, position)
        value = position + KEY_LENGTH.size + length + _padding(length)
        if length <= 0 or value + 16 > used:
            raise CorruptFileError(f"entry at byte {position} reaches beyond the end")
        yield data[position + KEY_LENGTH.size : position + KEY_LENGTH.size + length], value // 8
        position = value + 16


def _padding(length: int) -> int:
    # As the library writes it: always at least one byte.
    return 8 - (length + KEY_LENGTH.size) % 8


class Value:
    """One number: a counter or a gauge."""

    __slots__ = ("_index", "_words")

    def __init__(self, words: memoryview[float], index: int) -> None:
        self._words = words
        self._index = index

    def add(self, amount: float = 1.0) -> None:
        """Add to the number."""
        self._words[self._index] += amount

    def set(self, value: float) -> None:
        """Replace the number (gauges)."""
        self._words[self._index] = value


class Values:
    """Several numbers that are added to at once."""

    __slots__ = ("_indices", "_words")

    def __init__(self, words: memoryview[float], indices: list[int]) -> None:
        self._words: NDArray[np.float64] = np.asarray(words)
        self._indices = np.array(indices, dtype=np.intp)

    def add(self, amounts: NDArray[np.float64] | NDArray[np.intp]) -> None:
        """Add `amounts[i]` to the i-th number."""
        self._words[self._indices] += amounts


class Histogram:
    """Buckets and a sum; a value that is not finite is left out, since it would spoil the sum for ever."""

    __slots__ = ("_all_buckets", "_bounds", "_bounds_array", "_buckets", "_sum", "_words")

    def __init__(
        self, words: memoryview[float], bounds: tuple[float, ...], buckets: list[int], sum_: int
    ) -> None:
        self._words = words
        self._bounds = bounds
        self._bounds_array = np.array(bounds)
        self._buckets = buckets
        self._all_buckets = Values(words, buckets)
        self._sum = sum_

    def observe(self, value: float) -> None:
        """Count one value."""
        if isfinite(value):
            words = self._words
            words[self._buckets[bisect_left(self._bounds, value)]] += 1.0
            words[self._sum] += value

    def replace(self, buckets: Sequence[float], total: float) -> None:
        """Set the count of each bucket (its own, not those below), +Inf last, and the sum."""
        for index, count in zip(self._buckets, buckets, strict=True):
            self._words[index] = count
        self._words[self._sum] = total

    def observe_many(self, values: NDArray[np.float64]) -> None:
        """Count an array of values."""
        values = values[np.isfinite(values)]
        places = np.searchsorted(self._bounds_array, values)
        self._all_buckets.add(np.bincount(places, minlength=len(self._buckets)))
        self._words[self._sum] += float(values.sum())


class ValueFiles:
    """The counter files of one slot; a number asked for again is the same number.

    Args:
        folder: where they lie.
        slot: of this worker. Counters of the slot's earlier workers are continued, gauges start anew.
    """

    def __init__(self, folder: Path, slot: int) -> None:
        self._folder = folder
        self._slot = slot
        self._files: dict[str, _ValueFile] = {}
        for path in folder.glob(f"gauge_live*_w{slot}.db"):
            path.unlink()

    def value(self, metric: Metric, *labels: str) -> Value:
        """Return one counter or gauge, made at 0 if it is new."""
        file = self._file(metric)
        index = file.index(_key(metric, metric.name, labels))
        return Value(file.words, index)

    def values(self, metric: Metric, label_rows: Sequence[tuple[str, ...]]) -> Values:
        """Return several numbers of one metric, made at 0 if they are new."""
        file = self._file(metric)
        indices = [file.index(_key(metric, metric.name, labels)) for labels in label_rows]
        return Values(file.words, indices)

    def histogram(self, metric: Metric, *labels: str) -> Histogram:
        """Return one histogram, made at 0 if it is new."""
        file = self._file(metric)
        sum_ = file.index(_key(metric, f"{metric.name}_sum", labels))
        bounds = (*metric.bounds, float("inf"))
        buckets = [
            file.index(_key(metric, f"{metric.name}_bucket", labels, number_label(bound))) for bound in bounds
        ]
        return Histogram(file.words, metric.bounds, buckets, sum_)

    def has_others(self) -> bool:
        """Tell whether the files hold numbers from before that nobody has asked for."""
        return any(file.has_others() for file in self._files.values())

    def _file(self, metric: Metric) -> _ValueFile:
        kind = f"gauge_live{metric.fold}" if metric.type == "gauge" else metric.type
        if kind not in self._files:
            self._files[kind] = _ValueFile(self._folder / f"{kind}_w{self._slot}.db")
        return self._files[kind]


def _key(metric: Metric, sample: str, labels: tuple[str, ...], le: str | None = None) -> str:
    assert len(labels) == len(metric.labels), f"{metric.name} has labels {metric.labels}"
    names, values = list(metric.labels), list(labels)
    if le is not None:
        names, values = [*names, "le"], [*values, le]
    # The library names a counter's family without its suffix.
    family = metric.name.removesuffix("_total") if metric.type == "counter" else metric.name
    key: str = mmap_key(family, sample, names, values, metric.help)
    return key


class _ValueFile:
    """One file: finds or appends entries."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._asked: set[bytes] = set()
        try:
            self._open()
        except (FileNotFoundError, CorruptFileError, ValueError, struct.error):
            self._create()
            self._open()

    def index(self, key: str) -> int:
        """Return the place of a key's value in `words`, appended at 0 if it is new."""
        encoded = key.encode()
        if encoded not in self._indices:
            self._append(encoded)
        self._asked.add(encoded)
        return self._indices[encoded]

    def has_others(self) -> bool:
        """Tell whether it holds keys that nobody has asked for."""
        return len(self._asked) < len(self._indices)

    def _create(self) -> None:
        # Renamed into place once it is whole, so that no reader ever meets an empty file.
        draft = self._path.with_suffix(".new")
        with draft.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, _INITIAL_BYTES)
            file.write(HEADER.pack(HEADER.size, int.from_bytes(os.urandom(4), "little")))
        draft.replace(self._path)

    def _open(self) -> None:
        self._map()
        self._used, self._mark = HEADER.unpack_from(self._bytes)
        if not HEADER.size <= self._used <= len(self._bytes):
            raise CorruptFileError(f"{self._path}: used length {self._used}")
        self._indices = dict(read_entries(self._bytes, self._used))

    def _map(self) -> None:
        with self._path.open("r+b") as file:
            self._bytes = mmap.mmap(file.fileno(), 0)
        if len(self._bytes) % 8:
            raise CorruptFileError(f"{self._path}: {len(self._bytes)} bytes are no whole number of words")
        self.words: memoryview[float] = memoryview(self._bytes).cast("d")

    def _append(self, key: bytes) -> None:
        padding = b" " * _padding(len(key))
        entry = KEY_LENGTH.pack(len(key)) + key + padding + bytes(16)
        end = self._used + len(entry)
        if end > len(self._bytes):
            size = len(self._bytes)
            with self._path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), size, max(size, len(entry)))
            # Numbers handed out before keep the earlier mapping; both show the same pages.
            self._map()
        self._bytes[self._used : end] = entry
        self._indices[key] = end // 8 - 2
        self._used = end
        self._bytes[: KEY_LENGTH.size] = KEY_LENGTH.pack(end)
