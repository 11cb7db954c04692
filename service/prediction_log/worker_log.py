"""The prediction log as a worker sees it: keys, spool, recorders, and the intake of truths."""

from __future__ import annotations

from collections.abc import Sequence

from service.events import Announcer
from service.prediction_log.id_keys import make_id_keys, read_id_keys
from service.prediction_log.ids import IdReader
from service.prediction_log.location import database_target
from service.prediction_log.recorder import RecordedVersion, Recorder
from service.prediction_log.spool import SPOOL_FOLDER, Spool
from service.prediction_log.truth_intake import TruthIntake
from service.prediction_log.truth_look_up import TruthLookUp
from service.prediction_log.versions import KnownVersions
from service.settings import Settings


class WorkerLog:
    """Puts the parts together; nothing is opened before `open`.

    Args:
        settings: where the log lies, its limits and keys.
        announcer: hears what is written, dropped or refused.
        versions: whose predictions may come.

    Raises:
        SettingsError: the keys cannot be read or made, or the file with the DSN cannot be read.
    """

    def __init__(self, settings: Settings, announcer: Announcer, versions: Sequence[RecordedVersion]) -> None:
        if settings.id_key_file is None:
            make_id_keys(settings.id_keys)
        keys = read_id_keys(settings.id_keys)
        self._spool = Spool(
            settings.log_dir / SPOOL_FOLDER,
            max_bytes=settings.log_spool_max_bytes,
            segment_bytes=settings.log_segment_bytes,
            sync_seconds=settings.log_sync_seconds,
        )
        self._known = KnownVersions(settings.bundle_dir)
        self._look_up = TruthLookUp(database_target(settings))
        policy = settings.log_full_policy
        # One for each thread that records: the inference thread, and the event loop.
        self.record = Recorder(versions, keys[0], self._spool, policy, announcer)
        self.record_elsewhere = Recorder(versions, keys[0], self._spool, policy, announcer)
        self.intake = TruthIntake(
            IdReader(keys),
            self._known,
            self._spool,
            self._look_up,
            accept_days=settings.id_accept_days,
            announcer=announcer,
        )

    def open(self) -> None:
        """Start spooling; call it in the worker, after the fork."""
        self._known.look()
        self._spool.open()
        self._look_up.open()

    def close(self) -> None:
        """Bring everything to the disk."""
        self._spool.close()
        self._look_up.close()  # it may wait for a database
