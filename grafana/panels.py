"""The few panel shapes the boards use; each asks for title, description and unit.

Green, yellow and red speak of states only; everything else takes its colour from its name, so that a model
has one colour on every board.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from grafana_foundation_sdk.builders import common as build_common
from grafana_foundation_sdk.builders import dashboard as build_dashboard
from grafana_foundation_sdk.builders import prometheus, stat, table, text, timeseries
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from grafana_foundation_sdk.models.text import TextMode

DATASOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
REF_IDS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SAMPLE_COLOR = "text"
LIMIT_COLOR = "#ef4444"
SEVERITY_COLORS = {"critical": "#ef4444", "warning": "#f59e0b"}

Steps = tuple[tuple[float | None, str], ...]
Properties = list[dashboard.DynamicConfigValue]
Framed = TypeVar("Framed", stat.Panel, table.Panel, timeseries.Panel)


@dataclass(frozen=True)
class Place:
    """Identity of a panel and its box on the grid of 24 columns."""

    panel_id: int
    x: int
    y: int
    width: int
    height: int

    @property
    def grid_pos(self) -> dashboard.GridPos:
        """Return the box as Grafana writes it."""
        return dashboard.GridPos(x=self.x, y=self.y, w=self.width, h=self.height)


@dataclass(frozen=True)
class Series:
    """One query and the name its series carry; `limit` is drawn dashed, `sample` grey on the right axis."""

    expr: str
    name: str = "__auto"
    kind: str = "value"


def prop(name: str, value: object) -> dashboard.DynamicConfigValue:
    """Return one property of a field override."""
    return dashboard.DynamicConfigValue(id_val=name, value=value)


def state_colors(steps: Steps) -> dashboard.DynamicConfigValue:
    """Return the property that colours one series or column by thresholds of its own."""
    return prop(
        "thresholds", {"mode": "absolute", "steps": [{"value": at, "color": color} for at, color in steps]}
    )


def colors(by_name: dict[str, str]) -> list[tuple[str, Properties]]:
    """Return overrides that give each named series a fixed colour."""
    return [(name, [fixed_color(color)]) for name, color in by_name.items()]


def text_panel(place: Place, content: str) -> text.Panel:
    """Return a line of text without title or frame, which would take the room of a line."""
    panel = text.Panel().id(place.panel_id).grid_pos(place.grid_pos).transparent(True)
    return panel.mode(TextMode.HTML).content(content)


def stat_panel(
    place: Place,
    title: str,
    description: str,
    unit: str,
    series: Sequence[Series],
    *,
    thresholds: Steps = ((None, "blue"),),
    mappings: dict[str, tuple[str, str]] | None = None,
    decimals: float | None = None,
    overrides: Sequence[tuple[str, Properties]] = (),
) -> stat.Panel:
    """Return the newest value of each series; a `sample` stands beside it in plain text."""
    panel = framed(stat.Panel(), place, title, description, unit)
    panel = (
        panel.reduce_options(build_common.ReduceDataOptions().calcs(["lastNotNull"]))
        .color_mode(common.BigValueColorMode.VALUE)
        .graph_mode(common.BigValueGraphMode.NONE)
        .orientation(common.VizOrientation.VERTICAL)
        .thresholds(threshold_config(thresholds))
        .color_scheme(build_dashboard.FieldColor().mode(dashboard.FieldColorModeId.THRESHOLDS))
        .no_value("no data")
    )
    if mappings:
        panel = panel.mappings([_mapping(mappings)])
    if len(series) > 1:
        # Fixed sizes: Grafana would write the shorter of two numbers larger, mostly the sample.
        panel = panel.text(build_common.VizTextDisplayOptions().title_size(13).value_size(28))
    for ref_id, one in zip(REF_IDS, series, strict=False):
        panel = panel.with_target(query_for(one, ref_id, instant=True))
        if one.kind == "sample":
            panel = panel.override_by_query(ref_id, [prop("unit", "short"), fixed_color(SAMPLE_COLOR)])
        elif decimals is not None:
            panel = panel.override_by_query(ref_id, [prop("decimals", decimals)])
    for name, properties in overrides:
        panel = panel.override_by_name(name, properties)
    return panel


def timeseries_panel(
    place: Place,
    title: str,
    description: str,
    unit: str,
    series: Sequence[Series],
    *,
    stacked: bool = False,
    minimum: float | None = 0,
    logarithmic: bool = False,
    limit: float | None = None,
    legend_right: bool = False,
    empty: str = "no data",
    overrides: Sequence[tuple[str, Properties]] = (),
) -> timeseries.Panel:
    """Return lines over time; a fixed `limit` is a dashed threshold, a model's own limit a dashed series."""
    panel = _lines(framed(timeseries.Panel(), place, title, description, unit), legend_right)
    panel = panel.fill_opacity(60 if stacked else 0 if minimum is None else 10).no_value(empty)
    if minimum is not None:
        panel = panel.min(minimum)
    if logarithmic:
        scale = build_common.ScaleDistributionConfig().type(common.ScaleDistribution.LOG).log(10)
        panel = panel.scale_distribution(scale)
    if stacked:
        panel = panel.stacking(build_common.StackingConfig().mode(common.StackingMode.NORMAL))
    if limit is not None:
        style = build_common.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        panel = panel.thresholds(threshold_config(((None, "transparent"), (limit, LIMIT_COLOR))))
        panel = panel.thresholds_style(style)
    for ref_id, one in zip(REF_IDS, series, strict=False):
        panel = panel.with_target(query_for(one, ref_id))
        if one.kind != "value":
            panel = panel.override_by_query(ref_id, _LIMIT if one.kind == "limit" else _SAMPLE)
    for name, properties in overrides:
        panel = panel.override_by_name(name, properties)
    return panel


def _lines(panel: timeseries.Panel, legend_right: bool) -> timeseries.Panel:
    legend = build_common.VizLegendOptions().display_mode(common.LegendDisplayMode.LIST).show_legend(True)
    if legend_right:
        legend = legend.placement(common.LegendPlacement.RIGHT).width(200)
    else:
        legend = legend.placement(common.LegendPlacement.BOTTOM)
    tooltip = build_common.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI)
    palette = build_dashboard.FieldColor().mode(dashboard.FieldColorModeId.PALETTE_CLASSIC_BY_NAME)
    panel = panel.line_width(1).show_points(common.VisibilityMode.NEVER).color_scheme(palette)
    return panel.legend(legend).tooltip(tooltip.sort(common.SortOrder.DESCENDING))


def framed(panel: Framed, place: Place, title: str, description: str, unit: str) -> Framed:
    """Give a panel what every panel has."""
    boxed = panel.id(place.panel_id).grid_pos(place.grid_pos).title(title).description(description)
    return boxed.unit(unit).datasource(DATASOURCE)


def query_for(
    series: Series, ref_id: str, *, instant: bool = False, as_table: bool = False
) -> prometheus.Dataquery:
    """Return the query of one series."""
    query = prometheus.Dataquery().expr(series.expr).legend_format(series.name).ref_id(ref_id)
    query = query.datasource(DATASOURCE)
    if as_table:
        query = query.format(PromQueryFormat.TABLE)
    return query.instant() if instant else query.range()


def threshold_config(steps: Steps) -> build_dashboard.ThresholdsConfig:
    """Return thresholds from the lowest step, which has no value, upward."""
    shown = [dashboard.Threshold(value=value, color=color) for value, color in steps]
    return build_dashboard.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(shown)


def _mapping(mappings: dict[str, tuple[str, str]]) -> dashboard.ValueMap:
    results = {
        value: dashboard.ValueMappingResult(text=shown, color=color, index=index)
        for index, (value, (shown, color)) in enumerate(mappings.items())
    }
    return dashboard.ValueMap(options=results)


def fixed_color(color: str) -> dashboard.DynamicConfigValue:
    """Return the property that gives a series one colour."""
    return prop("color", {"mode": "fixed", "fixedColor": color})


_LIMIT: Properties = [
    fixed_color(LIMIT_COLOR),
    prop("custom.lineStyle", {"fill": "dash", "dash": [8, 8]}),
    prop("custom.fillOpacity", 0),
    prop("custom.hideFrom", {"legend": True, "tooltip": False, "viz": False}),
]
_SAMPLE: Properties = [
    fixed_color(SAMPLE_COLOR),
    prop("unit", "short"),
    prop("min", 0),
    prop("custom.axisPlacement", "right"),
    prop("custom.fillOpacity", 0),
    prop("custom.lineStyle", {"fill": "dot", "dash": [1, 4]}),
]
