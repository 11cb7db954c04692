"""`plumbline check`: would the service load this bundle, and does it still predict what it did?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from operations.commands import Subparsers
    from service.bundle.manifest import Manifest

EXAMPLES = """\
examples:
  plumbline check bundles/iris/1
  plumbline check bundles/*/*/

Exit status 0 if all checks pass, 1 with the first failure of each bundle.
Hashes are compared before the estimator is unpickled; an external bundle has none.
"""


def register(subparsers: Subparsers) -> None:
    """Add the parser of `plumbline check`."""
    parser = subparsers.add_parser(
        "check",
        help="check hashes, library versions and golden requests of a bundle",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directory", type=Path, nargs="+", metavar="DIR", help="<model_name>/<model_version>")
    parser.add_argument(
        "--allow-library-mismatch", action="store_true", help="load although libraries have other versions"
    )


def run(options: argparse.Namespace) -> int:
    """Check each bundle and print a line per check."""
    passed = [_check(directory, options.allow_library_mismatch) for directory in options.directory]
    return 0 if all(passed) else 1


def _check(directory: Path, allow_library_mismatch: bool) -> bool:
    # Here, not above: scikit-learn takes a second to import, and `--help` should not wait for it.
    from service.bundle.folder import is_external  # noqa: PLC0415 - see above
    from service.errors import BundleError  # noqa: PLC0415 - see above

    try:
        if is_external(directory):
            _check_external(directory)
        else:
            _check_model(directory, allow_library_mismatch)
    except BundleError as error:
        print(f"FAIL  {error} ({error.reason})")
        return False
    return True


def _check_external(directory: Path) -> None:
    from service.bundle.loader import describe_bundle  # noqa: PLC0415 - see _check

    manifest = describe_bundle(directory).manifest
    _print_files(directory, manifest)
    print(f"ok    {directory}: signature and reference fit together")
    print(f"ok    {directory}: external, so no estimator and no golden requests")


def _check_model(directory: Path, allow_library_mismatch: bool) -> None:
    from service.bundle.golden import run_golden, try_prediction  # noqa: PLC0415 - see _check
    from service.bundle.loader import load_bundle  # noqa: PLC0415 - see _check

    bundle = load_bundle(directory, allow_library_mismatch=allow_library_mismatch)
    manifest = bundle.manifest
    libraries = ", ".join(f"{name} {version}" for name, version in sorted(manifest.library_versions.items()))
    _print_files(directory, manifest)
    print(f"ok    {directory}: {'library versions not compared' if allow_library_mismatch else libraries}")
    print(f"ok    {directory}: signature, reference and estimator fit together")
    try_prediction(bundle)
    print(f"ok    {directory}: trial prediction")
    run_golden(bundle)
    print(f"ok    {directory}: {len(bundle.golden.requests)} golden requests")


def _print_files(directory: Path, manifest: Manifest) -> None:
    print(f"ok    {directory}: manifest, format version {manifest.format_version}")
    print(f"ok    {directory}: sha256 of {len(manifest.files)} files")
