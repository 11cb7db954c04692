"""Gunicorn's configuration follows the settings, and its hooks look after slots."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config

from service import gunicorn_conf
from service.observability import metrics_dir, slots

ROOT = Path(__file__).resolve().parents[2]
SHOW = """
import json, os, service.gunicorn_conf as conf
shown = {name: value for name, value in vars(conf).items() if isinstance(value, (str, int, bool, type(None)))}
print(json.dumps({**shown, "threads": os.environ["OMP_NUM_THREADS"]}))
"""

START = """
import sys
from gunicorn.app.wsgiapp import run
sys.argv = ["gunicorn", "-c", "python:service.gunicorn_conf"]
run()
"""


def run(code: str, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter with settings."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("PLUMBLINE_", "OMP_"))}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=plain | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def values(**variables: str) -> dict[str, Any]:
    """Give the values of the configuration under settings."""
    result = run(SHOW, {f"PLUMBLINE_{name}": value for name, value in variables.items()})
    assert result.returncode == 0, result.stderr
    shown: dict[str, Any] = json.loads(result.stdout)
    return shown


def test_values_follow_the_settings() -> None:
    """Each setting that Gunicorn needs reaches it."""
    shown = values(PORT="8123", WORKERS="3", BACKLOG="77", WORKER_TIMEOUT_SECONDS="31", MAX_REQUESTS="1009")
    assert shown["bind"] == "127.0.0.1:8123"
    assert (shown["workers"], shown["backlog"], shown["timeout"], shown["max_requests"]) == (3, 77, 31, 1009)
    assert shown["threads"] == "1"


def test_address_of_ipv6_stands_in_brackets() -> None:
    """Gunicorn splits at the last colon only if it is told so."""
    assert values(HOST="::1")["bind"] == "[::1]:8000"


def test_gunicorn_knows_every_name() -> None:
    """A setting that Gunicorn renamed would be ignored without a word."""
    own = {name for name, value in vars(gunicorn_conf).items() if not name.startswith("_") and name.islower()}
    imported = {"annotations", "gc", "os", "sys", "metrics_dir", "slots", "log_config", "load_settings"}
    assert own - imported <= Config().settings.keys()


@pytest.mark.parametrize("variables", [{"PLUMBLINE_PORT": "x"}, {"PLUMBLINE_HOST": "0.0.0.0"}])
def test_wrong_setting_is_one_line_and_its_own_code(variables: dict[str, str]) -> None:
    """No traceback: one line that names what is wrong, and the code of a wrong configuration."""
    result = run(START, variables)
    assert result.returncode == 78
    (line,) = result.stderr.splitlines()
    assert line.startswith("plumbline: ")


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be an arbiter that has just bound its port."""
    monkeypatch.setattr(slots, "_in_use", set())
    monkeypatch.setattr(slots, "_own", None)
    monkeypatch.setattr(metrics_dir, "_started", None)
    monkeypatch.setattr(metrics_dir, "_lock_descriptor", None)
    monkeypatch.setattr(gunicorn_conf, "_settings", SimpleNamespace(metrics_dir=tmp_path))
    monkeypatch.setattr(gc, "get_freeze_count", lambda: 1)
    gunicorn_conf.when_ready(SimpleNamespace())
    return metrics_dir.folder()


def test_life_of_a_worker(started: Path) -> None:
    """A slot before the fork, a pid file after it, both gone after the reap."""
    first, second, third = (SimpleNamespace(pid=number) for number in range(3))
    gunicorn_conf.pre_fork(None, first)
    gunicorn_conf.pre_fork(None, second)
    gunicorn_conf.post_fork(None, second)
    assert (first.slot, second.slot, slots.own()) == (0, 1, 1)
    assert (started / "w1.pid").exists()
    gunicorn_conf.child_exit(None, second)
    assert not (started / "w1.pid").exists()
    gunicorn_conf.pre_fork(None, third)
    assert third.slot == 1


def test_exit_of_a_child_never_raises(started: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception in this hook would end the arbiter; it is logged instead."""

    def fail(slot: int) -> None:
        raise OSError("disk")

    logged: list[str] = []
    monkeypatch.setattr(metrics_dir, "forget_worker", fail)
    server = SimpleNamespace(log=SimpleNamespace(exception=lambda message, *_: logged.append(message)))
    gunicorn_conf.child_exit(server, SimpleNamespace(slot=0, pid=7))
    gunicorn_conf.child_exit(server, SimpleNamespace(pid=8))
    assert len(logged) == 1


def test_other_predictor_in_the_folder_is_told(monkeypatch: pytest.MonkeyPatch, started: Path) -> None:
    """Two predictors with one metrics folder: the first is no longer scraped, and somebody should know."""
    warned: list[object] = []
    server = SimpleNamespace(log=SimpleNamespace(warning=lambda message, *values: warned.extend(values)))
    held = metrics_dir._lock_descriptor
    gunicorn_conf.when_ready(server)
    assert held is not None
    os.close(held)
    assert warned == [started]


def test_folder_that_cannot_be_made_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the port is open."""
    (tmp_path / "file").touch()
    monkeypatch.setattr(
        gunicorn_conf, "_settings", SimpleNamespace(metrics_dir=tmp_path / "file" / "metrics")
    )
    with pytest.raises(SystemExit) as ended:
        gunicorn_conf.on_starting(SimpleNamespace())
    assert ended.value.code == 78
    assert len(capsys.readouterr().err.splitlines()) == 1
