"""scripts/down stops what scripts/up started, wherever that runs."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.scripts.checkout import make_checkout, run_script


def test_without_an_engine_the_native_stack_is_stopped(tmp_path: Path) -> None:
    """Options reach `plumbline down`."""
    checkout = make_checkout(tmp_path, "down")
    assert run_script(checkout, "down", "--local", "/elsewhere") == [
        "native -m operations down --local /elsewhere"
    ]


def test_with_an_engine_the_containers_of_both_clocks_are_stopped(tmp_path: Path) -> None:
    """Only the demo clock loses its databases."""
    checkout = make_checkout(tmp_path, "down")
    (checkout / "engine").touch()
    assert run_script(checkout, "down") == [
        "docker compose --env-file demo-clock.env --profile load down --volumes",
        "docker compose --profile load down",
    ]


def test_a_native_stack_is_stopped_although_an_engine_answers(tmp_path: Path) -> None:
    """`scripts/up --native` may have started it."""
    checkout = make_checkout(tmp_path, "down")
    (checkout / "engine").touch()
    (checkout / ".local" / "run").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(checkout / ".local" / "run" / "supervisor.sock"))
        assert run_script(checkout, "down") == ["native -m operations down"]
