"""The table of model versions that `plumbline status` prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from operations.model_status import Labels, ModelStatus, Quality, Verdict
from operations.quantities import duration, fixed, limit, percent, significant, with_error
from operations.terminal_table import Cell, Column, Paint, Style, shortened, table

LEGEND = "acc: accuracy; MAE: mean absolute error in the target's unit; OOD: rows out of distribution"
MARKS = "!! beyond its objective (OOD: its reference); ! beyond it, but chance may explain it"

_NONE = Cell("-", "dim")
_NAME_WIDTH_MIN = 18
_VERSION_WIDTH_MIN = 10  # a date
_MARKS: dict[Verdict | None, tuple[Style, str]] = {
    "missed_within_chance": ("yellow", " !"),
    "missed": ("red", " !!"),
}


def model_table(models: Sequence[ModelStatus], width: int, paint: Paint) -> list[str]:
    """Write table and legend as lines; it folds and shortens names to fit `width` characters."""
    columns = _columns(models)
    room = max(_NAME_WIDTH_MIN, width - sum(column.width + 1 for column in columns))
    names = [Cell(_name(model, room)) for model in models]
    notes = {row: list(_notes(model, paint)) for row, model in enumerate(models)}
    lines = table([Column(("model/version", ""), names, "left"), *columns], width, paint, notes)
    is_marked = any(cell.mark for column in columns for cell in column.cells)
    return [*lines, *(paint(line, "dim") for line in ([LEGEND, MARKS] if is_marked else [LEGEND]))]


def _columns(models: Sequence[ModelStatus]) -> list[Column]:
    def column(title: str, under: str, cell: Callable[[ModelStatus], Cell]) -> Column:
        return Column((title, under), [cell(model) for model in models])

    return [
        Column(("role", ""), [Cell("/".join(model.roles) or "-") for model in models], "left"),
        column(
            "req/s", "5m", lambda model: _cell(model.traffic.requests_per_second, lambda it: fixed(it, 1))
        ),
        column("errors", "5m", lambda model: _cell(model.traffic.error_ratio, lambda it: percent(it, 2))),
        column("p95 ms", "5m", _latency),
        column("measured", "± std error", lambda model: _measured(model.quality, model.labels)),
        column("objective", "", lambda model: _objective(model.quality)),
        column("labels", "", lambda model: _label_count(model.quality)),
        column(
            "coverage", "7d", lambda model: _cell(model.labels.coverage_ratio_7d, lambda it: percent(it, 0))
        ),
        column("delay 1d", "p50/p90", lambda model: _delay(model.labels)),
        column("drift", "1h", lambda model: _cell(model.input.drift_1h, significant)),
        column("OOD", "1h", _out_of_distribution),
    ]


def _latency(model: ModelStatus) -> Cell:
    seconds, verdict = model.traffic.latency_p95_seconds, model.traffic.latency_verdict
    return _cell(seconds, lambda it: fixed(1000 * it, 1), verdict)


def _out_of_distribution(model: ModelStatus) -> Cell:
    ratio, verdict = model.input.out_of_distribution_ratio_1h, model.input.out_of_distribution_verdict
    return _cell(ratio, lambda it: percent(it, 1), verdict)


def _measured(quality: Quality, labels: Labels) -> Cell:
    if quality.value is not None:
        error = quality.standard_error
        return _cell(
            quality.value,
            lambda it: significant(it) if error is None else with_error(it, error),
            quality.verdict,
        )
    if quality.label_count is None:
        return _NONE
    if quality.label_count:
        return Cell("too few", "dim") if quality.label_count < quality.label_count_needed else _NONE
    return Cell("no labels yet" if labels.count_total == 0 else "none in 1d", "dim")


def _objective(quality: Quality) -> Cell:
    if quality.objective is None:
        return _NONE
    sign = "acc ≥" if quality.signal == "accuracy" else "MAE ≤"
    return Cell(f"{sign}{limit(quality.objective)}")


def _label_count(quality: Quality) -> Cell:
    if quality.label_count is None:
        return _NONE
    if quality.window is None:
        return Cell(f"{quality.label_count} of {quality.label_count_needed}" if quality.label_count else "0")
    return Cell(f"{_whole(quality.label_count)} {quality.window}")


def _delay(labels: Labels) -> Cell:
    delays = (labels.delay_p50_seconds_1d, labels.delay_p90_seconds_1d)
    known = [duration(delay) for delay in delays if delay is not None]
    return Cell("/".join(known)) if len(known) == len(delays) else _NONE


def _whole(count: int) -> str:
    return f"{count:,}" if count < 10_000 else significant(count)


def _cell(value: float | None, write: Callable[[float], str], verdict: Verdict | None = None) -> Cell:
    if value is None:
        return _NONE
    style, mark = _MARKS.get(verdict, ("plain", ""))
    return Cell(write(value), style, mark)


def _name(model: ModelStatus, width: int) -> str:
    # The version tells two rows of a model apart, so the name gives way first.
    version = shortened(model.model_version, max(_VERSION_WIDTH_MIN, width - len(model.model_name) - 1))
    return f"{shortened(model.model_name, max(1, width - len(version) - 1))}/{version}"


def _notes(model: ModelStatus, paint: Paint) -> Iterator[str]:
    if not model.is_scraped:
        yield paint("  not scraped now: no counter of it moves", "yellow")
    if model.alerts:
        yield paint(f"  firing: {', '.join(model.alerts)}", "red")
