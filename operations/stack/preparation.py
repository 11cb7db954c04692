"""What must be there before the stack can start: programs, bundles, configuration, empty databases."""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from operations.stack.layout import ROOT, Stack, StackError
from prometheus.build import Settings as Rendering
from prometheus.build import render

BINARIES = ROOT / ".local" / "bin"
"""Prometheus and Alertmanager; shared by all stacks of a checkout, whatever their folder."""
SLACK_URL = ROOT / "secrets" / "slack_url"
"""Put the address of a Slack webhook here, and the stack sends to it instead of to the sink."""

_STAMP = ROOT / ".local" / "demo-models"
_OUTPUT_LINES = 15


def fetch_binaries() -> subprocess.Popen[str]:
    """Start to fetch Prometheus and Alertmanager, which waits for the network; `finish` waits for its end."""
    return _start([str(ROOT / "scripts" / "fetch-monitoring"), str(BINARIES)])


def train_demo_models(bundle_dir: Path) -> subprocess.Popen[str]:
    """Start to train the demo models; those that are usable stay."""
    return _start([sys.executable, "-m", "training", "--out", str(bundle_dir)])


def finish(process: subprocess.Popen[str], what: str) -> None:
    """Wait for a step that runs as a program.

    Raises:
        StackError: it failed; the text ends with its last lines.
    """
    output, _ = process.communicate()
    if process.returncode != 0:
        last = "\n".join(output.splitlines()[-_OUTPUT_LINES:])
        raise StackError(f"{what} failed with status {process.returncode}:\n{last}")


def are_demo_models_current(bundle_dir: Path) -> bool:
    """Tell whether every routed model has its bundle, trained with the libraries that are installed."""
    if not _STAMP.exists() or _STAMP.read_text("utf-8") != _stamp_of(bundle_dir):
        return False
    routing = bundle_dir / "routing.toml"
    models = tomllib.loads(routing.read_text("utf-8")).get("models", {}) if routing.exists() else {}
    return all(
        (bundle_dir / name / model["stable"] / "manifest.json").exists()
        for name, model in models.items()
        if "stable" in model
    )


def note_demo_models(bundle_dir: Path) -> None:
    """Note with which libraries they were trained, so that the next start need not load them all."""
    _STAMP.parent.mkdir(parents=True, exist_ok=True)
    _STAMP.write_text(_stamp_of(bundle_dir), "utf-8")


def render_configuration(stack: Stack) -> Path:
    """Write the working folder of Prometheus and Alertmanager and return the file with Slack's address."""
    shutil.rmtree(stack.layout.configuration, ignore_errors=True)
    slack_url = SLACK_URL if SLACK_URL.exists() else None
    rendering = Rendering(
        factor=stack.factor,
        predictors=(_host_and_port(stack, "exporter"),),
        prometheus=(_host_and_port(stack, "prometheus"),),
        alertmanagers=(_host_and_port(stack, "alertmanager"),),
        sink=stack.url("sink"),
        slack_url_file=str(slack_url) if slack_url else None,
    )
    render(rendering, stack.layout.configuration)
    return slack_url or stack.layout.configuration / "slack_url"


def clear_data(stack: Stack) -> None:
    """Start the demo clock on empty databases, whose hours would be minutes; keep the rest, and the log."""
    for program in ("prometheus", "alertmanager"):
        data = stack.layout.data(program, stack.clock)
        if stack.factor > 1:
            shutil.rmtree(data, ignore_errors=True)
        data.mkdir(parents=True, exist_ok=True)


def _stamp_of(bundle_dir: Path) -> str:
    requirements = hashlib.sha256((ROOT / "requirements.txt").read_bytes()).hexdigest()
    return f"{bundle_dir.resolve()}\nPython {platform.python_version()}\nrequirements {requirements}\n"


def _start(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _host_and_port(stack: Stack, program: str) -> str:
    return stack.url(program).removeprefix("http://")
