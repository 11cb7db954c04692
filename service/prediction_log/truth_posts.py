"""What a client posts as ground truth: read strictly, item by item."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from service.errors import InvalidInputError, Violation, ViolationReason

MAX_REVISION = 1_000_000
MAX_TRUTH_LENGTH = 256
_MAX_VIOLATIONS = 5
_KEYS = frozenset({"prediction_id", "ground_truth", "revision"})


class TruthPost(NamedTuple):
    """One item as it was posted: well-formed, not yet checked against its prediction."""

    prediction_id: str
    ground_truth: bool | int | float | str
    revision: int


@dataclass(frozen=True, slots=True)
class TruthPosts:
    """The items of one request, and whether they came as a batch."""

    items: list[TruthPost]
    is_batch: bool

    def field(self, index: int, name: str) -> str:
        """Name a field of an item as clients see it."""
        return f"batch[{index}].{name}" if self.is_batch else name


def read_truth_posts(body: bytes, items_max: int) -> TruthPosts:
    """Read `{"prediction_id", "ground_truth", "revision"}` or `{"batch": [items]}`.

    Raises:
        InvalidInputError: not JSON, or an item breaks the form; names it by index.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _refusal("body", f"not valid JSON: {error.msg.partition(':')[0]}", "type") from error
    if not isinstance(content, dict):
        raise _refusal("body", "must be an object", "type")
    if "batch" not in content:
        return TruthPosts([_read_item(content, "")], is_batch=False)
    if len(content) > 1:
        raise _refusal("body", "a batch stands alone in its body", "extra")
    batch = content["batch"]
    if not isinstance(batch, list):
        raise _refusal("batch", "must be a list", "type")
    if not 1 <= len(batch) <= items_max:
        raise _refusal("batch", f"must have 1 to {items_max} items", "length")
    items: list[TruthPost] = []
    violations: list[Violation] = []
    for index, item in enumerate(batch):
        try:
            items.append(_read_item(item, f"batch[{index}]."))
        except InvalidInputError as error:
            violations += error.violations
            if len(violations) >= _MAX_VIOLATIONS:
                break
    if violations:
        raise InvalidInputError(violations[:_MAX_VIOLATIONS])
    return TruthPosts(items, is_batch=True)


def _read_item(item: object, prefix: str) -> TruthPost:
    if not isinstance(item, dict):
        raise _refusal(prefix.rstrip(".") or "body", "must be an object", "type")
    if item.keys() - _KEYS:
        extra = min(item.keys() - _KEYS)
        raise _refusal(f"{prefix}{extra[:64]}", "is not a field of a ground truth", "extra")
    problems = [
        Violation(f"{prefix}{name}", message, reason, None)
        for name, message, reason in (
            _problem_of_id(item),
            _problem_of_truth(item),
            _problem_of_revision(item),
        )
        if message
    ]
    if problems:
        raise InvalidInputError(problems)
    return TruthPost(item["prediction_id"], item["ground_truth"], item.get("revision", 0))


def _problem_of_id(item: Mapping[str, Any]) -> tuple[str, str, ViolationReason]:
    value = item.get("prediction_id")
    if value is None:
        return "prediction_id", "is missing", "missing"
    return "prediction_id", "" if isinstance(value, str) else "must be a string", "type"


def _problem_of_truth(item: Mapping[str, Any]) -> tuple[str, str, ViolationReason]:
    value = item.get("ground_truth")
    if value is None:
        return "ground_truth", "is missing", "missing"
    if isinstance(value, str) and len(value) > MAX_TRUTH_LENGTH:
        return "ground_truth", f"must have at most {MAX_TRUTH_LENGTH} characters", "length"
    is_scalar = isinstance(value, bool | int | float | str)
    return "ground_truth", "" if is_scalar else "must be a class label or a number", "type"


def _problem_of_revision(item: Mapping[str, Any]) -> tuple[str, str, ViolationReason]:
    value = item.get("revision", 0)
    if isinstance(value, bool) or not isinstance(value, int):
        return "revision", "must be a whole number", "type"
    is_within = 0 <= value <= MAX_REVISION
    return "revision", "" if is_within else f"must be from 0 to {MAX_REVISION}", "range"


def _refusal(field: str, message: str, reason: ViolationReason) -> InvalidInputError:
    return InvalidInputError([Violation(field, message, reason, None)])
