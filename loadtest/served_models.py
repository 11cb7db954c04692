"""What the predictor serves: asked once, joined with the rows to send."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from loadtest.payloads import PayloadError, Row, Scalar, Table

POLL_SECONDS = 0.5
ANSWER_SECONDS = 10.0


class TargetError(Exception):
    """The predictor cannot be driven; the text is one line for the person who starts the test."""


@dataclass(frozen=True, slots=True)
class Feature:
    """What a client needs to know of one input."""

    name: str
    type: str
    nullable: bool


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model of the predictor with rows for it.

    Args:
        name: of the model.
        features: of its signature.
        classes: of its signature; None for regression.
        rows: values in the order of the features.
        truths: class or number of each row, as the signature has it; empty if nobody asks for it.
    """

    name: str
    features: tuple[Feature, ...]
    classes: tuple[Scalar, ...] | None
    rows: tuple[Row, ...]
    truths: tuple[Scalar, ...] = ()

    @property
    def is_text(self) -> bool:
        """Whether a row is one text."""
        return self.features[0].type == "text"

    @property
    def single_path(self) -> str:
        """Path of a single prediction."""
        return f"/v1/models/{self.name}/predict"

    @property
    def batch_path(self) -> str:
        """Path of a batch."""
        return f"/v1/models/{self.name}/predict/batch"

    def named(self, row: Row) -> dict[str, Scalar]:
        """Write a row as an object."""
        return {feature.name: value for feature, value in zip(self.features, row, strict=True)}

    def single_body(self, row: Row, *, positional: bool = False) -> bytes:
        """Write the body of a single prediction."""
        if positional:
            return json.dumps({"features": row}).encode()
        return json.dumps(self.named(row) if self.is_text else {"features": self.named(row)}).encode()

    def batch_body(self, rows: Sequence[Row], *, positional: bool = False) -> bytes:
        """Write the body of a batch."""
        return json.dumps({"batch": rows if positional else [self.named(row) for row in rows]}).encode()


def describe_model(
    host: str, name: str, headers: Mapping[str, str], table: Table, wait_seconds: float
) -> ServedModel:
    """Ask the predictor for the signature of a model and put the table's rows in its order.

    Args:
        host: base URL of the predictor.
        name: of the model.
        headers: sent along, for the token.
        table: rows to send.
        wait_seconds: how long a predictor that is still starting is waited for.

    Raises:
        TargetError: the predictor does not answer, or does not serve the model.
        PayloadError: the rows do not fit the signature.
    """
    url = f"{host.rstrip('/')}/v1/models/{name}"
    signature = _signature(url, _fetch("GET", url, headers, wait_seconds))
    features = tuple(
        Feature(item["name"], item["type"], bool(item.get("nullable"))) for item in signature["features"]
    )
    classes = signature.get("classes")
    return ServedModel(
        name=name,
        features=features,
        classes=None if classes is None else tuple(classes),
        rows=rows_in_signature_order(name, table, features),
    )


def request_prediction_id(
    host: str, model: ServedModel, headers: Mapping[str, str], wait_seconds: float
) -> str:
    """Ask for one prediction and return its id.

    Raises:
        TargetError: the predictor does not answer with one.
    """
    url = f"{host.rstrip('/')}{model.single_path}"
    headers = {"Content-Type": "application/json", **headers}
    answer = _fetch("POST", url, headers, wait_seconds, model.single_body(model.rows[0]))
    prediction_id = answer.get("prediction_id") if isinstance(answer, dict) else None
    if not isinstance(prediction_id, str):
        raise TargetError(f"the answer to POST {url} has no prediction_id")
    return prediction_id


def rows_in_signature_order(name: str, table: Table, features: Sequence[Feature]) -> tuple[Row, ...]:
    """Bring rows into the order of the signature: by name where names agree, else by position.

    Raises:
        PayloadError: the signature has another number of features.
    """
    if len(table.columns) != len(features):
        raise PayloadError(
            f"model {name} wants {len(features)} features, the rows for it have {len(table.columns)}"
        )
    columns = [_plain(column) for column in table.columns]
    wanted = [_plain(feature.name) for feature in features]
    by_name = len(set(columns)) == len(columns) and set(columns) == set(wanted)
    order = [columns.index(plain) for plain in wanted] if by_name else range(len(features))
    convert = [_CONVERT.get(feature.type, _unchanged) for feature in features]
    return tuple(
        tuple(to(row[index]) for to, index in zip(convert, order, strict=True)) for row in table.rows
    )


def truths_in_signature_spelling(
    name: str, table: Table, classes: Sequence[Scalar] | None
) -> tuple[Scalar, ...]:
    """Write the truths of a table as the JSON values that the signature has for them.

    A class is found by its value, else by its name, whatever the spelling, else by the data set's code for it
    where the signature has just these codes.

    Raises:
        PayloadError: the truth of a row is not known, or is none that the model can predict.
    """
    if len(table.truths) != len(table.rows):
        raise PayloadError(f"model {name} has rows whose truth is not known, so nobody can label them")
    if classes is None:
        if not all(_is_number(truth) for truth in table.truths):
            raise PayloadError(f"model {name} predicts numbers, the truths of its rows are none")
        return table.truths
    spellings = {truth: _class_of(truth, table, classes) for truth in set(table.truths)}
    for truth, label in spellings.items():
        if label is None:
            raise PayloadError(f"model {name} has no class for the truth {truth!r}")
    return tuple(spellings[truth] for truth in table.truths)


def _class_of(truth: Scalar, table: Table, classes: Sequence[Scalar]) -> Scalar:
    """Find the class that a truth means, or None."""
    equal = [each for each in classes if each == truth and isinstance(each, bool) == isinstance(truth, bool)]
    if not equal:
        equal = [each for each in classes if _plain(str(each)) == _plain(str(truth))]
    if not equal and truth in table.classes and list(classes) == list(range(len(table.classes))):
        equal = [classes[table.classes.index(truth)]]
    return equal[0] if len(equal) == 1 else None


def _is_number(value: Scalar) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plain(name: str) -> str:
    without_unit = re.sub(r"\(.*\)", "", name.lower())
    return re.sub(r"[^a-z0-9]+", "_", without_unit).strip("_")


def _whole(value: Scalar) -> Scalar:
    return int(value) if isinstance(value, float) else value


def _unchanged(value: Scalar) -> Scalar:
    return value


_CONVERT: dict[str, Callable[[Scalar], Scalar]] = {"integer": _whole}


def _fetch(
    method: str, url: str, headers: Mapping[str, str], wait_seconds: float, body: bytes | None = None
) -> object:
    deadline = time.monotonic() + wait_seconds
    # The scheme is checked here, since urlopen would also read files.
    if not url.startswith(("http://", "https://")):
        raise TargetError(f"{url} is no http address: give one with --host")
    request = Request(url, body, dict(headers), method=method)  # noqa: S310 - the scheme is checked above
    while True:
        try:
            with urlopen(request, timeout=ANSWER_SECONDS) as response:  # noqa: S310 - the same
                return json.load(response)
        except HTTPError as error:
            with error:
                if error.code != 503:
                    raise TargetError(f"{method} {url} was answered {error.code} {error.reason}") from error
                reason = "503, not ready"
        except (URLError, OSError) as error:
            reason = str(getattr(error, "reason", error))
        if time.monotonic() >= deadline:
            raise TargetError(f"{method} {url} was not answered within {wait_seconds:g} s: {reason}")
        time.sleep(POLL_SECONDS)


def _signature(url: str, body: object) -> Mapping[str, Any]:
    """Return the signature of the stable version, or of the first if none is stable."""
    try:
        versions = cast(Mapping[str, Any], body)["versions"]
        stable = [version for version in versions if version.get("role") == "stable"]
        return cast(Mapping[str, Any], (stable or versions)[0]["signature"])
    except (KeyError, IndexError, TypeError) as error:
        raise TargetError(f"the answer to GET {url} has no signature") from error
