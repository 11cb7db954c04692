"""A prediction log that cannot work is refused at the start, in one line without secrets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.stack.postgres import running_postgres
from tests.stack.predictor_process import DRAINER, PREDICTOR, ROOT, environment_of
from tests.stack.worker_process import free_port, wait_until

CONFIGURATION = 78
START_SECONDS = 40.0
PASSWORD = "hunter2"
KEY = bytes(range(32)).hex()


def start(folder: Path, module: tuple[str, ...], **settings: object) -> subprocess.Popen[str]:
    """Start predictor or drainer alone; its output goes to a file."""
    values = {
        "port": free_port(),
        "metrics_dir": folder / "metrics",
        "bundle_dir": ROOT / "bundles",
        "log_dir": folder / "prediction_log",
        "workers": 1,
        **settings,
    }
    with (folder / "output").open("w") as output:
        return subprocess.Popen(
            [sys.executable, "-m", *module],
            cwd=ROOT,
            env=environment_of(values),
            stdout=output,
            stderr=output,
            text=True,
        )


def refused(folder: Path, module: tuple[str, ...], **settings: object) -> str:
    """Start it, expect that it ends by itself, and give the line that says why."""
    process = start(folder, module, **settings)
    try:
        code = process.wait(START_SECONDS)
    finally:
        process.kill()
        process.wait()
    output = (folder / "output").read_text()
    assert code == (CONFIGURATION if module == DRAINER or "DSN_FILE needs" in output else 1), output
    assert PASSWORD not in output
    assert "Traceback" not in output
    (line,) = [line for line in output.splitlines() if line.startswith("plumbline: ")]
    return line


@pytest.fixture(params=[PREDICTOR, DRAINER], ids=["predictor", "drainer"])
def module(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Both processes that use the log are refused alike."""
    found: tuple[str, ...] = request.param
    return found


def test_database_for_several_hosts_needs_keys_for_several_hosts(
    tmp_path: Path, module: tuple[str, ...]
) -> None:
    """Keys made here would sign ids that no other host accepts."""
    dsn = tmp_path / "dsn"
    dsn.write_text(f"postgresql://u:{PASSWORD}@db/log")
    assert "needs PLUMBLINE_ID_KEY_FILE" in refused(tmp_path, module, log_dsn_file=dsn)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory"),
        (f"host=db password={PASSWORD}", "cannot be read; its form is postgresql://"),
        (f"postgresql://u:with@{PASSWORD}@db/log", "cannot be read; its form is postgresql://"),
    ],
    ids=["missing", "garbage", "password cut in two"],
)
def test_file_with_the_address_is_read_before_anything_is_served(
    tmp_path: Path, module: tuple[str, ...], content: str | None, reason: str
) -> None:
    """A predictor that started all the same would fill its spool for a drainer that cannot."""
    dsn, keys = tmp_path / "dsn", tmp_path / "keys"
    keys.write_text(KEY)
    if content is not None:
        dsn.write_text(content)
    line = refused(tmp_path, module, log_dsn_file=dsn, id_key_file=keys)
    assert line.startswith(f"plumbline: DSN file {dsn}: ")
    assert reason in line


def test_wrong_password_is_tried_again_and_never_shown(tmp_path: Path) -> None:
    """The database may learn it later; the log says who refuses, not what was sent."""
    dsn, keys = tmp_path / "dsn", tmp_path / "keys"
    keys.write_text(KEY)
    with running_postgres() as server:
        dsn.write_text(server.dsn().replace(server.password, PASSWORD))
        drainer = start(tmp_path, DRAINER, log_dsn_file=dsn, id_key_file=keys)
        try:
            output = tmp_path / "output"
            wait_until(lambda: "password authentication failed" in output.read_text(), "a line in the log")
            assert drainer.poll() is None
        finally:
            drainer.terminate()
            assert drainer.wait(START_SECONDS) == 0
    assert PASSWORD not in output.read_text()
    assert f"PostgreSQL at 127.0.0.1:{server.port}/postgres" in output.read_text()
