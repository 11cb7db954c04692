"""Slots: small numbers that name the workers' counter files, so that files stay few and counters never fall.

The arbiter hands a slot out before it forks and takes it back once the worker is reaped: only then is its
last writer certainly gone, and the next worker continues the same files. The state lives here and not in
`gunicorn_conf.py`, which Gunicorn runs again on each reload.
"""

from __future__ import annotations

_in_use: set[int] = set()
_own: int | None = None


def acquire() -> int:
    """Hand out the smallest free slot (arbiter)."""
    slot = next(number for number in range(len(_in_use) + 1) if number not in _in_use)
    _in_use.add(slot)
    return slot


def release(slot: int) -> None:
    """Take a slot back after its worker was reaped (arbiter)."""
    _in_use.discard(slot)


def bind(slot: int) -> None:
    """Make `slot` this process's own (worker, right after the fork)."""
    global _own  # noqa: PLW0603 - one process has one slot
    _own = slot


def own() -> int:
    """Return this process's slot; 0 where no arbiter gave one (a predictor without Gunicorn)."""
    return 0 if _own is None else _own
