"""The tickets demo data: believable, split without near copies, neither trivial nor hopeless."""

import csv
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

DATA = Path(__file__).parents[2] / "training" / "data"
CLASSES = {"account", "billing", "delivery", "hardware", "network"}
NEAR_COPY = 0.6


def read_rows(file_name: str, columns: list[str]) -> list[dict[str, str]]:
    """Read one CSV file and insist on its columns, so that a changed header fails every test."""
    with (DATA / file_name).open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        assert reader.fieldnames == columns
        return list(reader)


@pytest.fixture(scope="module")
def tickets() -> list[dict[str, str]]:
    """Give all in-distribution messages."""
    return read_rows("tickets.csv", ["text", "category", "split"])


@pytest.fixture(scope="module")
def held_out() -> list[dict[str, str]]:
    """Give the slang and off-topic messages."""
    return read_rows("tickets_out_of_distribution.csv", ["text", "kind"])


def select(rows: list[dict[str, str]], split: str) -> tuple[list[str], list[str]]:
    """Take texts and categories of one split."""
    chosen = [row for row in rows if row["split"] == split]
    return [row["text"] for row in chosen], [row["category"] for row in chosen]


def normalise(text: str) -> str:
    r"""Lower-case a text and keep its \w+ words in order."""
    return " ".join(re.findall(r"\w+", text.lower()))


def largest_jaccard(texts: list[str], others: list[str]) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Find for each text the highest Jaccard similarity of its word set to any of the others."""
    vectorizer = CountVectorizer(binary=True, token_pattern=r"\w+", dtype=np.float64).fit(texts + others)
    left: csr_matrix = vectorizer.transform(texts)
    right: csr_matrix = vectorizer.transform(others)
    shared = (left @ right.T).toarray()
    sizes = np.asarray(left.sum(axis=1)) + np.asarray(right.sum(axis=1)).T
    largest: np.ndarray[tuple[int], np.dtype[np.float64]] = (shared / (sizes - shared)).max(axis=1)
    return largest


def test_tickets_are_many_distinct_and_roughly_balanced(tickets: list[dict[str, str]]) -> None:
    """At least 1,500 messages, no two alike after normalisation, no class above a quarter or below 15 %."""
    assert len(tickets) >= 1500
    assert len({normalise(row["text"]) for row in tickets}) == len(tickets)
    counts = Counter(row["category"] for row in tickets)
    assert set(counts) == CLASSES
    assert all(0.15 <= count / len(tickets) <= 0.25 for count in counts.values()), counts


def test_tickets_are_short_messages_without_stray_spaces(tickets: list[dict[str, str]]) -> None:
    """Each message is a trimmed line of 2 to 30 words, most of them of 8 or more."""
    lengths = [len(row["text"].split()) for row in tickets]
    assert min(lengths) >= 2
    assert max(lengths) <= 30
    assert np.median(lengths) >= 8
    assert all(row["text"] == " ".join(row["text"].split()) for row in tickets)


def test_validation_is_about_a_quarter_in_every_class(tickets: list[dict[str, str]]) -> None:
    """The split holds out 20 to 30 % overall and 18 to 32 % of each class."""
    assert {row["split"] for row in tickets} == {"train", "validation"}
    _, labels = select(tickets, "validation")
    assert 0.20 <= len(labels) / len(tickets) <= 0.30
    totals = Counter(row["category"] for row in tickets)
    shares = {category: count / totals[category] for category, count in Counter(labels).items()}
    assert set(shares) == CLASSES
    assert all(0.18 <= share <= 0.32 for share in shares.values()), shares


def test_validation_holds_hardly_any_near_copy_of_training(
    tickets: list[dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """At most 5 % of validation messages have a training message at word-Jaccard 0.6 or more."""
    largest = largest_jaccard(select(tickets, "validation")[0], select(tickets, "train")[0])
    share = float((largest >= NEAR_COPY).mean())
    with capsys.disabled():
        sys.stdout.write(f"\ntickets: {share:.1%} near copies in validation, highest {largest.max():.2f}\n")
    assert share <= 0.05


def test_plain_linear_model_is_good_but_not_perfect(
    tickets: list[dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """TF-IDF with logistic regression reaches a validation accuracy between 0.85 and 0.97."""
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=10, max_iter=1000)
    )
    model.fit(*select(tickets, "train"))
    accuracy = model.score(*select(tickets, "validation"))
    with capsys.disabled():
        sys.stdout.write(f"\ntickets: validation accuracy {accuracy:.3f}\n")
    assert 0.85 <= accuracy <= 0.97


def test_held_out_messages_are_150_of_two_kinds(held_out: list[dict[str, str]]) -> None:
    """Exactly 150 distinct messages, at least a third of each kind."""
    assert len(held_out) == len({normalise(row["text"]) for row in held_out}) == 150
    kinds = Counter(row["kind"] for row in held_out)
    assert set(kinds) == {"slang", "off_topic"}
    assert min(kinds.values()) >= 50


def test_held_out_messages_are_apart_from_the_tickets(
    tickets: list[dict[str, str]], held_out: list[dict[str, str]]
) -> None:
    """No held-out message equals a ticket or comes near one."""
    known = [row["text"] for row in tickets]
    apart = [row["text"] for row in held_out]
    assert not {normalise(text) for text in known} & {normalise(text) for text in apart}
    assert largest_jaccard(apart, known).max() < NEAR_COPY
