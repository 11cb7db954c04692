"""What every board must keep: layout, words, units, and PromQL that means what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from service.observability.metric_names import METRICS
from tests.grafana.boards import GENERATED, ROOT, all_panels, expand, load, queries, raw_queries, values

SCREEN_ROWS = 24  # 24 rows of 30 px and 23 gaps of 8 px are 904 px: with Grafana's header inside 1080 px
COLUMNS = 24
FROM_PROMETHEUS = {"up", "ALERTS", "ALERTS_FOR_STATE"}
COUNTERS = {name for name, metric in METRICS.items() if metric.type == "counter"} | {
    series for metric in METRICS.values() if metric.type == "histogram" for series in metric.series
}
EXPORTED = {series for metric in METRICS.values() for series in metric.series}


def recorded_series() -> set[str]:
    """Return the names that the recording rules make."""
    files = [yaml.safe_load(path.read_text()) for path in (ROOT / "prometheus" / "rules").glob("*.yml")]
    rules = [rule for file in files for group in file["groups"] for rule in group["rules"]]
    return {rule["record"] for rule in rules if "record" in rule}


@pytest.fixture(params=GENERATED, ids=lambda path: path.stem)
def board(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return each generated board in turn."""
    path: Path = request.param
    return load(path)


def charts(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the panels that show data."""
    return [panel for panel in all_panels(board) if panel["type"] not in {"row", "text"}]


def nodes(expr: Any, parents: tuple[Any, ...] = ()) -> list[tuple[Any, tuple[Any, ...]]]:
    """Return every node of a parsed query with its parents, outermost first."""
    below = (*parents, expr)
    children = [getattr(expr, name, None) for name in ("expr", "lhs", "rhs", "vector_selector", "param")]
    children += list(getattr(expr, "args", []))
    found = [(expr, parents)]
    for child in children:
        if child is not None and type(child).__module__.startswith("promql_parser"):
            found += nodes(child, below)
    return found


def selectors(text: str) -> list[tuple[str, tuple[Any, ...]]]:
    """Return the metric names of a query with the nodes around each."""
    parsed = nodes(promql_parser.parse(text))
    found = [(node, around) for node, around in parsed if isinstance(node, promql_parser.VectorSelector)]
    return [(node.name or str(node.matchers), around) for node, around in found]


def test_there_is_an_overview() -> None:
    """Alerts link to the board of this uid."""
    assert "plumbline-overview" in {load(path)["uid"] for path in GENERATED}


def test_uids_and_titles_are_unique() -> None:
    """Grafana would drop one of two boards that share a uid or, in one folder, a title."""
    boards = [load(path) for path in GENERATED]
    for key in ("uid", "title"):
        assert len({board[key] for board in boards}) == len(boards)
    assert all(len(board["uid"]) <= 40 for board in boards)


def test_board_cannot_be_edited_and_is_in_utc(board: dict[str, Any]) -> None:
    """A board is code, and people in two places read the same hour."""
    assert board["editable"] is False
    assert board["timezone"] == "utc"
    assert board.get("id") is None


def test_panel_ids_are_unique(board: dict[str, Any]) -> None:
    """Links to a panel need an id of its own."""
    ids = [panel["id"] for panel in all_panels(board)]
    assert len(set(ids)) == len(ids)
    assert all(isinstance(one, int) and one > 0 for one in ids)


def test_grid_has_no_overlap_and_no_hole(board: dict[str, Any]) -> None:
    """Each box of the grid belongs to one panel, inside 24 columns and, for the Overview, one screen."""
    taken: dict[tuple[int, int], int] = {}
    for panel in board["panels"]:
        box = panel["gridPos"]
        assert box["x"] + box["w"] <= COLUMNS, panel["id"]
        for x in range(box["x"], box["x"] + box["w"]):
            for y in range(box["y"], box["y"] + box["h"]):
                assert (x, y) not in taken, f"panel {panel['id']} lies on {taken[x, y]}"
                taken[x, y] = panel["id"]
    rows = max(y for _, y in taken) + 1
    assert len(taken) == COLUMNS * rows
    if board["uid"] == "plumbline-overview":
        assert rows <= SCREEN_ROWS


def test_every_panel_speaks_for_itself(board: dict[str, Any]) -> None:
    """A panel has a title, a description of some length and a unit."""
    for panel in charts(board):
        assert panel["title"]
        assert len(panel["description"]) > 40, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


def test_states_have_thresholds(board: dict[str, Any]) -> None:
    """A tile that is coloured as a state says from which value on."""
    for panel in charts(board):
        if panel["type"] == "stat":
            steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
            mapped = panel["fieldConfig"]["defaults"].get("mappings")
            assert len(steps) > 1 or mapped or steps[0]["color"] == "blue", panel["title"]


def test_a_guarded_statistic_shows_its_sample(board: dict[str, Any]) -> None:
    """Whoever leaves a value out for want of rows shows how many rows there were."""
    for panel in charts(board):
        expressions = [target["expr"] for target in panel["targets"]]
        guarded = any(re.search(r">= \d", expr) for expr in expressions)
        samples = [expr for expr in expressions if re.search(r"increase|_count:", expr) and "/" not in expr]
        assert not guarded or samples, panel["title"]


def test_panels_ask_the_chosen_data_source(board: dict[str, Any]) -> None:
    """No panel, query, annotation or variable is tied to one installation's data source."""
    asked = [*charts(board), *board["annotations"]["list"]]
    asked += [target for panel in charts(board) for target in panel["targets"]]
    asked += [variable for variable in board["templating"]["list"] if variable["type"] == "query"]
    assert {one["datasource"]["uid"] for one in asked} == {"${datasource}"}


def test_variables_are_those_of_every_board(board: dict[str, Any]) -> None:
    """Links between boards carry the data source, the model and the version along."""
    names = [variable["name"] for variable in board["templating"]["list"]]
    assert names[:3] == ["datasource", "model_name", "model_version"]
    refreshed = [one["refresh"] for one in board["templating"]["list"] if one["type"] == "query"]
    assert set(refreshed) == {2}


def test_deploys_and_alerts_are_marked(board: dict[str, Any]) -> None:
    """Each board shows when a model was loaded and when an alert fired."""
    marks = " ".join(annotation["expr"] for annotation in board["annotations"]["list"])
    assert "ml_model_loaded_timestamp_seconds" in marks
    assert "ALERTS" in marks


def test_every_query_parses_with_known_variables(board: dict[str, Any]) -> None:
    """Expanding fails on an unknown variable, parsing on a slip."""
    for query in queries(board):
        promql_parser.parse(query.expr)


def test_every_metric_is_exported_or_recorded(board: dict[str, Any]) -> None:
    """No panel waits for a series that nobody makes."""
    known = EXPORTED | FROM_PROMETHEUS | recorded_series()
    asked = {name for query in queries(board) for name, _ in selectors(query.expr)}
    assert asked <= known


def test_counters_are_read_as_rates(board: dict[str, Any]) -> None:
    """A counter stands only inside rate() or increase(), a gauge never."""
    for query in queries(board):
        for name, around in selectors(query.expr):
            calls = {node.func.name for node in around if isinstance(node, promql_parser.Call)}
            assert bool(calls & {"rate", "increase"}) == (name in COUNTERS), f"{query.place}: {name}"


def test_rates_follow_the_interval_of_the_chart(board: dict[str, Any]) -> None:
    """rate() uses $__rate_interval, so that a chart has neither gaps nor skipped scrapes at any zoom."""
    by_name = values(board) | {"__rate_interval": "7777s"}
    for place, raw, _ in raw_queries(board):
        for node, _ in nodes(promql_parser.parse(expand(raw, by_name))):
            if isinstance(node, promql_parser.Call) and node.func.name in {"rate", "irate"}:
                assert node.args[0].range.total_seconds() == 7777, place


def test_limits_come_from_the_models(board: dict[str, Any]) -> None:
    """Latency is drawn against the objective of each model, dashed."""
    if board["uid"] != "plumbline-overview":
        pytest.skip("only the Overview shows latency")
    (latency,) = [panel for panel in charts(board) if panel["title"].startswith("p95 of")]
    limits = [target for target in latency["targets"] if "ml_objective_latency_p95_seconds" in target["expr"]]
    assert len(limits) == 1
    styles = {
        override["matcher"]["options"]: {one["id"]: one.get("value") for one in override["properties"]}
        for override in latency["fieldConfig"]["overrides"]
    }
    assert styles[limits[0]["refId"]]["custom.lineStyle"]["fill"] == "dash"


def test_page_names_every_panel_and_no_other(board: dict[str, Any]) -> None:
    """docs/dashboards.md has a row for each panel of each board, and none for a panel that is gone."""
    page = (ROOT / "docs" / "dashboards.md").read_text()
    section = re.split(r"^## ", page, flags=re.MULTILINE)
    (about,) = [text for text in section if text.startswith(f"{board['title']}\n")]
    named = re.findall(r"^\| ([^|]+?) \|", about, flags=re.MULTILINE)[2:]
    assert sorted(named) == sorted(panel["title"] for panel in charts(board))
