"""What the prediction log costs on the path of a request: CPU time, beside what stands for the floor.

Thread CPU time, median and least of several rounds; the columns of one run may be compared, two runs may not.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson

from service.bundle.signature import Feature, Signature
from service.events import Announcer, ModelKey, PredictionsServed, ServedRequest
from service.prediction_log.ids import id_key
from service.prediction_log.recorder import RecordedVersion, Recorder
from service.prediction_log.records import framed, head_start, prediction_payload
from service.prediction_log.spool import Spool

ROUNDS = 9
FEATURES = 30
KEY = ModelKey("benchmark", "1")
# Calls a round: few enough that the disk keeps up, which would be measured otherwise.
CALLS = {1: 4000, 100: 200}


def cpu_microseconds(act: Callable[[], object], calls: int) -> tuple[float, float]:
    """Give least and median CPU time of one call, microseconds."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        for _ in range(calls):
            act()
        rounds.append((time.thread_time() - began) / calls * 1e6)
    return min(rounds), statistics.median(rounds)


def served(rows: int) -> PredictionsServed:
    """Make what a micro-batch of one request of so many rows announces."""
    values = np.random.default_rng(7).uniform(0, 1000, (rows, FEATURES)).round(4)
    listed = [tuple(row) for row in values.tolist()]
    body = orjson.dumps({"features": listed[0]} if rows == 1 else {"batch": listed})
    return PredictionsServed(
        KEY,
        listed,
        np.zeros(rows, dtype=np.intp),
        None,
        np.linspace(0.5, 0.99, rows),
        np.zeros(rows, dtype=np.int8),
        [ServedRequest("0123456789abcdef01234567", "", rows, body)],
    )


def report(name: str, rows: int, act: Callable[[], object]) -> None:
    """Measure and print one line."""
    least, median = cpu_microseconds(act, CALLS[rows])
    print(f"  {name:44}{least:9.2f}{median:9.2f}{median / rows:12.3f}", flush=True)


def measure(rows: int, record: Recorder, spool: Spool, floor: Path) -> None:
    """Measure requests of so many rows."""
    event = served(rows)
    payload = prediction_payload(
        head_start(KEY), os.urandom(45 * rows), bytes(rows), event.confidences, event.requests
    )
    frame = framed(payload)
    descriptor = os.open(floor, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    print(f"{rows} row{'s' * (rows > 1)}, record of {len(frame)} bytes")
    report("ids and spool, all of it", rows, lambda: record(event))
    report("of which the spool (frame, checksum, write)", rows, lambda: spool.append(payload))
    report("floor: a bare write of the same bytes", rows, lambda: os.write(descriptor, frame))
    report(
        "floor: a random uuid4 as text for each row", rows, lambda: [str(uuid.uuid4()) for _ in range(rows)]
    )
    os.close(descriptor)


def main() -> None:
    """Print the table."""
    features = tuple(Feature(name=f"f{number}", type="number") for number in range(FEATURES))
    signature = Signature(task="binary", input="tabular", classes=(False, True), features=features)
    announcer = Announcer(lambda name, error: sys.exit(f"{name}: {error}"))
    print(f"Python {sys.version.split()[0]}, {FEATURES} features, CPU microseconds")
    print(f"  {'':44}{'least':>9}{'median':>9}{'per row':>12}")
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        spool = Spool(Path(folder), max_bytes=1 << 40, segment_bytes=16 << 20, sync_seconds=1.0)
        spool.open()
        version = RecordedVersion(KEY, signature, store_features=True)
        record = Recorder([version], id_key(os.urandom(32)), spool, "serve_and_count", announcer)
        for rows in CALLS:
            measure(rows, record, spool, Path(folder) / f"floor-{rows}")
        spool.close()


if __name__ == "__main__":
    main()
