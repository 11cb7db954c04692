"""The table says in 120 columns how each version does, and why a number is not there."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from operations.model_status import ModelStatus, statuses
from operations.model_table import LEGEND, MARKS, model_table
from operations.stack.prometheus_api import Alert, Sample
from operations.terminal_table import Style

WIDEST = {
    "is_scraped": 1,
    "requests_per_second": 1234.5,
    "error_ratio": 0.2345,
    "latency_p95_seconds": 1.2345,
    "latency_objective_seconds": 0.5,
    "latency_requests": 900,
    "accuracy_objective": 0.9173,
    "accuracy_1d": 0.71234,
    "accuracy_stderr_1d": 0.0021,
    "accuracy_bound_1d": 0.72,
    "labels_1h": 12,
    "labels_1d": 45678,
    "labels_total": 45678,
    "label_coverage_ratio": 0.87,
    "label_delay_p50_seconds": 8000,
    "label_delay_p90_seconds": 86400,
    "out_of_distribution_ratio": 0.184,
    "out_of_distribution_z": 22,
    "out_of_distribution_reference_ratio": 0.01,
    "input_rows": 1000,
}


def plain(text: str, _style: Style) -> str:
    """Paint nothing."""
    return text


def models(
    values: Mapping[tuple[str, str], Mapping[str, float]], *alerts: Alert, role: str = "stable"
) -> list[ModelStatus]:
    """Judge versions with these values."""
    samples = []
    for (name, version), numbers in values.items():
        pair = {"model_name": name, "model_version": version}
        samples.append(Sample({**pair, "value": "role", "role": role}, 1))
        samples += [Sample({**pair, "value": mark}, number) for mark, number in numbers.items()]
    return statuses(samples, alerts)


def row(values: Mapping[str, float]) -> list[str]:
    """Return the words of a version's row."""
    line = model_table(models({("iris", "7"): {"is_scraped": 1, **values}}), 120, plain)[2]
    return line.removeprefix("iris/7").split()


def test_every_number_stands_in_its_column_with_its_unit() -> None:
    """The titles name window and unit, and marks say what is beyond its objective."""
    lines = model_table(models({("iris", "7"): WIDEST}, role="canary"), 120, plain)
    assert lines[0].split() == [
        *("model/version", "role", "req/s", "errors", "p95", "ms", "measured", "objective", "labels"),
        *("coverage", "delay", "1d", "drift", "OOD"),
    ]
    assert lines[1].split() == ["5m", "5m", "5m", "±", "std", "error", "7d", "p50/p90", "1h", "1h"]
    assert lines[2].split() == [
        *("iris/7", "canary", "1234.5", "23.45%", "1234.5", "!!", "0.712", "±0.002", "!!"),
        *("acc", "≥0.9173", "45.7k", "1d", "87%", "2.2h/24h", "-", "18.4%", "!!"),
    ]
    assert lines[3:] == [LEGEND, MARKS]


@pytest.mark.parametrize("name", ["iris", "customer_churn_by_household_and_region"])
def test_the_widest_row_fits_120_columns(name: str) -> None:
    """In one part: every line below the titles belongs to a version, a note or the legend."""
    lines = model_table(models({(name, "2026-03"): WIDEST, ("b", "1"): WIDEST}, role="canary"), 120, plain)
    assert len(lines) == 6
    assert all(len(line) <= 120 for line in lines)


def test_a_long_name_gives_way_before_its_version() -> None:
    """Both ends of a name stay, and two versions of it can be told apart."""
    values = {("customer_churn_by_household_and_region", f"2026-03-1{day}"): WIDEST for day in (4, 5)}
    lines = model_table(models(values), 120, plain)
    first, second = (line.split()[0] for line in lines[2:4])
    assert first.startswith("c")
    assert "…" in first
    assert (first.rpartition("/")[2], second.rpartition("/")[2]) == ("2026-03-14", "2026-03-15")
    wide = model_table(models(values), 200, plain)
    assert wide[2].startswith("customer_churn_by_household_and_region/2026-03-14 ")


def test_a_narrow_terminal_gets_the_table_in_parts() -> None:
    """Each with the name again, none wider than the terminal."""
    lines = model_table(models({("iris", "7"): WIDEST}), 60, plain)
    assert sum(line.startswith("iris/7") for line in lines) > 1
    assert all(len(line) <= 60 for line in lines if line not in {LEGEND, MARKS})


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ({"labels_1h": 0, "labels_1d": 0, "labels_total": 0}, "no labels yet acc ≥0.85 0"),
        ({"labels_1h": 0, "labels_1d": 0, "labels_total": 70}, "none in 1d acc ≥0.85 0"),
        ({"labels_1h": 0, "labels_1d": 0}, "none in 1d acc ≥0.85 0"),
        ({"labels_1h": 3, "labels_1d": 49.9, "labels_total": 70}, "too few acc ≥0.85 49 of 50"),
        ({}, "- acc ≥0.85 -"),
    ],
)
def test_missing_quality_says_why(labels: dict[str, float], told: str) -> None:
    """How many truths there are and how many are needed stands where the sample would."""
    assert " ".join(row({"accuracy_objective": 0.85, **labels})) == f"stable - - - {told} - - - -"


def test_a_regression_is_told_in_its_own_unit() -> None:
    """Beyond the objective, but within chance: one mark."""
    values = {"mae_objective": 54.44, "mae_1h": 55.912, "mae_stderr_1h": 1.873, "mae_bound_1h": 50.3}
    words = " ".join(row({**values, "labels_1h": 1260}))
    assert words == "stable - - - 55.9 ±1.9 ! MAE ≤54.44 1,260 1h - - - -"


def test_an_external_version_without_numbers_has_a_row() -> None:
    """Dashes, not zeros."""
    assert row({}) == ["stable", *["-"] * 10]


def test_alerts_and_a_dead_target_stand_below_the_row() -> None:
    """In words, since colours may be off."""
    alerts = [Alert(name, "critical", "", "iris", "7") for name in ("ModelErrorRateHigh", "ModelAccuracyLow")]
    lines = model_table(models({("iris", "7"): {}}, *alerts), 120, plain)
    assert lines[3:5] == [
        "  not scraped now: no counter of it moves",
        "  firing: ModelAccuracyLow, ModelErrorRateHigh",
    ]


def test_colour_says_what_the_marks_say() -> None:
    """Red beyond chance, yellow within it, nothing where the objective is met."""
    painted: list[tuple[str, str]] = []

    def note(text: str, style: Style) -> str:
        painted.append((text, style))
        return text

    met = {**WIDEST, "accuracy_1d": 0.93, "latency_requests": 3, "out_of_distribution_z": 0}
    model_table(models({("iris", "7"): met, ("b", "1"): WIDEST}), 120, note)
    styles = {text: style for text, style in painted if style in {"red", "yellow"} and "!" not in text}
    assert styles == {"1234.5": "yellow", "0.712 ±0.002": "red", "18.4%": "red"}
