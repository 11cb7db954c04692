"""Kills the processes of a running predictor with -9, and starts them again as a supervisor would."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator

from tests.stack.postgres import PostgresServer
from tests.stack.predictor_process import DRAINER, PREDICTOR, RunningPredictor, answers
from tests.stack.worker_process import is_alive, wait_until

START_SECONDS = 40.0
_LOOK_SECONDS = 0.05


class Supervisor(threading.Thread):
    """Starts arbiter and drainer again whenever one has ended."""

    def __init__(self, predictor: RunningPredictor) -> None:
        super().__init__(name="supervisor", daemon=True)
        self._predictor = predictor
        self.stopping = threading.Event()

    def run(self) -> None:
        """Look again and again."""
        predictor = self._predictor
        while not self.stopping.wait(_LOOK_SECONDS):
            if predictor.process.poll() is not None:
                predictor.process = predictor.start(*PREDICTOR)
            if predictor.drainer.poll() is not None:
                predictor.drainer = predictor.start(*DRAINER)


@contextlib.contextmanager
def supervised(predictor: RunningPredictor) -> Iterator[None]:
    """Restart what ends while the block runs; at its end everything runs."""
    supervisor = Supervisor(predictor)
    supervisor.start()
    try:
        yield
        ready = answers(lambda: predictor.total("plumbline_workers_ready") == 2)
        wait_until(ready, "two workers ready again", START_SECONDS)
    finally:
        supervisor.stopping.set()
        supervisor.join()


class Killer:
    """Kills at random, but each kind in its turn.

    Args:
        predictor: supervised.
        server: of its database; None: an SQLite file, which has no process of its own.
        seed: of the choices.
    """

    def __init__(self, predictor: RunningPredictor, server: PostgresServer | None, seed: int) -> None:
        self._predictor = predictor
        self._server = server
        self._choose = random.Random(seed)
        self.kinds = {
            "worker": self._kill_worker,
            "all workers": self._kill_workers,
            "drainer": self._kill_drainer,
            "arbiter": self._kill_arbiter,
            # Not a kill, but workers end by themselves in the middle of it.
            "reload": self._reload,
        }
        if server is not None:
            self.kinds |= {"database": self._kill_database, "database and drainer": self._kill_both}
        self._turns: list[str] = []
        self.done: Counter[str] = Counter()
        self.orphans: set[int] = set()

    def kill(self) -> list[str]:
        """Kill what has its turn, and sometimes something else within the same second."""
        kinds = [self._next()]
        if self._choose.random() < 0.5:
            kinds.append("drainer")
        if self._choose.random() < 0.3:
            kinds.append("worker")
        for kind in kinds:
            self.kinds[kind]()
            self.done[kind] += 1
            time.sleep(self._choose.uniform(0.0, 0.4))
        return kinds

    def wait_for_orphans(self) -> None:
        """Wait until workers whose arbiter was killed have ended by themselves."""
        wait_until(lambda: not any(map(is_alive, self.orphans)), "the end of orphaned workers", START_SECONDS)

    def _next(self) -> str:
        if not self._turns:
            self._turns = [*self.kinds]
            self._choose.shuffle(self._turns)
        return self._turns.pop()

    def _workers(self) -> list[int]:
        with contextlib.suppress(FileNotFoundError):
            return self._predictor.worker_pids()
        return []

    def _kill_worker(self) -> None:
        if workers := self._workers():
            _kill(self._choose.choice(workers))

    def _kill_workers(self) -> None:
        for worker in self._workers():
            _kill(worker)

    def _kill_arbiter(self) -> None:
        self.orphans |= set(self._workers())
        self._predictor.process.kill()

    def _reload(self) -> None:
        self._predictor.process.send_signal(signal.SIGHUP)

    def _kill_drainer(self) -> None:
        self._predictor.drainer.kill()

    def _kill_database(self) -> None:
        assert self._server is not None
        self._server.stop(immediate=True)
        time.sleep(self._choose.uniform(0.0, 1.0))
        self._server.start()

    def _kill_both(self) -> None:
        self._kill_drainer()
        self._kill_database()


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
