"""What can be said of Alertmanager's configuration without running it."""

import re
from typing import Any

import pytest
import yaml

from prometheus.build import ROOT

TEXT = (ROOT / "alertmanager" / "alertmanager.yml").read_text()
CONFIGURATION: dict[str, Any] = yaml.safe_load(TEXT)
TEMPLATES = (ROOT / "alertmanager" / "templates" / "slack.tmpl").read_text()
ALERTS = {
    rule["alert"]
    for path in (ROOT / "prometheus" / "rules").glob("*.alerts.yml")
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
}
# Alertmanager 0.25 does not have these: the message would be lost there.
NEWER_FUNCTIONS = {
    "trimSpace",
    "date",
    "tz",
    "since",
    "humanizeDuration",
    "toJson",
    "urlUnescape",
    "dict",
    "now",
}


def test_no_secret_stands_in_the_configuration() -> None:
    """Read the webhook's address from a file only."""
    assert CONFIGURATION["global"]["slack_api_url_file"].startswith("/")
    assert not re.search(r"hooks\.slack\.com|api_url:|slack_api_url:", TEXT)


def test_waits_differ_by_severity() -> None:
    """Group and repeat critical alerts faster than warnings."""
    route = CONFIGURATION["route"]
    critical = next(child for child in route["routes"] if child["matchers"] == ['severity="critical"'])
    assert (critical["group_interval"], critical["repeat_interval"]) == ("5m", "1h")
    assert (route["group_interval"], route["repeat_interval"]) == ("15m", "4h")
    assert route["group_by"] == ["alertname", "model_name"]


def test_only_existing_alerts_mute_and_are_muted_by_a_label_that_both_have() -> None:
    """Name alerts that exist, and match on both sides each label that must be equal."""
    for rule in CONFIGURATION["inhibit_rules"]:
        for side in ("source_matchers", "target_matchers"):
            names = re.fullmatch(r'alertname=~?"([\w|]+)"', rule[side][0])
            assert names is not None
            assert set(names[1].split("|")) <= ALERTS
            assert {f'{label}=~".+"' for label in rule["equal"]} <= set(rule[side])
        assert rule["equal"]


def test_each_template_that_is_asked_for_is_defined_and_each_defined_is_used() -> None:
    """Leave no template undefined, since amtool would not notice, and none unused."""
    asked = set(re.findall(r'template "([\w.]+)"', TEXT + TEMPLATES))
    defined = set(re.findall(r'define "([\w.]+)"', TEMPLATES))
    assert asked == defined


def test_templates_use_only_functions_of_the_old_line() -> None:
    """Call nothing that Alertmanager 0.25 lacks."""
    words = {
        word
        for action in re.findall(r"{{(.*?)}}", TEMPLATES)
        for word in re.findall(r"(?<![.\w$])\w+", action)
    }
    assert not words & NEWER_FUNCTIONS


@pytest.mark.parametrize("receiver", CONFIGURATION["receivers"], ids=lambda receiver: receiver["name"])
def test_each_receiver_says_whether_it_wants_the_resolved_form(receiver: dict[str, Any]) -> None:
    """Send resolved alerts to Slack, whose default is not to, and never to the Watchdog's receiver."""
    (settings,) = receiver.get("slack_configs") or receiver["webhook_configs"]
    assert settings["send_resolved"] is (receiver["name"] == "slack")
