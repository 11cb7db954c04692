"""What the supervisor of the native stack is told."""

from __future__ import annotations

import configparser
import shlex
from pathlib import Path

import pytest

from operations.stack.layout import Layout, Ports, Stack
from operations.stack.programs import (
    GROUP,
    PROGRAMS,
    Program,
    native_programs,
    supervisor_configuration,
    tie_to_parent,
)
from service.settings import Settings

PORTS = Ports(8117, 9118, 9119, 9120, 9121)


def programs_of(tmp_path: Path, clock: str = "demo", **settings: object) -> dict[str, Program]:
    """List the programs of a stack by name."""
    stack = Stack(Layout(tmp_path), PORTS, clock)
    listed = native_programs(stack, Settings.model_validate(settings), tmp_path / "bin", traffic=True)
    return {program.name: program for program in listed}


def rendered(tmp_path: Path, *programs: Program) -> configparser.RawConfigParser:
    """Read back what is rendered, by the rules of the supervisor's own parser."""
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"))
    parser.read_string(supervisor_configuration(Stack(Layout(tmp_path), PORTS, "demo"), list(programs)))
    return parser


def test_every_program_of_the_stack_is_run(tmp_path: Path) -> None:
    """The names that `stop` and `start` take are those of the programs."""
    assert set(programs_of(tmp_path)) == set(PROGRAMS)


def test_traffic_can_be_left_out(tmp_path: Path) -> None:
    """Without demo traffic everything else stays."""
    stack = Stack(Layout(tmp_path), PORTS, "demo")
    listed = native_programs(stack, Settings(), tmp_path, traffic=False)
    assert {program.name for program in listed} == set(PROGRAMS) - {"traffic"}


def test_everything_listens_on_loopback(tmp_path: Path) -> None:
    """Whatever the environment says, this stack is reachable from this machine only."""
    programs = programs_of(tmp_path, host="192.0.2.7", allow_open_bind=True)
    for name in ("predictor", "exporter"):
        assert programs[name].environment["PLUMBLINE_HOST"] == "127.0.0.1"
        assert programs[name].environment["PLUMBLINE_EXPORTER_HOST"] == "127.0.0.1"
    assert "--web.listen-address=127.0.0.1:9119" in programs["prometheus"].command
    assert "--web.listen-address=127.0.0.1:9120" in programs["alertmanager"].command
    assert "--cluster.listen-address=" in programs["alertmanager"].command


def test_predictor_and_exporter_share_the_metrics_folder(tmp_path: Path) -> None:
    """What one counts the other shows."""
    programs = programs_of(tmp_path)
    assert programs["predictor"].environment == programs["exporter"].environment
    assert programs["predictor"].environment["PLUMBLINE_METRICS_DIR"] == str(tmp_path / "run" / "metrics")


def test_clock_reaches_prometheus_as_a_flag(tmp_path: Path) -> None:
    """What no rule file can hold depends on the clock too."""
    assert "--rules.alert.resend-delay=1s" in programs_of(tmp_path)["prometheus"].command
    assert "--rules.alert.resend-delay=1m" in programs_of(tmp_path, "production")["prometheus"].command


def test_traffic_shows_its_token(tmp_path: Path) -> None:
    """With tokens the demo traffic is let in."""
    command = programs_of(tmp_path, token_file="secrets/tokens")["traffic"].command
    assert command[-2:] == ["--token-file", "secrets/tokens"]


def test_the_arbiter_gets_its_whole_grace_and_stops_its_workers_itself(tmp_path: Path) -> None:
    """A kill before the end of the graceful timeout would cut answers."""
    predictor = programs_of(tmp_path, graceful_timeout_seconds=61)["predictor"]
    assert predictor.stop_seconds > 61
    assert not predictor.signal_group


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_supervisor_never_gives_up_and_kills_whole_groups(tmp_path: Path, name: str) -> None:
    """No number of failures ends a program for good, and nothing of its group survives a stop."""
    section = rendered(tmp_path, *programs_of(tmp_path).values())[f"program:{name}"]
    assert section["autorestart"] == "true"
    assert int(section["startretries"]) >= 10**9
    assert section["killasgroup"] == "true"
    assert section["stdout_logfile"] == str(tmp_path / "log" / f"{name}.log")
    assert section["stdout_logfile_maxbytes"] == "10MB"


def test_prometheus_starts_after_the_predictor(tmp_path: Path) -> None:
    """The seconds of a start raise no alert."""
    parser = rendered(tmp_path, *programs_of(tmp_path).values())
    waiting = {name for name in PROGRAMS if parser[f"program:{name}"]["autostart"] == "false"}
    assert waiting == {"prometheus", "traffic"}
    assert set(parser[f"group:{GROUP}"]["programs"].split(",")) == set(PROGRAMS)


def test_odd_characters_survive_the_configuration_file(tmp_path: Path) -> None:
    """Spaces, quotes and percent signs reach the program as they are."""
    odd = ["/opt/my tools/run", "100%", "it's", "a=b"]
    section = rendered(tmp_path, Program("sink", odd, {"A": "50%"}))["program:sink"]
    command = shlex.split(section["command"].replace("%%", "%"))
    assert command[-len(odd) :] == odd
    assert section["environment"] == 'A="50%%"'


def test_a_command_without_setpriv_is_run_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the program is missing the stack runs too; only a kill -9 of the supervisor leaves programs."""
    monkeypatch.setattr("shutil.which", lambda _name: None)
    assert tie_to_parent(["true"]) == ["true"]
