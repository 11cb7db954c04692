"""Where the prediction log lies: its folder, its database, its name among several writers."""

from __future__ import annotations

import os
from pathlib import Path

from service.errors import SettingsError
from service.prediction_log.database import postgresql_url
from service.settings import Settings

SQLITE_FILE = "predictions.db"
WRITER_FILE = "writer"


def database_target(settings: Settings) -> Path | str:
    """Return the path of the SQLite file, or the DSN of the PostgreSQL database if there is a file with one.

    Raises:
        SettingsError: the file with the DSN cannot be read, or holds none; the text does not repeat it.
    """
    if settings.log_dsn_file is None:
        return settings.log_dir / SQLITE_FILE
    try:
        dsn = settings.log_dsn_file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not a text file"
        raise SettingsError(f"DSN file {settings.log_dsn_file}: {reason}") from error
    if not dsn:
        raise SettingsError(f"DSN file {settings.log_dsn_file}: is empty")
    try:
        postgresql_url(dsn)
    except SettingsError as error:
        raise SettingsError(f"DSN file {settings.log_dsn_file}: {error}") from None
    return dsn


def writer_name(log_dir: Path) -> str:
    """Return the name under which this folder's offsets and totals are kept, made at the first call.

    Call it with the folder to yourself.

    Raises:
        SettingsError: the folder cannot be written.
    """
    path = log_dir / WRITER_FILE
    try:
        if not path.exists():
            draft = path.with_name(f".{WRITER_FILE}")
            draft.write_text(os.urandom(8).hex() + "\n", "ascii")
            draft.replace(path)
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from error
