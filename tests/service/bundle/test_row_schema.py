"""Bodies become rows, or a clear list of what is wrong."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bundle.row_schema import RowParser
from service.bundle.signature import Feature, Signature
from service.errors import InvalidInputError, Violation

MIXED = Signature(
    task="binary",
    input="tabular",
    classes=("no", "yes"),
    features=(
        Feature(name="age", type="integer", minimum=0, maximum=130),
        Feature(name="income", type="number", nullable=True),
        Feature(name="plan", type="category", categories=("free", "paid"), closed=True),
        Feature(name="city", type="category", categories=("Oslo", "Rome"), nullable=True, fill="Oslo"),
        Feature(name="active", type="boolean"),
    ),
)
TEXT = Signature(
    task="binary", input="text", classes=(0, 1), features=(Feature(name="text", type="text", max_length=20),)
)
GOOD = {"age": 41, "income": 1.5, "plan": "paid", "city": "Rome", "active": True}


def parser(signature: Signature = MIXED) -> RowParser:
    """Make a parser with a small batch limit."""
    return RowParser(signature, batch_rows_max=3)


def violations(body: bytes, *, batch: bool = False, signature: Signature = MIXED) -> tuple[Violation, ...]:
    """Parse a body that must be refused and return why."""
    with pytest.raises(InvalidInputError) as caught:
        if batch:
            parser(signature).batch(body)
        else:
            parser(signature).single(body)
    return caught.value.violations


def single(**changes: object) -> bytes:
    """Write the body of a good row with changes; a value of `...` leaves the key out."""
    row = {key: value for key, value in (GOOD | changes).items() if value is not ...}
    return json.dumps({"features": row}).encode()


def test_named_and_positional_rows_are_equal() -> None:
    """A list in signature order is the same row as an object, whatever the order of its keys."""
    expected = (41, 1.5, "paid", "Rome", True)
    assert parser().single(single()) == expected
    assert parser().single(json.dumps({"features": list(GOOD.values())}).encode()) == expected
    assert parser().single(json.dumps({"features": dict(reversed(GOOD.items()))}).encode()) == expected


def test_whole_numbers_serve_as_numbers() -> None:
    """JSON has one kind of number: 3 is fine where 3.0 is."""
    assert parser().single(single(income=3))[1] == 3.0


@pytest.mark.parametrize("absent", [..., None], ids=["left out", "null"])
def test_missing_values_of_nullable_features(absent: object) -> None:
    """Null and a key left out are the same: None, so that it is counted as missing; scoring fills it."""
    row = parser().single(single(income=absent, city=absent))
    assert row == (41, None, "paid", None, True)


def test_text_takes_three_forms() -> None:
    """A text model takes the text itself, named features, and a list."""
    expected = ("hello",)
    assert parser(TEXT).single(b'{"text": "hello"}') == expected
    assert parser(TEXT).single(b'{"features": {"text": "hello"}}') == expected
    assert parser(TEXT).single(b'{"features": ["hello"]}') == expected
    assert parser(TEXT).batch(b'{"batch": [{"text": "hello"}, {"text": "you"}]}') == [expected, ("you",)]


def test_batches_keep_their_order() -> None:
    """Rows come back as they were sent, named or positional."""
    rows = [GOOD | {"age": age} for age in (3, 1, 2)]
    named = parser().batch(json.dumps({"batch": rows}).encode())
    positional = parser().batch(json.dumps({"batch": [list(row.values()) for row in rows]}).encode())
    assert [row[0] for row in named] == [3, 1, 2]
    assert positional == named


REFUSED = {
    "wrong type": (single(age="41"), "features.age", "type"),
    "number as text": (single(income="1.5"), "features.income", "type"),
    "bool for a number": (single(income=True), "features.income", "type"),
    "fraction for an integer": (single(age=1.5), "features.age", "type"),
    "number for a bool": (single(active=1), "features.active", "type"),
    "below the hard limit": (single(age=-1), "features.age", "range"),
    "above the hard limit": (single(age=131), "features.age", "range"),
    "unknown category of a closed feature": (single(plan="gold"), "features.plan", "category"),
    "missing field": (single(age=...), "features.age", "missing"),
    "null where none is allowed": (single(age=None), "features.age", "type"),
    "extra field": (single(shoe=44), "features.shoe", "extra"),
    "NaN": (single(income=float("nan")), "features.income", "nan"),
    "Infinity": (single(income=float("inf")), "features.income", "nan"),
    "1e999": (single(income=77).replace(b"77", b"1e999"), "features.income", "nan"),
    "400 digits": (single(income=77).replace(b"77", b"7" * 400), "features.income", "nan"),
    "5,000 digits": (single(income=77).replace(b"77", b"7" * 5000), "body", "type"),
    "beyond float32": (single(income=1e39), "features.income", "range"),
    "too long a category": (single(city="x" * 257), "features.city", "length"),
    "lone surrogate": (b'{"features": {"age": "\\ud800"}}', "body", "type"),
    "lone surrogate in a key": (b'{"\\udc00": 1}', "body", "type"),
    "invalid UTF-8": (b'{"features": {"age": "\xff"}}', "body", "type"),
    "UTF-16": ('{"features": {}}'.encode("utf-16"), "body", "type"),
    "10,000 levels": (b"[" * 10_000, "body", "type"),
    "10,000 levels inside": (b'{"features": ' + b"[" * 10_000, "body", "type"),
    "truncated": (b'{"features": {', "body", "type"),
    "trailing bytes": (single() + b"x", "body", "type"),
    "empty": (b"", "body", "type"),
    "null": (b"null", "body", "type"),
    "list": (b"[1, 2]", "body", "type"),
    "no features": (b"{}", "features", "missing"),
    "features twice named": (single()[:-1] + b', "feature": 1}', "feature", "extra"),
    "features of the wrong kind": (b'{"features": 3}', "features", "type"),
    "too short a list": (b'{"features": [1, 2.0, "paid", "Rome"]}', "features[4]", "missing"),
    "too long a list": (b'{"features": [1, 2.0, "paid", "Rome", true, 1]}', "features", "length"),
    "wrong type in a list": (b'{"features": ["1", 2.0, "paid", "Rome", true]}', "features[0]", "type"),
}


@pytest.mark.parametrize(("body", "field", "reason"), REFUSED.values(), ids=REFUSED)
def test_bad_input_is_named(body: bytes, field: str, reason: str) -> None:
    """The first violation names the field and the kind of problem."""
    first = violations(body)[0]
    assert (first.field, first.reason) == (field, reason)
    assert first.message
    expected_feature = (
        field.removeprefix("features.").replace("features[0]", "age").replace("features[4]", "active")
    )
    known = {feature.name for feature in MIXED.features}
    assert first.feature == (expected_feature if expected_feature in known else None)


BATCH_REFUSED = {
    "empty": (b'{"batch": []}', "batch", "length"),
    "too many rows": (json.dumps({"batch": [GOOD] * 4}).encode(), "batch", "length"),
    "not a list": (b'{"batch": {"a": 1}}', "batch", "type"),
    "no batch": (single(), "batch", "missing"),
    "row of the wrong kind": (json.dumps({"batch": [GOOD, 3]}).encode(), "batch[1]", "type"),
    "bad value": (json.dumps({"batch": [GOOD, GOOD | {"age": "x"}]}).encode(), "batch[1].age", "type"),
    "missing field": (json.dumps({"batch": [GOOD, {"age": 1}]}).encode(), "batch[1].plan", "missing"),
    "extra field": (json.dumps({"batch": [GOOD, GOOD | {"x": 1}]}).encode(), "batch[1].x", "extra"),
    "bad positional": (b'{"batch": [[1, 2.0, "paid", "Rome", 7]]}', "batch[0][4]", "type"),
    "mixed forms": (json.dumps({"batch": [GOOD, list(GOOD.values())]}).encode(), "batch[1]", "type"),
}


@pytest.mark.parametrize(("body", "field", "reason"), BATCH_REFUSED.values(), ids=BATCH_REFUSED)
def test_bad_batches_are_named_by_index(body: bytes, field: str, reason: str) -> None:
    """The first violation names the row, the field and the kind of problem."""
    first = violations(body, batch=True)[0]
    assert (first.field, first.reason) == (field, reason)


def test_misspelt_feature_is_named_twice() -> None:
    """The message shows the missing feature and the key that stands in its place."""
    found = violations(single(age=..., agee=41))
    assert [(one.field, one.reason) for one in found] == [
        ("features.age", "missing"),
        ("features.agee", "extra"),
    ]


def test_text_limits() -> None:
    """Text has at least one character and at most what the signature says."""
    assert violations(b'{"text": ""}', signature=TEXT)[0].reason == "length"
    assert violations(json.dumps({"text": "x" * 21}).encode(), signature=TEXT)[0].reason == "length"
    assert violations(b'{"txt": "a"}', signature=TEXT)[0].field == "text"


def test_at_most_five_violations_and_short_keys() -> None:
    """A body with very many faults gets a short answer that repeats no value and no long key."""
    extra = {"k" * 1000 + str(number): "secret" for number in range(20_000)}
    found = violations(json.dumps({"features": extra}).encode())
    assert len(found) == 5
    assert all(len(one.field) < 100 and "secret" not in one.field + one.message for one in found)


def test_last_of_duplicate_keys_wins() -> None:
    """JSON leaves duplicates open; docs/api.md states this rule."""
    assert parser().single(single().replace(b'"age": 41', b'"age": 1, "age": 2'))[0] == 2


def test_rows_are_counted_without_validation() -> None:
    """Counting tells a batch that cannot fit from one that can, whatever its rows hold."""
    assert parser().count_batch_rows(b'{"batch": [1, {}, "x"]}') == 3
    assert parser().count_batch_rows(b'{"batch": 1}') == 1
    assert parser().count_batch_rows(b"[1]") == 1
    assert parser().count_batch_rows(b"{") == 1


@given(
    st.binary(max_size=200) | st.text(max_size=100).map(lambda text: json.dumps({"features": text}).encode())
)
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    """Whatever arrives is a row or an InvalidInputError."""
    for signature in (MIXED, TEXT):
        for parse in (parser(signature).single, parser(signature).batch):
            try:
                parse(body)
            except InvalidInputError as error:
                assert error.violations


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*GOOD, "features", "batch"]), inner)
    ),
    max_leaves=8,
)


@given(json_values)
def test_no_json_raises_anything_else(value: object) -> None:
    """Whatever JSON arrives is a row of five values or an InvalidInputError."""
    for key, parse in (("features", parser().single), ("batch", parser().batch)):
        try:
            parsed = parse(json.dumps({key: value}).encode())
        except InvalidInputError as error:
            assert error.violations
        else:
            rows = parsed if isinstance(parsed, list) else [parsed]
            assert all(len(row) == len(MIXED.features) for row in rows)
