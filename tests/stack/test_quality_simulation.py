"""How often ModelAccuracyLow is wrong, and how soon it tells of a fall: months through the shipped rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.prometheus.monitoring_binaries import LINES
from tests.stack.backtest import MINUTE, firing_minutes, serving, write_blocks

START = 1_700_000_100
# Scrapes fall between the minutes that are asked for: none lies on the edge of a window.
SCRAPE_OFFSET = 7
LABELS_PER_HOUR = 100
OBJECTIVE = 0.85
DAY = 24 * 60
TEN_WEEKS = 70 * DAY
SOUND, FALLING, FALLEN = 0.87, 0.92, 0.70
FALLS = 20
AFTER_THE_FALL = 8 * 60


@dataclass(frozen=True)
class Labels:
    """Truths of one model by minute: how many arrived, how many were met; arrays of shape (minutes,)."""

    model_name: str
    arrived: NDArray[np.int64]
    met: NDArray[np.int64]


def labels(model_name: str, accuracy: NDArray[np.float64], rng: np.random.Generator) -> Labels:
    """Draw truths at 100 an hour with a true accuracy for each minute."""
    arrived = rng.poisson(LABELS_PER_HOUR / 60, len(accuracy))
    return Labels(model_name, arrived, rng.binomial(arrived, accuracy))


def histories() -> list[Labels]:
    """Return one model that is sound for ten weeks and twenty that fall after a day."""
    rng = np.random.default_rng(20)
    fall = np.full(DAY + AFTER_THE_FALL, FALLING)
    fall[DAY:] = FALLEN
    return [
        labels("sound", np.full(TEN_WEEKS, SOUND), rng),
        *(labels(f"fall{number}", fall, rng) for number in range(FALLS)),
    ]


def openmetrics(models: list[Labels]) -> Iterator[str]:
    """Yield the counters and gauges that a predictor would have exported, a sample a minute."""
    yield "# TYPE ml_class_outcomes counter"
    for model in models:
        for aspect, counts in (("actual", model.arrived), ("correct", model.met)):
            name = f'ml_class_outcomes_total{{{pair(model)},class="a",aspect="{aspect}"}}'
            for minute, value in enumerate(np.cumsum(counts).tolist()):
                yield f"{name} {value} {START + MINUTE * (minute + 1) - SCRAPE_OFFSET}"
    constants = (("ml_objective", f'signal="accuracy"}} {OBJECTIVE}'), ("ml_model_info", 'role="stable"} 1'))
    for family, rest in constants:
        yield f"# TYPE {family} gauge"
        for model in models:
            # Read as the last value of an hour, so two an hour are enough.
            for minute in range(0, len(model.arrived), 30):
                yield f"{family}{{{pair(model)},{rest} {START + MINUTE * minute - SCRAPE_OFFSET}"
    yield "# EOF"


def pair(model: Labels) -> str:
    """Return the labels of the version."""
    return f'model_name="{model.model_name}",model_version="1"'


@cache
def firing(line: str, folder: Path) -> dict[str, list[int]]:
    """Return when the alert began to fire, by model, in minutes; once for each line."""
    own = folder / line
    own.mkdir()
    write_blocks(line, openmetrics(histories()), own)
    with serving(line, own) as url:
        return firing_minutes(url, "ModelAccuracyLow", START, TEN_WEEKS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for the databases of both lines."""
    return tmp_path_factory.mktemp("simulation")


def delays(line: str, folder: Path) -> list[int]:
    """Return for each fall the minutes until the alert, which none may fire before."""
    found = [firing(line, folder)[f"fall{number}"] for number in range(FALLS)]
    assert all(minutes[0] > DAY for minutes in found)
    return [minutes[0] - DAY for minutes in found]


@pytest.mark.parametrize("line", LINES)
def test_a_sound_model_is_reported_at_most_once_in_ten_weeks(line: str, folder: Path) -> None:
    """Stay silent at 0.87 where 0.85 is the objective, at 100 labels an hour; chance may win once."""
    assert len(firing(line, folder).get("sound", [])) <= 1


@pytest.mark.parametrize("line", LINES)
def test_a_fall_is_reported_within_ninety_minutes(line: str, folder: Path) -> None:
    """Fire within 90 minutes of a fall from 0.92 to 0.70 in most cases, and always within hours."""
    found = sorted(delays(line, folder))
    assert np.median(found) < 90, found
    assert np.mean(np.array(found) <= 90) >= 0.7, found
    assert max(found) <= AFTER_THE_FALL


def test_both_lines_fire_at_the_same_minute(folder: Path) -> None:
    """Differ by no more than one evaluation."""
    old, new = (delays(line, folder) for line in LINES)
    assert np.abs(np.subtract(old, new)).max() <= 1
