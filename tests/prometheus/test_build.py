"""The rendered folder is complete, says where it comes from, and runs on the clock asked for."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from prometheus.build import ROOT, SLACK_URL_FILE, Settings, prometheus_flags, render, scale
from tests.prometheus.monitoring_binaries import LINES, binaries

SOURCES = {
    path.relative_to(ROOT / folder): path
    for folder, patterns in {
        "prometheus": ["prometheus.yml", "rules/*.yml", "targets/*.yml"],
        "alertmanager": ["alertmanager.yml", "templates/*.tmpl"],
    }.items()
    for pattern in patterns
    for path in (ROOT / folder).glob(pattern)
}
ELSEWHERE = Settings(
    factor=60,
    runbook_base="https://wiki.example/5m/runbooks/",
    dashboard_base="https://grafana.example",
    predictors=("10.0.0.1:9101", "10.0.0.2:9101"),
    prometheus=("10.0.0.3:9090",),
    alertmanagers=("10.0.0.4:9093", "10.0.0.5:9093"),
    sink="http://10.0.0.6:9094",
)


@pytest.mark.parametrize(
    ("text", "scaled"),
    [
        ("rate(x[5m])", "rate(x[5s])"),
        ("x[1h:1m] offset 30m", "x[1m:1s] offset 30s"),
        ("for: 15m", "for: 15s"),
        ("interval: 30s", "interval: 1s"),
        ("group_wait: 0s", "group_wait: 0s"),
        ("[90s] [90m] [1d] [3d]", "[1500ms] [90s] [24m] [72m]"),
        ("increase(x[315s])) / 1.05  # 315s/5m", "increase(x[6s])) / 1.2  # 6s/5s"),
        ("/ 1.05  # of 5m", "/ 1.05  # of 5s"),
        ("model:ml_inputs:increase1h", "model:ml_inputs:increase1h"),
        ('{window="1h"} [1h]', '{window="1h"} [1m]'),
        (r'printf "x{a=\"%s\"}[1h]" over 1h', r'printf "x{a=\"%s\"}[1h]" over 1m'),
        ("body_size_limit: 64MB", "body_size_limit: 64MB"),
        ("> 3600 # seconds of the clock, an hour", "> 60 # seconds of the clock, an hour"),
        ("* 1  # seconds of the clock", "* 0.0166667  # seconds of the clock"),
        ("> 3600 # rows", "> 3600 # rows"),
        ("for: 2m  # at least 10 real seconds", "for: 10s  # at least 10 real seconds"),
        ("for: 30m  # at least 10 real seconds", "for: 30s  # at least 10 real seconds"),
    ],
)
def test_durations_are_divided_and_nothing_else(text: str, scaled: str) -> None:
    """Scale ranges, steps, offsets, waits and marked seconds to no less than 1s; leave names and quotes."""
    assert scale(text, 60) == scaled
    assert scale(text, 1) == text


@pytest.mark.parametrize("factor", [1, 20, 60, 600])
def test_windows_laid_end_to_end_overlap_by_one_scrape(tmp_path: Path, factor: int) -> None:
    """Look back an interval of the group and one scrape on every clock, neither less nor more."""
    render(Settings(factor=factor), tmp_path)
    configuration = yaml.safe_load((tmp_path / "prometheus.yml").read_text())
    text = (tmp_path / "rules" / "quality.recording.yml").read_text()
    (group,) = (each for each in yaml.safe_load(text)["groups"] if each["name"] == "quality_5m.recording")
    interval, scrape = seconds(group["interval"]), seconds(configuration["global"]["scrape_interval"])
    for rule in group["rules"]:
        windows = {seconds(window) for window in re.findall(r"\[(\w+)\]", rule["expr"])}
        assert windows == {interval + scrape}, rule["record"]
    quotients = re.findall(r"/ (\S+)  # \w+/\w+$", text, re.MULTILINE)
    assert len(quotients) == len(group["rules"])
    (quotient,) = {float(each) for each in quotients}
    assert quotient == pytest.approx((interval + scrape) / interval)


def seconds(duration: str) -> int:
    """Read a duration of whole seconds, minutes or hours."""
    return int(duration[:-1]) * {"s": 1, "m": 60, "h": 3600}[duration[-1]]


def test_a_compound_duration_is_refused() -> None:
    """Refuse 1h30m by name rather than leave it unscaled."""
    with pytest.raises(ValueError, match="'1h30m'"):
        scale("rate(x[1h30m])", 60)


def test_a_slower_clock_is_refused(tmp_path: Path) -> None:
    """Refuse a factor below 1."""
    with pytest.raises(ValueError, match="at least 1, got 0"):
        render(Settings(factor=0), tmp_path)


def test_the_production_clock_is_the_committed_files(tmp_path: Path) -> None:
    """Add nothing but the first line at factor 1 with the default addresses."""
    written = render(Settings(slack_url_file=SLACK_URL_FILE), tmp_path)
    assert {path.relative_to(tmp_path) for path in written} == set(SOURCES)
    assert {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()} == set(SOURCES)
    for path, source in SOURCES.items():
        first, rest = (tmp_path / path).read_text().split("\n", 1)
        assert rest == source.read_text()
        assert f"from {source.relative_to(ROOT)} for the production clock. DO NOT EDIT." in first


def test_addresses_and_links_are_replaced_everywhere(tmp_path: Path) -> None:
    """Leave no default address, and change no word of one that looks like a duration."""
    render(ELSEWHERE, tmp_path)
    text = {str(path): (tmp_path / path).read_text() for path in SOURCES}
    for default in (
        "localhost",
        "github.com",
        "predictor:9101",
        '"prometheus:9090',
        "http://sink",
        "/run/secrets",
    ):
        assert not [path for path, content in text.items() if default in content]
    assert "https://wiki.example/5m/runbooks/PredictorDown.md" in text["rules/predictor.alerts.yml"]
    assert "https://grafana.example/d/" in text["rules/predictor.alerts.yml"]
    assert yaml.safe_load(text["targets/predictor.yml"]) == [{"targets": list(ELSEWHERE.predictors)}]
    assert yaml.safe_load(text["targets/alertmanager.yml"]) == [{"targets": list(ELSEWHERE.alertmanagers)}]
    configuration = yaml.safe_load(text["alertmanager.yml"])
    assert configuration["global"]["slack_api_url_file"] == str(tmp_path / "slack_url")
    assert (tmp_path / "slack_url").read_text() == "http://10.0.0.6:9094/slack\n"
    (webhook,) = configuration["receivers"][1]["webhook_configs"]
    assert webhook["url"] == "http://10.0.0.6:9094/watchdog"


def test_a_webhook_of_ones_own_is_only_pointed_at(tmp_path: Path) -> None:
    """Write the path of the secret, however odd, and never a file of our own beside it."""
    secret = tmp_path / "it's #1: a 5m file"
    render(
        Settings(factor=60, slack_url_file=str(secret), watchdog_url="https://beat.example/5m"),
        tmp_path / "out",
    )
    configuration = yaml.safe_load((tmp_path / "out" / "alertmanager.yml").read_text())
    assert configuration["global"]["slack_api_url_file"] == str(secret)
    assert configuration["receivers"][1]["webhook_configs"][0]["url"] == "https://beat.example/5m"
    assert not (tmp_path / "out" / "slack_url").exists()


def test_a_rule_file_of_an_earlier_version_is_removed(tmp_path: Path) -> None:
    """Leave no rule file that was not rendered now, since Prometheus reads them all."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "gone.alerts.yml").write_text("groups: []\n")
    render(Settings(), tmp_path)
    assert not (tmp_path / "rules" / "gone.alerts.yml").exists()


def test_the_fast_clock_keeps_every_name(tmp_path: Path) -> None:
    """Change durations only: same groups, same rules, scrapes each second."""
    render(ELSEWHERE, tmp_path)

    def names(path: Path) -> list[str]:
        groups = yaml.safe_load(path.read_text())["groups"]
        return [rule.get("record") or rule["alert"] for group in groups for rule in group["rules"]]

    for path, source in SOURCES.items():
        if path.parent.name == "rules":
            assert names(tmp_path / path) == names(source)
            assert not re.search(r"\[\d+[hd]\]", (tmp_path / path).read_text())
    configuration = yaml.safe_load((tmp_path / "prometheus.yml").read_text())
    assert configuration["global"] == {
        "scrape_interval": "1s",
        "scrape_timeout": "1s",
        "evaluation_interval": "1s",
    }


def test_the_clock_names_the_flags_of_prometheus() -> None:
    """Resend alerts as often as the clock makes Alertmanager forget them."""
    assert prometheus_flags(1) == ["--rules.alert.resend-delay=1m"]
    assert prometheus_flags(60) == ["--rules.alert.resend-delay=1s"]


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("factor", [1, 60])
def test_the_rendered_folder_is_valid(tmp_path: Path, line: str, factor: int) -> None:
    """Pass promtool and amtool of both lines at both clocks, rules, targets and templates included."""
    render(Settings(factor=factor), tmp_path)
    folder = binaries(line)
    for command in (
        [str(folder / "promtool"), "check", "config", str(tmp_path / "prometheus.yml")],
        [str(folder / "amtool"), "check-config", str(tmp_path / "alertmanager.yml")],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
