"""What stands ready before the stack starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from operations.stack import preparation
from operations.stack.layout import Layout, Ports, Stack, StackError


@pytest.fixture
def bundle_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder of one routed bundle, trained just now."""
    monkeypatch.setattr(preparation, "_STAMP", tmp_path / "stamp")
    bundle = tmp_path / "bundles" / "pears" / "3"
    bundle.mkdir(parents=True)
    (bundle / "manifest.json").write_text("{}")
    (tmp_path / "bundles" / "routing.toml").write_text('[models.pears]\nstable = "3"\n')
    preparation.note_demo_models(tmp_path / "bundles")
    return tmp_path / "bundles"


def stack_of(tmp_path: Path, clock: str = "demo") -> Stack:
    """Lay out a stack."""
    return Stack(Layout(tmp_path), Ports(8117, 9118, 9119, 9120, 9121), clock)


def test_bundles_that_are_there_are_not_trained_again(bundle_dir: Path) -> None:
    """A second start is quick."""
    assert preparation.are_demo_models_current(bundle_dir)


def test_a_missing_bundle_is_noticed(bundle_dir: Path) -> None:
    """A routed model without its bundle is trained."""
    (bundle_dir / "pears" / "3" / "manifest.json").unlink()
    assert not preparation.are_demo_models_current(bundle_dir)


def test_bundles_of_other_libraries_are_noticed(bundle_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle packed with another Python or other requirements would be refused."""
    monkeypatch.setattr("platform.python_version", lambda: "3.99.1")
    assert not preparation.are_demo_models_current(bundle_dir)


def test_bundles_of_another_folder_are_noticed(bundle_dir: Path, tmp_path: Path) -> None:
    """The note of one folder says nothing about another."""
    other = tmp_path / "other"
    bundle_dir.rename(other)
    assert not preparation.are_demo_models_current(other)


def test_configuration_names_the_ports_and_the_sink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a webhook the messages go to the sink of this stack."""
    monkeypatch.setattr(preparation, "SLACK_URL", tmp_path / "absent")
    slack_url = preparation.render_configuration(stack_of(tmp_path))
    assert slack_url.read_text().strip() == "http://127.0.0.1:9121/slack"
    configuration = stack_of(tmp_path).layout.configuration
    assert '"127.0.0.1:9118"' in (configuration / "targets" / "predictor.yml").read_text()
    assert str(slack_url) in (configuration / "alertmanager.yml").read_text()
    assert "scrape_interval: 1s" in (configuration / "prometheus.yml").read_text()


def test_a_webhook_file_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address of a real webhook stays in its file; only the path is written."""
    webhook = tmp_path / "slack_url"
    webhook.write_text("https://example.test/secret-part\n")
    monkeypatch.setattr(preparation, "SLACK_URL", webhook)
    assert preparation.render_configuration(stack_of(tmp_path)) == webhook
    texts = [
        path.read_text() for path in stack_of(tmp_path).layout.configuration.rglob("*") if path.is_file()
    ]
    assert any(str(webhook) in text for text in texts)
    assert not any("secret-part" in text for text in texts)


def test_configuration_of_an_earlier_start_is_gone(tmp_path: Path) -> None:
    """A file that no source makes any more is not read again."""
    stale = stack_of(tmp_path).layout.configuration / "targets" / "stale.yml"
    stale.parent.mkdir(parents=True)
    stale.write_text("[]")
    preparation.render_configuration(stack_of(tmp_path))
    assert not stale.exists()


@pytest.mark.parametrize(("clock", "kept"), [("demo", False), ("production", True)])
def test_only_the_demo_clock_starts_on_empty_databases(tmp_path: Path, clock: str, kept: bool) -> None:
    """Real history survives a restart, compressed history would mislead."""
    stack = stack_of(tmp_path, clock)
    block = stack.layout.data("prometheus", clock) / "block"
    block.mkdir(parents=True)
    preparation.clear_data(stack)
    assert block.exists() == kept
    assert stack.layout.data("alertmanager", clock).is_dir()


def test_a_failed_step_ends_with_its_last_lines() -> None:
    """The person sees what went wrong, not where."""
    process = subprocess.Popen(
        [sys.executable, "-c", "print('early'); print('no space left'); raise SystemExit(3)"],
        stdout=subprocess.PIPE,
        text=True,
    )
    with pytest.raises(StackError, match=r"(?s)training failed with status 3:.*no space left"):
        preparation.finish(process, "training")
