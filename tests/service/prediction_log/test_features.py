"""The features of a row are kept by name, in the order of the signature, and never the sensitive ones."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bundle.row_schema import RowParser
from service.bundle.signature import Feature, Signature
from service.errors import InvalidInputError
from service.prediction_log.features import features_of_body, has_sensitive, named_features

PLAIN = Signature(
    task="regression",
    input="tabular",
    features=(
        Feature(name="area", type="number"),
        Feature(name="rooms", type="integer", nullable=True),
        Feature(name="city", type="category", categories=("Oslo",), nullable=True),
    ),
)
GUARDED = Signature(
    task="regression",
    input="tabular",
    features=(
        Feature(name="area", type="number"),
        Feature(name="income", type="number", sensitive=True),
        Feature(name="rooms", type="integer", nullable=True),
        Feature(name="name", type="category", categories=(), nullable=True, sensitive=True),
    ),
)
TEXT = Signature(
    task="binary", input="text", classes=(0, 1), features=(Feature(name="message", type="text"),)
)
SECRET_TEXT = Signature(
    task="binary",
    input="text",
    classes=(0, 1),
    features=(Feature(name="message", type="text", sensitive=True),),
)


def found(content: object, signature: Signature = PLAIN, rows: int = 1) -> list[object]:
    """Read the features of a body; key order shows, since JSON texts are compared as they stand."""
    return list(features_of_body(json.dumps(content).encode(), signature, rows))


ONE = '{"area":1.5,"rooms":3,"city":"Oslo"}'
TWO = '{"area":2,"rooms":null,"city":null}'
FORMS = {
    "named": ({"features": {"city": "Oslo", "rooms": 3, "area": 1.5}}, [ONE]),
    "positional": ({"features": [1.5, 3, "Oslo"]}, [ONE]),
    "missing key": ({"features": {"area": 2}}, [TWO]),
    "null": ({"features": {"area": 2, "rooms": None, "city": None}}, [TWO]),
    "batch by name": ({"batch": [{"city": "Oslo", "rooms": 3, "area": 1.5}, {"area": 2}]}, [ONE, TWO]),
    "batch by position": ({"batch": [[1.5, 3, "Oslo"], [2, None, None]]}, [ONE, TWO]),
    "logged": ({"prediction": 7, "latency_ms": 1, "features": [1.5, 3, "Oslo"]}, [ONE]),
    "logged without": ({"prediction": 7, "latency_ms": 1}, [None]),
    "logged with null": ({"prediction": 7, "features": None, "latency_ms": 1}, [None]),
}


@pytest.mark.parametrize(("content", "expected"), FORMS.values(), ids=FORMS)
def test_every_form_is_named_in_the_order_of_the_signature(content: object, expected: list[object]) -> None:
    """However a client writes a row, the log holds it in one form."""
    assert found(content, rows=len(expected)) == expected


@pytest.mark.parametrize(
    "content",
    [
        {"text": "no"},
        {"features": {"area": 1.5, "income": 77123.5, "rooms": 3, "name": "Ada"}},
        {"features": [1.5, 77123.5, 3, "Ada"]},
        {"batch": [{"name": "Ada", "area": 1.5, "income": 77123.5, "rooms": 3}]},
        {"batch": [[1.5, 77123.5, 3, "Ada"]]},
        {"prediction": 1, "latency_ms": 1, "features": [1.5, 77123.5, 3, "Ada"]},
        {"prediction": 1, "latency_ms": 1, "features": {"area": 1.5, "income": 77123.5, "rooms": 3}},
    ],
)
def test_sensitive_features_are_left_out_in_every_form(content: dict[str, object]) -> None:
    """Neither value nor name of a sensitive feature is in the log."""
    (text,) = found(content, GUARDED)
    assert text in {None, '{"area":1.5,"rooms":3}'}
    assert (text is None) == ("text" in content)


@pytest.mark.parametrize("key", ["features", "batch"])
def test_body_that_the_recorder_wrote_without_sensitive_features(key: str) -> None:
    """What was left out when it was spooled is not asked for when it is read."""
    row = named_features(GUARDED, (1.5, 77123.5, 3, "Ada"))
    assert row == {"area": 1.5, "rooms": 3}
    assert found({key: [row] if key == "batch" else row}, GUARDED) == ['{"area":1.5,"rooms":3}']


@pytest.mark.parametrize(
    "content",
    [
        {"message": "my line is dead"},
        {"features": {"message": "my line is dead"}},
        {"features": ["my line is dead"]},
        {"batch": [{"message": "my line is dead"}]},
        {"batch": [["my line is dead"]]},
        {"prediction": 0, "latency_ms": 3, "features": {"message": "my line is dead"}},
    ],
)
def test_texts_in_every_form(content: object) -> None:
    """A text is kept under its feature's name; a sensitive one leaves nothing."""
    assert found(content, TEXT) == ['{"message":"my line is dead"}']
    assert found(content, SECRET_TEXT) == ["{}"]


@pytest.mark.parametrize("name", ["batch", "features", "prediction"])
def test_text_feature_may_be_named_like_a_field(name: str) -> None:
    """A text under its own name is a row, whatever that name is, where the prediction route takes it."""
    signature = Signature(
        task="binary", input="text", classes=(0, 1), features=(Feature(name=name, type="text"),)
    )
    body = json.dumps({name: "two words"}).encode()
    try:
        RowParser(signature, 10).single(body)
    except InvalidInputError:
        return
    assert features_of_body(body, signature, 1) == [orjson.dumps({name: "two words"}).decode()]


@pytest.mark.parametrize("name", ["prediction", "model_name", "features", "batch"])
def test_field_of_a_logged_prediction_is_not_taken_for_its_text(name: str) -> None:
    """The predicted class is no feature, although the text has its name."""
    signature = Signature(
        task="binary", input="text", classes=("ham", "spam"), features=(Feature(name=name, type="text"),)
    )
    logged = {"prediction": "spam", "latency_ms": 3, "model_name": "mails"}
    assert found(logged, signature) == [None]
    row = orjson.dumps({name: "two words"}).decode()
    assert found(logged | {"features": {name: "two words"}}, signature) == [row]
    assert found(logged | {"features": ["two words"]}, signature) == [row]


def test_nothing_was_kept() -> None:
    """An empty body stands for rows without features."""
    assert features_of_body(b"", PLAIN, 3) == [None, None, None]


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        (b'{"batch":[[1,2,"Oslo"]]}', 2),
        (b'{"features":[1,2,"Oslo"]}', 2),
        (b'{"batch":[]}', 1),
        (b'{"features":[1,2]}', 1),
        (b'{"features":[1,2,3,4]}', 1),
        (b"{", 1),
        (b"\xff", 1),
    ],
)
def test_body_that_does_not_fit_its_record_is_an_error(body: bytes, rows: int) -> None:
    """The drainer hears of a body that cannot belong to the rows."""
    with pytest.raises(ValueError, match=r"."):
        features_of_body(body, PLAIN, rows)


def test_sensitive_is_known_by_any_feature() -> None:
    """One sensitive feature is enough for care."""
    assert [has_sensitive(one) for one in (PLAIN, GUARDED, TEXT, SECRET_TEXT)] == [False, True, False, True]


spellings = st.sampled_from(
    [
        "1.5",
        "-0.0",
        "1e5",
        "1E+05",
        "1e-999",
        "123456789012345678901234567890",
        "0",
        "2e30",
        "1.",
        "01",
        "NaN",
        "1e999",
        "null",
        "true",
        '"1"',
        "+1",
        ".5",
        "1_0",
        "-",
        "[]",
    ]
)
places = st.sampled_from(
    ['{"features":[%s,3,"Oslo"]}', '{"features":{"area":%s}}', '{"batch":[{"area":%s}]}']
)


@given(spellings, places)
def test_whatever_a_prediction_accepts_can_be_read_again(spelling: str, place: str) -> None:
    """Two parsers read the bytes, one for the answer and one for the log: they agree on the value."""
    body = (place % spelling).encode()
    parser = RowParser(PLAIN, 10)
    try:
        row = parser.batch(body)[0] if "batch" in place else parser.single(body)
    except InvalidInputError:
        return
    (text,) = features_of_body(body, PLAIN, 1)
    assert text is not None
    assert orjson.loads(text)["area"] == row[0]


def test_last_of_two_equal_keys_counts_here_too() -> None:
    """docs/api.md says that the last one wins; the log keeps what was predicted with."""
    body = b'{"features":{"area":1,"area":2.5},"features":{"area":3,"area":4.5}}'
    assert RowParser(PLAIN, 10).single(body)[0] == 4.5
    assert features_of_body(body, PLAIN, 1) == ['{"area":4.5,"rooms":null,"city":null}']
