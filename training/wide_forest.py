"""Trains `wide_forest`: a random forest of 100 trees on 20 synthetic features, the slow model of the demo."""

from __future__ import annotations

import pandas as pd
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

from training.demo import Demo

TARGET = "label"


def train() -> Demo:
    """Train on 2000 of 3500 synthetic rows and hold out 1500."""
    X, y = make_classification(
        n_samples=3500,
        n_features=20,
        n_informative=10,
        n_redundant=4,
        class_sep=1.2,
        flip_y=0.03,
        random_state=7,
    )
    # Rounded: thirteen more digits would only lengthen files and requests.
    frame = pd.DataFrame(X.round(4), columns=[f"x{index:02d}" for index in range(X.shape[1])])
    frame[TARGET] = y
    training, validation = train_test_split(frame, test_size=1500, stratify=frame[TARGET], random_state=0)
    estimator = RandomForestClassifier(n_estimators=100, random_state=0)
    estimator.fit(training.drop(columns=TARGET), training[TARGET])
    return Demo("wide_forest", estimator, training, validation, TARGET)
