"""Rows of the demo models."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest import payloads
from loadtest.payloads import DEMO_MODELS, PayloadError, load_slang, load_table
from training.__main__ import DEMOS


@pytest.mark.parametrize("model_name", DEMO_MODELS)
def test_rows_are_those_that_training_held_out(model_name: str) -> None:
    """Rows and truths, rebuilt here without training/, are the validation rows of training/."""
    demo = DEMOS[model_name]()
    held_out = demo.validation.drop(columns=demo.target)
    table = load_table(model_name)
    assert table.rows == tuple(held_out.itertuples(index=False, name=None))
    assert table.truths == tuple(demo.validation[demo.target].tolist())


def test_tickets_are_the_validation_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only messages that the model was not trained on are sent."""
    path = tmp_path / "tickets.csv"
    path.write_text('text,category,split\nin,network,train\n"out, there",account,validation\n', "utf-8")
    monkeypatch.setattr(payloads, "TICKETS", path)
    assert load_table("tickets").rows == (("out, there",),)
    assert load_table("tickets").truths == ("account",)


def test_slang_is_the_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every message of the file is sent, whatever its kind."""
    path = tmp_path / "slang.csv"
    path.write_text("text,kind\nyo wifi b trippin,slang\nbest lasagne?,off_topic\n", "utf-8")
    monkeypatch.setattr(payloads, "SLANG", path)
    assert load_slang().rows == (("yo wifi b trippin",), ("best lasagne?",))
    assert load_slang().truths == ()


def test_a_missing_or_empty_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says which file is missing or empty."""
    path = tmp_path / "slang.csv"
    monkeypatch.setattr(payloads, "SLANG", path)
    with pytest.raises(PayloadError, match=r"slang\.csv is missing"):
        load_slang()
    path.write_text("text,kind\n", "utf-8")
    with pytest.raises(PayloadError, match=r"slang\.csv has no row to send"):
        load_slang()


def test_a_model_without_rows_is_named() -> None:
    """The error says for which models there are rows."""
    with pytest.raises(PayloadError, match="no rows are known for model other; known: iris, breast_cancer"):
        load_table("other")
