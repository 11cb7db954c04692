"""Small bundles for tests, packed once per process by the code that users run.

`bundle_dir()` holds all of them (read only: copy a bundle before you change it); each has version `3`:
`numbers` (multiclass, three numbers), `mixed` (binary; number, integer, open and closed category, boolean,
missing values), `texts` (multiclass on text) and `regression` (two numbers, bounded output).
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from service.bundle.packing.pack import PackRequest, pack_bundle
from service.bundle.packing.request import Packed

VERSION = "3"
NUMBERS, MIXED, TEXTS, REGRESSION = "numbers", "mixed", "texts", "regression"
TARGET = "target"


@functools.cache
def bundle_dir() -> Path:
    """Pack all test bundles into a temporary folder that goes when the process ends; give the folder."""
    folder = Path(tempfile.mkdtemp(prefix="plumbline-bundles-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in MODELS:
        pack_model(name, folder)
    return folder


def copy_bundle(name: str, folder: Path, version: str = VERSION) -> Path:
    """Copy a test bundle to `folder`/name/version, to be changed there; give its path."""
    return Path(shutil.copytree(bundle_dir() / name / VERSION, folder / name / version))


def replace_file(directory: Path, name: str, content: bytes) -> None:
    """Replace a file of a copied bundle and write its new hash to the manifest."""
    (directory / name).write_bytes(content)
    entry = {"size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    change_manifest(directory, files={**read_json(directory / "manifest.json")["files"], name: entry})


def change_manifest(directory: Path, **changes: Any) -> None:
    """Change entries of a copied bundle's manifest."""
    path = directory / "manifest.json"
    path.write_text(json.dumps({**read_json(path), **changes}))


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text())


def pack_model(name: str, out: Path, **options: Any) -> Packed:
    """Pack one of the test models into `out`; `options` are fields of PackRequest."""
    estimator, training, validation = MODELS[name]()
    with tempfile.TemporaryDirectory() as folder:
        request = write_inputs(Path(folder), estimator, training, validation)
        fields = Path(folder) / "fields.toml"
        fields.write_text(FIELDS.get(name, ""))
        given: dict[str, Any] = {"fields": fields, "created": "2026-03-07T11:13:17Z", **LIMITS.get(name, {})}
        request = {**request, "name": name, "version": VERSION, "out": out, **given, **options}
        return pack_bundle(PackRequest(**request), lambda line: None)


def write_inputs(
    folder: Path, estimator: Any, training: pd.DataFrame, validation: pd.DataFrame | None = None
) -> dict[str, Any]:
    """Write what a user packs with; give the fields of PackRequest that name it."""
    joblib.dump(estimator, folder / "model.joblib")
    training.to_csv(folder / "train.csv", index=False)
    request = {"model": folder / "model.joblib", "data": folder / "train.csv", "target": TARGET}
    if validation is not None:
        validation.to_csv(folder / "validation.csv", index=False)
        request["validation"] = folder / "validation.csv"
    return request


def numbers_model() -> tuple[Any, pd.DataFrame, pd.DataFrame]:
    """Three classes around three centres, in three dimensions."""
    generator = np.random.default_rng(17)
    labels = np.repeat(["ash", "birch", "cedar"], 131)
    centres = np.repeat(np.array([[1.5, 11.0, -2.0], [3.5, 14.0, 0.5], [6.5, 9.0, 3.5]]), 131, axis=0)
    values = (centres + generator.normal(0, 0.7, (393, 3))).round(3)
    frame = pd.DataFrame(values, columns=["height", "girth", "slope"]).assign(**{TARGET: labels})
    frame = frame.sample(frac=1, random_state=5)
    training, validation = frame[:263], frame[263:]
    estimator = make_pipeline(StandardScaler(), LogisticRegression())
    return estimator.fit(training.drop(columns=TARGET), training[TARGET]), training, validation


def mixed_model() -> tuple[Any, pd.DataFrame, pd.DataFrame]:
    """Whether somebody buys: all types of features, missing values in two of them."""
    generator = np.random.default_rng(23)
    count = 411
    income = generator.gamma(3.0, 700.0, count).round(2)
    visits = generator.poisson(4.3, count)
    colour = generator.choice(["red", "green", "blue", "violet"], count, p=[0.47, 0.29, 0.19, 0.05])
    plan = generator.choice(["basic", "plus"], count, p=[0.7, 0.3])
    is_member = generator.random(count) < 0.37
    strength = income / 900 + visits / 3 + 1.7 * (colour == "red") + 1.9 * is_member - 4.6
    bought = np.where(strength + generator.normal(0, 0.6, count) > 0, "yes", "no")
    frame = pd.DataFrame(
        {
            "income": np.where(generator.random(count) < 0.11, np.nan, income),
            "visits": visits,
            "colour": np.where(generator.random(count) < 0.07, np.array(None), colour),
            "plan": plan,
            "is_member": is_member,
            TARGET: bought,
        }
    )
    training, validation = frame[:277], frame[277:]
    encoder = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="none"), OneHotEncoder(handle_unknown="ignore")
    )
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["income", "visits"]),
        (encoder, ["colour"]),
        (OneHotEncoder(), ["plan"]),
        ("passthrough", ["is_member"]),
    )
    estimator = make_pipeline(columns, LogisticRegression(C=3.0))
    return estimator.fit(training.drop(columns=TARGET), training[TARGET]), training, validation


def texts_model() -> tuple[Any, pd.DataFrame, pd.DataFrame]:
    """Three topics told apart by their nouns."""
    generator = np.random.default_rng(29)
    nouns = {
        "garden": ["rose", "hedge", "spade", "lawn", "seed"],
        "kitchen": ["oven", "spoon", "kettle", "plate", "dough"],
        "workshop": ["hammer", "saw", "plank", "drill", "bolt"],
    }
    verbs, words = ["broke", "lost", "found", "bought", "sold"], ["my", "the", "an old", "a new", "this"]
    rows = []
    for index in range(300):
        topic = list(nouns)[index % 3]
        first, second = generator.choice(nouns[topic], 2, replace=False)
        verb, word, other = generator.choice(verbs), generator.choice(words), generator.choice(words)
        rows.append((f"I {verb} {word} {first} and {other} {second} number {index % 7}", topic))
    frame = pd.DataFrame(rows, columns=["text", TARGET])
    training, validation = frame[:201], frame[201:]
    estimator = make_pipeline(TfidfVectorizer(), LogisticRegression(C=5.0))
    return estimator.fit(training["text"].tolist(), training[TARGET]), training, validation


def regression_model() -> tuple[Any, pd.DataFrame, pd.DataFrame]:
    """A price that is linear in two numbers."""
    generator = np.random.default_rng(31)
    area = generator.uniform(23, 197, 307).round(1)
    rooms = generator.integers(1, 8, 307)
    price = (2.9 * area + 17.3 * rooms + 41 + generator.normal(0, 13, 307)).round(2)
    frame = pd.DataFrame({"area": area, "rooms": rooms, TARGET: price})
    training, validation = frame[:211], frame[211:]
    estimator = LinearRegression().fit(training.drop(columns=TARGET), training[TARGET])
    return estimator, training, validation


MODELS: dict[str, Callable[[], tuple[Any, pd.DataFrame, pd.DataFrame]]] = {
    NUMBERS: numbers_model,
    MIXED: mixed_model,
    TEXTS: texts_model,
    REGRESSION: regression_model,
}
FIELDS = {
    NUMBERS: '[height]\nunit = "m"\nminimum = -40.0\nmaximum = 90.0\n',
    MIXED: "[income]\nsensitive = true\nminimum = 0.0\n[visits]\nminimum = 0.0\nmaximum = 500.0\n",
}
LIMITS = {REGRESSION: {"output_minimum": -500.0, "output_maximum": 9000.0}}
