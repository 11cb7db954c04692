"""Merges the counter files of all workers into one text; exact, and fast since most of it is remembered.

Files only ever grow by whole entries. What a scrape needs of a file (which numbers stand where, and in which
line of the text each ends up) is worked out once per file and length; after that a scrape reads bytes, adds
arrays and writes lines. A test compares the result with prometheus_client's own collector.
"""

from __future__ import annotations

import json
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.observability.text_format import header, sample_name
from service.observability.value_files import HEADER, CorruptFileError, read_entries

_FILE_NAME = re.compile(r"(counter|histogram|gauge_livesum|gauge_livemax)_[^_]+\.db")


@dataclass(frozen=True, slots=True)
class Series:
    """One number of the merged whole."""

    kind: str
    family: str
    sample: str
    labels: tuple[tuple[str, str], ...]
    help: str
    bound: float | None
    """The upper bound, if this is a bucket of a histogram."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the numbers of one file stand: word i of the file belongs to series j."""

    identity: tuple[Path, int, int, int]
    is_maximum: bool
    words: NDArray[np.intp]
    series: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class _Page:
    """The text without its numbers, for one set of files."""

    buckets: NDArray[np.intp]
    group_starts: NDArray[np.intp]
    group_sizes: NDArray[np.intp]
    prefixes: list[str]
    order: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge found.

    Args:
        text: the exposition, a line each ending in a newline.
        models: label pairs (model_name, model_version) that occur in it.
        files: how many files were merged.
        bad_files: how many were skipped.
    """

    text: str
    models: frozenset[tuple[str, str]]
    files: int
    bad_files: int


class Merger:
    """Merges the files of some folders again and again; not for several threads at once."""

    def __init__(self) -> None:
        self._folders: tuple[Path, ...] = ()
        self._forget()

    def merge(self, *folders: Path) -> Merged:
        """Merge the files as they are now; one that cannot be read is skipped and counted."""
        if folders != self._folders:
            self._folders = folders
            self._forget()
        contents: list[tuple[_Layout, NDArray[np.float64]]] = []
        bad_files = 0
        for path in [folder / name for folder in folders for name in sorted(_names(folder))]:
            try:
                contents.append(self._read(path))
            except FileNotFoundError:
                continue
            except (
                OSError,
                CorruptFileError,
                ValueError,
                TypeError,
                LookupError,
                AttributeError,
                struct.error,
            ):
                bad_files += 1
        totals = np.zeros(len(self._series))
        for layout, numbers in contents:
            if layout.is_maximum:
                totals[layout.series] = np.maximum(totals[layout.series], numbers)
            else:
                totals[layout.series] += numbers
        page = self._page([layout for layout, _ in contents])
        if len(page.buckets):
            running = np.cumsum(totals[page.buckets])
            before = running[page.group_starts] - totals[page.buckets][page.group_starts]
            totals[page.buckets] = running - np.repeat(before, page.group_sizes)
        numbers_in_order = totals[page.order].tolist()
        lines = [
            f"{prefix}{number!r}\n" for prefix, number in zip(page.prefixes, numbers_in_order, strict=True)
        ]
        return Merged("".join(lines), self._models, len(contents), bad_files)

    def _forget(self) -> None:
        self._layouts: dict[Path, _Layout] = {}
        self._series: dict[tuple[str, bytes], int] = {}
        self._descriptions: list[Series] = []
        self._cached_page: tuple[object, _Page] | None = None
        self._models: frozenset[tuple[str, str]] = frozenset()

    def _read(self, path: Path) -> tuple[_Layout, NDArray[np.float64]]:
        with path.open("rb") as file:
            inode = os.fstat(file.fileno()).st_ino
            data = file.read()
        used, mark = HEADER.unpack_from(data)
        if not HEADER.size <= used <= len(data):
            raise CorruptFileError(f"{path}: used length {used} of {len(data)}")
        identity = (path, inode, mark, used)
        layout = self._layouts.get(path)
        if layout is None or layout.identity != identity:
            layout = self._lay_out(identity, data, used)
            self._layouts[path] = layout
        return layout, np.frombuffer(data, dtype=np.float64, count=used // 8)[layout.words]

    def _lay_out(self, identity: tuple[Path, int, int, int], data: bytes, used: int) -> _Layout:
        kind, fold, *_ = identity[0].name.split("_")
        entries = list(read_entries(data, used))
        described = [(key, _describe(kind, key)) for key, _ in entries if (kind, key) not in self._series]
        for key, series in described:
            self._series[kind, key] = len(self._descriptions)
            self._descriptions.append(series)
        return _Layout(
            identity,
            (kind, fold) == ("gauge", "livemax"),
            np.array([word for _, word in entries], dtype=np.intp),
            np.array([self._series[kind, key] for key, _ in entries], dtype=np.intp),
        )

    def _page(self, layouts: list[_Layout]) -> _Page:
        identity = tuple(layout.identity for layout in layouts)
        if self._cached_page is None or self._cached_page[0] != identity:
            present = (
                np.unique(np.concatenate([layout.series for layout in layouts])) if layouts else np.array([])
            )
            known = [(self._descriptions[index], int(index)) for index in present.astype(int).tolist()]
            self._cached_page = (identity, _lay_out_page(known))
            self._models = frozenset(
                (labels["model_name"], labels["model_version"])
                for labels in (dict(series.labels) for series, _ in known)
                if "model_name" in labels
            )
        return self._cached_page[1]


def _names(folder: Path) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if _FILE_NAME.fullmatch(name)]  # noqa: PTH208 - names only
    except OSError:
        return []


def _describe(kind: str, key: bytes) -> Series:
    family, sample, labels, text = json.loads(key)
    is_bucket = kind == "histogram" and sample == f"{family}_bucket"
    bound = float(labels["le"]) if is_bucket else None
    return Series(kind, family, sample, tuple(sorted(labels.items())), text, bound)


def _lay_out_page(known: list[tuple[Series, int]]) -> _Page:
    """Order the series as the text shows them: by family, by labels, buckets by bound."""
    rows = []
    for series, index in known:
        bound = series.bound
        plain = tuple(pair for pair in series.labels if bound is None or pair[0] != "le")
        rows.append(
            (series.family, plain, float("inf") if bound is None else bound, bound is None, index, series)
        )
    rows.sort(key=lambda row: row[:4])
    buckets: list[int] = []
    starts: list[int] = []
    sizes: list[int] = []
    prefixes: list[str] = []
    order: list[int] = []
    family, group = None, None
    for series_family, plain, _, is_plain, index, series in rows:
        head = ""
        if series_family != family:
            family, group = series_family, None
            name = series.sample if series.kind == "counter" else family
            head = header(name, series.kind, series.help)
        if series.kind == "histogram" and not is_plain:
            if plain != group:
                group = plain
                starts.append(len(buckets))
                sizes.append(0)
            sizes[-1] += 1
            buckets.append(index)
        prefixes.append(f"{head}{sample_name(series.sample, series.labels)} ")
        order.append(index)
        if series.kind == "histogram" and is_plain and plain == group:
            # The last bucket, +Inf, holds the count once the buckets are summed up.
            prefixes.append(f"{sample_name(f'{family}_count', plain)} ")
            order.append(buckets[-1])
    return _Page(
        np.array(buckets, dtype=np.intp),
        np.array(starts, dtype=np.intp),
        np.array(sizes, dtype=np.intp),
        prefixes,
        np.array(order, dtype=np.intp),
    )
