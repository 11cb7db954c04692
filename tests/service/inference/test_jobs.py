"""A job ends once, whoever ends it."""

from __future__ import annotations

import threading

from tests.fakes import make_job


def test_only_the_first_claim_counts() -> None:
    """Of many threads that end a job at the same moment exactly one decides how."""
    job = make_job(rows=1)
    assert not job.is_claimed
    winners = []
    barrier = threading.Barrier(8)

    def contend() -> None:
        barrier.wait()
        if job.claim():
            winners.append(threading.get_ident())

    threads = [threading.Thread(target=contend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(winners) == 1
    assert job.is_claimed
