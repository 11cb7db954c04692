"""Where the log is, and what a mistake there looks like."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.errors import SettingsError
from service.prediction_log.location import database_target, writer_name
from service.settings import Settings


def with_dsn(tmp_path: Path, content: bytes | None) -> Settings:
    """Name a file with a DSN; None: it is not there."""
    path = tmp_path / "dsn"
    if content is not None:
        path.write_bytes(content)
    return Settings(log_dir=tmp_path, log_dsn_file=path, id_key_file=tmp_path / "keys")


def test_sqlite_in_the_folder_by_default(tmp_path: Path) -> None:
    """Without a DSN the database is a file beside the spool."""
    assert database_target(Settings(log_dir=tmp_path)) == tmp_path / "predictions.db"


def test_dsn_from_its_file(tmp_path: Path) -> None:
    """Space around it is no part of it."""
    assert database_target(with_dsn(tmp_path, b" postgresql://u:p@h/db \n")) == "postgresql://u:p@h/db"


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "No such file"), (b" \n", "is empty"), (b"\xff\xfe", "is not a text file")]
)
def test_dsn_file_that_is_none(tmp_path: Path, content: bytes | None, reason: str) -> None:
    """One line that names the file."""
    with pytest.raises(SettingsError, match=rf"dsn: {reason}"):
        database_target(with_dsn(tmp_path, content))


def test_dsn_that_nobody_can_read_is_known_before_the_first_connection(tmp_path: Path) -> None:
    """The predictor, which needs the database for a look-up only, would start, and fill its spool."""
    with pytest.raises(SettingsError, match=r"dsn: .* its form is postgresql://") as raised:
        database_target(with_dsn(tmp_path, b"host=db password=hunter2"))
    assert "hunter2" not in str(raised.value)


def test_folder_keeps_its_name(tmp_path: Path) -> None:
    """The name that totals are kept under is made once, and differs from folder to folder."""
    (tmp_path / "other").mkdir()
    name = writer_name(tmp_path)
    assert len(name) == 16
    assert writer_name(tmp_path) == name
    assert writer_name(tmp_path / "other") != name


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    """Said in one line."""
    with pytest.raises(SettingsError, match="writer"):
        writer_name(tmp_path / "nowhere")
