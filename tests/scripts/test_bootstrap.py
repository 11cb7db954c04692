"""scripts/bootstrap where something is missing: it says what to install, and does nothing twice."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OLD = "#!/bin/sh\nexit 1\n"
# Answers the version check, cannot import ensurepip, and knows its own name.
WITHOUT_VENV = """#!/bin/sh
case "$2" in
*version_info*3,*11*) exit 0 ;;
*ensurepip*) exit 1 ;;
*) echo python3.11-venv ;;
esac
"""
# Makes a folder that looks like a virtual environment, whose pip always succeeds.
COMPLETE = """#!/bin/sh
for last; do :; done
case "$*" in
*"-m venv"*) mkdir -p "$last/bin" && cp "$0" "$last/bin/python" ;;
*"pip install"*) echo install >>"$CHECKOUT/installations" ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Make a checkout of the script and requirements alone, beside a folder for programs."""
    (tmp_path / "checkout" / "scripts").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    shutil.copy(ROOT / "scripts" / "bootstrap", tmp_path / "checkout" / "scripts")
    for name in ("requirements.txt", "requirements-dev.txt"):
        (tmp_path / "checkout" / name).write_text(f"{name}\n")
    for name in ("bash", "dirname", "cat", "sha256sum", "cut", "rm", "mkdir", "cp", "chmod", "sh"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or name)
    program(tmp_path / "checkout", "id", "#!/bin/sh\necho 1000\n")
    return tmp_path / "checkout"


def program(checkout: Path, name: str, text: str) -> None:
    """Put a program on the PATH of the script."""
    path = checkout.parent / "bin" / name
    path.write_text(text)
    path.chmod(0o755)


def bootstrap(checkout: Path) -> subprocess.CompletedProcess[str]:
    """Run the script with nothing else on its PATH."""
    return subprocess.run(
        [str(checkout / "scripts" / "bootstrap")],
        env={"PATH": str(checkout.parent / "bin"), "CHECKOUT": str(checkout)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_python_it_says_which_one_is_needed(checkout: Path) -> None:
    """A Python that is too old counts as none."""
    program(checkout, "python3", OLD)
    done = bootstrap(checkout)
    assert done.returncode == 1
    assert "Python 3.11 or newer" in done.stderr
    assert "apt-get install python3 python3-venv" in done.stderr


def test_without_venv_it_gives_the_line_for_apt(checkout: Path) -> None:
    """Debian splits venv off; without root the person gets the command."""
    program(checkout, "python3", WITHOUT_VENV)
    done = bootstrap(checkout)
    assert done.returncode == 1
    assert "sudo apt-get install python3.11-venv" in done.stderr


def test_what_is_installed_is_not_installed_again(checkout: Path) -> None:
    """Only other requirements, or a dead environment, bring another installation."""
    program(checkout, "python3", COMPLETE)
    installations = checkout / "installations"
    for _ in range(2):
        assert bootstrap(checkout).returncode == 0
    assert installations.read_text().count("install") == 1
    (checkout / "requirements.txt").write_text("another\n")
    assert bootstrap(checkout).returncode == 0
    assert installations.read_text().count("install") == 2
    (checkout / ".venv" / "bin" / "python").unlink()
    assert bootstrap(checkout).returncode == 0
    assert installations.read_text().count("install") == 3


def test_it_makes_the_command(checkout: Path) -> None:
    """`plumbline` works from any folder."""
    program(checkout, "python3", COMPLETE)
    bootstrap(checkout)
    command = (checkout / ".venv" / "bin" / "plumbline").read_text()
    assert f"PYTHONPATH='{checkout}'" in command
    assert "-m operations" in command
