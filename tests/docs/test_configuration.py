"""docs/configuration.md and .env.example name every setting, with its default, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from service.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/configuration.md").read_text()
EXAMPLE = (ROOT / ".env.example").read_text()
VARIABLES = {f"{PREFIX}{name.upper()}": field for name, field in Settings.model_fields.items()}


def test_page_names_every_setting_and_no_other() -> None:
    """A setting without a row, or a row without a setting, is a mistake."""
    assert set(re.findall(r"^\| `(PLUMBLINE_\w+)` \|", PAGE, flags=re.MULTILINE)) == set(VARIABLES)


def test_example_names_every_setting_and_no_other() -> None:
    """Every line of .env.example is commented out: it shows the defaults."""
    assert set(re.findall(r"^#(PLUMBLINE_\w+)=", EXAMPLE, flags=re.MULTILINE)) == set(VARIABLES)


def test_page_says_what_the_code_says() -> None:
    """The text of a row is the docstring of its field."""
    for variable, field in VARIABLES.items():
        description = " ".join((field.description or "").split())
        assert description
        assert description in PAGE, variable
