"""Prediction ids that describe themselves: signed tokens that say who predicted what, how surely, and when.

A truth that comes months later, on any replica, needs no look-up, and a forged id costs microseconds. An id
is 45 bytes, 60 characters of URL-safe base64:

====== ===== ==========================================================================================
offset bytes content
====== ===== ==========================================================================================
0      1     format (upper 2 bits) and key number (lower 6 bits)
1      5     time of the prediction, hundredths of a second since 1970, so that ids sort by time
6      8     fingerprint of model name and version
14     8     class index (unsigned), or the predicted number (float64)
22     2     confidence in steps of the log-odds, 65535 if there is none
24     8     a number counted on from a random one, in each worker
32     13    AES-256-CMAC (NIST SP 800-38B) of the 32 bytes before, cut to 13 bytes
====== ===== ==========================================================================================

The message is exactly two AES blocks, so a whole batch is signed by two calls of the cipher. Measurements and
the alternatives are in docs/decisions/0005-prediction-ids.md.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import os
import struct
from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from binascii import b2a_base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from numpy.typing import NDArray

from service.events import ModelKey

ID_BYTES = 45
ID_LENGTH = 60
KEY_BYTES = 32
FORMAT = 1
TIME_STEPS_PER_SECOND = 100

_MESSAGE_BYTES = 32
_TAG_BYTES = ID_BYTES - _MESSAGE_BYTES
_BLOCK = 16
# Log-odds -16..16 in 65534 steps: as fine at one in a million as in the middle; the ends stand for 0 and 1.
_LOGIT_LIMIT = 16.0
_CODE_MAX = 65_534
_NO_CONFIDENCE = 65_535
_CODES_PER_LOGIT = _CODE_MAX / (2 * _LOGIT_LIMIT)
_LEAST = 1.0 / (1.0 + math.exp(_LOGIT_LIMIT))
_CLASS_MESSAGE = struct.Struct(">BBL8sQHQ")
_VALUE_MESSAGE = struct.Struct(">BBL8sdHQ")
_SLICES = tuple(slice(start, start + ID_LENGTH) for start in range(0, 1000 * ID_LENGTH, ID_LENGTH))


class InvalidIdError(Exception):
    """A text is no prediction id signed by one of the keys; says why in a few words."""


class IdKey(NamedTuple):
    """A secret of 32 bytes with the number that ids carry, 0 to 63."""

    number: int
    secret: bytes


def id_key(secret: bytes) -> IdKey:
    """Give a secret its number: the first six bits of its hash, so that no file has to keep one."""
    if len(secret) != KEY_BYTES:
        raise ValueError(f"an id key has {KEY_BYTES} bytes, this one {len(secret)}")
    return IdKey(hashlib.sha256(b"plumbline id key" + secret).digest()[0] >> 2, secret)


def fingerprint_of(key: ModelKey) -> bytes:
    """Give the 8 bytes that stand for a model version in an id; names hold no line break."""
    return hashlib.blake2b("\n".join(key).encode(), digest_size=8).digest()


@dataclass(frozen=True, slots=True)
class PredictionId:
    """What an id says.

    Args:
        raw: its 45 bytes.
        fingerprint: of model name and version.
        timestamp: Unix time of the prediction, seconds.
        confidence: probability of the predicted class, 0..1, to 0.0002; None if the model has none.
    """

    raw: bytes
    fingerprint: bytes
    timestamp: float
    confidence: float | None

    @property
    def class_index(self) -> int:
        """Position of the predicted class in the signature's classes (classification)."""
        return int.from_bytes(self.raw[14:22], "big")

    @property
    def value(self) -> float:
        """The predicted number (regression)."""
        number: float = struct.unpack(">d", self.raw[14:22])[0]
        return number


class _Cmac:
    """AES-CMAC of messages of exactly two blocks; not for several threads at once."""

    def __init__(self, secret: bytes) -> None:
        # ECB is the bare cipher, which CMAC is made of; each call encrypts independent blocks.
        cipher: CipherContext = Cipher(algorithms.AES(secret), modes.ECB()).encryptor()  # noqa: S305 - above
        self._encrypt = cipher.update
        subkey = int.from_bytes(self._encrypt(bytes(_BLOCK)), "big") << 1
        if subkey >> 128:
            subkey = (subkey & ((1 << 128) - 1)) ^ 0x87
        self._subkey = subkey
        self._subkey_bytes = np.frombuffer(subkey.to_bytes(_BLOCK, "big"), dtype=np.uint8)

    def tag(self, message: bytes) -> bytes:
        """Sign one message."""
        encrypt, number = self._encrypt, int.from_bytes
        second = number(encrypt(message[:_BLOCK]), "big") ^ number(message[_BLOCK:], "big") ^ self._subkey
        return encrypt(second.to_bytes(_BLOCK, "big"))[:_TAG_BYTES]

    def tags(self, messages: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Sign many messages, shape (n, 32); gives shape (n, 13)."""
        first = self._encrypted(messages[:, :_BLOCK])
        return self._encrypted(first ^ messages[:, _BLOCK:] ^ self._subkey_bytes)[:, :_TAG_BYTES]

    def _encrypted(self, blocks: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.frombuffer(self._encrypt(blocks.tobytes()), dtype=np.uint8).reshape(-1, _BLOCK)


class IdMaker:
    """Makes ids; for one thread, and none before a fork, which would let two processes count on alike.

    Args:
        key: signs them.
    """

    def __init__(self, key: IdKey) -> None:
        self._format = FORMAT << 6 | key.number
        self._cmac = _Cmac(key.secret)
        self._next_number: int | None = None

    def one(
        self,
        fingerprint: bytes,
        timestamp: float,
        class_index: int | None,
        value: float | None,
        confidence: float | None,
    ) -> bytes:
        """Make the 45 bytes of one id; `class_index` or `value` is None."""
        steps = int(timestamp * TIME_STEPS_PER_SECOND)
        struct_, content = (_CLASS_MESSAGE, class_index) if value is None else (_VALUE_MESSAGE, value)
        message = struct_.pack(
            self._format,
            steps >> 32,
            steps & 0xFFFF_FFFF,
            fingerprint,
            content,
            _NO_CONFIDENCE if confidence is None else _code(confidence),
            self._numbers(1),
        )
        return message + self._cmac.tag(message)

    def many(
        self,
        fingerprint: bytes,
        timestamp: float,
        class_indices: NDArray[np.intp] | None,
        values: NDArray[np.float64] | None,
        confidences: NDArray[np.float64] | None,
    ) -> bytes:
        """Make the ids of n rows, 45 n bytes; arrays have shape (n,), one of the first two is None."""
        content = values if class_indices is None else class_indices
        assert content is not None
        count = len(content)
        steps = int(timestamp * TIME_STEPS_PER_SECOND)
        head = bytes((self._format,)) + steps.to_bytes(5, "big") + fingerprint
        ids = np.empty((count, ID_BYTES), dtype=np.uint8)
        ids[:, :14] = np.frombuffer(head, dtype=np.uint8)
        ids[:, 14:22] = _big_endian(content, ">f8" if class_indices is None else ">u8")
        ids[:, 22:24] = 0xFF if confidences is None else _big_endian(_codes(confidences), ">u2")
        ids[:, 24:32] = _big_endian(
            np.arange(count, dtype=np.uint64) + np.uint64(self._numbers(count)), ">u8"
        )
        ids[:, _MESSAGE_BYTES:] = self._cmac.tags(ids[:, :_MESSAGE_BYTES])
        return ids.tobytes()

    def _numbers(self, count: int) -> int:
        """Take so many numbers and return the first; they tell ids apart and are no secret."""
        first = self._next_number
        if first is None:
            first = int.from_bytes(os.urandom(8), "big")
        self._next_number = first + count & 0xFFFF_FFFF_FFFF_FFFF
        return first


class IdReader:
    """Checks and reads ids; for one thread.

    Args:
        keys: all that are accepted.
    """

    def __init__(self, keys: Sequence[IdKey]) -> None:
        self._cmacs: dict[int, list[_Cmac]] = {}
        for key in keys:
            self._cmacs.setdefault(FORMAT << 6 | key.number, []).append(_Cmac(key.secret))

    def read(self, text: str) -> PredictionId:
        """Check the signature of an id and read it.

        Raises:
            InvalidIdError: it is no id, or none of ours.
        """
        if len(text) != ID_LENGTH:
            raise InvalidIdError(f"must have {ID_LENGTH} characters")
        try:
            # The decoder skips foreign characters; what comes back tells.
            raw = urlsafe_b64decode(text)
        except (Base64Error, ValueError):
            raise InvalidIdError("is not an id of this service") from None
        if len(raw) != ID_BYTES:
            raise InvalidIdError("is not an id of this service")
        message, tag = raw[:_MESSAGE_BYTES], raw[_MESSAGE_BYTES:]
        if not any(hmac.compare_digest(one.tag(message), tag) for one in self._cmacs.get(raw[0], ())):
            raise InvalidIdError("is not signed by this service")
        return parse_id(raw)


def parse_id(raw: bytes) -> PredictionId:
    """Read the 45 bytes of an id whose signature was checked before, or that we made ourselves."""
    code = int.from_bytes(raw[22:24], "big")
    return PredictionId(
        raw=raw,
        fingerprint=raw[6:14],
        timestamp=int.from_bytes(raw[1:6], "big") / TIME_STEPS_PER_SECOND,
        confidence=None if code == _NO_CONFIDENCE else _share(code),
    )


def id_texts(raw: bytes) -> list[str]:
    """Write n ids, 45 n bytes, as texts."""
    # 45 bytes are 60 characters without padding: many ids are encoded as one.
    text = b2a_base64(raw, newline=False).replace(b"+", b"-").replace(b"/", b"_").decode("ascii")
    count = len(text) // ID_LENGTH
    if count == 1:
        return [text]
    if count <= len(_SLICES):
        return list(map(text.__getitem__, _SLICES[:count]))
    return [text[start : start + ID_LENGTH] for start in range(0, len(text), ID_LENGTH)]


def _big_endian(numbers: NDArray[Any], dtype: str) -> NDArray[np.uint8]:
    written = numbers.astype(dtype)
    as_bytes: NDArray[np.uint8] = written.view(np.uint8).reshape(len(numbers), written.itemsize)
    return as_bytes


def _code(confidence: float) -> int:
    if confidence <= _LEAST:
        return 0
    if confidence >= 1.0 - _LEAST:
        return _CODE_MAX
    return round((math.log(confidence / (1.0 - confidence)) + _LOGIT_LIMIT) * _CODES_PER_LOGIT)


def _codes(confidences: NDArray[np.float64]) -> NDArray[np.float64]:
    # A sum of shares may be past 1 by its last bit, and the ends have no logarithm.
    shares = np.minimum(np.maximum(confidences, _LEAST), 1.0 - _LEAST)
    codes = np.log(shares / (1.0 - shares))
    codes += _LOGIT_LIMIT
    codes *= _CODES_PER_LOGIT
    return np.rint(codes)


def _share(code: int) -> float:
    if code in {0, _CODE_MAX}:
        return 0.0 if code == 0 else 1.0
    return 1.0 / (1.0 + math.exp(_LOGIT_LIMIT - code / _CODES_PER_LOGIT))
