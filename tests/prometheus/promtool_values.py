"""Reads recorded values out of `promtool test rules`: where it expects nothing, it prints what it got."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from prometheus.build import ROOT
from tests.prometheus.monitoring_binaries import binaries

Labels = frozenset[tuple[str, str]]
Values = dict[str, dict[Labels, float]]
"""Of each query, the value of each series."""

GROUP_ORDER = (
    "traffic.recording",
    "quality.recording",
    "quality_5m.recording",
    "ground_truth.recording",
    "quality_1h.recording",
    "ranking_1h.recording",
    "calibration_1h.recording",
    "quality_1d.recording",
    "ranking_1d.recording",
    "calibration_1d.recording",
    "quality.alerts",
)
"""The order that a running server has by and by: promtool evaluates each group once a step."""

_ANSWER = re.compile(
    r'^ +expr: ("(?:\\.|[^"\\])*"), time: [^\n]*\n +exp: nil\n +got: ([^\n]+)$', re.MULTILINE
)
_SAMPLE = re.compile(r"\{([^}]*)\} (\S+?)(?:, |$)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class History:
    """Series as promtool reads them.

    Args:
        series: the values, in promtool's notation, by series.
        interval: distance of two samples.
        evaluation_interval: distance of two evaluations of all rules.
        at: when the values are asked for.
    """

    series: Mapping[str, str]
    interval: str
    evaluation_interval: str
    at: str
    rule_files: tuple[str, ...] = field(
        default=(
            "traffic.recording.yml",
            "quality.recording.yml",
            "quality_1h.recording.yml",
            "quality_scores_1h.recording.yml",
            "quality_1d.recording.yml",
            "quality_scores_1d.recording.yml",
            "quality.alerts.yml",
        )
    )


def promtool_values(line: str, folder: Path, history: History, queries: Iterable[str]) -> Values:
    """Evaluate the shipped rules over a history; return what each query gives, if it gives anything."""
    expected_nothing = [{"expr": query, "eval_time": history.at} for query in queries]
    document: dict[str, Any] = {
        "rule_files": [str(ROOT / "prometheus" / "rules" / name) for name in history.rule_files],
        "evaluation_interval": history.evaluation_interval,
        "group_eval_order": list(GROUP_ORDER),
        "tests": [
            {
                "interval": history.interval,
                "input_series": [
                    {"series": name, "values": values} for name, values in history.series.items()
                ],
                "promql_expr_test": expected_nothing,
            }
        ],
    }
    path = folder / "values.test.yml"
    path.write_text(yaml.dump(document, Dumper=yaml.CSafeDumper, width=10**9))
    done = subprocess.run(
        [binaries(line) / "promtool", "test", "rules", path], capture_output=True, text=True, check=False
    )
    output = done.stdout + done.stderr
    assert "err:" not in output, output
    found = {
        yaml.safe_load(query): {
            frozenset(pair for pair in _LABEL.findall(labels) if pair[0] != "__name__"): float(value)
            for labels, value in _SAMPLE.findall(samples)
        }
        for query, samples in _ANSWER.findall(output)
    }
    assert output.count("got:") == len(found), output
    return found
