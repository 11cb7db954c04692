"""A checkout of one script, whose programs only note how they were called."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Notes how it was called; its engine answers if a file says so.
DOCKER = """#!/bin/sh
[ "$1" = info ] && { [ -e "$CHECKOUT/engine" ]; exit; }
echo "docker $*" >>"$CHECKOUT/calls"
echo "$PLUMBLINE_SLACK_URL_FILE" >"$CHECKOUT/slack"
"""
NATIVE = """#!/bin/sh
echo "native $*" >>"$CHECKOUT/calls"
"""


def make_checkout(folder: Path, script: str) -> Path:
    """Copy the script and put stand-ins where it looks for programs."""
    checkout = folder / "checkout"
    for made in (checkout / "scripts", checkout / ".venv" / "bin", folder / "bin"):
        made.mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / script, checkout / "scripts")
    texts = {
        checkout / "scripts" / "bootstrap": "#!/bin/sh\n",
        checkout / ".venv" / "bin" / "python": NATIVE,
        folder / "bin" / "docker": DOCKER,
    }
    for path, text in texts.items():
        path.write_text(text)
        path.chmod(0o755)
    return checkout


def run_script(checkout: Path, script: str, *arguments: str) -> list[str]:
    """Run the script and return the calls."""
    subprocess.run(
        [str(checkout / "scripts" / script), *arguments],
        env={"PATH": f"{checkout.parent / 'bin'}:/usr/bin:/bin", "CHECKOUT": str(checkout)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return (checkout / "calls").read_text().splitlines()
