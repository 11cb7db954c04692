"""Two replicas on one PostgreSQL: each has its spool and its drainer, and together they count once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.stack.log_checks import assert_exact, find_exported_differences, read_content, wait_until_drained
from tests.stack.log_clients import TRUTHS, describe_models, running_clients, wait_for
from tests.stack.log_watch import watched
from tests.stack.postgres import running_postgres
from tests.stack.predictor_process import DRAINER, RunningPredictor, running_predictor, sum_of
from tests.stack.soak import write_dsn

ROWS = 200
POSTS_AT_ONCE = 4


def counted(replicas: list[RunningPredictor], result: str) -> float:
    """Sum a result over the exporters of all replicas."""
    return sum(sum_of(one.samples(), "ml_ground_truth_total", result=result) for one in replicas)


def test_truth_sent_to_two_replicas_counts_once(tmp_path: Path) -> None:
    """Predicted here, told there and here at the same time, half of them otherwise: one count for each."""
    with running_postgres() as server:
        dsn = server.create_database()
        settings = write_dsn(tmp_path, dsn)
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        with (
            running_predictor(tmp_path / "a", **settings) as first,
            running_predictor(tmp_path / "b", **settings) as second,
        ):
            replicas = [first, second]
            rows = [[5.1, 3.5, 1.4, 0.2]] * ROWS
            _, answer = first.post("/v1/predict/batch", {"batch": rows})
            ids = [one["prediction_id"] for one in answer["predictions"]]
            labels = ["setosa" if number % 2 else "virginica" for number in range(ROWS)]
            here = [{"prediction_id": key, "ground_truth": "setosa"} for key in ids]
            there = [
                {"prediction_id": key, "ground_truth": label} for key, label in zip(ids, labels, strict=True)
            ]
            posts = [(first, here), (second, there[::-1])] * POSTS_AT_ONCE
            with ThreadPoolExecutor(len(posts)) as pool:
                answers = list(pool.map(lambda post: post[0].post(TRUTHS, {"batch": post[1]}), posts))
            assert {status for status, _ in answers} == {200}
            for replica in replicas:
                wait_until_drained(replica)
            content = read_content(dsn)
            assert content.predictions.keys() == content.truths.keys() == set(ids)
            assert counted(replicas, "counted") == ROWS
            rest = counted(replicas, "duplicate") + counted(replicas, "conflict")
            assert rest == (2 * POSTS_AT_ONCE - 1) * ROWS
            # Whichever came first counts, the other value each time is a conflict.
            assert counted(replicas, "conflict") == POSTS_AT_ONCE * ROWS / 2
            assert not content.differences
            assert not find_exported_differences([one.samples() for one in replicas], content)


def test_two_replicas_under_load(tmp_path: Path) -> None:
    """Clients send anything to any replica while both drainers are killed: once, in total."""
    with running_postgres() as server:
        dsn = server.create_database()
        settings = write_dsn(tmp_path, dsn)
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        with (
            running_predictor(tmp_path / "a", workers=1, **settings) as first,
            running_predictor(tmp_path / "b", workers=1, **settings) as second,
        ):
            replicas = [first, second]
            models = describe_models(first.url)
            ports = [one.port for one in replicas]
            with watched(replicas, dsn) as watch, running_clients(ports, models, 7) as ledger:
                for number in range(3):
                    ledger.round = number
                    for replica in replicas:
                        wait_for(ledger, predictions=100, truths=50)
                        replica.drainer.kill()
                        replica.drainer.wait()
                        replica.drainer = replica.start(*DRAINER)
            assert_exact(ledger, dsn, replicas, watch)
            assert not ledger.errors
            assert all(counted([one], "counted") > 0 for one in replicas)
