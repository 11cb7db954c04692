"""Unpickling happens in one function, and what an estimator needs is known before."""

from __future__ import annotations

import ast
from io import BytesIO
from pathlib import Path

import joblib
import pytest
from sklearn.base import BaseEstimator
from sklearn.exceptions import InconsistentVersionWarning

from service.bundle.estimator_file import packages_of, read_estimator
from tests import builders

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("service", "operations", "training", "prometheus", "alertmanager", "grafana", "loadtest")
PICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "shelve", "marshal", "skops"}
LOADERS = {
    ("joblib", "load"),
    ("np", "load"),
    ("numpy", "load"),
    ("pd", "read_pickle"),
    ("pandas", "read_pickle"),
    ("yaml", "load"),
    ("yaml", "load_all"),
    ("yaml", "unsafe_load"),
    ("yaml", "full_load"),
}


def dangers(source: str) -> list[str]:
    """List what turns data into code in a module."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names if name.name.partition(".")[0] in PICKLERS]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module] if node.module.partition(".")[0] in PICKLERS else []
            found += [f"{node.module}.{n.name}" for n in node.names if (node.module, n.name) in LOADERS]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found += [f"{node.value.id}.{node.attr}"] if (node.value.id, node.attr) in LOADERS else []
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found += [node.func.id] if node.func.id in {"eval", "exec", "compile"} else []
    return found


def test_data_becomes_code_in_one_file_only() -> None:
    """No other module of the project unpickles, loads unsafe YAML or evaluates."""
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    found = {str(path.relative_to(ROOT)): dangers(path.read_text()) for path in files}
    assert {name: what for name, what in found.items() if what} == {
        "service/bundle/estimator_file.py": ["pickle", "joblib.load"]
    }


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "import yaml\nyaml.load(x)",
        "eval('1')",
        "from dill import loads",
    ],
)
def test_dangers_are_seen(source: str) -> None:
    """The test above knows the ways."""
    assert dangers(source)


def test_estimator_comes_back() -> None:
    """What joblib wrote is read from an open file."""
    buffer = BytesIO()
    joblib.dump(builders.numbers_model()[0], buffer)
    buffer.seek(0)
    assert hasattr(read_estimator(buffer), "predict_proba")


def test_another_version_raises_unless_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The warning of scikit-learn is an error here."""
    buffer = BytesIO()
    with monkeypatch.context() as patch:
        patch.setattr("sklearn.base.__version__", "1.2.3")
        joblib.dump(builders.regression_model()[0], buffer)
    buffer.seek(0)
    with pytest.raises(InconsistentVersionWarning):
        read_estimator(buffer)
    buffer.seek(0)
    assert hasattr(read_estimator(buffer, allow_library_mismatch=True), "predict")


def test_packages_of_an_estimator_are_found_inside_it() -> None:
    """Parts of a pipeline count, and functions that parts hold."""
    assert packages_of(builders.mixed_model()[0]) >= {"sklearn", "numpy"}
    holder = BaseEstimator()
    holder.function = joblib.hash
    assert "joblib" in packages_of(holder)


def test_what_cannot_be_pickled_raises() -> None:
    """A lambda inside an estimator is found when it is packed, not when it is loaded."""
    holder = BaseEstimator()
    holder.function = lambda value: value
    with pytest.raises(Exception, match="lambda"):
        packages_of(holder)
