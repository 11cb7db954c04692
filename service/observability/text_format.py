"""Writes Prometheus' text format 0.0.4."""

from __future__ import annotations

from collections.abc import Iterable

from service.observability.metric import Metric

_IN_LABEL = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})
_IN_HELP = str.maketrans({"\\": "\\\\", "\n": "\\n"})


def header(name: str, kind: str, text: str) -> str:
    """Write the two lines above a family."""
    return f"# HELP {name} {text.translate(_IN_HELP)}\n# TYPE {name} {kind}\n"


def sample_name(name: str, labels: Iterable[tuple[str, str]]) -> str:
    """Write a series as it stands before its number."""
    inside = ",".join(f'{label}="{value.translate(_IN_LABEL)}"' for label, value in labels)
    return f"{name}{{{inside}}}" if inside else name


def sample_line(metric: Metric, labels: tuple[str, ...], number: float) -> str:
    """Write one line of a counter or gauge."""
    pairs = zip(metric.labels, labels, strict=True)
    return f"{sample_name(metric.name, pairs)} {float(number)!r}\n"


def family(metric: Metric, lines: Iterable[str]) -> str:
    """Write a family of ready lines; nothing at all if it has none."""
    body = "".join(lines)
    return header(metric.name, metric.type, metric.help) + body if body else ""
