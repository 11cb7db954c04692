"""Charts and tables of the Overview: traffic and latency, the models' data, what is live."""

from __future__ import annotations

from grafana_foundation_sdk.builders import table, timeseries

from grafana import panels, queries, tables
from grafana.clock import Clock
from grafana.panels import Place, Series
from grafana.tables import FILL, Column
from prometheus.build import RUNBOOK_BASE

MODEL_NAMES = "{{model_name}}/{{model_version}}"
OUTCOME_COLORS = {
    "ok": "#3b82f6",
    "rejected": "#a78bfa",
    "failed": "#ef4444",
    "shed": "#f59e0b",
    "expired": "#f97316",
    "draining": "#94a3b8",
    "disconnected": "#64748b",
}
STAGE_COLORS = {"queue": "#f59e0b", "preprocess": "#38bdf8", "predict": "#3b82f6", "postprocess": "#a78bfa"}


def service_charts() -> list[timeseries.Panel]:
    """Return the row of charts about traffic and latency."""
    return [
        panels.timeseries_panel(
            Place(11, 0, 5, 6, 6),
            "Requests by outcome",
            "Requests a second. Failed, shed and expired count against the objective; "
            "rejected is the client's fault, draining and disconnected are nobody's.",
            "reqps",
            [Series(queries.requests_by_outcome(), "{{outcome}}")],
            stacked=True,
            overrides=panels.colors(OUTCOME_COLORS),
        ),
        panels.timeseries_panel(
            Place(12, 6, 5, 6, 6),
            "Bad answers",
            "Share of requests failed, shed or expired, stacked. "
            "Dashed: 0.1 %, what the objective of 99.9 % allows. "
            "How many requests are behind it stands on the left.",
            "percentunit",
            [Series(queries.bad_share_by_outcome(), "{{outcome}}")],
            stacked=True,
            limit=queries.BAD_SHARE_MAX,
            overrides=panels.colors(OUTCOME_COLORS),
        ),
        panels.timeseries_panel(
            Place(13, 12, 5, 6, 6),
            "p95 of single predictions",
            "95th percentile of the request duration inside the predictor over 5m, by model version; "
            "batches are left out, since their time depends on their rows. "
            "Dashed: each model's own objective. Logarithmic scale. No line: no traffic.",
            "s",
            [
                Series(queries.p95_seconds(), MODEL_NAMES),
                Series(queries.p95_objective(), f"objective {MODEL_NAMES}", "limit"),
            ],
            minimum=None,
            logarithmic=True,
        ),
        panels.timeseries_panel(
            Place(14, 18, 5, 6, 6),
            "Where the time goes",
            "Mean time in each stage, stacked. A growing queue means too few workers; "
            "a growing predict stage means the model itself.",
            "s",
            [Series(queries.stage_seconds(), "{{stage}}")],
            stacked=True,
            overrides=panels.colors(STAGE_COLORS),
        ),
    ]


def model_charts(clock: Clock) -> list[timeseries.Panel]:
    """Return the row of charts about inputs and outputs of the models."""
    hour = clock.window("1h")
    guard = f"No line below {queries.ROWS_MIN} rows."
    return [
        panels.timeseries_panel(
            Place(15, 0, 11, 6, 6),
            "Out of distribution, 1h",
            "Share of rows unlike the training data, over a sliding hour. "
            "Dashed: the same share on held-out data. "
            f"Dotted, right axis: rows behind it. {guard}",
            "percentunit",
            [
                Series(queries.out_of_distribution_share(), MODEL_NAMES),
                Series(queries.out_of_distribution_reference(), f"reference {MODEL_NAMES}", "limit"),
                Series(f"sum({queries.rows_scored()})", "rows", "sample"),
            ],
        ),
        panels.timeseries_panel(
            Place(16, 6, 11, 5, 6),
            "Mean confidence, 1h",
            "Mean of the winning class's probability over a sliding hour, as the model states it. "
            "A fall means inputs the model knows less well. "
            f"Dotted, right axis: predictions behind it. {guard}",
            "percentunit",
            [
                Series(queries.mean_confidence(hour), MODEL_NAMES),
                Series(f"sum({queries.increase('ml_confidence_count', hour)})", "predictions", "sample"),
            ],
            empty="No confidence: regression models, or too few rows.",
            minimum=None,
        ),
        panels.timeseries_panel(
            Place(17, 11, 11, 8, 6),
            "Predicted classes against reference, 1h",
            "Each class's share of predictions minus its share in the reference: 0 is as trained, "
            "+10 % is one prediction in ten more than then. "
            f"Dotted, right axis: predictions behind it. {guard}",
            "percentunit",
            [
                Series(queries.predicted_class_shift(hour), "{{model_name}} {{predicted_class}}"),
                Series(f"sum({queries.increase('ml_predictions_total', hour)})", "predictions", "sample"),
            ],
            empty="No classes: regression models (see the table below), or too few rows.",
            minimum=None,
            legend_right=True,
        ),
        panels.timeseries_panel(
            Place(18, 19, 11, 5, 6),
            "Schema violations and invalid outputs",
            "Values that broke the signature, by reason, and outputs that were not finite or out of bounds. "
            "Fields are named on the answers and in the log.",
            "eps",
            [
                Series(queries.rate("ml_schema_violations_total", "reason"), "input {{reason}}"),
                Series(queries.rate("ml_invalid_outputs_total", "reason"), "output {{reason}}"),
            ],
            stacked=True,
        ),
    ]


def live_table(clock: Clock, uid: str) -> table.Panel:
    """Return the table of loaded versions."""
    hour = clock.window("1h")
    this_board = f"/d/{uid}?var-model_name=${{__data.fields.Model}}"
    return tables.table_panel(
        Place(19, 0, 17, 15, 7),
        "Live model versions",
        "Every loaded version with its role, the workers in which it passed its checks, and how it does. "
        "An empty cell means too few rows or no traffic. "
        "Class shift: share of predictions that would have to move to restore the reference.",
        [
            Column("", queries.roles(), "none", FILL),
            Column(
                "Workers",
                queries.ready_workers(),
                "short",
                80,
                tables.colored_cells(((None, "red"), (1, "green"))),
            ),
            Column("Loaded", queries.loaded_milliseconds(), "dateTimeFromNow", 120),
            Column("p95", queries.p95_seconds(), "s", 80),
            Column(
                "of objective",
                queries.p95_against_objective(),
                "percentunit",
                100,
                tables.colored_cells(((None, "green"), (0.8, "yellow"), (1, "red"))),
            ),
            Column("Rows, 1h", queries.rows_scored(), "short", 80),
            Column(
                "OOD, 1h",
                queries.out_of_distribution_share(),
                "percentunit",
                85,
                [panels.prop("decimals", 1)],
            ),
            Column(
                "reference",
                queries.out_of_distribution_reference(),
                "percentunit",
                85,
                [panels.prop("decimals", 1)],
            ),
            Column(
                "Class shift, 1h",
                queries.prediction_shift(hour),
                "percentunit",
                110,
                [panels.prop("decimals", 1)],
            ),
        ],
        {"model_name": ("Model", FILL), "model_version": ("Version", 75), "role": ("Role", 80)},
        empty="No model is loaded: look at ModelLoadFailed and at the predictor's log.",
        label_properties={"model_name": [tables.cell_link("Show this model alone", this_board)]},
    )


def alerts_table() -> table.Panel:
    """Return the table of firing alerts."""
    runbook = f"{RUNBOOK_BASE}/${{__data.fields.Alert}}.md"
    return tables.table_panel(
        Place(20, 15, 17, 9, 7),
        "Firing alerts",
        "Straight from Prometheus, without waiting for Alertmanager's grouping or silences. "
        "The name opens the runbook.",
        [Column("Since", queries.alerts_since_milliseconds(), "dateTimeFromNow", 120)],
        {
            "severity": ("Severity", 80),
            "alertname": ("Alert", FILL),
            "model_name": ("Model", 120),
            "model_version": ("Version", 70),
        },
        empty="No alert is firing.",
        label_properties={
            "severity": tables.mapped_cells(panels.SEVERITY_COLORS),
            "alertname": [tables.cell_link("Open the runbook", runbook)],
        },
    )
