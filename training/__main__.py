"""Trains the demo models and packs their bundles: `python -m training`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from service.bundle.loader import load_bundle
from service.errors import BundleError
from training import breast_cancer, diabetes, iris, tickets, wide_forest
from training.demo import VERSION, Demo, train_and_pack

DEMOS: dict[str, Callable[[], Demo]] = {
    "iris": iris.train,
    "breast_cancer": breast_cancer.train,
    "tickets": tickets.train,
    "wide_forest": wide_forest.train,
    "diabetes": diabetes.train,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and pack the demos that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--only", choices=DEMOS, action="append", help="train this one (may be repeated)")
    parser.add_argument("--out", type=Path, default=Path("bundles"), help="folder of bundles [%(default)s]")
    parser.add_argument("--force", action="store_true", help="train again although the bundle is there")
    options = parser.parse_args(arguments)
    for name in options.only or DEMOS:
        if not options.force and _is_usable(options.out / name / VERSION):
            print(f"{name}: there already; --force trains it again")
            continue
        start = time.monotonic()
        print(f"{name}: training", flush=True)
        train_and_pack(DEMOS[name], options.out, lambda line: print(f"  {line}", flush=True))
        print(f"{name}: done in {time.monotonic() - start:.1f} s", flush=True)
    return 0


def _is_usable(directory: Path) -> bool:
    try:
        load_bundle(directory)
    except BundleError:
        return False  # missing, or packed by another version of a library
    return True


if __name__ == "__main__":
    sys.exit(main())
