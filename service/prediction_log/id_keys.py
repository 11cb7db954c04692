"""The keys that sign prediction ids: made once, kept in a file, several while one replaces another."""

from __future__ import annotations

import os
import re
from pathlib import Path

from service.errors import SettingsError
from service.prediction_log.ids import KEY_BYTES, IdKey, id_key

_KEY = re.compile(r"[0-9a-f]{64}")
_EXPLANATION = """\
# Keys of prediction ids, 64 hexadecimal digits a line. The first signs; all are accepted.
# To replace a key, put a new one above it; remove the old one when no truth for its predictions is awaited.
# Who has a key can forge ids: keep this file like a password.
"""


def read_id_keys(path: Path) -> list[IdKey]:
    """Read a file of keys, the one that signs first.

    Raises:
        SettingsError: no file, no key, or a line that is no key; the text never shows a line.
    """
    try:
        lines = path.read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not a text file"
        raise SettingsError(f"id key file {path}: {reason}") from error
    keys: list[IdKey] = []
    for number, line in enumerate(lines, start=1):
        text = line.strip().lower()
        if not text or text.startswith("#"):
            continue
        if not _KEY.fullmatch(text):
            raise SettingsError(
                f"id key file {path}, line {number}: expected {2 * KEY_BYTES} hexadecimal digits"
            )
        if len(set(text)) == 1:
            raise SettingsError(f"id key file {path}, line {number}: this is no secret")
        keys.append(id_key(bytes.fromhex(text)))
    if not keys:
        raise SettingsError(f"id key file {path}: no key in it")
    return keys


def make_id_keys(path: Path) -> None:
    """Make a file with one new key, readable by its owner alone, unless there is a file already.

    Safe when several processes do it at once: one file wins, whole.

    Raises:
        SettingsError: the file cannot be written.
    """
    if path.exists():
        return
    # Not by process number: in a container each start has the same one, and a draft may be left by a kill.
    draft = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            _write_key(draft)
            os.link(draft, path)
            _sync_folder(path.parent)
        except FileExistsError:
            pass
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise SettingsError(f"id key file {path}: cannot be made: {error.strerror}") from error


def _write_key(draft: Path) -> None:
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{_EXPLANATION}{os.urandom(KEY_BYTES).hex()}\n")
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    # Ids that were given out are worth nothing if a power loss takes the key's name from the folder.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
