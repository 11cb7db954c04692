"""The held-out messages influence neither code nor bundle, and the flag finds them all the same."""

from __future__ import annotations

import ast
import csv
import re
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

from service.bundle.distribution import words_of
from service.bundle.loader import ModelBundle, load_bundle
from service.events import OUT_BY_NOVELTY
from training.demo import train_and_pack
from training.tickets import DATA, train

ROOT = Path(__file__).resolve().parents[2]
HELD_OUT = DATA.parent / "tickets_out_of_distribution.csv"
CODE = [
    path
    for folder in ("service", "training")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in {".py", ".toml"}
]


def read_column(path: Path, column: str, **only: str) -> list[str]:
    """Read a column of a CSV file, of the rows in which the other columns are as given."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        return [row[column] for row in rows if all(row[name] == value for name, value in only.items())]


def share_flagged(bundle: ModelBundle, texts: list[str]) -> float:
    """Share of texts that the answer calls out of distribution."""
    return float((bundle.scorer.score([(text,) for text in texts]).distribution == OUT_BY_NOVELTY).mean())


def test_bundle_is_the_same_without_the_held_out_messages(tmp_path: Path, demo_dir: Path) -> None:
    """Training that cannot see the file writes the same bytes."""
    data = tmp_path / "data" / DATA.name
    data.parent.mkdir()
    shutil.copy(DATA, data)
    packed = train_and_pack(lambda: train(data), tmp_path, lambda line: None)
    trained = demo_dir / "tickets" / "1"
    assert {path.name: path.read_bytes() for path in packed.directory.iterdir()} == {
        path.name: path.read_bytes() for path in trained.iterdir()
    }


def test_code_does_not_name_the_file() -> None:
    """Neither service nor training knows that it exists."""
    assert CODE
    assert not [path for path in CODE if HELD_OUT.stem in path.read_text(encoding="utf-8")]


def strings_of(path: Path) -> list[str]:
    """List the strings that code works with: constants but docstrings, or the values of a TOML file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".toml":
        return [str(value) for table in tomllib.loads(text).values() for value in table.values()]
    tree = ast.parse(text)
    docs = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docs)
    return [node.value for node in nodes if isinstance(node.value, str)]


def suspicious(strings: list[str], only_held_out: set[str]) -> list[str]:
    """Find what a word list looks like: short strings with such a word, or strings with three."""
    found = []
    for string in strings:
        words = words_of(
            re.sub(r"_|\\[a-zA-Z]", " ", string)
        )  # an escape of a regular expression is no letter
        hits = set(words) & only_held_out
        if (hits and len(words) <= 3) or len(hits) >= 3:
            found.append(string)
    return found


# Words of this project's own language that a held-out message happens to use as well.
ORDINARY_WORDS = {"golden", "ratio", "longest", "character", "fold", "sugar", "serve"}


def only_held_out() -> set[str]:
    """Collect the words that occur in the held-out messages and in no ticket."""
    held_out = {word for text in read_column(HELD_OUT, "text") for word in words_of(text)}
    tickets = {word for text in read_column(DATA, "text") for word in words_of(text)}
    return {word for word in held_out - tickets if len(word) > 1} - ORDINARY_WORDS


def test_code_holds_no_word_list() -> None:
    """No string of service or training is made of words that occur in the held-out messages only."""
    words = only_held_out()
    assert len(words) > 400
    found = {str(path.relative_to(ROOT)): suspicious(strings_of(path), words) for path in CODE}
    assert not {path: strings for path, strings in found.items() if strings}


@pytest.mark.parametrize(
    "source", ["SLANG = {'bruh', 'fam'}", "W = 'yo fam lmaooo no cap bruh'.split()", "r'\\bbruh\\b'.x"]
)
def test_word_list_would_be_found(source: str, tmp_path: Path) -> None:
    """The test above knows what to look for."""
    (tmp_path / "code.py").write_text(source)
    assert suspicious(strings_of(tmp_path / "code.py"), only_held_out())


def test_no_held_out_message_is_in_the_bundle(demo_dir: Path) -> None:
    """Neither as a golden request nor in the vocabulary."""
    bundle = load_bundle(demo_dir / "tickets" / "1")
    golden = (demo_dir / "tickets" / "1" / "golden.json").read_text(encoding="utf-8")
    assert not [text for text in read_column(HELD_OUT, "text") if text in golden]
    known = {word for text in read_column(DATA, "text", split="train") for word in words_of(text)}
    assert bundle.reference.text_novelty is not None
    assert set(bundle.reference.text_novelty.vocabulary) == known


def test_flag_finds_clearly_more_of_them_than_of_ordinary_messages(
    demo_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the quantile 5 % of validation messages are flagged, and most of the held-out ones."""
    bundle = load_bundle(demo_dir / "tickets" / "1")
    ordinary = share_flagged(bundle, read_column(DATA, "text", split="validation"))
    slang = share_flagged(bundle, read_column(HELD_OUT, "text", kind="slang"))
    off_topic = share_flagged(bundle, read_column(HELD_OUT, "text", kind="off_topic"))
    with capsys.disabled():
        sys.stdout.write(
            f"\nflagged: validation {ordinary:.1%}, slang {slang:.1%}, off topic {off_topic:.1%}\n"
        )
    assert ordinary == pytest.approx(0.05, abs=0.01)
    assert slang >= 0.9
    assert off_topic >= 0.9
