"""docs/bundles.md says what the code says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from service.bundle.manifest import NAME_PATTERN, REQUIRED_FILES, Signal
from service.bundle.packing.table import read_fields
from service.errors import BUNDLE_FAILURES
from training.__main__ import DEMOS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "bundles.md").read_text()
ROWS = re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)


def test_every_file_reason_signal_and_demo_has_its_row() -> None:
    """And no row is left of what is gone."""
    assert set(ROWS) == {*REQUIRED_FILES, "manifest.json", *BUNDLE_FAILURES, *get_args(Signal), *DEMOS}


def test_names_are_those_that_code_takes() -> None:
    """The pattern is quoted."""
    assert f"`{NAME_PATTERN}`" in PAGE


def test_example_of_fields_is_valid(tmp_path: Path) -> None:
    """A reader may copy it."""
    example = next(block for block in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL) if "[age]" in block)
    (tmp_path / "fields.toml").write_text(example)
    assert read_fields(tmp_path / "fields.toml")["age"].maximum == 130
