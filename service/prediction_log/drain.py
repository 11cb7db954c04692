"""Empties the spool into the database: rows, truths, totals and offsets in one transaction.

Whatever ends between two steps, nothing is lost and nothing is counted twice. An offset is in the database
exactly if the rows before it are. Everything kept in memory is read from there again after a failure, since a
commit may have reached the database although its answer did not come.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from service.errors import StoreRefusedError
from service.events import ModelKey
from service.prediction_log.backlog import Drained, write_drained
from service.prediction_log.records import CorruptRecordError, PredictionRecord, framed, read_payload
from service.prediction_log.rows import arrived_truths, prediction_rows
from service.prediction_log.schema import PredictionRow
from service.prediction_log.segments import read_segment, segment_created, segment_names
from service.prediction_log.spool import SPOOL_FOLDER
from service.prediction_log.store import Store
from service.prediction_log.totals import Totals, VersionTotals
from service.prediction_log.truth_rules import ArrivedTruth
from service.prediction_log.versions import KnownVersions

BATCH_ROWS = 2000
DAMAGED_FOLDER = "damaged"
"""Segments with a part that is no record, as they were found."""
REJECTED_FILE = "rejected.spool"
"""Records that the database refuses, as frames, one after the other."""
_log = logging.getLogger("service.prediction_log")

ShowTotals = Callable[[Mapping[ModelKey, VersionTotals]], None]
"""Told what changed after each commit, and everything at the start."""


@dataclass(frozen=True, slots=True)
class _Item:
    """One record, where it lies and how it is stored."""

    segment: str
    end: int
    payload: bytes
    predictions: Sequence[PredictionRow] = ()
    truths: Sequence[ArrivedTruth] = ()
    is_corrupt: bool = False

    @property
    def rows(self) -> int:
        return len(self.predictions) + len(self.truths)


class Drain:
    """Drains one spool, alone.

    Args:
        log_dir: folder of the prediction log.
        writer: the name under which this folder's totals and offsets are kept.
        open_store: connects to the database.
        versions: the models that truths may be for.
        show: gets the totals after each commit.
        clock: Unix seconds.
    """

    def __init__(
        self,
        log_dir: Path,
        writer: str,
        open_store: Callable[[], Store],
        versions: KnownVersions,
        show: ShowTotals,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._log_dir = log_dir
        self._spool = log_dir / SPOOL_FOLDER
        self._writer = writer
        self._open_store = open_store
        self._versions = versions
        self._show = show
        self._clock = clock
        self._store: Store | None = None
        self._totals = Totals()
        self._offsets: dict[str, int] = {}
        self._caught_up: dict[str, float] = {}

    @property
    def store(self) -> Store:
        """The database, connected if need be.

        Raises:
            StoreUnavailableError: it does not answer.
        """
        if self._store is None:
            store = self._open_store()
            try:
                self._load(store)
            except BaseException:
                store.close()
                raise
            self._store = store
        return self._store

    def step(self) -> bool:
        """Take the next records to the database; tell whether there may be more at once.

        Raises:
            StoreUnavailableError: the database does not answer; nothing was lost, try again later.
            OSError: the spool cannot be read.
        """
        try:
            store = self.store
            self._know_versions()
            items, ended, damaged = self._read()
            if items or damaged:
                self._take(store, items, damaged)
            self._remove(store, ended, damaged)
            self._note()
        except BaseException:
            self.close()
            raise
        return sum(item.rows for item in items) >= BATCH_ROWS

    def close(self) -> None:
        """Close the database and drop what is in memory, which may differ from what was committed."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def _load(self, store: Store) -> None:
        state = store.load(self._writer)
        self._totals, self._offsets = state.totals, dict(state.offsets)
        self._versions.look()
        for version in self._versions.all():
            self._totals.ensure(version)
        self._show(self._totals.versions)

    def _know_versions(self) -> None:
        self._versions.look()
        for version in self._versions.all():
            if self._totals.ensure(version):
                self._show({version.key: self._totals.versions[version.key]})

    def _read(self) -> tuple[list[_Item], list[str], dict[str, int]]:
        """Read until there is enough for a transaction.

        Returns:
            the records; segments that are done with once these are stored; those with a part that is no
            record, each with its size.
        """
        items: list[_Item] = []
        ended: list[str] = []
        damaged: dict[str, int] = {}
        caught_up: dict[str, float] = {}
        rows = 0
        for name in segment_names(self._spool):
            if rows >= BATCH_ROWS:
                caught_up[name] = self._caught_up.get(name, segment_created(name))
                continue
            now = self._clock()
            offset = self._offsets.get(name, 0)
            part = read_segment(self._spool / name, offset)
            for payload, end in part.payloads:
                if rows >= BATCH_ROWS:
                    break
                items.append(self._item(name, end, payload))
                rows += items[-1].rows
                offset = end
            if part.is_damaged:
                _log.error(
                    "%s: %d bytes are no record; it goes to %s", name, part.size - offset, DAMAGED_FOLDER
                )
                damaged[name] = offset = part.size
            is_caught_up = offset == part.size
            caught_up[name] = now if is_caught_up else self._caught_up.get(name, segment_created(name))
            if is_caught_up and part.is_ended:
                ended.append(name)
        self._caught_up = caught_up
        return items, ended, damaged

    def _item(self, segment: str, end: int, payload: bytes) -> _Item:
        try:
            record = read_payload(payload)
            if isinstance(record, PredictionRecord):
                return _Item(segment, end, payload, predictions=prediction_rows(record, self._versions))
            return _Item(segment, end, payload, truths=arrived_truths(record))
        except CorruptRecordError as error:
            _log.error("%s: a record cannot be read, it is kept in %s: %s", segment, REJECTED_FILE, error)
            return _Item(segment, end, payload, is_corrupt=True)

    def _take(self, store: Store, items: Sequence[_Item], damaged: Mapping[str, int]) -> None:
        """Store all in one transaction, or, if the database refuses a row, each record in its own."""
        self._keep([item for item in items if item.is_corrupt])
        try:
            self._write(store, items, damaged)
        except StoreRefusedError:
            self._load(store)
            for item in items:
                try:
                    self._write(store, [item], {})
                except StoreRefusedError as error:
                    _log.error("a record is refused, it is kept in %s: %s", REJECTED_FILE, error)
                    self._load(store)
                    self._keep([item])
                    self._write(store, [replace(item, predictions=(), truths=())], {}, rejected=item.rows)
            self._write(store, [], damaged)

    def _write(
        self, store: Store, items: Sequence[_Item], damaged: Mapping[str, int], rejected: int = 0
    ) -> None:
        offsets = {item.segment: item.end for item in items} | dict(damaged)
        predictions = [row for item in items for row in item.predictions]
        # The first truth of a prediction counts, whichever worker got it.
        truths = sorted(
            (truth for item in items for truth in item.truths), key=lambda truth: truth.received_timestamp
        )
        with store.transaction() as transaction:
            if predictions:
                transaction.insert_predictions(predictions)
            for key, timestamp in _first_times(predictions).items():
                self._totals.add_predictions(key, timestamp)
            if truths:
                for judged in transaction.receive_truths(truths, self._versions):
                    self._totals.add_truth(judged)
            self._totals.add_records("stored", len(predictions) + len(truths))
            self._totals.add_records("rejected", rejected)
            self._totals.add_records("corrupt", sum(item.is_corrupt for item in items) + len(damaged))
            for segment, offset in offsets.items():
                transaction.save_offset(self._writer, segment, offset)
            changed = self._totals.take_changed()
            transaction.save_totals(self._writer, changed)
        self._offsets |= offsets
        self._show(changed)

    def _keep(self, items: Sequence[_Item]) -> None:
        """Keep payloads that cannot be stored, for a person to look at."""
        if items:
            with (self._log_dir / REJECTED_FILE).open("ab") as file:
                file.write(b"".join(framed(item.payload) for item in items))
                file.flush()
                os.fsync(file.fileno())

    def _remove(self, store: Store, ended: Sequence[str], damaged: Collection[str]) -> None:
        """Remove segments whose every record is stored, and put damaged ones aside."""
        for name in ended:
            path = self._spool / name
            if name in damaged:
                (self._log_dir / DAMAGED_FOLDER).mkdir(exist_ok=True)
                path.rename(self._log_dir / DAMAGED_FOLDER / name)
            else:
                path.unlink()
            self._caught_up.pop(name, None)
        gone = self._offsets.keys() - self._caught_up.keys()
        if gone:
            with store.transaction() as transaction:
                transaction.forget_segments(self._writer, self._caught_up.keys())
            for name in gone:
                del self._offsets[name]

    def _note(self) -> None:
        """Tell the exporter how far each segment is."""
        segments = {
            name: Drained(self._offsets.get(name, 0), caught_up)
            for name, caught_up in self._caught_up.items()
        }
        write_drained(self._log_dir, segments)


def _first_times(rows: Sequence[PredictionRow]) -> dict[ModelKey, float]:
    times: dict[ModelKey, float] = {}
    for row in rows:
        key = ModelKey(row.model_name, row.model_version)
        times[key] = min(row.predicted_timestamp, times.get(key, row.predicted_timestamp))
    return times
