"""Opens the files of a bundle without following links and checks each hash on the descriptor that is read."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from pydantic_core import from_json

from service.bundle.manifest import MANIFEST_FILE, BundleFile
from service.errors import BundleError

MANIFEST_MAX_BYTES = 1_048_576


class BundleFolder:
    """An open folder; its files are opened relative to it, so that it cannot be swapped in between.

    Args:
        path: the folder, for messages.
        descriptor: the same folder, opened.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def entries(self) -> set[str]:
        """List the names in the folder."""
        return set(os.listdir(self._descriptor))  # noqa: PTH208 - pathlib lists no open descriptor

    @contextmanager
    def open(self, name: str) -> Iterator[BufferedReader]:
        """Open a regular file of the folder for reading.

        Raises:
            BundleError: there is none, it is a link or no regular file, or it cannot be read.
        """
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(name, flags, dir_fd=self._descriptor)
        except OSError as error:
            raise BundleError(self.path / name, "missing_file", _open_problem(error)) from error
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise BundleError(self.path / name, "missing_file", "is not a regular file")
            yield file

    def manifest_bytes(self) -> bytes:
        """Read the manifest, which no hash protects.

        Raises:
            BundleError: it is missing or absurdly large.
        """
        with self.open(MANIFEST_FILE) as file:
            content = file.read(MANIFEST_MAX_BYTES + 1)
        if len(content) > MANIFEST_MAX_BYTES:
            message = f"has more than {MANIFEST_MAX_BYTES} bytes"
            raise BundleError(self.path / MANIFEST_FILE, "manifest", message)
        return content

    def verify(self, name: str, file: BufferedReader, expected: BundleFile) -> None:
        """Compare an open file with its entry in the manifest and rewind it.

        Raises:
            BundleError: size or hash differ.
        """
        size = os.fstat(file.fileno()).st_size
        if size != expected.size_bytes:
            message = f"has {size} bytes, the manifest says {expected.size_bytes}"
            raise BundleError(self.path / name, "hash", message)
        if hashlib.file_digest(file, "sha256").hexdigest() != expected.sha256:
            raise BundleError(self.path / name, "hash", "was altered: its sha256 is not that of the manifest")
        file.seek(0)


@contextmanager
def open_folder(path: Path) -> Iterator[BundleFolder]:
    """Open the folder of a bundle.

    Raises:
        BundleError: it does not exist, or is no folder.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise BundleError(path, "missing_file", _open_problem(error)) from error
    try:
        yield BundleFolder(path, descriptor)
    finally:
        os.close(descriptor)


def is_external(path: Path) -> bool:
    """Tell whether the manifest in a folder says that other software serves the model.

    Nothing else is read or checked; of a bundle that cannot be read the answer is False.
    """
    try:
        with open_folder(path) as folder:
            manifest = from_json(folder.manifest_bytes())
    except (BundleError, ValueError):
        return False
    return isinstance(manifest, dict) and manifest.get("external") is True


def _open_problem(error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return "does not exist"
    if error.errno in {errno.ELOOP, errno.ENOTDIR}:
        return "is a link or not a folder; links are refused"
    return f"cannot be opened: {os.strerror(error.errno or 0)}"
