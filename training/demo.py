"""What a demo model consists of, and how it becomes a bundle: by the command that users have."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from threadpoolctl import threadpool_limits

from service.bundle.packing.pack import PackRequest, pack_bundle
from service.bundle.packing.request import Packed

VERSION = "1"
CREATED = "2026-01-01T00:00:00Z"
"""Fixed, so that the same code gives the same bytes."""
FIELDS = Path(__file__).parent / "fields"


@dataclass(frozen=True)
class Demo:
    """A fitted estimator with the tables it was fitted and measured on.

    Args:
        name: the model's name.
        estimator: fitted on `training`.
        training: feature columns and the target.
        validation: the same columns, held out.
        target: name of the target column.
        output_range: bounds of a regression's output.
    """

    name: str
    estimator: Any
    training: pd.DataFrame
    validation: pd.DataFrame
    target: str
    output_range: tuple[float, float] | None = None


def train_and_pack(train: Callable[[], Demo], out: Path, report: Callable[[str], None]) -> Packed:
    """Train a demo and pack it.

    In one thread: how many there are moves the last bits of sums, and on a busy machine they mostly wait.
    """
    with threadpool_limits(1):
        return pack_demo(train(), out, report)


def pack_demo(demo: Demo, out: Path, report: Callable[[str], None]) -> Packed:
    """Write the demo's files to a temporary folder and pack them, replacing a bundle that exists."""
    with tempfile.TemporaryDirectory() as folder:
        model, training, validation = (
            Path(folder) / name for name in ("model.joblib", "train.csv", "valid.csv")
        )
        joblib.dump(demo.estimator, model)
        demo.training.to_csv(training, index=False)
        demo.validation.to_csv(validation, index=False)
        fields = FIELDS / f"{demo.name}.toml"
        low, high = demo.output_range or (None, None)
        request = PackRequest(
            model=model,
            data=training,
            validation=validation,
            target=demo.target,
            name=demo.name,
            version=VERSION,
            fields=fields if fields.exists() else None,
            output_minimum=low,
            output_maximum=high,
            created=CREATED,
            out=out,
            force=True,
        )
        return pack_bundle(request, report)
