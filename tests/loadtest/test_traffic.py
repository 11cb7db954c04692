"""Options of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.traffic import OptionError, parse_models, parse_shares, read_token


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
    assert parse_shares(0.05, 0.0, 0.01)["SinglePredictionUser"] == 0.94
    assert parse_shares(0.7, 0.2, 0.1)["SinglePredictionUser"] == 0


@pytest.mark.parametrize("shares", [(0.9, 0.2, 0.0), (-0.1, 0.0, 0.0)])
def test_impossible_shares_are_refused(shares: tuple[float, float, float]) -> None:
    """Shares below 0, or above 1 in sum, are errors."""
    with pytest.raises(OptionError, match="shares"):
        parse_shares(*shares)


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
