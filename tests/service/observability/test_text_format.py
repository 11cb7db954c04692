"""Lines are those of Prometheus' text format."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from service.observability.metric import Metric
from service.observability.text_format import family, sample_line

PEARS = Metric("ml_pears", "gauge", 'A "pear" \\ or\ntwo.', ("sort", "tree"))


def test_family_is_read_back_as_it_was() -> None:
    """Quotes, backslashes and line breaks survive in labels and help."""
    labels = ('a"b\\n', "c\nd\\")
    text = family(PEARS, [sample_line(PEARS, labels, 0.1), sample_line(PEARS, ("", "ü"), 1e-7)])
    (read,) = text_string_to_metric_families(text)
    assert (read.name, read.type, read.documentation) == (PEARS.name, "gauge", PEARS.help)
    assert [(sample.labels["sort"], sample.labels["tree"], sample.value) for sample in read.samples] == [
        (*labels, 0.1),
        ("", "ü", 1e-7),
    ]


def test_line_without_labels_has_no_braces() -> None:
    """A plain metric is written plainly."""
    assert sample_line(Metric("ml_plums", "gauge", "Plums."), (), 3) == "ml_plums 3.0\n"


def test_family_without_samples_is_not_written() -> None:
    """A header alone says nothing."""
    assert family(PEARS, []) == ""
