"""A bundle appears whole or not at all."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from service.bundle.packing.writer import file_entries, write_bundle
from service.errors import PackError


def names_in(folder: Path) -> list[str]:
    """List what a folder holds, hidden entries too."""
    return [path.name for path in folder.iterdir()]


def test_files_are_written_and_nothing_else_is_left(tmp_path: Path) -> None:
    """Folders are made, the temporary one is gone, others can read."""
    directory = tmp_path / "out" / "numbers" / "3"
    write_bundle(directory, {"a.json": b"1", "b.json": b"2"}, force=False)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == {"a.json": b"1", "b.json": b"2"}
    assert names_in(directory.parent) == ["3"]
    mask = os.umask(0o022)
    os.umask(mask)
    assert directory.stat().st_mode & 0o777 == 0o777 & ~mask


def test_existing_bundle_is_kept(tmp_path: Path) -> None:
    """A version that may be serving does not change."""
    write_bundle(tmp_path / "1", {"a": b"1"}, force=False)
    with pytest.raises(PackError, match="exists; choose another --version"):
        write_bundle(tmp_path / "1", {"a": b"2"}, force=False)
    assert (tmp_path / "1" / "a").read_bytes() == b"1"


def test_force_replaces_all_of_it(tmp_path: Path) -> None:
    """No file of the old bundle stays."""
    write_bundle(tmp_path / "1", {"a": b"1", "old": b"x"}, force=False)
    write_bundle(tmp_path / "1", {"a": b"2"}, force=True)
    assert names_in(tmp_path / "1") == ["a"]
    assert (tmp_path / "1" / "a").read_bytes() == b"2"
    assert names_in(tmp_path) == ["1"]


def test_failure_leaves_the_old_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk leaves what was there, and nothing half-written."""
    write_bundle(tmp_path / "1", {"a": b"1"}, force=False)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PackError, match="cannot be written: No space left"):
        write_bundle(tmp_path / "1", {"a": b"2"}, force=True)
    assert (tmp_path / "1" / "a").read_bytes() == b"1"
    assert names_in(tmp_path) == ["1"]


def test_entries_hold_size_and_hash() -> None:
    """In the order of the names."""
    entries = file_entries({"b": b"22", "a": b"1"})
    assert list(entries) == ["a", "b"]
    assert entries["b"].size_bytes == 2
    assert entries["b"].sha256 == hashlib.sha256(b"22").hexdigest()
