"""Writes a bundle so that a reader sees all of it or nothing."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from service.bundle.manifest import BundleFile
from service.errors import PackError


def file_entries(contents: Mapping[str, bytes]) -> dict[str, BundleFile]:
    """Give size and hash of each file, sorted by name."""
    return {
        name: BundleFile(size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        for name, content in sorted(contents.items())
    }


def refuse_overwrite(directory: Path) -> None:
    """Raise if the bundle exists: a version is never changed once it may be served."""
    if directory.exists() or directory.is_symlink():
        raise PackError(f"{directory}: exists; choose another --version, or overwrite it with --force")


def write_bundle(directory: Path, contents: Mapping[str, bytes], *, force: bool) -> None:
    """Write the files to a temporary folder beside the bundle and rename it into place.

    Args:
        directory: `<out>/<model_name>/<model_version>`.
        contents: every file by name, the manifest too.
        force: replace a bundle that exists.

    Raises:
        PackError: the bundle exists, or the disk refuses.
    """
    if not force:
        refuse_overwrite(directory)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        # The leading dot keeps readers away: no bundle name begins with one.
        temporary = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
        try:
            _fill(temporary, contents)
            _put(temporary / "new", directory, temporary / "old")
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise PackError(f"{directory}: cannot be written: {error.strerror}") from error


def _fill(temporary: Path, contents: Mapping[str, bytes]) -> None:
    folder = temporary / "new"
    folder.mkdir()
    for name, content in contents.items():
        with (folder / name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    _sync(folder)


def _put(new: Path, directory: Path, old: Path) -> None:
    if directory.exists():
        directory.rename(old)
    new.rename(directory)
    _sync(directory.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
