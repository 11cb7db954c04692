"""`plumbline pack`: a fitted estimator and its training data, or data alone, become a bundle."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.errors import PackError

if TYPE_CHECKING:
    from operations.commands import Subparsers

EXAMPLES = """\
examples:
  plumbline pack model.joblib --data train.csv --target species --name iris --version 1
  plumbline pack model.joblib --data train.csv --target price --name flats --version 2 \\
      --validation held_out.csv --ignore row_id --fields fields.toml --objective latency_p95_seconds=0.1

a model that other software serves, to log its predictions and truths here; no MODEL.joblib:
  plumbline pack --external --data sample.csv --target species --name iris --version 1
  plumbline pack --external --data sample.csv --target is_fraud --prediction said --confidence score \\
      --name fraud --version 2026-03 --objective accuracy=0.9 label_delay_seconds=604800
Classes are the values of the target: strings, whole numbers or booleans; fractions are a regression.

fields.toml has a table per feature, each key optional:
  [age]
  type = "number"        # whole so far, but fractions may come; "category": digits, but a code; "text"
  unit = "years"
  description = "Age at the time of the claim"
  minimum = 0            # smaller: refused
  maximum = 130          # larger: refused
  sensitive = true       # never logged nor stored, and no real value is recorded in the bundle
  nullable = true        # null is allowed
  fill = 40              # what stands in for null; without it the estimator gets a missing value
  example = 44
  closed = true          # (categories) an unknown one is refused

The model file is unpickled, which runs code from it: pack only what you trust.
"""

_EXTERNAL_OPTIONS = ("prediction", "confidence", "task")


def register(subparsers: Subparsers) -> None:
    """Add the parser of `plumbline pack`."""
    parser = subparsers.add_parser(
        "pack",
        help="build a bundle from a fitted estimator and its training data, or from data alone",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_data(parser.add_argument)
    _add_bundle(parser.add_argument)
    external = parser.add_argument_group("for a model that other software serves")
    external.add_argument("--external", action="store_true", help="pack a bundle without an estimator")
    external.add_argument("--prediction", metavar="COLUMN", help="column with the model's own predictions")
    external.add_argument(
        "--confidence", metavar="COLUMN", help="column with the probability of that prediction, 0 to 1"
    )
    external.add_argument(
        "--task",
        choices=("binary", "multiclass", "regression"),
        help="what the target is, if its values leave it open",
    )


def _add_data(add: Callable[..., Any]) -> None:
    """Add the options about model and data."""
    add(
        "model",
        type=Path,
        nargs="?",
        metavar="MODEL.joblib",
        help="estimator or pipeline, written by joblib.dump; not with --external",
    )
    add("--data", type=Path, required=True, help="CSV file it was fitted on; with --external, other rows")
    add("--target", required=True, metavar="COLUMN", help="column that it predicts")
    add(
        "--validation",
        type=Path,
        metavar="FILE",
        help="CSV file held out; without it clones are fitted on 5 folds",
    )
    add("--ignore", nargs="+", default=[], metavar="COLUMN", help="columns of the data that are no features")
    add(
        "--unmonitored",
        nargs="+",
        default=[],
        metavar="COLUMN",
        help="features that no drift is computed for",
    )
    add("--fields", type=Path, metavar="FILE.toml", help="unit, limits, example, ... by feature")
    add("--output-minimum", type=float, metavar="NUMBER", help="regression: a smaller prediction is invalid")
    add("--output-maximum", type=float, metavar="NUMBER", help="regression: a larger prediction is invalid")


def _add_bundle(add: Callable[..., Any]) -> None:
    """Add the options about the bundle that is written."""
    add("--name", required=True, help="name of the model")
    add("--version", required=True, help="version of the model")
    add(
        "--objective",
        nargs="+",
        default=[],
        type=_objective,
        metavar="SIGNAL=VALUE",
        action="extend",
        help="accuracy, error_rate, calibration_error, mae, latency_p95_seconds or drift, each suggested if "
        "it is not given; label_delay_seconds, longest time without a ground truth",
    )
    add(
        "--no-store-features",
        action="store_true",
        help="keep no features in the prediction log; sensitive ones never are",
    )
    add(
        "--series-limit",
        type=int,
        metavar="COUNT",
        help="most time series that the bundle may export [15000]",
    )
    add("--created", metavar="TIME", help="time of creation, ISO 8601 [SOURCE_DATE_EPOCH, else now]")
    add("--out", type=Path, default=Path("bundles"), help="folder of bundles [%(default)s]")
    add("--force", action="store_true", help="replace a bundle of this name and version")


def run(options: argparse.Namespace) -> int:
    """Pack, and print each step and decision."""
    # Here, not above: the other commands need no scikit-learn metrics, and `--help` should not wait for them.
    from service.bundle.packing.external import ExternalRequest, pack_external  # noqa: PLC0415 - see above
    from service.bundle.packing.pack import PackRequest, pack_bundle  # noqa: PLC0415 - see above
    from service.bundle.packing.series_budget import DEFAULT_LIMIT  # noqa: PLC0415 - see above

    _refuse_mixed(options)
    common: dict[str, Any] = {
        "data": options.data,
        "target": options.target,
        "name": options.name,
        "version": options.version,
        "ignore": tuple(options.ignore),
        "unmonitored": tuple(options.unmonitored),
        "fields": options.fields,
        "objectives": dict(options.objective),
        "output_minimum": options.output_minimum,
        "output_maximum": options.output_maximum,
        "store_features": not options.no_store_features,
        "series_limit": DEFAULT_LIMIT if options.series_limit is None else options.series_limit,
        "created": options.created or _source_date(),
        "out": options.out,
        "force": options.force,
    }
    if options.external:
        outputs = {name: getattr(options, name) for name in _EXTERNAL_OPTIONS}
        pack_external(ExternalRequest(**common, **outputs), _print)
    else:
        pack_bundle(PackRequest(**common, model=options.model, validation=options.validation), _print)
    return 0


def _print(line: str) -> None:
    print(line, flush=True)


def _refuse_mixed(options: argparse.Namespace) -> None:
    """Raise if an option of the one kind of bundle is given for the other."""
    if options.external:
        if options.model is not None:
            raise PackError(
                f"--external is for a model that other software serves: leave {options.model} out"
            )
        if options.validation is not None:
            raise PackError("--validation goes with a MODEL.joblib, not with --external")
        return
    for name in _EXTERNAL_OPTIONS:
        if getattr(options, name) is not None:
            raise PackError(f"--{name} goes with --external")
    if options.model is None:
        raise PackError("MODEL.joblib is missing; for a model that other software serves give --external")


def _objective(text: str) -> tuple[str, float]:
    signal, equals, value = text.partition("=")
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not equals or not abs(number) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not SIGNAL=VALUE, for example accuracy=0.9")
    return signal, number


def _source_date() -> str | None:
    """Take the time of creation from SOURCE_DATE_EPOCH, as reproducible builds do."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if not epoch:
        return None
    try:
        return datetime.fromtimestamp(int(epoch), UTC).isoformat()
    except (ValueError, OverflowError, OSError) as error:
        raise PackError(f"SOURCE_DATE_EPOCH is no Unix time: {epoch!r}") from error
