"""Trains `iris`: the species of a flower from four lengths (multiclass, named features)."""

from __future__ import annotations

from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from training.demo import Demo

TARGET = "species"


def train() -> Demo:
    """Train on 90 of the 150 flowers and hold out 60."""
    data = load_iris(as_frame=True)
    frame = data.data.rename(columns=lambda name: name.removesuffix(" (cm)").replace(" ", "_"))
    frame[TARGET] = [str(data.target_names[label]) for label in data.target]
    training, validation = train_test_split(frame, test_size=60, stratify=frame[TARGET], random_state=0)
    estimator = make_pipeline(StandardScaler(), LogisticRegression())
    estimator.fit(training.drop(columns=TARGET), training[TARGET])
    return Demo("iris", estimator, training, validation, TARGET)
