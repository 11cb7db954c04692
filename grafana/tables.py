"""Tables: several instant queries merged into one row by label set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from grafana_foundation_sdk.builders import dashboard as build_dashboard
from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.models import common, dashboard

from grafana.panels import (
    REF_IDS,
    Place,
    Properties,
    Series,
    Steps,
    framed,
    prop,
    query_for,
    state_colors,
    threshold_config,
)

# The width of a column that takes what the others leave.
FILL = 0


@dataclass(frozen=True)
class Column:
    """One column of a table: a query's value under a title, with what its cells look like."""

    title: str
    expr: str
    unit: str
    width: int
    properties: Properties = field(default_factory=list)


def table_panel(
    place: Place,
    title: str,
    description: str,
    columns: Sequence[Column],
    labels: dict[str, tuple[str, int]],
    *,
    empty: str,
    label_properties: dict[str, Properties] | None = None,
) -> table.Panel:
    """Return a table with a row by label set: `labels` (label to title and width) first, then `columns`."""
    panel = framed(table.Panel(), place, title, description, "none")
    panel = panel.no_value(empty).cell_height(common.TableCellHeight.SM)
    panel = panel.color_scheme(build_dashboard.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
    panel = panel.thresholds(threshold_config(((None, "text"),)))
    # Grafana calls the value of the only query `Value`, those of several `Value #A`, `Value #B`.
    values = ["Value"] if len(columns) == 1 else [f"Value #{ref}" for ref in REF_IDS[: len(columns)]]
    renamed = {label: name for label, (name, _) in labels.items()}
    renamed |= {value: column.title for value, column in zip(values, columns, strict=True)}
    hidden = {"Time": True} | {value: True for value, c in zip(values, columns, strict=True) if not c.title}
    order = {name: place for place, name in enumerate([*labels, *values])}
    for ref_id, column in zip(REF_IDS, columns, strict=False):
        panel = panel.with_target(query_for(Series(column.expr), ref_id, instant=True, as_table=True))
    panel = panel.with_transformation(dashboard.DataTransformerConfig(id_val="merge", options={}))
    panel = panel.with_transformation(
        dashboard.DataTransformerConfig(
            id_val="organize",
            options={"excludeByName": hidden, "indexByName": order, "renameByName": renamed},
        )
    )
    for label, (name, width) in labels.items():
        extra = (label_properties or {}).get(label, [])
        panel = panel.override_by_name(name, [*_width(width), *extra])
    for column in columns:
        if column.title:
            look = [
                prop("unit", column.unit),
                prop("custom.width", column.width),
                prop("custom.align", "right"),
            ]
            panel = panel.override_by_name(column.title, [*look, *column.properties])
    return panel


def colored_cells(steps: Steps) -> Properties:
    """Return the properties that colour a cell's text by thresholds."""
    return [state_colors(steps), prop("custom.cellOptions", {"type": "color-text"})]


def mapped_cells(by_value: dict[str, str]) -> Properties:
    """Return the properties that colour a cell by its text."""
    options = {
        value: {"color": color, "index": index} for index, (value, color) in enumerate(by_value.items())
    }
    return [
        prop("mappings", [{"type": "value", "options": options}]),
        prop("custom.cellOptions", {"type": "color-text"}),
    ]


def cell_link(title: str, url: str) -> dashboard.DynamicConfigValue:
    """Return the property that makes a cell a link."""
    return prop("links", [{"title": title, "url": url, "targetBlank": url.startswith("http")}])


def _width(pixels: int) -> Properties:
    return [] if pixels == FILL else [prop("custom.width", pixels)]
