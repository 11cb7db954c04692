"""Trains `breast_cancer`: whether a tumour is malignant from 30 measures of its cells (binary)."""

from __future__ import annotations

from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from training.demo import Demo

TARGET = "diagnosis"


def train() -> Demo:
    """Train on 369 of the 569 samples and hold out 200."""
    data = load_breast_cancer(as_frame=True)
    frame = data.data.rename(columns=lambda name: name.replace(" ", "_"))
    frame[TARGET] = [str(data.target_names[label]) for label in data.target]
    training, validation = train_test_split(frame, test_size=200, stratify=frame[TARGET], random_state=0)
    estimator = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    estimator.fit(training.drop(columns=TARGET), training[TARGET])
    return Demo("breast_cancer", estimator, training, validation, TARGET)
