"""Trains `diabetes`: how far the disease has progressed a year later (regression)."""

from __future__ import annotations

from sklearn.datasets import load_diabetes
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.model_selection import train_test_split

from training.demo import Demo

TARGET = "progression"
NAMES = {
    "bp": "blood_pressure",
    "s1": "total_cholesterol",
    "s2": "ldl",
    "s3": "hdl",
    "s4": "cholesterol_ratio",
    "s5": "log_triglycerides",
    "s6": "glucose",
}


def train() -> Demo:
    """Train on 292 of the 442 patients and hold out 150."""
    data = load_diabetes(as_frame=True, scaled=False)
    frame = data.data.rename(columns=NAMES)
    frame["sex"] = frame["sex"].astype(int)
    frame[TARGET] = data.target
    training, validation = train_test_split(frame, test_size=150, random_state=0)
    estimator = GradientBoostingRegressor(
        n_estimators=80, max_depth=2, learning_rate=0.06, subsample=0.7, random_state=0
    )
    estimator.fit(training.drop(columns=TARGET), training[TARGET])
    return Demo("diabetes", estimator, training, validation, TARGET, output_range=(0.0, 500.0))
