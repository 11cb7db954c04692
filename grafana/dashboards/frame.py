"""What every board has: links, variables, annotations, the line that states its question, the demo banner."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard

from grafana import panels, queries
from grafana.clock import Clock
from grafana.panels import Place

TAG = "plumbline"


def board_frame(clock: Clock, uid: str, title: str, question: str, reading: str) -> build.Dashboard:
    """Return a board with everything but its panels; they start at grid row 2 and panel id 3."""
    board = (
        build.Dashboard(title)
        .uid(uid)
        .description(question)
        .tags([TAG])
        .readonly()
        .timezone("utc")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .time(f"now-{clock.window('6h')}", "now")
        .refresh("5s" if clock.is_demo else "30s")
        .link(
            build.DashboardLink("Plumbline boards")
            .type(dashboard.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
    )
    for annotation in _annotations(clock):
        board = board.annotation(annotation)
    return _with_question(_with_variables(board), clock, f"<b>{question}</b> {reading}")


def _annotations(clock: Clock) -> list[build.AnnotationQuery]:
    loads = (
        build.AnnotationQuery()
        .name("Model loads")
        .datasource(panels.DATASOURCE)
        .enable(True)
        .icon_color("blue")
        .expr(queries.loaded_milliseconds())
        # The value is the moment of the load: one mark each, also for a version that is new altogether.
        .use_value_for_time(True)
        .title_format("{{model_name}}/{{model_version}} loaded")
        .step(clock.window("1m"))
    )
    alerts = (
        build.AnnotationQuery()
        .name("Alerts")
        .datasource(panels.DATASOURCE)
        .enable(True)
        .icon_color("red")
        .expr(queries.alerts_firing())
        .title_format("{{alertname}}")
        .text_format("{{severity}} {{model_name}}/{{model_version}}")
        .step(clock.window("1m"))
    )
    return [loads, alerts]


def _with_variables(board: build.Dashboard) -> build.Dashboard:
    everything = dashboard.VariableOption(selected=True, text="All", value="$__all")
    source = build.DatasourceVariable("datasource").label("Data source").type("prometheus")
    models = {
        "model_name": ("Model", "label_values(ml_model_info, model_name)"),
        "model_version": ("Version", 'label_values(ml_model_info{model_name=~"$model_name"}, model_version)'),
    }
    board = board.with_variable(source)
    for name, (label, query) in models.items():
        board = board.with_variable(
            build.QueryVariable(name)
            .label(label)
            .datasource(panels.DATASOURCE)
            .query(query)
            .definition(query)
            .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
            .multi(True)
            .include_all(True)
            .all_value(".+")
            .current(everything)
        )
    return board


def _with_question(board: build.Dashboard, clock: Clock, line: str) -> build.Dashboard:
    width = 16 if clock.is_demo else 24
    board = board.with_panel(panels.text_panel(Place(1, 0, 0, width, 2), line))
    if clock.is_demo:
        banner = (
            '<div style="background-color:#7c3aed;color:#ffffff;padding:6px 12px;text-align:center">'
            f"<b>DEMO CLOCK: {clock.factor} times faster.</b> "
            f"Where a title says 1h, this board looks at {clock.window('1h')}.</div>"
        )
        place = Place(2, width, 0, 24 - width, 2)
        board = board.with_panel(panels.text_panel(place, banner))
    return board
