"""Renders the working folder of Prometheus and Alertmanager: another clock, other addresses, the same rules.

The committed files are the source and valid as they stand: the production clock, the compose services' names.
Neither program expands variables, so whatever differs from that is written by this module, by replacing text:
names, order and comments stay, and at factor 1 with the default addresses only the first line is new.
"""

import argparse
import json
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# What stands in the committed files and may be replaced.
RUNBOOK_BASE = "https://github.com/plumbline/plumbline/blob/main/docs/runbooks"
DASHBOARD_BASE = "http://localhost:3000"
SLACK_URL_FILE = "/run/secrets/slack_url"
PREDICTOR = "predictor:9101"
PROMETHEUS = "prometheus:9090"
ALERTMANAGER = "alertmanager:9093"
SINK = "http://sink:9094"

_MILLISECONDS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_COMPOUND = re.compile(r"(?<![\w.])(?:\d+(?:ms|[smhdw])){2,}(?!\w)")
# Text in double quotes is a label's value or a template's query, never a duration of a rule.
_QUOTED_OR_DURATION = re.compile(r'"(?:\\.|[^"\\\n])*"|(?<![\w.])(?P<count>\d+)(?P<unit>ms|[smhdw])(?!\w)')
# Windows laid end to end overlap by one scrape: both parts are scaled, each to no less than a second.
_SUMS = {"315s": ("5m", "15s")}
_DURATION = r"\d+(?:ms|[smhdw])"
_MARKED_QUOTIENT = re.compile(
    rf"\d+(?:\.\d+)?(?P<mark>\s*# (?P<dividend>{_DURATION})/(?P<divisor>{_DURATION}))\b"
)
# What waits for a program and not for the clock, for example until Prometheus has found its targets.
_MARKED_FLOOR = re.compile(
    r"(?P<duration>\d+(?:ms|[smhdw]))(?P<mark>\s*# at least (?P<floor>\d+) real seconds)"
)
_MARKED_SECONDS = re.compile(r"(?P<seconds>\d+(?:\.\d+)?)(?P<mark>\s*# seconds of the clock)")


@dataclass(frozen=True)
class Settings:
    """Say what differs from the committed files."""

    factor: int = 1
    """How many times faster than in production the clock of rules, scrapes and notifications runs."""
    runbook_base: str = RUNBOOK_BASE
    """Address of the folder of the runbooks."""
    dashboard_base: str = DASHBOARD_BASE
    """Address of Grafana."""
    predictors: tuple[str, ...] = (PREDICTOR,)
    """Exporters to scrape, each HOST:PORT."""
    prometheus: tuple[str, ...] = (PROMETHEUS,)
    """Prometheus servers to scrape, each HOST:PORT."""
    alertmanagers: tuple[str, ...] = (ALERTMANAGER,)
    """Alertmanagers to scrape and to send alerts to, each HOST:PORT."""
    sink: str = SINK
    """Address of the local Slack sink."""
    slack_url_file: str | None = None
    """File that holds the Slack webhook's address; none: a file is written that holds the sink's."""
    watchdog_url: str | None = None
    """Where Watchdog goes; none: the sink, which counts the beats."""


def render(settings: Settings, out: Path) -> list[Path]:
    """Write the whole working folder and return the files written."""
    if settings.factor < 1:
        raise ValueError(f"the factor of the clock must be at least 1, got {settings.factor}")
    out = out.resolve()
    slack_url_file = settings.slack_url_file
    if slack_url_file is None:
        slack_url_file = str(out / "slack_url")
        _write(out / "slack_url", f"{settings.sink}/slack\n")
    replacements = {
        RUNBOOK_BASE: settings.runbook_base.rstrip("/"),
        DASHBOARD_BASE: settings.dashboard_base.rstrip("/"),
        json.dumps(SLACK_URL_FILE): json.dumps(slack_url_file),
        json.dumps(f"{SINK}/watchdog"): json.dumps(settings.watchdog_url or f"{settings.sink}/watchdog"),
        json.dumps([PREDICTOR]): json.dumps(settings.predictors),
        json.dumps([PROMETHEUS]): json.dumps(settings.prometheus),
        json.dumps([ALERTMANAGER]): json.dumps(settings.alertmanagers),
    }
    written = []
    for source, target in _sources():
        text = (ROOT / source).read_text(encoding="utf-8")
        if target.suffix == ".yml":
            text = scale(text, settings.factor)
        for default, replacement in replacements.items():
            text = text.replace(default, replacement)
        _write(out / target, _header(source, settings.factor) + text)
        written.append(out / target)
    # Prometheus reads rules/*.yml: a file of an earlier version must not stay.
    for stale in set((out / "rules").glob("*.yml")) - set(written):
        stale.unlink()
    return written


def scale(text: str, factor: int) -> str:
    """Divide each duration in a configuration file by the factor, to no less than a second."""
    if factor == 1:
        return text
    if compound := _COMPOUND.search(text):
        raise ValueError(f"write {compound.group()!r} as one number and one unit, so that it can be scaled")

    def duration(match: re.Match[str]) -> str:
        if match["unit"] is None or int(match["count"]) == 0:
            return match.group()
        parts = _SUMS.get(match.group(), (match.group(),))
        milliseconds = sum(max(1000, _milliseconds(part) // factor) for part in parts)
        unit = next(unit for unit in ("h", "m", "s", "ms") if milliseconds % _MILLISECONDS[unit] == 0)
        return f"{milliseconds // _MILLISECONDS[unit]}{unit}"

    def quotient(match: re.Match[str]) -> str:
        return f"{_milliseconds(match['dividend']) / _milliseconds(match['divisor']):.9g}{match['mark']}"

    text = _QUOTED_OR_DURATION.sub(duration, text)

    def floored(match: re.Match[str]) -> str:
        is_below = _milliseconds(match["duration"]) < int(match["floor"]) * 1000
        return f"{match['floor']}s{match['mark']}" if is_below else match.group()

    text = _MARKED_QUOTIENT.sub(quotient, text)
    text = _MARKED_FLOOR.sub(floored, text)
    return _MARKED_SECONDS.sub(lambda match: f"{float(match['seconds']) / factor:g}{match['mark']}", text)


def _milliseconds(duration: str) -> int:
    count = duration.rstrip("msdhw")
    return int(count) * _MILLISECONDS[duration.removeprefix(count)]


def prometheus_flags(factor: int) -> list[str]:
    """Return the flags of Prometheus that belong to the clock."""
    return [scale("--rules.alert.resend-delay=1m", factor)]


def _sources() -> list[tuple[Path, Path]]:
    """List each committed file with its place in the working folder."""
    patterns = {
        "prometheus": ("prometheus.yml", "rules/*.yml", "targets/*.yml"),
        "alertmanager": ("alertmanager.yml", "templates/*.tmpl"),
    }
    return [
        (path.relative_to(ROOT), path.relative_to(ROOT / folder))
        for folder, globs in patterns.items()
        for pattern in globs
        for path in sorted((ROOT / folder).glob(pattern))
    ]


def _header(source: Path, factor: int) -> str:
    clock = "the production clock" if factor == 1 else f"a clock {factor} times as fast"
    line = f"Rendered by prometheus/build.py from {source.as_posix()} for {clock}. DO NOT EDIT."
    return f"{{{{/* {line} */}}}}\n" if source.suffix == ".tmpl" else f"# {line}\n"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m prometheus.build", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder to write")
    add("--factor", type=int, default=1, help="speed of the clock (default: 1; the demo's is 60)")
    add("--runbook-base", default=RUNBOOK_BASE, help="address of the runbooks' folder")
    add("--dashboard-base", default=DASHBOARD_BASE, help="address of Grafana")
    add("--predictor", action="append", metavar="HOST:PORT", help="exporter to scrape, repeatable")
    add("--prometheus", action="append", metavar="HOST:PORT", help="Prometheus to scrape, repeatable")
    add("--alertmanager", action="append", metavar="HOST:PORT", help="Alertmanager to use, repeatable")
    add("--sink", default=SINK, help="address of the local Slack sink")
    add("--slack-url-file", metavar="FILE", help="holds the Slack webhook's address (default: the sink's)")
    add("--watchdog-url", metavar="URL", help="outside check that gets Watchdog (default: the sink)")
    return parser


def main() -> None:
    """Render from the command line and print the flags that the clock needs."""
    arguments = _parser().parse_args()
    settings = Settings(
        factor=arguments.factor,
        runbook_base=arguments.runbook_base,
        dashboard_base=arguments.dashboard_base,
        predictors=tuple(arguments.predictor or [PREDICTOR]),
        prometheus=tuple(arguments.prometheus or [PROMETHEUS]),
        alertmanagers=tuple(arguments.alertmanager or [ALERTMANAGER]),
        sink=arguments.sink.rstrip("/"),
        slack_url_file=arguments.slack_url_file,
        watchdog_url=arguments.watchdog_url,
    )
    render(settings, arguments.out)
    print(" ".join(prometheus_flags(settings.factor)))  # noqa: T201 - for the shell that starts Prometheus


if __name__ == "__main__":
    main()
