"""Gunicorn's configuration: each value with its reason. Use: `gunicorn -c python:service.gunicorn_conf`."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

# Each worker has one inference thread on one core: more threads inside a library would only take each other's
# core. Set before numpy is imported, which reads them once.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

from service.errors import SettingsError  # noqa: E402 - the variables above come first
from service.observability import metrics_dir, slots  # noqa: E402 - likewise
from service.observability.logs import log_config  # noqa: E402 - likewise
from service.settings import load_settings  # noqa: E402 - likewise

# Of sysexits.h: a supervisor sees that trying again is no use.
_EXIT_CONFIGURATION = 78


def _fail(message: object) -> NoReturn:
    print(f"plumbline: {message}", file=sys.stderr)  # noqa: T201 - logging is not set up yet
    raise SystemExit(_EXIT_CONFIGURATION)


try:
    _settings = load_settings()
except SettingsError as _error:
    _fail(_error)

wsgi_app = "service.main:app"
worker_class = "service.gunicorn_worker.PredictorWorker"
# IPv6 addresses stand in brackets.
bind = (
    f"[{_settings.host}]:{_settings.port}" if ":" in _settings.host else f"{_settings.host}:{_settings.port}"
)
workers = _settings.workers
# Models are read once and shared by all workers' memory; a bad bundle shows before the port is open.
preload_app = True
backlog = _settings.backlog
worker_connections = _settings.worker_connections
keepalive = _settings.keepalive_seconds
timeout = _settings.worker_timeout_seconds
graceful_timeout = _settings.graceful_timeout_seconds
max_requests = _settings.max_requests
max_requests_jitter = _settings.max_requests_jitter
# A worker tells that it lives by touching a file; on a slow disk that would block it and get it killed.
if Path("/dev/shm").is_dir():  # noqa: S108 - shared memory, not a predictable file name
    worker_tmp_dir = "/dev/shm"  # noqa: S108 - likewise
# The control socket answers to anybody with this user and listens in a shared folder; signals do all we need.
control_socket_disable = True
# The application writes one JSON line per request itself, with what Gunicorn cannot know.
accesslog = None
loglevel = _settings.log_level
logconfig_dict = log_config(_settings.log_level)
proc_name = "plumbline"


def on_starting(server: Any) -> None:
    """Refuse early to start where no counter file could be written."""
    try:
        _settings.metrics_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _fail(f"the metrics folder cannot be made: {error}")
    server.log.debug("metrics folder is %s", _settings.metrics_dir)


def when_ready(server: Any) -> None:
    """Start a fresh metrics folder: only now, when the port is ours, and before the first worker."""
    for other in metrics_dir.start(_settings.metrics_dir):
        server.log.warning("another predictor still counts in %s, which is no longer scraped", other)


def pre_fork(_: Any, worker: Any) -> None:
    """Give the worker its slot, and keep what it shares with its siblings out of garbage collection."""
    worker.slot = slots.acquire()
    if gc.get_freeze_count() == 0:
        # A collection in a worker would write to the pages of every object and so copy them.
        gc.collect()
        gc.freeze()


def post_fork(_: Any, worker: Any) -> None:
    """Bind the worker to its slot."""
    slots.bind(worker.slot)
    metrics_dir.write_pid_file(worker.slot)


def child_exit(server: Any, worker: Any) -> None:
    """Take the slot back once the worker is reaped; an exception here would end the arbiter."""
    try:
        slot = getattr(worker, "slot", None)
        if slot is not None:
            metrics_dir.forget_worker(slot)
            slots.release(slot)
    except Exception:
        server.log.exception("the slot of worker %s could not be taken back", worker.pid)
