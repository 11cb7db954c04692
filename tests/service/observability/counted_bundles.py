"""Small bundles to count: one tabular with every type of feature, one text, one regression."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from service.bundle.reference import FeatureReference, Reference, TextNovelty
from service.bundle.signature import Feature, Signature
from service.events import ModelKey
from service.observability.merge import Merger
from service.observability.value_files import ValueFiles


@dataclass(frozen=True)
class CountedBundle:
    """What the listeners see of a bundle."""

    key: ModelKey
    signature: Signature
    reference: Reference


TABULAR = CountedBundle(
    ModelKey("loans", "7"),
    Signature(
        task="binary",
        input="tabular",
        features=(
            Feature(name="age", type="number", nullable=True),
            Feature(name="colour", type="category", categories=("red", "blue", "other"), nullable=True),
            Feature(name="note", type="number"),
            Feature(name="member", type="boolean"),
            Feature(name="visits", type="integer"),
        ),
        classes=(False, True),
    ),
    Reference(
        rows=103,
        features={
            "age": FeatureReference(
                kind="numeric", edges=(20.5, 41.0), counts=(30, 40, 31, 2), minimum=18.0, maximum=77.0
            ),
            "colour": FeatureReference(
                kind="categorical", categories=("red", "other"), counts=(50, 20, 30, 3)
            ),
            "member": FeatureReference(
                kind="categorical", categories=("false", "true"), counts=(60, 43, 0, 0)
            ),
            "visits": FeatureReference(
                kind="numeric", edges=(1.0, 3.0, 9.0), counts=(9, 50, 40, 4, 0), minimum=0.0, maximum=12.0
            ),
        },
        class_counts={"false": 61, "true": 17},
        validation_rows=78,
        out_of_distribution_rows=3,
    ),
)
"""`note` is not monitored; category `other` shows as `other_`, `blue` is too rare for a bin of its own."""

TEXT = CountedBundle(
    ModelKey("mails", "2.1"),
    Signature(
        task="multiclass",
        input="text",
        features=(Feature(name="text", type="text"),),
        classes=("ham", "spam", 'od"d\\\n'),
    ),
    Reference(
        rows=211,
        features={},
        class_counts={"ham": 100, "spam": 50, 'od"d\\\n': 3},
        validation_rows=153,
        out_of_distribution_rows=8,
        text_novelty=TextNovelty(
            vocabulary=("a", "b"),
            confidence_mean=0.8,
            confidence_stddev=0.1,
            known_words_mean=0.9,
            known_words_stddev=0.1,
            threshold=-3.0,
        ),
    ),
)

REGRESSION = CountedBundle(
    ModelKey("prices", "1"),
    Signature(task="regression", input="tabular", features=(Feature(name="size", type="number"),)),
    Reference(
        rows=59,
        features={
            "size": FeatureReference(
                kind="numeric", edges=(5.0,), counts=(30, 29, 0), minimum=1.0, maximum=9.0
            )
        },
        prediction=FeatureReference(
            kind="numeric", edges=(-1.5, 0.0, 1e6), counts=(5, 6, 7, 8, 0), minimum=-3.0, maximum=2e6
        ),
        validation_rows=26,
        out_of_distribution_rows=0,
    ),
)

BUNDLES = (TABULAR, TEXT, REGRESSION)


def fresh_files(folder: Path, slot: int = 0) -> ValueFiles:
    """Open the counter files of a worker."""
    return ValueFiles(folder, slot)


def scraped(folder: Path) -> dict[str, float]:
    """Merge `folder` and give each series as it stands in the text, label order aside, with its number."""
    return parsed(Merger().merge(folder).text)


def parsed(text: str) -> dict[str, float]:
    """Read an exposition with the library's own parser; give each series, labels sorted, with its number."""
    series: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            name = f"{sample.name}{{{labels}}}"
            assert name not in series, f"{name} occurs twice"
            series[name] = sample.value
    return series


def nonzero(series: dict[str, float], *prefixes: str) -> dict[str, float]:
    """Keep what is not 0 of the families that begin with one of `prefixes`."""
    return {name: value for name, value in series.items() if value and name.startswith(prefixes)}


def write_bundle(bundle_dir: Path, bundle: CountedBundle, **changes: object) -> Path:
    """Write a bundle's JSON files, and a model file that nobody could load; give its folder."""
    folder = bundle_dir / bundle.key.model_name / bundle.key.model_version
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "reference.json").write_text(bundle.reference.model_dump_json())
    (folder / "signature.json").write_text(bundle.signature.model_dump_json())
    (folder / "model.joblib").write_bytes(b"not a model")
    fields: dict[str, object] = {
        "format_version": 1,
        **bundle.key._asdict(),
        "task": bundle.signature.task,
        "input": bundle.signature.input,
        "created": "2026-03-07T11:13:17Z",
        "framework": "scikit-learn 1.9.1",
        "library_versions": {},
        "python_version": "3.11.7",
        "container": "frame",
        "output": "predict",
        "files": {"model.joblib": {"size_bytes": 11, "sha256": "5e" * 32}},
        "validation_scores": {},
        "validation_rows": bundle.reference.validation_rows,
        "training_data_sha256": "7f" * 32,
        "training_rows": bundle.reference.rows,
        "objectives": {"accuracy": 0.87, "latency_p95_seconds": 0.05},
        "monitored_features": list(bundle.reference.features),
        "series": 300,
    }
    (folder / "manifest.json").write_text(json.dumps(fields | changes))
    return folder
