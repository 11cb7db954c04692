"""The rules pass promtool of both lines, and every alert has its runbook, its row and its test."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from prometheus.build import DASHBOARD_BASE, ROOT, RUNBOOK_BASE
from service.observability.metric_names import METRICS
from tests.prometheus.monitoring_binaries import LINES, binaries

RULE_FILES = sorted((ROOT / "prometheus" / "rules").glob("*.yml"))
TEST_FILES = sorted(Path(__file__).parent.glob("*.test.yml"))
# The days and hours of measured quality take long to evaluate: tests/stack/test_quality_rules.py runs them.
LONG_TEST_FILES = [path for path in TEST_FILES if path.name.startswith("quality")]
QUICK_TEST_FILES = [path for path in TEST_FILES if path not in LONG_TEST_FILES]
RULES: list[dict[str, Any]] = [
    rule
    for path in RULE_FILES
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
SERIES = {name for metric in METRICS.values() for name in metric.series}
SEVERITIES = {"critical", "warning", "info", "none"}
# A name, a text in quotes, a duration, a comment; or a number, which is what is looked for.
TOKEN = re.compile(r'[A-Za-z_:][\w:.]*|"[^"]*"|\d+(?:ms|[smhdwy])\b|#.*|(?P<number>\d+(?:\.\d+)?)')
# The key, with the indentation of a block of YAML.
EXPR = re.compile(r"^\s*expr: (\|\d)?")


def assert_passes(promtool: Path, path: Path) -> None:
    """Run one file of promtool's tests."""
    done = subprocess.run([promtool, "test", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("line", LINES)
def test_promtool_accepts_configuration_and_rules(line: str) -> None:
    """Accept prometheus.yml, its limits and each rule file, on the old and the new line."""
    promtool = binaries(line) / "promtool"
    for command, files in (("config", [ROOT / "prometheus" / "prometheus.yml"]), ("rules", RULE_FILES)):
        done = subprocess.run(
            [promtool, "check", command, *files], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("path", QUICK_TEST_FILES, ids=lambda path: path.name)
def test_promtool_finds_the_alerts_and_numbers_expected(line: str, path: Path) -> None:
    """Fire and stay silent as the test file says, on the old and the new line."""
    assert_passes(binaries(line) / "promtool", path)


def test_each_alert_has_exactly_one_runbook() -> None:
    """Name a runbook after each alert, and no other."""
    runbooks = {path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md") if path.stem != "README"}
    assert runbooks == set(ALERTS)


@pytest.mark.parametrize("name", ALERTS)
def test_each_runbook_answers_the_four_questions(name: str) -> None:
    """Say what the alert means, whom it hurts, how to find the cause and what to do."""
    text = (ROOT / "docs" / "runbooks" / f"{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Meaning", "Impact", "Diagnosis", "Mitigation"]


def test_each_alert_stands_in_the_list_with_its_severity() -> None:
    """Give one row of docs/alerts.md to each alert: its link, its severity, and when."""
    rows = re.findall(
        r"^\| \[(\w+)\]\(runbooks/(\w+)\.md\) \| (\w+) \| (.+) \|$",
        (ROOT / "docs" / "alerts.md").read_text(),
        re.MULTILINE,
    )
    assert [(name, severity) for name, _, severity, _ in rows] == [
        (name, rule["labels"]["severity"]) for name, rule in ALERTS.items()
    ]
    assert all(name == runbook for name, runbook, _, _ in rows)


def test_each_alert_is_expected_to_fire_by_a_test() -> None:
    """Leave no alert without a test in which it fires, and one in which it stays silent."""
    firing: set[str] = set()
    silent: set[str] = set()
    for path in TEST_FILES:
        for test in yaml.safe_load(path.read_text())["tests"]:
            for expected in test.get("alert_rule_test", []):
                (firing if expected.get("exp_alerts") else silent).add(expected["alertname"])
    assert firing == set(ALERTS)
    # Watchdog has no condition, so it cannot be silent.
    assert silent == set(ALERTS) - {"Watchdog"}


@pytest.mark.parametrize("name", ALERTS)
def test_each_alert_says_how_urgent_it_is_and_where_to_look(name: str) -> None:
    """Carry a severity, a static summary, a description, and both links derived from the alert's name."""
    rule = ALERTS[name]
    annotations = rule["annotations"]
    assert rule["labels"]["severity"] in SEVERITIES
    assert not any("$value" in value for value in rule["labels"].values())
    assert annotations.keys() == {"summary", "description", "runbook_url", "dashboard_url"}
    assert re.fullmatch(r"[A-Z][^{}]*\.", annotations["summary"])
    assert annotations["runbook_url"] == f"{RUNBOOK_BASE}/{name}.md"
    assert annotations["dashboard_url"].startswith(f"{DASHBOARD_BASE}/d/")


@pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.name)
def test_each_number_in_an_expression_has_its_reason_beside_it(path: Path) -> None:
    """Allow 0 and 1, and any other number only with a comment on its line or the one above."""
    lines = path.read_text().splitlines()
    expression_indent = None
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if EXPR.match(line):
            expression_indent = indent
        elif expression_indent is None or (line.strip() and indent <= expression_indent):
            expression_indent = None
            continue
        found = {match["number"] for match in TOKEN.finditer(EXPR.sub("", line))} - {None, "0", "1"}
        assert not found or "#" in line or "#" in lines[number - 1], f"{path.name}:{number + 1}: {line}"


def test_recorded_names_say_level_metric_and_operation() -> None:
    """Follow level:metric:operations, and record each name once."""
    names = [rule["record"] for rule in RULES if "record" in rule]
    assert len(names) == len(set(names))
    for name in names:
        # The tickets demo's counters keep the name of a counter, since that is what they are.
        labels = "_kind|_outcome|_le|_class|_bin|_actual|_lower"
        pattern = rf"(handler|model|instance|le)({labels})*:\w+:\w+|ml_pred_[a-z]+_total"
        assert re.fullmatch(pattern, name), name


def recorded_in(text: str) -> set[str]:
    """Return the recorded names in a text."""
    return set(re.findall(r"[a-z_]+:\w+:\w+", text))


def metrics_in(text: str) -> set[str]:
    """Return the names of the service's metrics in a text."""
    return set(re.findall(r"(?<![\w:])(?:ml|http|plumbline)_\w+\b(?!:)", text))


def test_each_name_in_a_rule_is_recorded_or_exported() -> None:
    """Read nothing that no rule records and the service does not declare."""
    text = "\n".join(rule["expr"] + str(rule.get("annotations", "")) for rule in RULES)
    assert recorded_in(text) <= RECORDED
    assert metrics_in(text) <= SERIES
    assert len(metrics_in(text)) > 10


@pytest.mark.parametrize("line", LINES)
def test_the_queries_of_the_runbooks_can_be_run(line: str, tmp_path: Path) -> None:
    """Write only valid PromQL over existing names into the runbooks, one query per line."""
    blocks = [
        block
        for name in ALERTS
        for block in re.findall(
            r"```promql\n(.*?)```", (ROOT / "docs" / "runbooks" / f"{name}.md").read_text(), re.DOTALL
        )
    ]
    queries = [query for block in blocks for query in block.splitlines()]
    rules = [
        {"record": f"runbook:query:number{number}", "expr": query} for number, query in enumerate(queries)
    ]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "runbooks", "rules": rules}]}))
    done = subprocess.run(
        [binaries(line) / "promtool", "check", "rules", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(queries) > len(ALERTS)
    assert metrics_in("\n".join(queries)) <= SERIES
    assert recorded_in("\n".join(queries)) <= RECORDED
