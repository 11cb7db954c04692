"""The generated boards as tests read them: panels, queries, variables expanded as Grafana would."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
GENERATED = sorted((ROOT / "grafana" / "generated").glob("*.json"))
_LABEL_VALUES = re.compile(r"label_values\((?P<series>.+), *(?P<label>\w+)\)")
# What Grafana puts in by itself; at a scrape interval of 1s `$__rate_interval` is at least 4s.
MACROS = {"__rate_interval": "4s", "__interval": "1s", "__range": "1h"}


@dataclass(frozen=True)
class Query:
    """One query of a board, its variables expanded, and where it stands."""

    place: str
    expr: str
    instant: bool


def load(path: Path) -> dict[str, Any]:
    """Read a board."""
    board: dict[str, Any] = json.loads(path.read_text())
    return board


def all_panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every panel, also those inside collapsed rows."""
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels", [])


def variable_queries(board: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the series and the label of each variable that Prometheus fills."""
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            match = _LABEL_VALUES.fullmatch(variable["query"])
            assert match, f"variable {variable['name']} is no label_values()"
            yield match["series"], match["label"]


def raw_queries(board: dict[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """Yield place, PromQL and whether it is instant, of every panel, annotation and variable."""
    for panel in all_panels(board):
        for target in panel.get("targets", []):
            yield f"{panel['title']} {target['refId']}", target["expr"], target.get("instant", False)
    for annotation in board["annotations"]["list"]:
        yield f"annotation {annotation['name']}", annotation["expr"], False
    for series, label in variable_queries(board):
        yield f"variable of {label}", series, True


def values(board: dict[str, Any]) -> dict[str, str]:
    """Return what each variable and macro stands for when everything is selected."""
    chosen = {one["name"]: one.get("allValue", "prometheus") for one in board["templating"]["list"]}
    return MACROS | chosen


def expand(expr: str, by_name: dict[str, str]) -> str:
    """Replace `$name` and `${name}`; an unknown name is an error."""
    return re.sub(r"\$\{?(\w+)\}?", lambda match: by_name[match[1]], expr)


def queries(board: dict[str, Any]) -> list[Query]:
    """Return every query of a board, expanded."""
    by_name = values(board)
    return [Query(place, expand(expr, by_name), instant) for place, expr, instant in raw_queries(board)]
