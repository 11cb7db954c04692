"""The programs of Prometheus and Alertmanager that tests run: Debian's and the newest line."""

import fcntl
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEWEST_SCRIPT = ROOT.parent / "shared" / "containers" / "binaries"
LINES = ("debian", "newest")


def binaries(line: str) -> Path:
    """Return the folder with prometheus, promtool, alertmanager and amtool of a line, fetching it first."""
    folder = ROOT / ".local" / ("bin" if line == "debian" else "prometheus-3")
    script = ROOT / "scripts" / "fetch-monitoring" if line == "debian" else NEWEST_SCRIPT
    if not script.exists():
        pytest.skip("for want of ../shared: ../shared/containers/binaries is absent")
    folder.parent.mkdir(exist_ok=True)
    # Tests may run in several processes, and neither script is made for two at once.
    with (folder.parent / ".monitoring.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run([script, folder], check=True, stdout=subprocess.DEVNULL)
    return folder
