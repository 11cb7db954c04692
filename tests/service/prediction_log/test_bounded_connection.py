"""A server that hangs is given up, whatever the kernel says of its connection."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator

import psycopg
import pytest

from service.errors import StoreUnavailableError
from service.prediction_log import database as database_module
from service.prediction_log.bounded_connection import BoundedConnection
from service.prediction_log.database import Database

# SSL and GSS, which the server declines.
_ENCRYPTION = {80_877_103, 80_877_104}
_ERROR = b"SERROR\0VERROR\0C22012\0Mdivision by zero\0\0"
READY = b"Z" + struct.pack("!ic", 5, b"I")


class HangingServer(threading.Thread):
    """Lets a client in, answers its first questions with `answers`, and then says nothing more."""

    def __init__(self, answers: list[bytes]) -> None:
        super().__init__(daemon=True)
        self._answers = answers
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.is_left = threading.Event()

    def run(self) -> None:
        """Serve one client until it goes."""
        with self._listener, self._listener.accept()[0] as client:
            while True:
                length, code = struct.unpack("!ii", client.recv(8, socket.MSG_WAITALL))
                if code not in _ENCRYPTION:
                    break
                client.sendall(b"N")
            client.recv(length - 8, socket.MSG_WAITALL)
            client.sendall(b"R" + struct.pack("!ii", 8, 0) + READY)
            while client.recv(65_536):
                if self._answers:
                    client.sendall(self._answers.pop(0))
        self.is_left.set()


@pytest.fixture
def server() -> Iterator[HangingServer]:
    """Refuse one question, then hang."""
    made = HangingServer([b"E" + struct.pack("!i", 4 + len(_ERROR)) + _ERROR + READY])
    made.start()
    yield made
    made.join(10)


def test_answer_that_does_not_come_closes_the_connection(server: HangingServer) -> None:
    """An error leaves it open; silence does not, for a late answer would be taken for that of the next."""
    address = f"postgresql://u:p@127.0.0.1:{server.port}/d"
    connection = BoundedConnection.connect(address, autocommit=True)
    connection.answer_seconds = 0.2
    with pytest.raises(psycopg.errors.DivisionByZero):
        connection.execute("SELECT 1/0")
    assert not connection.closed
    with pytest.raises(psycopg.OperationalError, match=r"no answer within 0\.2 s"):
        connection.execute("SELECT 1")
    assert connection.closed
    assert server.is_left.wait(10)


def test_database_that_hangs_is_unavailable(server: HangingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that is down, so that the writer tries again later."""
    monkeypatch.setattr(database_module, "_ANSWER_SECONDS", 0.1)
    server._answers.clear()
    database = Database(
        f"postgresql://u:p@127.0.0.1:{server.port}/d?target_session_attrs=any",
        read_only=False,
        timeout_seconds=0.1,
    )
    with pytest.raises(StoreUnavailableError, match=r"no answer within 0\.2 s"), database.transaction():
        pass
    database.close()
    assert server.is_left.wait(10)
