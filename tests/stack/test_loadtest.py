"""The load test against a stub that keeps or breaks the contract, and against a running predictor."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pytest

from loadtest.payloads import DEMO_MODELS
from tests.loadtest.locust_run import SCENARIOS, run_locust
from tests.loadtest.stub_predictor import TOKEN, stub_predictor

TABULAR = ("--models", "iris=2,breast_cancer,wide_forest,diabetes")
SHORT = ("--run-time", "4s", "--rate", "20")


class Predictor(Protocol):
    """A running predictor."""

    url: str


def test_the_smoke_scenario_passes_and_writes_its_report(predictor: Predictor, tmp_path: Path) -> None:
    """Ten seconds of real rows, batches and bad requests get only expected answers; CSV and HTML tell so."""
    run = run_locust(tmp_path, "smoke", predictor.url)
    assert run.failure_texts == set()
    assert run.returncode == 0, run.stderr
    for model_name in DEMO_MODELS:
        for kind in ("single", "batch"):
            row = run.rows["POST", f"{kind} {model_name}"]
            assert int(row["Request Count"]) > 0, f"no {kind} request to {model_name} was answered"
            assert f"{kind} {model_name}" in run.html
    assert any(name.startswith("malformed ") for _, name in run.rows)


def test_a_predictor_that_keeps_the_contract_gets_no_failure(tmp_path: Path) -> None:
    """All users see only expected answers, from a predictor with tokens; CSV and HTML are written."""
    token_file = tmp_path / "tokens"
    token_file.write_text(f"loadtest {TOKEN}\n", encoding="utf-8")
    with stub_predictor(token=TOKEN) as stub:
        run = run_locust(tmp_path, "smoke", stub.url, *TABULAR, *SHORT, "--token-file", str(token_file))
    assert run.failure_texts == set()
    assert run.returncode == 0, run.stderr
    assert "Warning" not in run.stderr
    assert {f"single {name}" for name in ("iris", "breast_cancer", "wide_forest", "diabetes")} <= {
        name for _, name in run.rows
    }
    assert ("POST", "batch iris") in run.rows
    assert ("POST", "malformed no token") in run.rows
    assert "single iris" in run.html


def test_broken_promises_are_named(tmp_path: Path) -> None:
    """A batch in the wrong order and NaN that is served are failures with a text; the exit code is 1."""
    with stub_predictor("reverse", "lenient") as stub:
        run = run_locust(tmp_path, "smoke", stub.url, *TABULAR, *SHORT)
    assert "batch iris: the same row got another prediction than before" in run.failure_texts
    assert "malformed NaN: answered 200 instead of 422" in run.failure_texts
    assert run.returncode == 1


@pytest.mark.parametrize(("arguments", "returncode"), [((), 0), (("--shed-is-failure",), 1)])
def test_shed_requests_have_rows_of_their_own(
    tmp_path: Path, arguments: tuple[str, ...], returncode: int
) -> None:
    """503 with Retry-After is of type SHED, and a failure only if asked for."""
    options = ("--models", "iris", "--run-time", "4s", "--malformed-share", "0", *arguments)
    with stub_predictor("shed") as stub:
        run = run_locust(tmp_path, "smoke", stub.url, *options)
    assert int(run.rows["SHED", "single iris"]["Request Count"]) > 0
    assert int(run.rows["POST", "single iris"]["Failure Count"]) == 0
    assert run.returncode == returncode


def test_a_named_user_class_runs_alone(tmp_path: Path) -> None:
    """Naming a class on the command line overrules the shares."""
    with stub_predictor() as stub:
        run = run_locust(tmp_path, "smoke", stub.url, *TABULAR, "--run-time", "4s", "BatchPredictionUser")
    assert run.returncode == 0, run.stderr
    assert {name.split()[0] for _, name in run.rows} == {"batch", "Aggregated"}


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
