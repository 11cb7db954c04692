"""The compose file and the Dockerfile keep their promises; scripts/compose-check runs them for real."""

from __future__ import annotations

import configparser
import re
from typing import Any

import pytest
import yaml

from operations.stack.layout import ROOT
from service.settings import Settings

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PUBLISHED = {"predictor": 8000, "prometheus": 9090, "alertmanager": 9093, "sink": 9094, "grafana": 3000}
GRACE_SECONDS = 40


def stages() -> dict[str, str]:
    """Give the text of each stage of the Dockerfile, in order."""
    parts = re.split(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, flags=re.MULTILINE)[1:]
    return {name: f"FROM {base}\n{text}" for base, name, text in zip(*[iter(parts)] * 3, strict=True)}


def test_the_stack_is_complete() -> None:
    """Every part of the stack is a service, and load is a profile."""
    assert set(SERVICES) == {*PUBLISHED, "configuration", "locust"}
    assert SERVICES["locust"]["profiles"] == ["load"]
    assert not [name for name, service in SERVICES.items() if "profiles" in service and name != "locust"]


def test_ports_are_published_on_loopback_only() -> None:
    """A port beyond this list, or open to the network, is a mistake; the exporter has none."""
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {name: [f"127.0.0.1:{port}:{port}"] for name, port in PUBLISHED.items()}


@pytest.mark.parametrize("name", SERVICES)
def test_containers_are_hardened(name: str) -> None:
    """No service can write its image, gain rights, or take the machine's memory and processes."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"] > 0
    assert service["mem_limit"]
    assert service["stop_grace_period"] == f"{GRACE_SECONDS}s"
    assert service["logging"]["options"]["max-size"]
    assert not {"privileged", "cap_add", "user", "pid"} & set(service)
    assert not [volume for volume in service.get("volumes", []) if "docker.sock" in volume]


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_or_built_here(name: str) -> None:
    """An image from elsewhere has an exact version, never `latest`."""
    service = SERVICES[name]
    if "build" in service:
        assert service["build"]["target"] in stages()
    else:
        assert re.fullmatch(r"docker\.io/\w+/\w+:v?\d+\.\d+\.\d+", service["image"])


def test_secrets_are_files() -> None:
    """No password or webhook stands in the environment or in the file."""
    assert all(set(secret) == {"file"} for secret in COMPOSE["secrets"].values())
    assert SERVICES["alertmanager"]["secrets"] == ["slack_url"]
    grafana = SERVICES["grafana"]
    assert grafana["secrets"] == ["grafana_admin_password"]
    assert grafana["environment"]["GF_SECURITY_ADMIN_PASSWORD__FILE"] == "/run/secrets/grafana_admin_password"
    assert grafana["environment"]["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
    assert "hooks.slack.com" not in (ROOT / "alertmanager" / "sink_url").read_text()


def test_without_a_webhook_the_sink_is_used() -> None:
    """The address file that is mounted by default points to the sink service."""
    default = re.search(r":-(.*)}", COMPOSE["secrets"]["slack_url"]["file"])
    assert default
    assert (ROOT / default[1]).read_text().strip() == f"http://sink:{PUBLISHED['sink']}/slack"


def test_demo_clock_is_a_switch() -> None:
    """Each variable of demo-clock.env is read by the compose file, whose default is production."""
    lines = [line for line in (ROOT / "demo-clock.env").read_text().splitlines() if not line.startswith("#")]
    demo = dict(line.split("=") for line in lines)
    text = (ROOT / "docker-compose.yml").read_text()
    # Databases of the demo clock must not be those of production.
    assert demo.pop("COMPOSE_PROJECT_NAME") != COMPOSE["name"]
    assert demo == {"PLUMBLINE_CLOCK_FACTOR": "60", "PLUMBLINE_RESEND_DELAY": "1s"}
    assert "${PLUMBLINE_CLOCK_FACTOR:-1}" in text
    assert "${PLUMBLINE_RESEND_DELAY:-1m}" in text


def test_scrape_targets_are_services() -> None:
    """The committed target files name services of the compose file."""
    for path in (ROOT / "prometheus" / "targets").glob("*.yml"):
        for entry in yaml.safe_load(path.read_text()):
            assert {target.partition(":")[0] for target in entry["targets"]} <= set(SERVICES)


def test_a_stop_has_time_for_every_request() -> None:
    """Gunicorn's grace fits into the supervisor's, and that into the container's."""
    supervisor = configparser.ConfigParser(inline_comment_prefixes=(";",))
    supervisor.read(ROOT / "operations" / "supervisord.conf")
    predictor = supervisor["program:predictor"]
    graceful = Settings.model_fields["graceful_timeout_seconds"].default
    assert graceful < int(predictor["stopwaitsecs"]) < GRACE_SECONDS
    assert predictor["stopasgroup"] == "false"
    assert predictor["killasgroup"] == "true"


def test_the_container_runs_predictor_exporter_and_drainer_and_never_gives_up() -> None:
    """All are restarted for ever and log to stdout; exporter and drainer outlive the draining predictor."""
    supervisor = configparser.ConfigParser(inline_comment_prefixes=(";",))
    supervisor.read(ROOT / "operations" / "supervisord.conf")
    programs = {name.partition(":")[2]: supervisor[name] for name in supervisor.sections() if ":" in name}
    assert set(programs) == {"predictor", "exporter", "drainer"}
    for program in programs.values():
        assert program["autorestart"] == "true"
        assert int(program["startretries"]) >= 10**9
        assert program["stdout_logfile"] == "/dev/fd/1"
    for name in ("exporter", "drainer"):
        assert int(programs[name]["priority"]) < int(programs["predictor"]["priority"])
    assert "unix_http_server" not in supervisor


def test_image_is_built_in_stages_and_runs_without_rights() -> None:
    """The last stage has packages copied in, no package manager run, and an unprivileged user."""
    last = list(stages().values())[-1]
    assert list(stages())[-1] == "predictor"
    assert "USER 10001:10001" in last
    assert "HEALTHCHECK" in last
    assert "STOPSIGNAL SIGTERM" in last
    assert not re.search(r"apt-get|apk|pip install|gcc|^RUN", last, re.MULTILINE)
    assert "COPY --from=bundles /bundles bundles" in last


def test_base_image_is_pinned_and_packages_are_checked() -> None:
    """One exact Python line, never `latest`; every installation checks hashes and compiles nothing."""
    bases = {text.split()[1] for text in stages().values()} - set(stages())
    assert bases == {"docker.io/library/python:3.13-slim"}
    installations = re.findall(r"pip install .*", DOCKERFILE)
    assert installations
    assert all("--require-hashes" in line and "--only-binary :all:" in line for line in installations)


def test_build_context_holds_only_what_is_copied() -> None:
    """The context starts from nothing, so that no secret and no bundle of the host can slip in."""
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert ignored[0] == "*"
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    copied = set(re.findall(r"^COPY ([^- ]\S*) ", DOCKERFILE, re.MULTILINE))
    assert {
        source for source in copied if not any(source == a or source.startswith(f"{a}/") for a in allowed)
    } == set()
    assert allowed <= copied | {path.split("/")[0] for path in copied}
