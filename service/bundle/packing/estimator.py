"""What kind of estimator a user packs, and which columns of his table it takes."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Collection
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.base import is_classifier, is_regressor
from sklearn.exceptions import InconsistentVersionWarning, NotFittedError
from sklearn.utils.validation import check_is_fitted

from service.bundle.estimator_file import packages_of, read_estimator
from service.bundle.packing.table import Table
from service.bundle.signature import ClassLabel, Task
from service.errors import PackError, one_line

ALWAYS_COMPARED = ("numpy", "scikit-learn")


def open_estimator(path: Path) -> tuple[Any, bytes]:
    """Read a user's own model file; this runs code from it, as unpickling always does.

    The bytes come along, since the bundle holds them as they are: the hash is that of the user's own file.

    Raises:
        PackError: it cannot be read, or holds nothing that is fitted and predicts.
    """
    try:
        content = path.read_bytes()
        estimator = read_estimator(BytesIO(content))
    except OSError as error:
        raise PackError(f"{path}: cannot be read: {error.strerror}") from error
    except InconsistentVersionWarning as error:
        written, here = error.original_sklearn_version, error.current_sklearn_version
        message = f"was written by scikit-learn {written}, here is {here}: fit it again with {here}"
        raise PackError(f"{path}: {message}") from error
    except Exception as error:
        raise PackError(f"{path}: cannot be unpickled: {one_line(error)}") from error
    name = type(estimator).__name__
    if not hasattr(estimator, "predict"):
        raise PackError(f"{path}: holds a {name}, which cannot predict")
    try:
        check_is_fitted(estimator)
    except (NotFittedError, TypeError) as error:
        raise PackError(f"{path}: holds a {name} that is not fitted") from error
    return estimator, content


def task_of(estimator: Any) -> Task:
    """Tell what the estimator predicts.

    Raises:
        PackError: neither one class nor one number.
    """
    name = type(estimator).__name__
    if is_regressor(estimator):
        return "regression"
    if not is_classifier(estimator):
        raise PackError(f"a {name} is neither a classifier nor a regressor")
    classes = estimator.classes_
    if isinstance(classes, list):
        raise PackError(f"this {name} predicts several targets at once; pack one model per target")
    if len(classes) < 2:
        raise PackError(f"this {name} knows a single class, {classes[0]!r}; there is nothing to predict")
    return "binary" if len(classes) == 2 else "multiclass"


def class_labels(estimator: Any) -> tuple[ClassLabel, ...]:
    """Write the estimator's classes as JSON knows them; whole floats become integers.

    Raises:
        PackError: a class is no string, whole number or boolean.
    """
    labels: list[ClassLabel] = []
    for label in estimator.classes_.tolist():
        if isinstance(label, float) and label.is_integer():
            labels.append(int(label))
        elif isinstance(label, bool | int | str):
            labels.append(label)
        else:
            raise PackError(f"the class {label!r} is neither a string, a whole number nor a boolean")
    return tuple(labels)


def feature_columns(estimator: Any, table: Table, target: str, ignore: Collection[str]) -> list[str]:
    """List the columns that the estimator takes, in its order.

    Raises:
        PackError: the table has columns too few or too many.
    """
    table.require(target)
    for column in ignore:
        table.require(column)
    columns = [name for name in table.frame.columns if name != target and name not in set(ignore)]
    fitted_on = getattr(estimator, "feature_names_in_", None)
    if fitted_on is not None:
        names = [str(name) for name in fitted_on]
        for name in names:
            if name == target or name in ignore:
                raise PackError(f"the estimator was fitted on the column {name!r}; it cannot be left out")
            table.require(name)
        if spare := [name for name in columns if name not in names]:
            raise PackError(
                f"{table.path}: the estimator does not take the column {spare[0]!r}; "
                f"leave it out with --ignore {spare[0]}"
            )
        return names
    count = getattr(estimator, "n_features_in_", len(columns))
    if count != len(columns):
        raise PackError(
            f"{table.path}: has {len(columns)} feature columns, the estimator takes {count}; "
            "leave columns out with --ignore"
        )
    if not columns:
        raise PackError(f"{table.path}: has no column besides the target {target!r}")
    return columns


def takes_texts(estimator: Any, frame: pd.DataFrame, names: list[str]) -> bool:
    """Tell whether the estimator takes a list of texts: one column of strings, which a vectorizer reads."""
    is_one_string = len(names) == 1 and pd.api.types.is_string_dtype(frame[names[0]])
    return is_one_string and not hasattr(estimator, "n_features_in_")


def library_versions(estimator: Any, container: str) -> dict[str, str]:
    """Give the installed versions of the libraries without which the estimator cannot be unpickled and asked.

    Raises:
        PackError: it needs a module that no service can import.
    """
    try:
        packages = packages_of(estimator)
    except Exception as error:
        raise PackError(f"the estimator cannot be pickled: {one_line(error)}") from error
    if "__main__" in packages:
        raise PackError(
            "the estimator needs a class or function that was defined in a script or notebook; "
            "move it to a module that can be installed where the model is served"
        )
    owners = importlib.metadata.packages_distributions()
    libraries = {owners[package][0] for package in packages if package in owners}
    libraries.update(ALWAYS_COMPARED)
    if container == "frame":
        libraries.add("pandas")
    return {library: importlib.metadata.version(library) for library in sorted(libraries)}


def unpackaged_modules(estimator: Any) -> list[str]:
    """List the packages it needs that belong to no installed distribution."""
    owners = importlib.metadata.packages_distributions()
    strange = packages_of(estimator) - owners.keys() - sys.stdlib_module_names
    # Cython makes modules of its own at run time, such as _cython_3_2_4.
    return sorted(package for package in strange if not package.startswith("_cython_"))


def parallel_parts(estimator: Any) -> list[str]:
    """List the settings that make a prediction start threads or processes of its own."""
    settings = estimator.get_params() if hasattr(estimator, "get_params") else {}
    return sorted(
        f"{name}={value}"
        for name, value in settings.items()
        if name.rpartition("__")[2] == "n_jobs" and value not in {None, 1}
    )
