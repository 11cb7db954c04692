"""An id says what was predicted, and only this service can make one."""

from __future__ import annotations

import base64
import math
import os
import re
from collections.abc import Sequence

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import example, given
from hypothesis import strategies as st

from service.events import ModelKey
from service.prediction_log.ids import (
    FORMAT,
    ID_BYTES,
    ID_LENGTH,
    IdKey,
    IdMaker,
    IdReader,
    InvalidIdError,
    PredictionId,
    fingerprint_of,
    id_key,
    id_texts,
    parse_id,
)

KEY = id_key(bytes(range(32)))
OTHER_KEY = id_key(bytes(range(1, 33)))
READER = IdReader([KEY])
LOANS = fingerprint_of(ModelKey("loans", "7"))
NOW = 1_790_000_123.456
LARGEST = sum(1 << shift for shift in range(64))
numbers = st.floats(allow_nan=False, allow_infinity=False)
shares = st.none() | st.floats(0.0, 1.0)


def made(
    class_index: int | None = 2,
    value: float | None = None,
    confidence: float | None = 0.75,
    *,
    now: float = NOW,
    key: IdKey = KEY,
) -> bytes:
    """Make one id."""
    return IdMaker(key).one(LOANS, now, class_index, value, confidence)


def text_of(raw: bytes) -> str:
    """Write one id."""
    (text,) = id_texts(raw)
    return text


def read_many(raw: bytes) -> list[PredictionId]:
    """Read the ids of a batch."""
    return [READER.read(text) for text in id_texts(raw)]


def confidence_error(confidence: float) -> float:
    """Bound the error of a confidence: half a step of the log-odds, or what lies beyond 16."""
    inside = confidence * (1.0 - confidence) * 16.0 / 65_534 * 1.001
    return max(inside, 1.2e-7)


def assert_close(found: float | None, given_: float | None) -> None:
    """Compare a confidence with what was told."""
    if given_ is None or found is None:
        assert found is given_
    else:
        assert abs(found - given_) <= confidence_error(given_)


def test_id_says_what_was_predicted() -> None:
    """Version, class, confidence and time come back; the text has 60 URL-safe characters."""
    text = text_of(made())
    assert re.fullmatch(r"[A-Za-z0-9_-]{60}", text)
    found = READER.read(text)
    assert found.fingerprint == LOANS
    assert found.class_index == 2
    assert found.confidence == pytest.approx(0.75, abs=1e-4)
    assert found.timestamp == 1_790_000_123.45
    assert text_of(found.raw) == text


@given(st.integers(0, LARGEST), shares, st.floats(0, 1e10))
@example(0, 0.0, 0.0)
@example(LARGEST, 1.0, 1e10)
def test_single_class_comes_back(class_index: int, confidence: float | None, now: float) -> None:
    """Any class, confidence and time survive, the last two to their steps."""
    found = READER.read(text_of(made(class_index, None, confidence, now=now)))
    assert found.class_index == class_index
    assert_close(found.confidence, confidence)
    assert 0 <= now - found.timestamp < 0.0101


@given(numbers)
@example(-0.0)
@example(5e-324)
def test_single_number_comes_back(value: float) -> None:
    """A predicted number is kept to the last bit, and has no confidence."""
    found = READER.read(text_of(made(None, value, None)))
    assert (found.value, math.copysign(1, found.value)) == (value, math.copysign(1, value))
    assert found.confidence is None


@given(st.lists(st.tuples(st.integers(0, 2**63 - 1), st.floats(0.0, 1.0)), min_size=1, max_size=40))
@example([(0, 0.0), (1, 1.0), (2, 5e-324), (3, 1 - 2**-53)])
def test_batch_of_classes_comes_back(rows: list[tuple[int, float]]) -> None:
    """The ids of a batch read like single ones, row by row."""
    classes, confidences = zip(*rows, strict=True)
    raw = IdMaker(KEY).many(LOANS, NOW, np.array(classes, dtype=np.intp), None, np.array(confidences))
    found = read_many(raw)
    assert [one.class_index for one in found] == list(classes)
    for one, confidence in zip(found, confidences, strict=True):
        assert_close(one.confidence, confidence)
        assert (one.fingerprint, one.timestamp) == (LOANS, 1_790_000_123.45)
        single = parse_id(made(one.class_index, None, confidence))
        assert single.confidence == pytest.approx(one.confidence, abs=1e-4)
    assert len({one.raw for one in found}) == len(rows)


@given(st.lists(numbers, min_size=1, max_size=40))
def test_batch_of_numbers_comes_back(values: list[float]) -> None:
    """Numbers of a batch are kept to the last bit too."""
    found = read_many(IdMaker(KEY).many(LOANS, NOW, None, np.array(values), None))
    assert [one.value for one in found] == values
    assert {one.confidence for one in found} == {None}


def test_confidence_is_fine_where_it_matters() -> None:
    """Near 0 and 1 the error shrinks with the distance to the end; the ends themselves are exact."""
    for confidence, bound in ((0.5, 6.2e-5), (0.999, 2.5e-7), (1e-6, 1.2e-7), (0.0, 0.0), (1.0, 0.0)):
        found = parse_id(made(confidence=confidence)).confidence
        assert found is not None
        assert abs(found - confidence) <= bound


def test_confidence_that_a_sum_took_past_its_end_is_the_end() -> None:
    """Rounding of a model's probabilities may leave 0..1 by a last bit, in single rows and in batches."""
    past = [1.0000000000000002, -1e-17, 1.0000005]
    batch = IdMaker(KEY).many(LOANS, NOW, np.zeros(3, dtype=np.intp), None, np.array(past))
    singles = [parse_id(made(confidence=confidence)) for confidence in past]
    assert [one.confidence for one in singles] == [1.0, 0.0, 1.0]
    assert [one.confidence for one in read_many(batch)] == [1.0, 0.0, 1.0]


def cmac(secret: bytes, message: bytes) -> bytes:
    """Sign with the library's own CMAC."""
    signer = CMAC(AES(secret))
    signer.update(message)
    return signer.finalize()


@given(st.binary(min_size=32, max_size=32), st.integers(1, 300))
def test_tag_is_a_cmac(secret: bytes, count: int) -> None:
    """Single and batch ids carry the first 13 bytes of AES-256-CMAC (SP 800-38B) over the bytes before."""
    maker = IdMaker(id_key(secret))
    raw = maker.one(LOANS, NOW, count, None, 0.5)
    raw += maker.many(LOANS, NOW, np.arange(count, dtype=np.intp), None, None)
    for start in range(0, len(raw), 50 * ID_BYTES):
        one = raw[start : start + ID_BYTES]
        assert one[32:] == cmac(secret, one[:32])[:13]


def test_ids_sort_by_time() -> None:
    """Bytes sort by time, whatever else they hold, so that a database appends at one end of its index."""
    times = [0.0, 0.01, 42.0, 42_949_672.95, 42_949_672.96, NOW, NOW + 0.02, 1e10]
    raws = [made(index % 3, None, 0.9 - index / 10, now=now) for index, now in enumerate(times)]
    assert sorted(raws) == raws


def test_ids_differ_although_all_they_say_is_equal() -> None:
    """Eight random bytes tell rows of one micro-batch apart."""
    raw = IdMaker(KEY).many(LOANS, NOW, np.zeros(500, dtype=np.intp), None, None)
    assert len(set(id_texts(raw))) == 500


@pytest.mark.parametrize("count", [1, 2, 999, 1000, 1001, 1200])
def test_texts_of_any_number_of_ids(count: int) -> None:
    """Many ids encoded as one are cut at the right places."""
    raw = IdMaker(KEY).many(LOANS, NOW, np.arange(count, dtype=np.intp), None, None)
    texts = id_texts(raw)
    assert [READER.read(text).class_index for text in texts] == list(range(count))
    assert b"".join(base64.urlsafe_b64decode(text) for text in texts) == raw


def test_single_ids_never_repeat_their_random_part() -> None:
    """Random bytes fetched ahead are used once each."""
    maker = IdMaker(KEY)
    assert len({maker.one(LOANS, NOW, 1, None, 0.5)[24:32] for _ in range(2000)}) == 2000


def test_makers_that_were_forked_before_their_first_id_differ() -> None:
    """The arbiter builds the application, its workers predict: no two of them share what is random."""
    maker = IdMaker(KEY)
    reading, writing = os.pipe()
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            os.write(writing, maker.one(LOANS, NOW, 1, None, 0.5))
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    os.close(writing)
    with open(reading, "rb") as file:  # noqa: PTH123 - a descriptor
        raw = file.read()
    assert len({raw[start : start + ID_BYTES] for start in range(0, 3 * ID_BYTES, ID_BYTES)}) == 3


def refused(text: str, reader: IdReader = READER) -> str:
    """Read a text that is no id; give the reason, which never shows it."""
    with pytest.raises(InvalidIdError) as caught:
        reader.read(text)
    assert len(str(caught.value)) < 60
    assert len(text) < 8 or text not in str(caught.value)
    return str(caught.value)


GOOD = text_of(IdMaker(KEY).one(LOANS, NOW, 1, None, 0.5))
NO_IDS = {
    "empty": "",
    "cut": GOOD[:-1],
    "longer": GOOD + "A",
    "two": GOOD * 2,
    "line break behind": GOOD + "\n",
    "space before": " " + GOOD,
    "line break between": GOOD[:30] + "\r\n" + GOOD[30:],
    "spaces": " " * ID_LENGTH,
    "space inside": GOOD[:30] + " " + GOOD[30:59],
    "four spaces inside": GOOD[:30] + "    " + GOOD[30:56],
    "line break": GOOD[:59] + "\n",
    "padded": GOOD[:56] + "====",
    "one pad": GOOD[:59] + "=",
    "not ASCII": GOOD[:59] + "é",
    "digits of another script": "٣" * ID_LENGTH,
    "lone surrogate": GOOD[:59] + "\ud800",
    "null": "\0" * ID_LENGTH,
    "all A": "A" * ID_LENGTH,
    "other format": text_of(bytes([2 << 6 | KEY.number]) + base64.urlsafe_b64decode(GOOD)[1:]),
}


@pytest.mark.parametrize("text", NO_IDS.values(), ids=NO_IDS)
def test_what_is_no_id_is_refused(text: str) -> None:
    """Cut, padded, spaced and foreign texts are no ids."""
    refused(text)


@given(st.integers(0, ID_BYTES * 8 - 1))
def test_any_changed_bit_is_noticed(bit: int) -> None:
    """Nothing in an id can be changed without the key."""
    raw = bytearray(base64.urlsafe_b64decode(GOOD))
    raw[bit // 8] ^= 1 << bit % 8
    assert refused(text_of(bytes(raw))) == "is not signed by this service"


@given(st.text(alphabet="ABCXYZabcxyz0189-_+/= \n.", min_size=60, max_size=60) | st.text(max_size=70))
def test_any_other_text_is_refused(text: str) -> None:
    """Whatever a client sends, the answer is one kind of error."""
    refused(text)


def test_other_alphabet_is_no_second_id() -> None:
    """`+` and `/` instead of `-` and `_` never name another prediction: what is kept is the one spelling."""
    maker = IdMaker(KEY)
    ids = (text_of(maker.one(LOANS, NOW, 1, None, 0.5)) for _ in range(1000))
    text = next(one for one in ids if "-" in one and "_" in one)
    alias = text.replace("-", "+").replace("_", "/")
    try:
        found = READER.read(alias)
    except InvalidIdError:
        return
    assert text_of(found.raw) == text


def test_same_id_signed_by_another_key_is_refused() -> None:
    """An id of a service with another key is foreign."""
    assert refused(text_of(made(key=OTHER_KEY))) == "is not signed by this service"


def test_old_key_is_accepted_while_a_new_one_signs() -> None:
    """During rotation ids of both keys are read; once the old key is removed its ids are foreign."""
    old, new = text_of(made(key=KEY)), text_of(made(key=OTHER_KEY))
    both = IdReader([OTHER_KEY, KEY])
    assert [both.read(text).class_index for text in (old, new)] == [2, 2]
    assert refused(old, IdReader([OTHER_KEY])) == "is not signed by this service"


def keys_of_one_number(count: int) -> Sequence[IdKey]:
    """Find keys that share their number."""
    found: dict[int, list[IdKey]] = {}
    for number in range(100_000):
        key = id_key(number.to_bytes(32, "big"))
        found.setdefault(key.number, []).append(key)
        if len(found[key.number]) == count:
            return found[key.number]
    raise AssertionError("64 numbers cannot be so many")


def test_keys_with_the_same_number_are_told_apart() -> None:
    """Each of three keys whose numbers collide signs and is read; without its key an id is foreign."""
    first, second, third = keys_of_one_number(3)
    reader = IdReader([first, second])
    assert first.number == second.number == third.number
    assert reader.read(text_of(made(5, key=first))).class_index == 5
    assert reader.read(text_of(made(6, key=second))).class_index == 6
    assert refused(text_of(made(7, key=third)), reader) == "is not signed by this service"


def test_number_of_a_key_fits_its_six_bits() -> None:
    """The first byte holds format and key number, and both come from the key alone."""
    for _ in range(300):
        key = id_key(os.urandom(32))
        assert 0 <= key.number <= 63
        assert made(key=key)[0] == FORMAT << 6 | key.number
        assert id_key(key.secret) == key


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_key_has_32_bytes(length: int) -> None:
    """A shorter secret is a mistake, and not shown."""
    with pytest.raises(ValueError, match=f"has 32 bytes, this one {length}"):
        id_key(bytes(length))


def test_fingerprints_tell_names_from_versions() -> None:
    """Names and versions that read alike when joined are still different models."""
    keys = [ModelKey("a", "b.c"), ModelKey("a.b", "c"), ModelKey("ab", "c"), ModelKey("a", "bc")]
    assert len({fingerprint_of(key) for key in keys}) == 4
    assert fingerprint_of(ModelKey("a", "b.c")) == fingerprint_of(keys[0])
    assert len(fingerprint_of(keys[0])) == 8
