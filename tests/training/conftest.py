"""The demo bundles, trained once for all tests of training."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.__main__ import main


@pytest.fixture(scope="session")
def demo_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train and pack all five demo models."""
    folder = tmp_path_factory.mktemp("bundles")
    assert main(["--out", str(folder)]) == 0
    return folder
