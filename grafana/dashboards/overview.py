"""The Overview: is it healthy, is it getting slower, is the model right, what is live; on one screen."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import stat

from grafana import panels, queries
from grafana.clock import Clock
from grafana.dashboards import overview_charts
from grafana.dashboards.frame import board_frame
from grafana.panels import Place, Series

UID = "plumbline-overview"
QUESTION = "Is it healthy? Is it getting slower? Is the model right? What is live?"
READING = (
    "Read the tiles from left to right; one that is yellow or red wants a look at the charts below it. "
    "Times are UTC; dashed red lines are limits, most of which the models bring along; "
    "blue marks are model loads, red marks firing alerts."
)
# A failing share 14.4 times the budget spends 2 % of 30 days' budget in an hour: that pages.
AVAILABILITY_PAGE = 0.9856


def overview(clock: Clock) -> build.Dashboard:
    """Return the board for a clock."""
    board = board_frame(clock, UID, "Overview", QUESTION, READING)
    for tile in (*_health_tiles(clock), *_model_tiles(clock)):
        board = board.with_panel(tile)
    for chart in (*overview_charts.service_charts(), *overview_charts.model_charts(clock)):
        board = board.with_panel(chart)
    return board.with_panel(overview_charts.live_table(clock, UID)).with_panel(overview_charts.alerts_table())


def _health_tiles(clock: Clock) -> list[stat.Panel]:
    hour = clock.window("1h")
    return [
        panels.stat_panel(
            Place(3, 0, 2, 3, 3),
            "Predictor",
            "UP: the exporter answers and at least one worker lives. DOWN: one of the two does not. "
            "NOT SCRAPED: Prometheus has no such target, so look at Prometheus first.",
            "none",
            [Series(queries.predictor_state(), "state")],
            mappings={"1": ("UP", "green"), "0": ("DOWN", "red"), "-1": ("NOT SCRAPED", "red")},
        ),
        panels.stat_panel(
            Place(4, 3, 2, 3, 3),
            "Workers ready",
            "Workers that answer /ready with 200, as a share of those configured, which stand beside it. "
            "Below 100 % capacity is missing; at 0 % no request is answered.",
            "percentunit",
            [
                Series(queries.workers_ready_share(), "ready"),
                Series(queries.workers_configured(), "configured", "sample"),
            ],
            thresholds=((None, "red"), (0.5, "yellow"), (1, "green")),
            decimals=0,
        ),
        panels.stat_panel(
            Place(5, 6, 2, 3, 3),
            "Alerts firing",
            "Firing alerts of the selected models and of the service itself, by severity; "
            "the table at the bottom names them.",
            "short",
            [Series(queries.firing_alerts(severity), severity) for severity in panels.SEVERITY_COLORS],
            thresholds=((None, "green"), (1, "red")),
            overrides=[("warning", [panels.state_colors(((None, "green"), (1, "yellow")))])],
        ),
        panels.stat_panel(
            Place(6, 9, 2, 3, 3),
            "Good answers, 1h",
            "Share of requests that were not failed, shed or expired, with the number of requests beside it. "
            "The objective is 99.9 %; below 98.56 % the error budget burns 14.4 times too fast, which pages.",
            "percentunit",
            [
                Series(queries.good_answers_share(hour), "good"),
                Series(queries.requests(hour), "requests", "sample"),
            ],
            thresholds=(
                (None, "red"),
                (AVAILABILITY_PAGE, "yellow"),
                (queries.AVAILABILITY_OBJECTIVE, "green"),
            ),
            decimals=2,
        ),
    ]


def _model_tiles(clock: Clock) -> list[stat.Panel]:
    hour = clock.window("1h")
    return [
        panels.stat_panel(
            Place(7, 12, 2, 3, 3),
            "p95 against objective",
            "The slowest selected model: 95th percentile of its single predictions over 5m "
            "as a share of its own objective; above 100 % it is slower than promised. "
            f"Models below {queries.REQUESTS_MIN} requests are left out; requests stand beside it.",
            "percentunit",
            [
                Series(f"max({queries.p95_against_objective()})", "slowest"),
                Series(queries.total(queries.single_requests()), "requests", "sample"),
            ],
            thresholds=((None, "green"), (0.8, "yellow"), (1, "red")),
            decimals=0,
        ),
        panels.stat_panel(
            Place(8, 15, 2, 3, 3),
            "OOD above reference, 1h",
            "Model versions whose share of rows out of distribution lies above the reference "
            "by more than chance (3 standard errors), of those with enough rows to say so (judged).",
            "short",
            [
                Series(queries.total(f"{queries.out_of_distribution_z()} > bool 3"), "above"),
                Series(f"count({queries.out_of_distribution_z()}) or vector(0)", "judged", "sample"),
            ],
            thresholds=((None, "green"), (1, "yellow")),
        ),
        panels.stat_panel(
            Place(9, 18, 2, 3, 3),
            "Invalid outputs, 1h",
            "Outputs that were not finite or out of the model's bounds, with the rows predicted beside them. "
            "One is one too many.",
            "short",
            [
                Series(queries.total(queries.increase("ml_invalid_outputs_total", hour)), "invalid"),
                Series(queries.total(queries.rows_scored()), "rows", "sample"),
            ],
            thresholds=((None, "green"), (0.5, "red")),
            decimals=0,
        ),
        panels.stat_panel(
            Place(10, 21, 2, 3, 3),
            "Input refused, 1h",
            "Share of requests refused for their input (4xx), with the number of requests beside it. "
            "No limit: a client's mistake is not the model's; a jump means a client changed.",
            "percentunit",
            [
                Series(queries.rejected_share(hour), "refused"),
                Series(queries.requests(hour), "requests", "sample"),
            ],
            decimals=2,
        ),
    ]
