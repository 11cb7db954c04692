"""A real PostgreSQL for tests: Debian's, in a folder and on a port of its own, that may be killed."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg

from tests.stack.worker_process import free_port, is_alive, wait_until

USER = "plumbline"
START_SECONDS = 60.0
# What is written is in the kernel's cache when a process is killed; only a power loss would take it.
FAST = ("fsync=off", "full_page_writes=off")


class PostgresServer:
    """A server with an empty database; stopped until `start`.

    Args:
        folder: its files; made by `running_postgres`.
        is_durable: False: nothing is synced to the disk.
    """

    def __init__(self, folder: Path, is_durable: bool = False) -> None:
        self.folder = folder
        self.port = free_port()
        # No letter of it may be special in an address.
        self.password = secrets.token_hex(16)
        self._settings = () if is_durable else FAST
        self._process: subprocess.Popen[bytes] | None = None
        self._make()

    def dsn(self, database: str = "postgres") -> str:
        """Write the address of a database, with the password."""
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def create_database(self) -> str:
        """Make a new empty database and return its address."""
        name = f"log_{secrets.token_hex(4)}"
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return self.dsn(name)

    def start(self) -> None:
        """Start the server on the port that it always has, and wait until it answers."""
        options = [
            "listen_addresses=127.0.0.1",
            f"port={self.port}",
            f"unix_socket_directories={self.folder}",
            "max_connections=40",
            "shared_buffers=32MB",
            *self._settings,
        ]
        arguments = [word for option in options for word in ("-c", option)]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                _as_owner([str(_program("postgres")), "-D", str(self.folder / "data"), *arguments]),
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
            )
        wait_until(self._answers, f"PostgreSQL; see {self.folder}/server.log", START_SECONDS)

    def stop(self, immediate: bool = False) -> None:
        """Stop the server; immediately means kill -9 of every process of it."""
        if self._process is None:
            return
        if immediate:
            # Halted first: a child that it starts meanwhile would outlive it, and hold up the next start.
            self._process.send_signal(signal.SIGSTOP)
            os.waitpid(self._process.pid, os.WUNTRACED)
            children = _children(self._process.pid)
            for pid in (self._process.pid, *children):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not any(map(is_alive, children)), "the end of all its processes")
        else:
            self._process.send_signal(signal.SIGINT)
        self._process.wait(START_SECONDS)
        self._process = None

    def _make(self) -> None:
        password_file = self.folder / "password"
        password_file.write_text(self.password)
        _give_to_owner(self.folder, password_file)
        command = [
            str(_program("initdb")),
            f"--pgdata={self.folder / 'data'}",
            f"--username={USER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ]
        subprocess.run(_as_owner(command), check=True, capture_output=True, cwd=self.folder)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "server.log").read_text()
        try:
            psycopg.connect(self.dsn(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


@contextlib.contextmanager
def running_postgres(*, is_durable: bool = False) -> Iterator[PostgresServer]:
    """Run a server until the end of the block."""
    # Not in pytest's folder: the server runs as another user, and the path of its socket must be short.
    folder = Path(tempfile.mkdtemp(prefix="plumbline-pg-"))
    try:
        server = PostgresServer(folder, is_durable)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def _program(name: str) -> Path:
    """Find a program of the newest PostgreSQL; Debian keeps them off the PATH."""
    found = [*Path("/usr/lib/postgresql").glob(f"*/bin/{name}")]
    if found:
        return max(found, key=lambda path: int(path.parts[4]))
    on_path = shutil.which(name)
    assert on_path is not None, "PostgreSQL is not installed: scripts/test-packages installs it"
    return Path(on_path)


def _owner() -> pwd.struct_passwd | None:
    """Return the user that the server runs as: it refuses root."""
    return pwd.getpwnam("postgres") if os.geteuid() == 0 else None


def _give_to_owner(*paths: Path) -> None:
    owner = _owner()
    for path in paths:
        path.chmod(0o700)
        if owner is not None:
            os.chown(path, owner.pw_uid, owner.pw_gid)


def _as_owner(command: list[str]) -> list[str]:
    # The kernel stops the server when the tests are killed.
    prefix = ["setpriv", "--pdeathsig", "INT"]
    owner = _owner()
    if owner is not None:
        prefix += [f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
    return [*prefix, *command]


def _children(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in children.read_text().split()]
