"""Truths get their verdict in order, and what is accepted is in the spool; nothing else is."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from service.errors import PredictionLogFullError
from service.events import OTHER_MODEL, GroundTruthRefused, ModelKey, PredictionLogWritten
from service.prediction_log.ids import IdMaker, IdReader, fingerprint_of, id_key, id_texts
from service.prediction_log.records import PostedTruth, TruthRecord, read_payload
from service.prediction_log.spool import Spool
from service.prediction_log.truth_intake import KnownTruth, TruthIntake, TruthVerdict
from service.prediction_log.truth_posts import TruthPost
from service.prediction_log.versions import KnownVersions
from tests.builders import MIXED, NUMBERS, REGRESSION, VERSION, bundle_dir
from tests.fakes import Recorder
from tests.service.prediction_log.child_process import spooled

KEY = id_key(bytes(range(32)))
MAKER = IdMaker(KEY)
NOW = 1_790_000_123.45
DAY = 86_400.0
ACCEPTED, DUPLICATE, CONFLICT = TruthVerdict("accepted"), TruthVerdict("duplicate"), TruthVerdict("conflict")


def make_id(name: str = MIXED, version: str = VERSION, *, now: float = NOW - 60) -> str:
    """Make the id of a prediction."""
    fingerprint = fingerprint_of(ModelKey(name, version))
    is_regression = name == REGRESSION
    raw = MAKER.one(fingerprint, now, None if is_regression else 1, 7.5 if is_regression else None, None)
    return id_texts(raw)[0]


class LookUp:
    """Stands for the database: knows what it is told to, and who asked."""

    def __init__(self) -> None:
        self.known: dict[str, KnownTruth] = {}
        self.asked: list[list[str]] = []

    async def __call__(self, prediction_ids: Sequence[str]) -> Mapping[str, KnownTruth]:
        """Give what is known of all ids ever."""
        self.asked.append(list(prediction_ids))
        return self.known


class Intake:
    """An intake with its surroundings."""

    def __init__(self, folder: Path, **limits: Any) -> None:
        self.folder = folder
        self.recorder = Recorder().listen(GroundTruthRefused, PredictionLogWritten)
        self.look_up = LookUp()
        values: dict[str, Any] = {"max_bytes": 1_000_000, "segment_bytes": 100_000, "sync_seconds": 3600.0}
        self.spool = Spool(folder, **(values | limits))
        self.spool.open()
        self.intake = TruthIntake(
            IdReader([KEY]),
            KnownVersions(bundle_dir()),
            self.spool,
            self.look_up,
            accept_days=400,
            announcer=self.recorder.announcer,
            clock=lambda: NOW,
        )

    def take(self, *posts: tuple[str, Any] | tuple[str, Any, int]) -> list[TruthVerdict]:
        """Post truths as alice."""
        items = [TruthPost(post[0], post[1], post[2] if len(post) > 2 else 0) for post in posts]
        return asyncio.run(self.intake.take(items, "alice"))

    def records(self) -> list[TruthRecord]:
        """Read what is in the spool."""
        found = [read_payload(payload) for payload in spooled(self.folder)]
        assert all(isinstance(one, TruthRecord) for one in found)
        return found  # type: ignore[return-value]  # just asserted


@pytest.fixture
def intake(tmp_path: Path) -> Any:
    """Take truths for the test bundles."""
    made = Intake(tmp_path)
    yield made
    made.spool.close()


def test_accepted_truths_are_in_the_spool(intake: Intake) -> None:
    """One record holds all truths of a request, in order, with the time and who posted them."""
    first, second, third = make_id(), make_id(NUMBERS), make_id(REGRESSION)
    assert intake.take((first, "yes"), (second, "birch", 3), (third, 12)) == [ACCEPTED] * 3
    (record,) = intake.records()
    assert (record.received, record.caller) == (NOW, "alice")
    assert list(record.truths) == [
        PostedTruth(first, "yes", 0),
        PostedTruth(second, "birch", 3),
        PostedTruth(third, 12, 0),
    ]
    assert intake.recorder.events == [PredictionLogWritten(3, "spooled")]


def invalid(field: str, reason: str) -> TruthVerdict:
    """Make the verdict on a truth that belongs to nothing."""
    return TruthVerdict("invalid", field, reason)


FOREIGN = id_texts(IdMaker(id_key(bytes(range(1, 33)))).one(bytes(8), NOW, 1, None, None))[0]
NOT_OURS = [
    ("", "must have 60 characters"),
    ("x" * 59, "must have 60 characters"),
    ("x" * 60, "is not signed by this service"),
    (FOREIGN, "is not signed by this service"),
    ("é" * 60, "is not an id of this service"),
    ("?" * 60, "is not an id of this service"),
]


@pytest.mark.parametrize(("text", "reason"), NOT_OURS)
def test_forged_id_touches_neither_spool_nor_database(intake: Intake, text: str, reason: str) -> None:
    """It is invalid at once, and counted under no model."""
    assert intake.take((text, "yes")) == [invalid("prediction_id", reason)]
    assert intake.records() == []
    assert intake.look_up.asked == []
    assert intake.recorder.events == [GroundTruthRefused(OTHER_MODEL, 1)]


def test_id_is_accepted_for_so_many_days(intake: Intake) -> None:
    """The age is that of the prediction; its last moment counts, and a clock ahead of ours is no age."""
    young, old = make_id(now=NOW - 400 * DAY), make_id(now=NOW - 400 * DAY - 0.02)
    ahead = make_id(now=NOW + 5)
    assert intake.take((young, "yes"), (old, "yes"), (ahead, "yes")) == [
        ACCEPTED,
        invalid("prediction_id", "is of a prediction more than 400 days old"),
        ACCEPTED,
    ]
    assert GroundTruthRefused(ModelKey(MIXED, VERSION), 1) in intake.recorder.events


WRONG = [
    (MIXED, "maybe", "is not one of the model's classes"),
    (MIXED, True, "is not one of the model's classes"),
    (MIXED, 1, "is not one of the model's classes"),
    (REGRESSION, "12", "must be a number"),
    (REGRESSION, False, "must be a number"),
    (REGRESSION, 9000.5, "is outside the model's output bounds"),
    (REGRESSION, math.inf, "must be a finite number of at most 1e+30"),
]


@pytest.mark.parametrize(("name", "truth", "reason"), WRONG)
def test_truth_that_its_model_cannot_have(intake: Intake, name: str, truth: object, reason: str) -> None:
    """It is invalid at once, counted under its model, and not kept."""
    assert intake.take((make_id(name), truth)) == [invalid("ground_truth", reason)]
    assert intake.records() == []
    assert intake.recorder.events == [GroundTruthRefused(ModelKey(name, VERSION), 1)]


def test_truth_of_a_version_that_is_gone_is_kept(intake: Intake) -> None:
    """The signature proves the prediction; what the bundle would say of the value nobody knows here."""
    text = make_id("retired", "12")
    assert intake.take((text, "anything")) == [ACCEPTED]
    (record,) = intake.records()
    assert list(record.truths) == [PostedTruth(text, "anything", 0)]


def test_order_is_kept_and_refusals_are_counted_by_model(intake: Intake) -> None:
    """Good and bad items of one request do not disturb each other."""
    good, other = make_id(), make_id(NUMBERS)
    verdicts = intake.take(
        (good, "maybe"), ("x", "yes"), (good, "no"), (other, "oak"), (other, "elm"), ("y", 1), (other, "ash")
    )
    assert [one.result for one in verdicts] == [
        "invalid",
        "invalid",
        "accepted",
        "invalid",
        "invalid",
        "invalid",
        "accepted",
    ]
    assert [truth.ground_truth for truth in intake.records()[0].truths] == ["no", "ash"]
    assert intake.recorder.of(PredictionLogWritten) == [PredictionLogWritten(2, "spooled")]
    assert {event.key: event.count for event in intake.recorder.of(GroundTruthRefused)} == {
        (MIXED, VERSION): 1,
        (NUMBERS, VERSION): 2,
        OTHER_MODEL: 2,
    }


def test_other_spelling_of_an_id_is_no_second_id(intake: Intake) -> None:
    """What is kept and looked up is the one spelling that the client got."""
    text = next(one for one in iter(make_id, "") if "-" in one and "_" in one)
    alias = text.replace("-", "+").replace("_", "/")
    intake.look_up.known = {text: KnownTruth("yes", 0)}
    (verdict,) = intake.take((alias, "yes"))
    assert verdict.result in {"duplicate", "invalid"}
    assert {truth.prediction_id for record in intake.records() for truth in record.truths} <= {text}
    assert all(asked == [text] for asked in intake.look_up.asked)


KNOWN: list[tuple[str, Any, int, KnownTruth, TruthVerdict]] = [
    (MIXED, "yes", 0, KnownTruth("yes", 0), DUPLICATE),
    (MIXED, "no", 0, KnownTruth("yes", 0), CONFLICT),
    (MIXED, "no", 1, KnownTruth("yes", 0), ACCEPTED),
    (MIXED, "yes", 1, KnownTruth("yes", 0), ACCEPTED),
    (MIXED, "no", 1, KnownTruth("yes", 1), CONFLICT),
    (MIXED, "yes", 0, KnownTruth("yes", 3), DUPLICATE),
    (MIXED, "no", 2, KnownTruth("yes", 3), CONFLICT),
    (MIXED, "no", 0, KnownTruth(None, 0), DUPLICATE),
    (MIXED, "no", 1, KnownTruth(None, 0), DUPLICATE),
    (MIXED, "yes", 0, KnownTruth("no", 2, "yes"), DUPLICATE),
    (MIXED, "no", 1, KnownTruth("no", 2, "yes"), DUPLICATE),
    (REGRESSION, 3, 0, KnownTruth(3.0, 0), DUPLICATE),
    (REGRESSION, 3.5, 0, KnownTruth(3, 0), CONFLICT),
    (REGRESSION, 0.0, 0, KnownTruth(-0.0, 0), DUPLICATE),
]


@pytest.mark.parametrize(("name", "truth", "revision", "known", "verdict"), KNOWN)
def test_what_the_database_knows_is_said(
    intake: Intake, name: str, truth: Any, revision: int, known: KnownTruth, verdict: TruthVerdict
) -> None:
    """Said early, and spooled all the same: the one who counts is the drainer."""
    text = make_id(name)
    intake.look_up.known = {text: known}
    assert intake.take((text, truth, revision)) == [verdict]
    assert list(intake.records()[0].truths) == [PostedTruth(text, truth, revision)]


def test_true_and_1_of_a_retired_version_differ(intake: Intake) -> None:
    """Python calls them equal, JSON does not."""
    text = make_id("retired", "12")
    intake.look_up.known = {text: KnownTruth(1, 0)}
    assert intake.take((text, True), (text, 1), (text, 1.0)) == [CONFLICT, DUPLICATE, DUPLICATE]


def test_database_is_asked_once_for_all_that_may_be_kept(intake: Intake) -> None:
    """One look-up a request, for valid items alone; a verdict belongs to its own item."""
    first, second = make_id(), make_id()
    intake.look_up.known = {second: KnownTruth("no", 0)}
    assert intake.take((first, "yes"), ("x", 1), (second, "yes"), (first, "yes")) == [
        ACCEPTED,
        invalid("prediction_id", "must have 60 characters"),
        CONFLICT,
        ACCEPTED,
    ]
    assert intake.look_up.asked == [[first, second, first]]


def test_full_spool_keeps_nothing_and_says_so(tmp_path: Path) -> None:
    """The whole request is refused: the client sends it again, and each of its items counts once then."""
    (tmp_path / "00000000000000000001-a.spool").write_bytes(bytes(100))
    intake = Intake(tmp_path, max_bytes=100)
    with pytest.raises(PredictionLogFullError):
        intake.take((make_id(), "yes"), ("x", 1), (make_id(), "no"))
    assert intake.records() == []
    assert intake.recorder.events == [PredictionLogWritten(2, "refused")]
    intake.spool.close()


def test_full_spool_takes_no_interest_in_invalid_truths(tmp_path: Path) -> None:
    """What would not be kept anyway gets its verdict."""
    (tmp_path / "00000000000000000001-a.spool").write_bytes(bytes(100))
    intake = Intake(tmp_path, max_bytes=100)
    assert [one.result for one in intake.take(("x", 1))] == ["invalid"]
    intake.spool.close()


def test_thousand_truths_are_one_record(intake: Intake) -> None:
    """The largest request is one write."""
    ids = [make_id() for _ in range(1000)]
    assert set(intake.take(*[(text, "yes") for text in ids])) == {ACCEPTED}
    (record,) = intake.records()
    assert [truth.prediction_id for truth in record.truths] == ids
    assert intake.recorder.events == [PredictionLogWritten(1000, "spooled")]
