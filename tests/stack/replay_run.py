"""One replay: three streams at once through a service whose worker and drainer are killed on the way."""

from __future__ import annotations

import os
import queue
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.prometheus.monitoring_binaries import LINES
from tests.stack.predictor_process import DRAINER, RunningPredictor, running_predictor, sum_of
from tests.stack.replay_clients import Batches, Predictor, send_truths
from tests.stack.replay_ledger import Ledger
from tests.stack.replay_models import VERSION, bikes, electricity, rain
from tests.stack.replay_prometheus import RunningPrometheus, running_prometheus
from tests.stack.worker_process import wait_until

_ELECTRICITY_ROWS, _OTHER_ROWS = 6400, 2000
"""The first goes past row 17424, where the market changed."""
_SHARE_BEFORE = 0.25
_REPLAY_SECONDS = 36.0
_WORKER_DIES, _DRAINER_DIES, _DRAINER_RETURNS = 13.0, 24.0, 25.0
_TRUTH_CLIENTS = 3
# Windows of an hour are evaluated each second. Those of a day each 5 s, from increases that are made each 5 s
# and read at times that are multiples of 5 s: three waits.
_UNTIL_HOUR, _UNTIL_DAY = 3.0, 16.0
_DEADLINE_SECONDS = 60.0


@dataclass(frozen=True)
class Replay:
    """A replay that is over.

    Args:
        ledgers: what the clients know, by model.
        samples: what the exporter shows at the end.
        servers: by line.
        begin: when the servers had seen what was counted before them, and nothing else yet; Unix seconds.
        moments: when a window of an hour, or a day, that ends then holds all since; Unix seconds by window.
    """

    ledgers: dict[str, Ledger]
    samples: dict[str, float]
    servers: dict[str, RunningPrometheus]
    begin: float
    moments: dict[str, float]

    def total(self, name: str, model: str, **labels: str) -> float:
        """Sum the series of a model that the exporter shows."""
        return sum_of(self.samples, name, model_name=model, model_version=VERSION, **labels)

    @property
    def is_undisturbed(self) -> bool:
        """Whether the servers missed no scrape and no rule: on a machine that is too busy they do."""
        return all(server.is_on_time(self.begin, self.moments["1d"]) for server in self.servers.values())


@contextmanager
def replayed(folder: Path) -> Iterator[Replay]:
    """Pack, serve and replay all streams; the servers run until the block ends.

    The first quarter comes before the servers start. An increase is not extrapolated to before its counter
    was 0, so the first one lacks up to the share of a scrape in it: of 5m a sixth on this clock, and in
    production a twentieth of a new model's first five minutes.
    """
    folder.mkdir()
    streams = [electricity(folder, _ELECTRICITY_ROWS), bikes(folder, _OTHER_ROWS), rain(folder, _OTHER_ROWS)]
    ledgers = {stream.name: Ledger(stream) for stream in streams}
    with ExitStack() as stack:
        predictor = stack.enter_context(running_predictor(folder, bundle_dir=folder / "bundles"))
        with _sending(predictor.port) as batches:
            clients = [Predictor(ledger, predictor.port, batches) for ledger in ledgers.values()]
            pairs = list(zip(clients, streams, strict=True))
            together(
                [partial(client.replay, int(_SHARE_BEFORE * len(each.rows)), 0.0) for client, each in pairs]
            )
            batches.join()
            _wait_until_drained(predictor)
            servers = _servers(stack, folder, f"127.0.0.1:{predictor.exporter_port}")
            begin = time.time()
            replay = [partial(client.replay, len(each.rows), _REPLAY_SECONDS) for client, each in pairs]
            together([*replay, partial(_kill, predictor)])
            for client in clients:
                client.repeat()
        _wait_until_drained(predictor)
        samples, settled = predictor.samples(), time.time()
        for server in servers.values():
            _wait_for(server, f'timestamp(up{{job="predictor"}}) > {settled}')
        seen = time.time()
        time.sleep(_UNTIL_DAY)
        yield Replay(ledgers, samples, servers, begin, {"1h": seen + _UNTIL_HOUR, "1d": seen + _UNTIL_DAY})


def together(acts: Sequence[Callable[[], object]]) -> None:
    """Do several things at once; raise what one of them raised."""
    with ThreadPoolExecutor(len(acts)) as threads:
        for done in [threads.submit(act) for act in acts]:
            done.result()


@contextmanager
def _sending(port: int) -> Iterator[Batches]:
    """Run the clients that tell truths until the block ends."""
    batches: Batches = queue.Queue()
    with ThreadPoolExecutor(_TRUTH_CLIENTS) as threads:
        senders = [threads.submit(send_truths, port, batches) for _ in range(_TRUTH_CLIENTS)]
        try:
            yield batches
        finally:
            for _ in senders:
                batches.put(None)
        for sender in senders:
            sender.result()


def _servers(stack: ExitStack, folder: Path, exporter: str) -> dict[str, RunningPrometheus]:
    """Start the server of each line; give them once their rules saw what there is."""

    def start(line: str) -> RunningPrometheus:
        return stack.enter_context(running_prometheus(line, folder, exporter))

    with ThreadPoolExecutor(len(LINES)) as threads:
        servers = dict(zip(LINES, threads.map(start, LINES), strict=True))
    for server in servers.values():
        _wait_for(server, 'model:ml_ground_truth:increase5m{model_name="rain"}')
    return servers


def _kill(predictor: RunningPredictor) -> None:
    """Kill a worker, which its arbiter replaces, and later the drainer, which we replace."""
    time.sleep(_WORKER_DIES)
    os.kill(random.Random(7).choice(predictor.worker_pids()), signal.SIGKILL)
    time.sleep(_DRAINER_DIES - _WORKER_DIES)
    predictor.drainer.kill()
    predictor.drainer.wait()
    time.sleep(_DRAINER_RETURNS - _DRAINER_DIES)
    predictor.drainer = predictor.start(*DRAINER)


def _wait_until_drained(predictor: RunningPredictor) -> None:
    wait_until(
        lambda: predictor.total("ml_prediction_log_backlog_bytes") == 0, "an empty spool", _DEADLINE_SECONDS
    )


def _wait_for(server: RunningPrometheus, query: str) -> None:
    wait_until(lambda: server.values(query), query, _DEADLINE_SECONDS)
