"""What is posted as truth is read strictly: each mistake has its field, and no value comes back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidInputError
from service.prediction_log.truth_posts import (
    MAX_REVISION,
    MAX_TRUTH_LENGTH,
    TruthPost,
    TruthPosts,
    read_truth_posts,
)

ID = "A" * 60
GOOD = {"prediction_id": ID, "ground_truth": "yes"}


def read(content: object, items_max: int = 1000) -> TruthPosts:
    """Read a body."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return read_truth_posts(body, items_max)


def problems(content: object, items_max: int = 1000) -> list[tuple[str, str, str]]:
    """Read a body that must be refused; say why."""
    with pytest.raises(InvalidInputError) as caught:
        read(content, items_max)
    assert {violation.feature for violation in caught.value.violations} == {None}
    return [(one.field, one.message, one.reason) for one in caught.value.violations]


@pytest.mark.parametrize(
    "truth", ["yes", "", "ü" * MAX_TRUTH_LENGTH, True, False, 0, -7, 2**64 - 1, 1.5, -0.0]
)
def test_single_truth(truth: object) -> None:
    """Class labels of every type and numbers are read as they are, with their type."""
    posts = read({"prediction_id": ID, "ground_truth": truth})
    assert posts == TruthPosts([TruthPost(ID, truth, 0)], is_batch=False)  # type: ignore[arg-type]  # any scalar
    assert type(posts.items[0].ground_truth) is type(truth)


@pytest.mark.parametrize("revision", [0, 1, MAX_REVISION])
def test_revisions(revision: int) -> None:
    """A correction carries a number from 0 on."""
    assert read(GOOD | {"revision": revision}).items == [TruthPost(ID, "yes", revision)]


@pytest.mark.parametrize("count", [1, 2, 999, 1000])
def test_batches_keep_their_order(count: int) -> None:
    """One to a thousand items, in the order in which they were posted."""
    posts = read({"batch": [{"prediction_id": str(index), "ground_truth": index} for index in range(count)]})
    assert posts.is_batch
    assert [post.ground_truth for post in posts.items] == list(range(count))
    assert posts.field(count - 1, "ground_truth") == f"batch[{count - 1}].ground_truth"


def test_fields_of_a_single_truth_have_no_index() -> None:
    """They are named as the client wrote them."""
    assert read(GOOD).field(0, "prediction_id") == "prediction_id"


BODIES: dict[str, tuple[object, str, str, str]] = {
    "empty": (b"", "body", "not valid JSON", "type"),
    "cut": (b"{", "body", "not valid JSON", "type"),
    "text behind": (b"{} x", "body", "not valid JSON", "type"),
    "not UTF-8": (b'{"prediction_id": "\xff"}', "body", "not valid JSON", "type"),
    "NaN": (b'{"prediction_id": "A", "ground_truth": NaN}', "body", "not valid JSON", "type"),
    "Infinity": (b'{"prediction_id": "A", "ground_truth": -Infinity}', "body", "not valid JSON", "type"),
    "1e999": (b'{"prediction_id": "A", "ground_truth": 1e999}', "body", "not valid JSON", "type"),
    "lone surrogate": (b'{"prediction_id": "\\ud800"}', "body", "not valid JSON", "type"),
    "deep": (b"[" * 100_000 + b"]" * 100_000, "body", "not valid JSON", "type"),
    "list": ([GOOD], "body", "must be an object", "type"),
    "null": (None, "body", "must be an object", "type"),
    "batch and more": ({"batch": [GOOD], "revision": 1}, "body", "a batch stands alone in its body", "extra"),
    "batch of one": ({"batch": GOOD}, "batch", "must be a list", "type"),
    "null batch": ({"batch": None}, "batch", "must be a list", "type"),
    "empty batch": ({"batch": []}, "batch", "must have 1 to 1000 items", "length"),
    "long batch": ({"batch": [GOOD] * 1001}, "batch", "must have 1 to 1000 items", "length"),
}


@pytest.mark.parametrize(("content", "field", "message", "reason"), BODIES.values(), ids=BODIES)
def test_body_that_cannot_be_read(content: object, field: str, message: str, reason: str) -> None:
    """One problem, named."""
    ((found, text, why),) = problems(content)
    assert (found, why) == (field, reason)
    assert text.startswith(message)
    assert len(text) < 100


ITEMS: dict[str, tuple[dict[str, object], str, str, str]] = {
    "no id": ({"prediction_id": ...}, "prediction_id", "is missing", "missing"),
    "null id": ({"prediction_id": None}, "prediction_id", "is missing", "missing"),
    "number as id": ({"prediction_id": 7}, "prediction_id", "must be a string", "type"),
    "list as id": ({"prediction_id": [ID]}, "prediction_id", "must be a string", "type"),
    "no truth": ({"ground_truth": ...}, "ground_truth", "is missing", "missing"),
    "null truth": ({"ground_truth": None}, "ground_truth", "is missing", "missing"),
    "list": ({"ground_truth": ["yes"]}, "ground_truth", "must be a class label or a number", "type"),
    "object": ({"ground_truth": {"a": 1}}, "ground_truth", "must be a class label or a number", "type"),
    "deep truth": (
        {"ground_truth": json.loads("[" * 500 + "]" * 500)},
        "ground_truth",
        "must be a class label or a number",
        "type",
    ),
    "long text": ({"ground_truth": "x" * 257}, "ground_truth", "must have at most 256 characters", "length"),
    "negative revision": ({"revision": -1}, "revision", "must be from 0 to 1000000", "range"),
    "large revision": ({"revision": 1_000_001}, "revision", "must be from 0 to 1000000", "range"),
    "huge revision": ({"revision": 10**30}, "revision", "must be a whole number", "type"),
    "true as revision": ({"revision": True}, "revision", "must be a whole number", "type"),
    "1.0 as revision": ({"revision": 1.0}, "revision", "must be a whole number", "type"),
    "text as revision": ({"revision": "1"}, "revision", "must be a whole number", "type"),
    "null revision": ({"revision": None}, "revision", "must be a whole number", "type"),
    "misspelt": ({"groundtruth": 1}, "groundtruth", "is not a field of a ground truth", "extra"),
    "long key": ({"k" * 999: 1}, "k" * 64, "is not a field of a ground truth", "extra"),
    "empty key": ({"": 1}, "", "is not a field of a ground truth", "extra"),
}


@pytest.mark.parametrize("index", [None, 0, 2])
@pytest.mark.parametrize(("changes", "field", "message", "reason"), ITEMS.values(), ids=ITEMS)
def test_item_that_breaks_the_form(
    changes: dict[str, object], field: str, message: str, reason: str, index: int | None
) -> None:
    """Alone or in a batch, the item is refused with its field."""
    item = {key: value for key, value in (GOOD | changes).items() if value is not ...}
    if index is None:
        assert problems(item) == [(field, message, reason)]
    else:
        batch: list[object] = [GOOD, GOOD, GOOD]
        batch[index] = item
        assert problems({"batch": batch}) == [(f"batch[{index}].{field}", message, reason)]


def test_every_problem_of_an_item_is_told() -> None:
    """A client mends all of them at once."""
    assert problems({"revision": -1}) == [
        ("prediction_id", "is missing", "missing"),
        ("ground_truth", "is missing", "missing"),
        ("revision", "must be from 0 to 1000000", "range"),
    ]


@pytest.mark.parametrize("item", [7, None, "yes", [GOOD]])
def test_item_that_is_no_object(item: object) -> None:
    """It is named by its place."""
    assert problems({"batch": [GOOD, item]}) == [("batch[1]", "must be an object", "type")]


def test_five_problems_are_enough() -> None:
    """A thousand bad items cost no more than five, and the first come first."""
    found = problems({"batch": [{"ground_truth": 1}] * 1000})
    assert [field for field, _, _ in found] == [f"batch[{index}].prediction_id" for index in range(5)]
    found = problems({"batch": [{}, {}, {}]})
    assert [field for field, _, _ in found] == [
        "batch[0].prediction_id",
        "batch[0].ground_truth",
        "batch[1].prediction_id",
        "batch[1].ground_truth",
        "batch[2].prediction_id",
    ]


def test_limit_is_the_services() -> None:
    """The most items of a request are a setting."""
    assert len(read({"batch": [GOOD] * 3}, items_max=3).items) == 3
    assert problems({"batch": [GOOD] * 4}, items_max=3) == [("batch", "must have 1 to 3 items", "length")]


def test_300_000_keys_are_one_problem() -> None:
    """However much is sent, one key is named."""
    body = json.dumps(GOOD | {f"key{index}": index for index in range(300_000)}).encode()
    assert problems(body) == [("key0", "is not a field of a ground truth", "extra")]


def test_last_of_two_equal_keys_counts() -> None:
    """As everywhere, see docs/api.md."""
    body = b'{"prediction_id":"a","ground_truth":1,"prediction_id":"b","ground_truth":true}'
    assert read(body).items == [TruthPost("b", True, 0)]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
items = st.fixed_dictionaries(
    {}, optional={"prediction_id": json_values, "ground_truth": json_values, "revision": json_values}
)


@given(json_values | items | st.fixed_dictionaries({"batch": st.lists(items, max_size=5)}) | st.binary())
def test_any_body_is_read_or_refused(content: Any) -> None:
    """There is no third way, and what is read has the promised types."""
    try:
        posts = read(content)
    except InvalidInputError as error:
        assert 1 <= len(error.violations) <= 5
        return
    for post in posts.items:
        assert isinstance(post.prediction_id, str)
        assert isinstance(post.ground_truth, bool | int | float | str)
        assert type(post.revision) is int
        assert 0 <= post.revision <= MAX_REVISION


@given(st.text(min_size=9, max_size=300), st.sampled_from(["prediction_id", "ground_truth", "revision"]))
def test_no_value_is_shown(secret: str, field: str) -> None:
    """What a client sent as a value is in no message."""
    content = GOOD | {"revision": -1, field: secret if field == "revision" else [secret]}
    assert not any(secret in text for _, text, _ in problems(content))
