"""Runs locust as a user would: in a process of its own, since gevent must patch before other imports."""

from __future__ import annotations

import csv
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCENARIOS = sorted(path.stem for path in (ROOT / "loadtest/scenarios").iterdir())


@dataclass(frozen=True)
class LocustRun:
    """What a run left behind; `rows` are those of the CSV, by type and name."""

    returncode: int
    stderr: str
    rows: dict[tuple[str, str], dict[str, str]]
    failures: list[dict[str, str]]
    html: str

    @property
    def failure_texts(self) -> set[str]:
        """Name and text of each failure."""
        return {f"{failure['Name']}: {failure['Error']}" for failure in self.failures}


def run_locust(folder: Path, scenario: str, host: str, *arguments: str) -> LocustRun:
    """Run a scenario headless with CSV and HTML in `folder`, any Python warning being an error."""
    outputs = ["--csv", str(folder / "run"), "--html", str(folder / "run.html")]
    # Locust leaves its pooled connections to the end of the process.
    warnings = ["-W", "error", "-W", "ignore::ResourceWarning"]
    configuration = ["--config", f"loadtest/scenarios/{scenario}.conf"]
    command = [sys.executable, *warnings, "-m", "locust", *configuration]
    finished = subprocess.run(
        [*command, "--host", host, *outputs, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    stats, page = folder / "run_stats.csv", folder / "run.html"
    rows = {(row["Type"], row["Name"]): row for row in _records(stats)}
    html = page.read_text(encoding="utf-8") if page.exists() else ""
    return LocustRun(finished.returncode, finished.stderr, rows, _records(folder / "run_failures.csv"), html)


def _records(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
