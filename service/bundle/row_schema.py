"""Turns request bodies into rows: strict validation straight from JSON bytes, by the signature.

A row is a tuple of values in signature order; a missing value of a nullable feature is None.
Missing and extra keys are let through by pydantic-core and found by counting afterwards: found there, each
extra key becomes an error object and each missing one a copy of the whole row, and a body of 300,000 extra
keys took five seconds to refuse (now a tenth of one, at the largest body allowed).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import cast

from pydantic_core import ErrorDetails, SchemaValidator, ValidationError, from_json
from pydantic_core import core_schema as cs

from service.bundle.signature import MAX_CATEGORY_LENGTH, MAX_TEXT_LENGTH, Feature, Scalar, Signature
from service.errors import InvalidInputError, Violation, ViolationReason

MAX_NUMBER = 1e30
"""Larger numbers are refused whatever the signature says: estimators in float32 raise on them."""
MAX_INTEGER = 2**53
MAX_VIOLATIONS = 5
MAX_ECHOED_KEY = 64

Row = tuple[Scalar, ...]

_POSITIONAL_SINGLE = re.compile(rb'\s*\{\s*"features"\s*:\s*\[')
_POSITIONAL_BATCH = re.compile(rb'\s*\{\s*"batch"\s*:\s*\[\s*\[')
_NAMED_SINGLE = re.compile(rb'\s*\{\s*"features"')

_REASONS: dict[str, ViolationReason] = {
    "missing": "missing",
    "finite_number": "nan",
    "greater_than_equal": "range",
    "less_than_equal": "range",
    "literal_error": "category",
    "too_long": "length",
    "too_short": "length",
    "string_too_long": "length",
    "string_too_short": "length",
}


class RowParser:
    """Parses the bodies of single and batch requests for one signature.

    Args:
        signature: what the rows must look like.
        batch_rows_max: most rows of a batch.
    """

    def __init__(self, signature: Signature, batch_rows_max: int) -> None:
        self._names = tuple(feature.name for feature in signature.features)
        self.batch_rows_max = batch_rows_max
        named = _named_row(signature)
        positional = cs.tuple_schema([_value(feature) for feature in signature.features])
        self._single = _body("features", named)
        self._single_positional = _body("features", positional)
        # A text model also takes {"text": "..."}: the body itself is the row.
        self._bare = SchemaValidator(named) if signature.input == "text" else None
        self._batch = _body("batch", _rows(named, batch_rows_max))
        self._batch_positional = _body("batch", _rows(positional, batch_rows_max))

    def single(self, body: bytes) -> Row:
        """Parse the body of a single prediction.

        Raises:
            InvalidInputError: the body is not JSON, or breaks the signature.
        """
        if _POSITIONAL_SINGLE.match(body):
            return cast(Row, _content(self._validated(self._single_positional, body), "features"))
        if self._bare is not None and not _NAMED_SINGLE.match(body):
            return self._from_named(cast(Mapping[str, Scalar], self._validated(self._bare, body)), "")
        content = _content(self._validated(self._single, body), "features")
        return self._from_named(cast(Mapping[str, Scalar], content), "features.")

    def batch(self, body: bytes) -> list[Row]:
        """Parse the body of a batch; rows are all named or all positional.

        Raises:
            InvalidInputError: the body is not JSON, breaks the signature, or has too few or too many rows.
        """
        if _POSITIONAL_BATCH.match(body):
            return cast(list[Row], _content(self._validated(self._batch_positional, body), "batch"))
        named_rows = cast(list[Mapping[str, Scalar]], _content(self._validated(self._batch, body), "batch"))
        return [self._from_named(row, f"batch[{index}].") for index, row in enumerate(named_rows)]

    def count_batch_rows(self, body: bytes) -> int:
        """Count the rows of a batch without validating them; 1 if the body is not a batch."""
        try:
            rows = from_json(body).get("batch")
        except (ValueError, AttributeError):
            return 1
        return max(len(rows), 1) if isinstance(rows, list) else 1

    def _validated(self, validator: SchemaValidator, body: bytes) -> Mapping[str, object]:
        try:
            return cast(Mapping[str, object], validator.validate_json(body))
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)[:MAX_VIOLATIONS]
        raise InvalidInputError([self._violation(detail) for detail in details])

    def _from_named(self, row: Mapping[str, Scalar], prefix: str) -> Row:
        try:
            values = tuple(map(row.__getitem__, self._names))
        except KeyError:
            values = ()
        if len(values) != len(self._names) or len(row) != len(values):
            raise _wrong_keys(row, self._names, prefix)
        return values

    def _violation(self, detail: ErrorDetails) -> Violation:
        path = detail["loc"]
        if detail["type"] == "json_invalid":
            return Violation("body", f"not valid JSON: {detail['ctx']['error']}", "type", None)
        name = path[-1] if path else None
        feature = name if isinstance(name, str) and name in self._names else None
        if feature is None and isinstance(name, int) and path[0] != "batch" and name < len(self._names):
            feature = self._names[name]  # positional single row
        elif feature is None and isinstance(name, int) and len(path) == 3 and name < len(self._names):
            feature = self._names[name]  # positional row of a batch
        reason = _REASONS.get(detail["type"], "type")
        return Violation(_field(path), _message(detail), reason, feature)


def _value(feature: Feature) -> cs.CoreSchema:
    schema: cs.CoreSchema
    low, high = feature.minimum, feature.maximum
    if feature.type == "number":
        schema = cs.float_schema(
            strict=True,
            allow_inf_nan=False,
            ge=-MAX_NUMBER if low is None else low,
            le=MAX_NUMBER if high is None else high,
        )
    elif feature.type == "integer":
        schema = cs.int_schema(
            strict=True,
            ge=-MAX_INTEGER if low is None else int(low),
            le=MAX_INTEGER if high is None else int(high),
        )
    elif feature.type == "boolean":
        schema = cs.bool_schema(strict=True)
    elif feature.type == "text":
        schema = cs.str_schema(strict=True, min_length=1, max_length=feature.max_length or MAX_TEXT_LENGTH)
    elif feature.closed:
        schema = cs.literal_schema(list(feature.categories or ()))
    else:
        schema = cs.str_schema(strict=True, max_length=feature.max_length or MAX_CATEGORY_LENGTH)
    return cs.nullable_schema(schema) if feature.nullable else schema


def _named_row(signature: Signature) -> cs.CoreSchema:
    fields = {}
    for feature in signature.features:
        schema = _value(feature)
        if feature.nullable:
            schema = cs.with_default_schema(schema, default=None)
        fields[feature.name] = cs.typed_dict_field(schema, required=False)
    return cs.typed_dict_schema(fields, total=False, extra_behavior="allow")


def _rows(row: cs.CoreSchema, rows_max: int) -> cs.CoreSchema:
    # fail_fast: the first bad row answers for the batch, so that a thousand bad rows cost as much as one.
    return cs.list_schema(row, min_length=1, max_length=rows_max, fail_fast=True)


def _body(key: str, content: cs.CoreSchema) -> SchemaValidator:
    fields = {key: cs.typed_dict_field(content, required=False)}
    return SchemaValidator(cs.typed_dict_schema(fields, total=False, extra_behavior="allow"))


def _content(body: Mapping[str, object], key: str) -> object:
    if key not in body or len(body) != 1:
        raise _wrong_keys(body, (key,), "")
    return body[key]


def _wrong_keys(row: Mapping[str, object], names: Sequence[str], prefix: str) -> InvalidInputError:
    """Name the missing and the extra keys of a row; a misspelt one shows as both."""
    known = set(names)
    extra = list(islice((key for key in row if key not in known), MAX_VIOLATIONS))
    missing = [name for name in names if name not in row][: 3 if extra else MAX_VIOLATIONS]
    is_body = len(names) == 1 and not prefix
    violations = [
        Violation(f"{prefix}{name}", "is missing", "missing", None if is_body else name) for name in missing
    ]
    violations += [
        Violation(f"{prefix}{key[:MAX_ECHOED_KEY]}", "is not in the signature", "extra", None)
        for key in extra
    ]
    return InvalidInputError(violations[:MAX_VIOLATIONS])


def _field(path: Sequence[int | str]) -> str:
    """Write a path such as ("batch", 3, "age") as `batch[3].age`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text or "body"


def _message(detail: ErrorDetails) -> str:
    """Say what is wrong, with the limit and never with the value."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in {"too_long", "too_short"}:
        bound = context["max_length"] if kind == "too_long" else context["min_length"]
        return f"must have at {'most' if kind == 'too_long' else 'least'} {bound} items"
    messages = {
        "missing": "is missing",
        "finite_number": "must be a finite number",
        "float_type": "must be a number",
        "int_type": "must be a whole number",
        "int_from_float": "must be a whole number",
        "bool_type": "must be true or false",
        "string_type": "must be a string",
        "dict_type": "must be an object",
        "list_type": "must be a list",
        "tuple_type": "must be a list",
        "literal_error": "is not one of the known categories",
    }
    if kind in messages:
        return messages[kind]
    bounds = {"greater_than_equal": "ge", "less_than_equal": "le"}
    if kind in bounds:
        word = "at least" if kind == "greater_than_equal" else "at most"
        return f"must be {word} {context[bounds[kind]]:g}"
    if kind in {"string_too_long", "string_too_short"}:
        bound = context["max_length"] if kind == "string_too_long" else context["min_length"]
        return f"must have {'at most' if kind == 'string_too_long' else 'at least'} {bound} characters"
    return "has the wrong type"
