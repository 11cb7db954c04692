"""Files of a bundle are opened within its folder, never through a link."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from service.bundle.folder import MANIFEST_MAX_BYTES, is_external, open_folder
from service.bundle.manifest import BundleFile
from service.errors import BundleError


def test_entries_are_listed(tmp_path: Path) -> None:
    """Hidden files count as well."""
    (tmp_path / "model.joblib").touch()
    (tmp_path / ".hidden").touch()
    with open_folder(tmp_path) as folder:
        assert folder.entries() == {"model.joblib", ".hidden"}


def test_linked_folder_is_refused(tmp_path: Path) -> None:
    """A version that is a link could change while it serves."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(BundleError, match="links are refused"), open_folder(tmp_path / "link"):
        pass


def test_file_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    """A bundle is a folder."""
    (tmp_path / "file").touch()
    with pytest.raises(BundleError, match="not a folder"), open_folder(tmp_path / "file"):
        pass


def test_files_stay_those_of_the_opened_folder(tmp_path: Path) -> None:
    """A folder that is exchanged after it was opened is not looked into."""
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "manifest.json").write_text("first")
    with open_folder(tmp_path / "bundle") as folder:
        (tmp_path / "bundle").rename(tmp_path / "old")
        (tmp_path / "bundle").mkdir()
        (tmp_path / "bundle" / "manifest.json").write_text("second")
        assert folder.manifest_bytes() == b"first"


def test_absurd_manifest_is_refused(tmp_path: Path) -> None:
    """A manifest has no hash, so its size has a limit."""
    (tmp_path / "manifest.json").write_bytes(b" " * (MANIFEST_MAX_BYTES + 1))
    with open_folder(tmp_path) as folder, pytest.raises(BundleError, match="more than 1048576 bytes"):
        folder.manifest_bytes()


def test_verified_file_is_at_its_start(tmp_path: Path) -> None:
    """Who checked a file can read it at once."""
    (tmp_path / "golden.json").write_bytes(b"{}")
    expected = BundleFile(size_bytes=2, sha256=hashlib.sha256(b"{}").hexdigest())
    with open_folder(tmp_path) as folder, folder.open("golden.json") as file:
        folder.verify("golden.json", file, expected)
        assert file.read() == b"{}"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"external": true}', True),
        (b'{"external": false}', False),
        (b'{"external": "yes"}', False),
        (b"{}", False),
        (b"[]", False),
        (b'{"external": tr', False),
        (b"\xff\xff", False),
        (None, False),
    ],
)
def test_external_is_what_the_manifest_says(tmp_path: Path, content: bytes | None, expected: bool) -> None:
    """A bundle that cannot be read is none, and fails later with its reason."""
    if content is not None:
        (tmp_path / "manifest.json").write_bytes(content)
    assert is_external(tmp_path) is expected
    assert not is_external(tmp_path / "nowhere")
