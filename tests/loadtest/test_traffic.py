"""Options of the command line."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from loadtest.traffic import (
    OptionError,
    Options,
    Traffic,
    choose_labeled_rows,
    parse_models,
    parse_shares,
    prepare_traffic,
    read_token,
)
from tests.loadtest.stub_predictor import stub_predictor


def _prepare(host: str, **changes: Any) -> Traffic:
    options = {
        "models": "iris,diabetes",
        "rate": 1.0,
        "batch_rows": 2,
        "label_share": 0.0,
        "label_delay": 5.0,
        "slang_share": 0.0,
        "malformed_share": 0.0,
        "user_classes": (),
        "token_file": None,
        "wait_ready": 0.0,
        "shed_is_failure": False,
        **changes,
    }
    return prepare_traffic(host, cast(Options, SimpleNamespace(**options)))


def test_models_have_weights() -> None:
    """A model without a weight has 1."""
    assert parse_models("iris=3, tickets") == {"iris": 3.0, "tickets": 1.0}


@pytest.mark.parametrize("text", ["", "iris=0", "iris=-1", "iris=x"])
def test_wrong_models_are_refused(text: str) -> None:
    """No model, no weight and a wrong weight are errors."""
    with pytest.raises(OptionError, match="--models"):
        parse_models(text)


def test_what_is_left_makes_single_predictions() -> None:
    """The share of single predictions is the rest, and may be nothing."""
    shares = parse_shares(batch=0.05, label=0.5, slang=0.0, malformed=0.01)
    assert shares["SinglePredictionUser"] == 0.44
    assert shares["GroundTruthUser"] == 0.5
    assert parse_shares(batch=0.5, label=0.2, slang=0.2, malformed=0.1)["SinglePredictionUser"] == 0


@pytest.mark.parametrize("shares", [(0.9, 0.2, 0.0, 0.0), (-0.1, 0.0, 0.0, 0.0), (0.0, -0.1, 0.0, 0.0)])
def test_impossible_shares_are_refused(shares: tuple[float, float, float, float]) -> None:
    """Shares below 0, or above 1 in sum, are errors."""
    batch, label, slang, malformed = shares
    with pytest.raises(OptionError, match="shares"):
        parse_shares(batch=batch, label=label, slang=slang, malformed=malformed)


@pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan")])
def test_an_impossible_delay_is_refused(seconds: float) -> None:
    """A truth cannot come before its prediction, nor never."""
    with pytest.raises(OptionError, match="--label-delay"):
        _prepare("http://127.0.0.1:9", label_delay=seconds)


def test_what_nobody_sends_is_not_prepared() -> None:
    """Without users that label or send bad requests the predictor is asked for its signatures only."""
    with stub_predictor() as stub:
        traffic = _prepare(stub.url)
        assert not stub.models
    assert not any(model.truths for model in traffic.models)
    assert traffic.malformed == ()


@pytest.mark.parametrize("changes", [{"label_share": 0.5}, {"user_classes": ("GroundTruthUser",)}])
def test_rows_are_chosen_with_their_truths(changes: dict[str, Any]) -> None:
    """A share, or the user's name on the command line, gives each row the class of the signature."""
    with stub_predictor() as stub:
        iris, diabetes = _prepare(stub.url, **changes).models
    pairs = dict(zip(iris.rows, iris.truths, strict=True))
    rows, truths = choose_labeled_rows(iris, 50)
    assert list(truths) == [pairs[row] for row in rows]
    assert set(iris.truths) == {"Setosa", "VIRGINICA", "versicolor"}
    assert all(isinstance(truth, float) for truth in diabetes.truths)


def test_bad_truths_are_for_predictions_of_this_predictor() -> None:
    """One prediction of each model is asked for, so that only the value can be wrong."""
    with stub_predictor() as stub:
        malformed = _prepare(stub.url, malformed_share=0.1).malformed
        assert sorted(stub.models.values()) == ["diabetes", "iris"]
    wrong = [bad.body or b"" for bad in malformed if bad.name == "truth of a wrong class"]
    assert [
        prediction_id
        for prediction_id, body in zip(stub.models, wrong, strict=True)
        if prediction_id.encode() in body
    ] == list(stub.models)


def test_the_token_is_the_last_word_of_the_first_line(tmp_path: Path) -> None:
    """A file with the bare token and the predictor's own token file both serve."""
    path = tmp_path / "token"
    for content in ("s3cret\n", "loadtest s3cret\nother t0ken\n"):
        path.write_text(content, encoding="utf-8")
        assert read_token(str(path)) == "s3cret"
    assert read_token(None) is None


def test_a_missing_or_empty_token_file_is_refused(tmp_path: Path) -> None:
    """No file and a file without a token are errors, rather than a run without a token."""
    path = tmp_path / "token"
    with pytest.raises(OptionError, match="No such file"):
        read_token(str(path))
    path.write_text("\n", encoding="utf-8")
    with pytest.raises(OptionError, match="has no token"):
        read_token(str(path))
