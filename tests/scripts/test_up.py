"""scripts/up chooses between containers and this machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.scripts.checkout import make_checkout, run_script


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Make a checkout of scripts/up."""
    return make_checkout(tmp_path, "up")


def up(checkout: Path, *arguments: str) -> list[str]:
    """Run the script and return the calls."""
    return run_script(checkout, "up", *arguments)


def test_without_an_engine_everything_runs_here(checkout: Path) -> None:
    """A docker client alone is no engine; options reach `plumbline up`."""
    assert up(checkout, "--clock", "production", "--port-offset", "7") == [
        "native -m operations up --clock production --port-offset 7"
    ]


def test_native_can_be_forced(checkout: Path) -> None:
    """With an engine, too."""
    (checkout / "engine").touch()
    assert up(checkout, "--native", "--detach") == ["native -m operations up --detach"]


def test_with_an_engine_compose_runs_on_the_demo_clock(checkout: Path) -> None:
    """Built, started with load, on empty databases; the password is made, and the sink is used."""
    (checkout / "engine").touch()
    calls = up(checkout, "--detach")
    compose = "docker compose --env-file demo-clock.env --profile load"
    assert f"{compose} up --build --detach" in calls
    assert calls.index(f"{compose} down --volumes") < calls.index(f"{compose} up --build --detach")
    assert len((checkout / "secrets" / "grafana_admin_password").read_text().strip()) == 32
    assert (checkout / "slack").read_text().strip() == ""


def test_production_keeps_its_databases(checkout: Path) -> None:
    """No volume is removed, and no demo load is sent."""
    (checkout / "engine").touch()
    calls = up(checkout, "--clock", "production", "--detach")
    assert "docker compose up --build --detach" in calls
    assert not [call for call in calls if "--volumes" in call or "demo" in call]


@pytest.mark.parametrize("option", ["--no-traffic", "--port-offset=100", "--help"])
def test_containers_refuse_what_only_the_native_stack_knows(checkout: Path, option: str) -> None:
    """An option that would be passed over starts nothing."""
    (checkout / "engine").touch()
    with pytest.raises(subprocess.CalledProcessError):
        up(checkout, option)
    assert "up --build" not in (checkout / "calls").read_text()


def test_the_foreground_ends_with_down(checkout: Path) -> None:
    """Whatever ends the script removes the containers."""
    (checkout / "engine").touch()
    calls = up(checkout)
    assert calls[-1] == "docker compose --env-file demo-clock.env --profile load down --volumes"


def test_a_webhook_file_and_a_password_are_kept(checkout: Path) -> None:
    """What a person put into secrets/ is used as it is."""
    (checkout / "engine").touch()
    (checkout / "secrets").mkdir()
    (checkout / "secrets" / "slack_url").write_text("https://example.test/hook\n")
    (checkout / "secrets" / "grafana_admin_password").write_text("mine\n")
    up(checkout, "--detach")
    assert (checkout / "slack").read_text().strip() == "./secrets/slack_url"
    assert (checkout / "secrets" / "grafana_admin_password").read_text() == "mine\n"
