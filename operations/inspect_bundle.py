"""`plumbline inspect`: what a bundle takes, gives and promises. Nothing is unpickled."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from operations.commands import Subparsers
    from service.bundle.loader import BundleDescription
    from service.bundle.manifest import Manifest
    from service.bundle.signature import Feature, Signature

EXAMPLES = """\
examples:
  plumbline inspect bundles/iris/1
  plumbline inspect bundles/iris/1 --json | jq .manifest.objectives

Hashes are checked, the estimator is not loaded: a bundle of unknown origin can be looked at.
"""


def register(subparsers: Subparsers) -> None:
    """Add the parser of `plumbline inspect`."""
    parser = subparsers.add_parser(
        "inspect",
        help="show what a bundle takes, gives and promises",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="<model_name>/<model_version>")
    parser.add_argument("--json", action="store_true", help="print manifest, signature and reference as JSON")


def run(options: argparse.Namespace) -> int:
    """Print the summary."""
    # Here, not above: scikit-learn takes a second to import, and `--help` should not wait for it.
    from service.bundle.loader import describe_bundle  # noqa: PLC0415 - see above

    description = describe_bundle(options.directory)
    if options.json:
        content: dict[str, Any] = {
            "manifest": description.manifest.model_dump(mode="json"),
            "signature": description.signature.model_dump(mode="json"),
            "reference": description.reference.model_dump(mode="json"),
        }
        print(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        print("\n".join(summary(description)))
    return 0


def summary(description: BundleDescription) -> list[str]:
    """Write a bundle's summary as lines for a person."""
    manifest, signature, reference = description.manifest, description.signature, description.reference
    source = "sample" if manifest.external else "trained on"
    lines = [
        f"{manifest.model_name} {manifest.model_version}: {manifest.task} on {manifest.input} input"
        + (", external" if manifest.external else ""),
        f"  created     {manifest.created}, {manifest.framework}, Python {manifest.python_version}",
        f"  libraries   {_pairs(manifest.library_versions)}",
        f"  sha256      {description.manifest_sha256} (manifest)",
        f"  {source:10}  {manifest.training_rows} rows, sha256 {manifest.training_data_sha256[:16]}...",
        f"  validation  {_numbers(manifest.validation_scores)} on {manifest.validation_rows} rows",
        f"  objectives  {_numbers(manifest.objectives)}",
        f"  series      {manifest.series}",
        "  called by   other software"
        if manifest.external
        else f"  called with {manifest.container}, prediction by {manifest.output}",
        f"  log keeps   {_kept(manifest, signature)}",
    ]
    if signature.classes is not None and not reference.class_counts:
        lines.append(f"  classes     {', '.join(signature.class_names)}")
    elif signature.classes is not None:
        shares = {name: count / reference.validation_rows for name, count in reference.class_counts.items()}
        lines.append(f"  classes     {_numbers(shares)} (share of validation predictions)")
    else:
        lines.append(f"  output      {_range(signature.output_minimum, signature.output_maximum)}")
    share = reference.out_of_distribution_rows / reference.validation_rows
    lines.append(f"  out of distribution  {share:.1%} of validation rows")
    lines.append("features")
    width = max(len(feature.name) for feature in signature.features)
    for feature in signature.features:
        mark = "" if feature.name in manifest.monitored_features else ", not monitored"
        lines.append(f"  {feature.name:{width}}  {_feature(feature)}{mark}")
    lines.append("files")
    for name, file in manifest.files.items():
        lines.append(f"  {file.size_bytes:>10}  {file.sha256[:16]}...  {name}")
    return lines


def _kept(manifest: Manifest, signature: Signature) -> str:
    """Say which features of a prediction are kept in the prediction log."""
    if not manifest.store_features:
        return "no features"
    sensitive = ", ".join(feature.name for feature in signature.features if feature.sensitive)
    return "features" + (f", except {sensitive}" if sensitive else "")


def _feature(feature: Feature) -> str:
    parts = [f"{feature.type} ({feature.unit})" if feature.unit else feature.type]
    if feature.minimum is not None or feature.maximum is not None:
        parts.append(_range(feature.minimum, feature.maximum))
    if feature.categories is not None:
        shown = ", ".join(feature.categories[:5]) + (", ..." if len(feature.categories) > 5 else "")
        parts.append(f"{len(feature.categories)} categories ({shown}){' closed' if feature.closed else ''}")
    parts += [
        word for word, holds in (("nullable", feature.nullable), ("sensitive", feature.sensitive)) if holds
    ]
    return ", ".join(parts) + (f": {feature.description}" if feature.description else "")


def _range(low: float | None, high: float | None) -> str:
    return f"{'-inf' if low is None else f'{low:g}'}..{'inf' if high is None else f'{high:g}'}"


def _pairs(values: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "none"


def _numbers(values: Mapping[Any, float]) -> str:
    from service.bundle.packing.assembly import listed  # noqa: PLC0415 - see run

    return listed(values) or "none"
