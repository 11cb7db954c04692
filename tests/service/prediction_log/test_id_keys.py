"""The key is made once, is nobody else's to read, and is never shown."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from service.errors import SettingsError
from service.prediction_log.id_keys import make_id_keys, read_id_keys
from service.prediction_log.ids import id_key
from tests.service.prediction_log.child_process import names_in

ROOT = Path(__file__).resolve().parents[3]
FIRST, SECOND = "0123456789abcdef" * 4, "fedcba9876543210" * 4
MAKE = """
import sys
from pathlib import Path
from service.prediction_log.id_keys import make_id_keys, read_id_keys
print("ready", flush=True)
sys.stdin.readline()
make_id_keys(Path(sys.argv[1]))
print(read_id_keys(Path(sys.argv[1]))[0].secret.hex())
"""


def test_key_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    """File and folder are closed to others, the secret has 32 bytes, and nothing else is left behind."""
    path = tmp_path / "log" / "id_keys"
    make_id_keys(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    (key,) = read_id_keys(path)
    assert len(key.secret) == 32
    assert names_in(path.parent) == ["id_keys"]
    assert len(path.read_text().splitlines()) == 4


def test_key_is_made_once(tmp_path: Path) -> None:
    """What is there stays, also a file that a person wrote; another folder gets another key."""
    make_id_keys(tmp_path / "a")
    content = (tmp_path / "a").read_text()
    make_id_keys(tmp_path / "a")
    assert (tmp_path / "a").read_text() == content
    make_id_keys(tmp_path / "b")
    assert (tmp_path / "b").read_text() != content
    (tmp_path / "c").write_text(FIRST)
    make_id_keys(tmp_path / "c")
    assert (tmp_path / "c").read_text() == FIRST


def test_eight_processes_at_once_agree_on_one_key(tmp_path: Path) -> None:
    """Workers that start together all read the one key that won, whole."""
    path = tmp_path / "log" / "id_keys"
    command = [sys.executable, "-c", MAKE, str(path)]
    makers = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    for maker in makers:
        assert maker.stdout is not None
        assert maker.stdout.readline() == "ready\n"
    for maker in makers:
        assert maker.stdin is not None
        maker.stdin.write("go\n")
        maker.stdin.flush()
    secrets = {maker.communicate(timeout=60)[0] for maker in makers}
    assert [maker.returncode for maker in makers] == [0] * 8
    assert secrets == {f"{read_id_keys(path)[0].secret.hex()}\n"}
    assert names_in(path.parent) == ["id_keys"]


def test_key_that_appears_meanwhile_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the link another process may be first: its key stays."""
    path = tmp_path / "id_keys"
    link = os.link

    def second(source: Path, target: Path) -> None:
        path.write_text(FIRST)
        link(source, target)

    monkeypatch.setattr(os, "link", second)
    make_id_keys(path)
    assert path.read_text() == FIRST
    assert names_in(tmp_path) == ["id_keys"]


def test_draft_of_a_process_that_was_killed_stands_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container every start has the same process number: a draft left there must not end the next."""
    path = tmp_path / "id_keys"

    class KilledError(BaseException):
        """Stands for kill -9."""

    def killed(source: Path, target: Path) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", killed)
        patch.setattr(Path, "unlink", lambda self, missing_ok=False: None)
        with pytest.raises(KilledError):
            make_id_keys(path)
    assert len(names_in(tmp_path)) == 1
    make_id_keys(path)
    assert len(read_id_keys(path)) == 1


def test_disk_that_refuses_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be written is said with the path, and leaves no draft that could hold half a key."""

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    path = tmp_path / "id_keys"
    with pytest.raises(SettingsError, match=f"{path}: cannot be made: No space left on device"):
        make_id_keys(path)
    assert names_in(tmp_path) == []


def test_key_and_its_name_are_brought_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids are given out at once: a power loss takes neither the key nor its entry in the folder."""
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    make_id_keys(tmp_path / "id_keys")
    assert synced == [(tmp_path / "id_keys").stat().st_ino, tmp_path.stat().st_ino]


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    """A path that cannot be is told like any other failure."""
    (tmp_path / "log").write_text("")
    with pytest.raises(SettingsError, match="cannot be made: "):
        make_id_keys(tmp_path / "log" / "id_keys")


def test_first_key_signs(tmp_path: Path) -> None:
    """Comments, empty lines, spaces and capital letters are no matter; the order is."""
    path = tmp_path / "id_keys"
    path.write_text(f"# keys\n\n  {SECOND.upper()}  \r\n#{'1' * 64}\n{FIRST}")
    assert read_id_keys(path) == [id_key(bytes.fromhex(SECOND)), id_key(bytes.fromhex(FIRST))]


BAD = {
    "empty": ("", "no key in it"),
    "comments": (f"# {FIRST}\n\n", "no key in it"),
    "short": (f"\n{FIRST[:-1]}", "line 2: expected 64 hexadecimal digits"),
    "long": (f"{FIRST}0", "line 1: expected 64 hexadecimal digits"),
    "not hexadecimal": (f"{FIRST}\n{'g' * 64}", "line 2: expected 64 hexadecimal digits"),
    "two on a line": (f"{FIRST} {SECOND}", "line 1: expected 64 hexadecimal digits"),
    "with a name": (f"key: {FIRST}", "line 1: expected 64 hexadecimal digits"),
    "zeros": (f"# made by hand\n{'0' * 64}", "line 2: this is no secret"),
    "not text": (b"\xff" * 64, "is not a text file"),
}


@pytest.mark.parametrize(("content", "reason"), BAD.values(), ids=BAD)
def test_bad_file_is_refused_without_showing_a_line(
    tmp_path: Path, content: str | bytes, reason: str
) -> None:
    """The error names file and line, never what stands there: it might be most of a key."""
    path = tmp_path / "id_keys"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SettingsError) as caught:
        read_id_keys(path)
    text = str(caught.value)
    assert text.removeprefix(f"id key file {path}").removeprefix(", ").removeprefix(": ") == reason
    assert not any(part in text for part in (FIRST[:8], SECOND[:8], "ggg", "00000"))


def test_missing_file_and_folder(tmp_path: Path) -> None:
    """A file that is not there, or none at all, is told as the system tells it."""
    with pytest.raises(SettingsError, match="nothing: No such file or directory"):
        read_id_keys(tmp_path / "nothing")
    with pytest.raises(SettingsError, match="Is a directory"):
        read_id_keys(tmp_path)
