"""`make help` is the front door: it lists every target that a person may call."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_help_lists_every_documented_target() -> None:
    """Each target has its line, and nothing else is listed."""
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):.*?## ", makefile, flags=re.MULTILINE))
    shown = subprocess.run(
        ["make", "-s", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert {line.split()[0] for line in shown.splitlines()} == targets
    assert {"up", "down", "test", "help"} <= targets


def test_ci_runs_what_a_developer_runs() -> None:
    """Every command of the workflow and of .ci/run is a make target."""
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    commands = re.findall(r"run: (.*)", workflow)
    assert commands
    assert all(command.startswith("make ") for command in commands)
    assert "make test" in (ROOT / ".ci/run").read_text()


def test_actions_are_pinned_by_commit() -> None:
    """A tag can be moved, a commit cannot."""
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    uses = re.findall(r"uses: \S+@(\S+)", workflow)
    assert uses
    assert all(re.fullmatch(r"[0-9a-f]{40}", commit) for commit in uses)
