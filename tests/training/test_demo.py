"""A demo model becomes a bundle by the code that users run, with the same bytes each time."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from service.bundle.golden import check_predictions
from service.bundle.loader import load_bundle
from service.errors import PackError
from tests import builders
from training.demo import VERSION, Demo, pack_demo, train_and_pack
from training.iris import train

ROOT = Path(__file__).resolve().parents[2]


def test_demo_is_packed_and_replaced(tmp_path: Path) -> None:
    """Training again replaces the bundle with the same one."""
    first = train_and_pack(train, tmp_path, lambda line: None)
    again = train_and_pack(train, tmp_path, lambda line: None)
    assert first == again
    check_predictions(load_bundle(tmp_path / "iris" / VERSION))


@pytest.mark.parametrize("name", ["tickets", "wide_forest"])
def test_two_processes_give_the_same_bytes(name: str, tmp_path: Path) -> None:
    """Nothing of a process (addresses, hash seeds, time) is in a bundle."""
    sums = set()
    for seed in ("1", "2"):
        out = tmp_path / seed
        subprocess.run(
            [sys.executable, "-m", "training", "--only", name, "--out", str(out)],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            check=True,
            capture_output=True,
        )
        sums.add(hashlib.sha256((out / name / VERSION / "manifest.json").read_bytes()).hexdigest())
    # The manifest holds the hash of every other file.
    assert len(sums) == 1


def test_demo_without_a_column_is_refused(tmp_path: Path) -> None:
    """The errors of packing reach the caller."""
    estimator, training, validation = builders.numbers_model()
    demo = Demo("numbers", estimator, training, validation.drop(columns="girth"), builders.TARGET)
    with pytest.raises(PackError, match="girth"):
        pack_demo(demo, tmp_path, lambda line: None)
