"""Trains `tickets`: the topic of a short support message (text, multiclass)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from training.demo import Demo

TARGET = "category"
DATA = Path(__file__).parent / "data" / "tickets.csv"


def train(data: Path = DATA) -> Demo:
    """Train on the messages of the training split; those of the validation split are held out.

    Args:
        data: CSV file with the columns text, category and split (`train` or `validation`).
    """
    frame = pd.read_csv(data)
    parts = {split: part.drop(columns="split") for split, part in frame.groupby("split")}
    training, validation = parts["train"], parts["validation"]
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    estimator = Pipeline([("tfidf", vectorizer), ("classifier", LogisticRegression(C=10.0, max_iter=1000))])
    estimator.fit(training["text"].tolist(), training[TARGET])
    # scikit-learn keeps the address of `stop_words` to know it again, which differs in every process.
    del vectorizer._stop_words_id
    return Demo("tickets", estimator, training, validation, TARGET)
