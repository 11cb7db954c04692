"""Takes ground truths in: refuses at once what can belong to no prediction, and spools the rest."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from service.errors import PredictionLogFullError
from service.events import OTHER_MODEL, Announcer, GroundTruthRefused, ModelKey, PredictionLogWritten
from service.prediction_log.ids import IdReader, InvalidIdError, PredictionId, id_texts
from service.prediction_log.records import PostedTruth, TruthRecord, truth_payload
from service.prediction_log.spool import Spool
from service.prediction_log.truth_posts import TruthPost
from service.prediction_log.truth_rules import GroundTruth, is_same_truth
from service.prediction_log.versions import KnownVersions

TruthAnswer = Literal["accepted", "duplicate", "conflict", "invalid"]
TRUTH_ANSWERS: tuple[TruthAnswer, ...] = get_args(TruthAnswer)


class KnownTruth(NamedTuple):
    """A truth that the database holds and counted.

    Args:
        ground_truth: its value; None once its day was pruned.
        revision: of that value.
        first: the value that counted, if a revision replaced it.
    """

    ground_truth: GroundTruth | None
    revision: int
    first: GroundTruth | None = None


LookUp = Callable[[Sequence[str]], Awaitable[Mapping[str, KnownTruth]]]
_SECONDS_PER_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class TruthVerdict:
    """What became of one item; `field` and `reason` say what is wrong with an invalid one."""

    result: TruthAnswer
    field: str = ""
    reason: str = ""


ACCEPTED = TruthVerdict("accepted")


class TruthIntake:
    """Checks and spools truths; on the event loop.

    Args:
        reader: checks the signatures of ids.
        versions: the models that truths may be for.
        spool: where they go.
        look_up: asks the database what it knows of ids, within a bound; knows nothing when that takes too
            long.
        accept_days: age of a prediction up to which its truth is taken.
        announcer: hears what was refused, written or dropped.
        clock: Unix seconds.
    """

    def __init__(
        self,
        reader: IdReader,
        versions: KnownVersions,
        spool: Spool,
        look_up: LookUp,
        *,
        accept_days: int,
        announcer: Announcer,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._reader = reader
        self._versions = versions
        self._spool = spool
        self._look_up = look_up
        self._accept_days = accept_days
        self._announcer = announcer
        self._clock = clock

    async def take(self, posts: Sequence[TruthPost], caller: str) -> list[TruthVerdict]:
        """Give each item its verdict, in order; what is not invalid is in the spool when this returns.

        `duplicate` and `conflict` are said only where the database already knew: an accepted truth may still
        turn out to be one, and is then counted as such.

        Raises:
            PredictionLogFullError: the spool cannot take them; none of them was kept.
        """
        now = self._clock()
        verdicts: list[TruthVerdict] = []
        kept: list[tuple[int, PostedTruth]] = []
        refused: Counter[ModelKey] = Counter()
        for index, post in enumerate(posts):
            verdict, text, key = self._check(post, now)
            verdicts.append(verdict)
            if verdict is ACCEPTED:
                kept.append((index, PostedTruth(text, post.ground_truth, post.revision)))
            else:
                refused[key] += 1
        if kept:
            known = await self._look_up([truth.prediction_id for _, truth in kept])
            self._write(TruthRecord(now, caller, [truth for _, truth in kept]))
            for index, truth in kept:
                if truth.prediction_id in known:
                    verdicts[index] = _compared(truth, known[truth.prediction_id])
        # Not before: a request that the spool refuses comes again, whole.
        for key, count in refused.items():
            self._announcer.announce(GroundTruthRefused(key, count))
        return verdicts

    def _check(self, post: TruthPost, now: float) -> tuple[TruthVerdict, str, ModelKey]:
        try:
            known = self._reader.read(post.prediction_id)
        except InvalidIdError as error:
            return TruthVerdict("invalid", "prediction_id", str(error)), "", OTHER_MODEL
        version = self._versions.find(known.fingerprint)
        key = OTHER_MODEL if version is None else version.key
        if self._is_too_old(known, now):
            reason = f"is of a prediction more than {self._accept_days} days old"
            return TruthVerdict("invalid", "prediction_id", reason), "", key
        # The truth of a version whose bundle is gone is kept as it is; the drainer says that it is unknown.
        problem = version.truth_problem(post.ground_truth) if version is not None else None
        if problem is not None:
            return TruthVerdict("invalid", "ground_truth", problem), "", key
        return ACCEPTED, id_texts(known.raw)[0], key

    def _is_too_old(self, known: PredictionId, now: float) -> bool:
        return now - known.timestamp > self._accept_days * _SECONDS_PER_DAY

    def _write(self, record: TruthRecord) -> None:
        try:
            self._spool.append(truth_payload(record))
        except PredictionLogFullError:
            self._announcer.announce(PredictionLogWritten(record.rows, "refused"))
            raise
        self._announcer.announce(PredictionLogWritten(record.rows, "spooled"))


def _compared(posted: PostedTruth, known: KnownTruth) -> TruthVerdict:
    if known.ground_truth is None:
        return TruthVerdict("duplicate")
    if posted.revision > known.revision:
        return ACCEPTED
    first = known.ground_truth if known.first is None else known.first
    is_known = any(is_same_truth(value, posted.ground_truth) for value in (known.ground_truth, first))
    return TruthVerdict("duplicate" if is_known else "conflict")
