"""The committed boards are what the code renders, and the demo clock changes what it must."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from grafana import build
from grafana.clock import Clock
from prometheus.build import RUNBOOK_BASE
from tests.grafana.boards import ROOT


def test_committed_boards_are_fresh() -> None:
    """Rendering again gives the very files that are committed."""
    assert build.main(["--check"]) == 0


def test_rendering_is_deterministic() -> None:
    """Two runs give the same bytes."""
    assert build.render_boards(Clock()) == build.render_boards(Clock())


@pytest.mark.parametrize("change", ["altered", "missing", "left over"])
def test_check_names_a_stale_file(tmp_path: Path, change: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An altered, missing or left over board fails the check and is named."""
    assert build.main(["--out", str(tmp_path)]) == 0
    assert build.main(["--out", str(tmp_path), "--check"]) == 0
    board = tmp_path / "generated" / "overview.json"
    if change == "altered":
        board.write_text(board.read_text().replace("Overview", "Overwiev"))
    elif change == "missing":
        board.unlink()
    else:
        (board.parent / "gone.json").write_text("{}")
    assert build.main(["--out", str(tmp_path), "--check"]) == 1
    assert ("gone.json" if change == "left over" else "overview.json") in capsys.readouterr().err


def test_demo_clock_scales_windows_and_shows_a_banner(tmp_path: Path) -> None:
    """On the demo clock an hour is a minute, a banner says so, the data source knows the scrape interval."""
    assert build.main(["--factor", "60", "--out", str(tmp_path)]) == 0
    board = json.loads((tmp_path / "generated" / "overview.json").read_text())
    expressions = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    assert any("[1m]" in expr for expr in expressions)
    assert not any("[1h]" in expr for expr in expressions)
    assert board["time"]["from"] == "now-6m"
    banners = [panel for panel in board["panels"] if "DEMO CLOCK: 60" in str(panel["options"].get("content"))]
    assert len(banners) == 1
    source = yaml.safe_load((tmp_path / "provisioning" / "datasources" / "prometheus.yml").read_text())
    assert source["datasources"][0]["jsonData"]["timeInterval"] == "1s"


@pytest.mark.parametrize("option", [["--factor", "60"], ["--runbook-base", "https://runbooks.example"]])
def test_options_never_overwrite_the_committed_boards(
    option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Another clock or other runbooks are refused without a folder of their own."""
    with pytest.raises(SystemExit):
        build.main(option)
    assert "need --out" in capsys.readouterr().err


def test_alerts_link_to_runbooks_of_choice(tmp_path: Path) -> None:
    """A user who keeps runbooks elsewhere gets links there, and none to the default."""
    assert build.main(["--out", str(tmp_path), "--runbook-base", "https://runbooks.example/"]) == 0
    text = (tmp_path / "generated" / "overview.json").read_text()
    assert "https://runbooks.example/${__data.fields.Alert}.md" in text
    assert RUNBOOK_BASE not in text


def test_provisioned_interval_is_the_scrape_interval() -> None:
    """`$__rate_interval` rests on the interval that Prometheus really scrapes at."""
    source = yaml.safe_load((ROOT / "grafana/provisioning/datasources/prometheus.yml").read_text())
    scrape = yaml.safe_load((ROOT / "prometheus/prometheus.yml").read_text())["global"]["scrape_interval"]
    assert source["datasources"][0]["jsonData"]["timeInterval"] == scrape == Clock().scrape_interval
