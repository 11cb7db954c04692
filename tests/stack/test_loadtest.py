"""The load test against a stub that keeps or breaks the contract, and against a running predictor."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from loadtest.payloads import DEMO_MODELS
from tests.loadtest.locust_run import SCENARIOS, LocustRun, run_locust
from tests.loadtest.stub_predictor import TOKEN, stub_predictor
from tests.stack.predictor_process import ROOT, RunningPredictor, sum_of
from tests.stack.worker_process import wait_until

TABULAR = ("--models", "iris=2,breast_cancer,wide_forest,diabetes")
SHORT = ("--run-time", "4s", "--rate", "20")
DEVIATIONS = 6
"""Chance does not reach that in ten thousand runs; labels of other rows are far beyond."""


def requests(run: LocustRun, name: str) -> int:
    """Return how many requests of one kind were answered."""
    return int(run.rows["POST", name]["Request Count"])


def increase(before: dict[str, float], after: dict[str, float], name: str, **labels: str) -> float:
    """Return by how much the series of one name grew."""
    return sum_of(after, name, **labels) - sum_of(before, name, **labels)


def test_the_smoke_scenario_passes_and_its_truths_measure_the_models(
    predictor: RunningPredictor, tmp_path: Path
) -> None:
    """Every kind of request is answered as promised; what the truths measure is what validation has shown."""
    before = predictor.samples()
    run = run_locust(tmp_path, "smoke", predictor.url)
    assert run.failure_texts == set()
    assert run.returncode == 0, run.stderr
    for model_name in DEMO_MODELS:
        for kind in ("single", "batch"):
            assert requests(run, f"{kind} {model_name}") > 0
            assert f"{kind} {model_name}" in run.html
    assert requests(run, "batch ground truth") > 0
    assert any(name.startswith("malformed ") for _, name in run.rows)

    wait_until(lambda: predictor.total("ml_prediction_log_backlog_bytes") == 0, "every truth drained")
    after = predictor.samples()
    assert increase(before, after, "ml_ground_truth_total", result="conflict") == 0
    assert increase(before, after, "ml_ground_truth_total", result="unknown_version") == 0
    for model_name in DEMO_MODELS:
        check_measured_quality(before, after, model_name)


def check_measured_quality(before: dict[str, float], after: dict[str, float], model_name: str) -> None:
    """Compare what the truths of a run say of a model with its validation scores."""
    manifest = json.loads((ROOT / "bundles" / model_name / "1" / "manifest.json").read_bytes())
    scores = manifest["validation_scores"]
    count = increase(before, after, "ml_ground_truth_total", model_name=model_name, result="counted")
    assert count > 0, f"{model_name} got no truth"
    if "accuracy" in scores:
        outcomes = {"model_name": model_name, "aspect": "correct"}
        measured = increase(before, after, "ml_class_outcomes_total", **outcomes) / count
        expected, deviation = scores["accuracy"], math.sqrt(scores["accuracy"] * (1 - scores["accuracy"]))
    else:
        errors = ("ml_overestimate_total", "ml_underestimate_total")
        total = sum(increase(before, after, name, model_name=model_name) for name in errors)
        measured = total / count * sum_of(after, "ml_target_reference_stddev", model_name=model_name)
        expected, deviation = scores["mae"], math.sqrt(scores["rmse"] ** 2 - scores["mae"] ** 2)
    assert measured == pytest.approx(expected, abs=DEVIATIONS * deviation / math.sqrt(count)), model_name


def test_a_predictor_that_keeps_the_contract_gets_no_failure(tmp_path: Path) -> None:
    """All users see only expected answers, from a predictor with tokens; CSV and HTML are written."""
    token_file = tmp_path / "tokens"
    token_file.write_text(f"loadtest {TOKEN}\n", encoding="utf-8")
    with stub_predictor(token=TOKEN) as stub:
        options = (*TABULAR, *SHORT, "--label-delay", "0.2", "--token-file", str(token_file))
        run = run_locust(tmp_path, "smoke", stub.url, *options)
    assert run.failure_texts == set()
    assert run.returncode == 0, run.stderr
    assert "Warning" not in run.stderr
    assert {f"single {name}" for name in ("iris", "breast_cancer", "wide_forest", "diabetes")} <= {
        name for _, name in run.rows
    }
    assert ("POST", "batch iris") in run.rows
    assert ("POST", "malformed no token") in run.rows
    assert requests(run, "batch ground truth") > 0
    assert stub.truths
    # Some were told twice, and all of them with one value.
    assert {len(values) for values in stub.truths.values()} == {1, 2}
    assert all(len(set(values)) == 1 for values in stub.truths.values())
    assert "single iris" in run.html


def test_broken_promises_are_named(tmp_path: Path) -> None:
    """Wrong order, NaN that is served and a first truth in conflict have a text each; the exit code is 1."""
    with stub_predictor("reverse", "lenient", "conflict") as stub:
        run = run_locust(tmp_path, "smoke", stub.url, *TABULAR, *SHORT)
    assert "batch iris: the same row got another prediction than before" in run.failure_texts
    assert "malformed NaN: answered 200 instead of 422" in run.failure_texts
    assert "batch ground truth: a truth sent once was answered conflict" in run.failure_texts
    assert run.returncode == 1


@pytest.mark.parametrize(("arguments", "returncode"), [((), 0), (("--shed-is-failure",), 1)])
def test_shed_requests_have_rows_of_their_own(
    tmp_path: Path, arguments: tuple[str, ...], returncode: int
) -> None:
    """503 with Retry-After is of type SHED, and a failure only if asked for; truths are told all the same."""
    options = ("--models", "iris", "--run-time", "6s", "--malformed-share", "0", *arguments)
    with stub_predictor("shed") as stub:
        run = run_locust(tmp_path, "smoke", stub.url, *options)
    assert int(run.rows["SHED", "single iris"]["Request Count"]) > 0
    assert int(run.rows["POST", "single iris"]["Failure Count"]) == 0
    assert requests(run, "batch ground truth") > 0
    assert run.returncode == returncode


def test_a_named_user_class_runs_alone(tmp_path: Path) -> None:
    """Naming a class on the command line overrules the shares; it is prepared as with a share."""
    with stub_predictor() as stub:
        run = run_locust(tmp_path, "smoke", stub.url, *TABULAR, "--run-time", "4s", "BatchPredictionUser")
    assert run.returncode == 0, run.stderr
    assert {name.split()[0] for _, name in run.rows} == {"batch", "Aggregated"}
    assert not stub.truths


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--batch-share", "0.9", "--malformed-share", "0.9"), "the shares must lie between 0 and 1"),
        (("--host", "http://127.0.0.1:9", "--wait-ready", "0"), "was not answered within 0 s"),
    ],
)
def test_a_run_that_cannot_start_says_why(tmp_path: Path, arguments: tuple[str, ...], text: str) -> None:
    """A wrong option or an absent predictor ends the run with one line and exit code 1."""
    with stub_predictor() as stub:
        run = run_locust(tmp_path, "smoke", stub.url, "--models", "iris", *arguments)
    assert text in run.stderr
    assert "Traceback" not in run.stderr
    assert run.returncode == 1


def test_a_run_that_sends_nothing_fails(tmp_path: Path) -> None:
    """A run whose time is over before the predictor answers is no success."""
    run = run_locust(tmp_path, "smoke", "http://127.0.0.1:9", "--models", "iris", "--run-time", "3s")
    assert "loadtest: no request was sent" in run.stderr
    assert run.returncode == 1


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_is_understood(tmp_path: Path, scenario: str) -> None:
    """Locust knows each option of each scenario file."""
    run = run_locust(tmp_path, scenario, "http://127.0.0.1:9", "--show-task-ratio")
    assert run.returncode == 0, run.stderr
