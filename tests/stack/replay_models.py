"""The three streams of the replay: real data, models trained and packed here as a user would."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import pytest
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from operations.__main__ import main as plumbline
from tests.stack.predictor_process import ROOT

DATA = ROOT.parent / "shared" / "data"
VERSION = "1"
CLASSES = ("0", "1")
"""Names of the classes of both classifiers; the values are 0 and 1."""
_BIKE_FEATURES = (
    *("season", "mnth", "hr", "holiday", "weekday", "workingday", "weathersit"),
    *("temp", "atemp", "hum", "windspeed"),
)


@dataclass(frozen=True)
class Stream:
    """Rows in the order of time, with their truths.

    Args:
        name: of the model; its version is always 1.
        bundle: folder of the packed model.
        rows: features in the order of the signature.
        truths: what turned out to be true of each row.
        late: how many rows later its truth is known.
        said: what the other software predicted of each row, and its confidence; empty for a served model.
    """

    name: str
    bundle: Path
    rows: Sequence[Sequence[float]]
    truths: Sequence[float]
    late: int
    said: Sequence[tuple[int, float]] = ()

    @property
    def target_stddev(self) -> float | None:
        """Unit of the error sums of a regression model; None for a classifier."""
        stddev: float | None = self.read("reference.json")["target_stddev"]
        return stddev

    def read(self, name: str) -> Any:
        """Read a file of the bundle."""
        return json.loads((self.bundle / name).read_text())


def load(name: str) -> pd.DataFrame:
    """Read a data set, or skip the test without it."""
    path = DATA / f"{name}.csv.gz"
    if not path.exists():
        pytest.skip(f"for want of ../shared: {path.name} is absent")
    return pd.read_csv(path)


def electricity(folder: Path, size: int) -> Stream:
    """Pack a classifier of price moves; its market changes at row 17424, within the stream."""
    frame = load("elec2").drop(columns="date")
    features = frame.drop(columns="class")
    estimator = make_pipeline(StandardScaler(), LogisticRegression())
    estimator.fit(features[:8640].to_numpy(), frame["class"][:8640])
    bundle = _pack(folder, "elec2", "class", estimator, frame[:8640], frame[8640:13440])
    return _stream(bundle, features[13440:], frame["class"][13440:], size, late=336)


def bikes(folder: Path, size: int) -> Stream:
    """Pack a regression on the demand of 2011; in 2012 it is far too low."""
    data = load("bike_hourly")
    features = data[list(_BIKE_FEATURES)]
    frame = features.assign(cnt=data["cnt"])
    estimator = GradientBoostingRegressor(n_estimators=80, max_depth=5, random_state=0)
    estimator.fit(features[:7500].to_numpy(), frame["cnt"][:7500])
    bundle = _pack(folder, "bike", "cnt", estimator, frame[:7500], frame[7500:8645])
    return _stream(bundle, features[8645:], frame["cnt"][8645:], size, late=48)


def rain(folder: Path, size: int) -> Stream:
    """Pack an external bundle: a model of the weather that other software, here this function, serves."""
    frame = load("noaa_weather_offutt")
    features = frame.drop(columns="target")
    estimator = make_pipeline(StandardScaler(), LogisticRegression())
    estimator.fit(features[:7300], frame["target"][:7300])
    said = estimator.predict(features)
    sure = estimator.predict_proba(features).max(axis=1)
    sample = frame[7300:10950].assign(said=said[7300:10950], sure=sure[7300:10950])
    sample.to_csv(folder / "rain.csv", index=False)
    options = ("--prediction", "said", "--confidence", "sure")
    bundle = _run_pack(folder, "rain", "--external", "--data", "rain.csv", "--target", "target", *options)
    logged = list(zip(said[10950:].tolist(), sure[10950:].tolist(), strict=True))[:size]
    return _stream(bundle, features[10950:], frame["target"][10950:], size, late=48, said=logged)


def _pack(
    folder: Path, name: str, target: str, estimator: Any, training: pd.DataFrame, held_out: pd.DataFrame
) -> Path:
    joblib.dump(estimator, folder / f"{name}.joblib")
    training.to_csv(folder / "train.csv", index=False)
    held_out.to_csv(folder / "held_out.csv", index=False)
    files = ("--data", "train.csv", "--validation", "held_out.csv")
    return _run_pack(folder, name, f"{name}.joblib", *files, "--target", target)


def _run_pack(folder: Path, name: str, *arguments: str) -> Path:
    given = [str(folder / each) if each.endswith((".csv", ".joblib")) else each for each in arguments]
    out = folder / "bundles"
    assert plumbline(["pack", *given, "--name", name, "--version", VERSION, "--out", str(out)]) == 0
    return out / name / VERSION


def _stream(
    bundle: Path,
    features: pd.DataFrame,
    truths: pd.Series,
    size: int,
    late: int,
    said: Sequence[tuple[int, float]] = (),
) -> Stream:
    # As tuples they keep the type of each column: an hour of the day is a whole number in JSON too.
    rows = list(features[:size].itertuples(index=False, name=None))
    return Stream(bundle.parent.name, bundle, rows, truths[:size].tolist(), late, said)
