"""The entry point fails in one line, not in a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_unusable_configuration_is_one_line(tmp_path: Path) -> None:
    """No bundle, no service: the message says which folder."""
    environment = os.environ | {"PLUMBLINE_BUNDLE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", "import service.main"]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr.startswith(f"plumbline: {tmp_path}: holds no bundle")
    assert run.stderr.count("\n") == 1
