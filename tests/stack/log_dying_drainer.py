"""A drainer to which something happens at one step of its work.

Use: `python -m tests.stack.log_dying_drainer STEP [FOLDER]`. Without a folder it dies there by kill -9; with
one it writes the file `reached` in it and waits for the file `go`, and works on.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service import drainer
from service.observability.truth_metrics import TruthMetrics
from service.prediction_log import drain
from service.prediction_log.spool import SEGMENT_SUFFIX
from service.prediction_log.transaction import Transaction

REACHED, GO = "reached", "go"


def _is_segment(path: Path, **_: Any) -> bool:
    return path.suffix == SEGMENT_SUFFIX


def _any(*_: Any, **__: Any) -> bool:
    return True


@dataclass(frozen=True)
class Step:
    """A call at which it happens.

    Args:
        owner: class or module of the function.
        name: of the function.
        call: the first call that is meant; before it all go through.
        is_after: it happens behind the call.
        is_meant: tells by its arguments whether a call counts.
    """

    owner: Any
    name: str
    call: int = 1
    is_after: bool = False
    is_meant: Callable[..., bool] = _any

    def interrupt(self, harm: Callable[[], None]) -> None:
        """Let `harm` happen there, once."""
        function, calls = getattr(self.owner, self.name), 0

        def interrupted(*arguments: Any, **named: Any) -> Any:
            nonlocal calls
            calls += self.is_meant(*arguments, **named)
            is_now = calls == self.call and self.is_meant(*arguments, **named)
            if is_now and not self.is_after:
                harm()
            result = function(*arguments, **named)
            if is_now and self.is_after:
                harm()
            return result

        setattr(self.owner, self.name, interrupted)


IN_TRANSACTION = {
    "before the predictions": Step(Transaction, "insert_predictions"),
    "before the truths": Step(Transaction, "receive_truths"),
    "before the offsets": Step(Transaction, "save_offset"),
    "before the totals": Step(Transaction, "save_totals"),
    "before the commit": Step(Transaction, "finish", is_after=True),
}
STEPS = IN_TRANSACTION | {
    # The first call shows what was there at the start.
    "after the commit": Step(TruthMetrics, "show", call=2),
    "before a segment is removed": Step(Path, "unlink", is_meant=_is_segment),
    "before its offset is forgotten": Step(Transaction, "forget_segments"),
    "before the exporter is told": Step(drain, "write_drained"),
}


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _wait(folder: Path) -> None:
    (folder / REACHED).touch()
    while not (folder / GO).exists():
        time.sleep(0.01)


if __name__ == "__main__":
    step, *folders = sys.argv[1:]
    STEPS[step].interrupt((lambda: _wait(Path(folders[0]))) if folders else _die)
    sys.exit(drainer.main())
