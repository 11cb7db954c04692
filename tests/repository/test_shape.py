"""The tree keeps its shape: small files, telling names, mirrored tests, one way to read the environment."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BANNED = {"utils", "util", "helpers", "helper", "common", "misc", "core", "lib", "managers"}
PACKAGES = ("service", "operations", "training", "prometheus", "alertmanager", "grafana", "loadtest")


def tracked(*patterns: str) -> list[Path]:
    """List the files of the project that match, tracked or about to be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


SOURCES = [path for path in tracked("*.py") if path.relative_to(ROOT).parts[0] in PACKAGES]


def test_source_files_stay_under_300_lines() -> None:
    """A file that one cannot hold in mind is two files."""
    too_long = {
        str(path.relative_to(ROOT)): count
        for path in SOURCES
        if (count := len(path.read_text().splitlines())) > 300
    }
    assert not too_long


def test_functions_fit_a_screen() -> None:
    """No function has more than 60 lines."""
    too_long = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                if node.end_lineno - node.lineno > 60:
                    too_long.append(f"{path.relative_to(ROOT)}:{node.name}")
    assert not too_long


def test_no_name_that_holds_anything() -> None:
    """Modules and folders are named for what they hold."""
    names = {part for path in tracked("*.py") for part in path.relative_to(ROOT).with_suffix("").parts}
    assert not names & BANNED


def test_init_files_are_empty() -> None:
    """A name is imported from the module that defines it."""
    assert not [path for path in tracked("*__init__.py") if path.read_text().strip()]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_environment_is_read_in_one_place(path: Path) -> None:
    """Settings come from `service/settings.py`; only the arbiter's files also write the environment."""
    allowed = {"service/settings.py", "service/gunicorn_conf.py", "service/observability/metrics_dir.py"}
    if str(path.relative_to(ROOT)) in allowed or path.relative_to(ROOT).parts[0] != "service":
        return
    assert "environ" not in path.read_text()


def test_nothing_is_left_open() -> None:
    """No reminder stands in the code."""
    pattern = re.compile(r"\b(TODO|FIXME|XXX)\b")
    assert not [path for path in SOURCES if pattern.search(path.read_text())]


def test_exceptions_from_the_rules_give_their_reason() -> None:
    """A bare `noqa` or `type: ignore` explains nothing."""
    bare = re.compile(r"#\s*noqa\s*($|[^:\s])|#\s*noqa:\s*[A-Z0-9, ]+$|#\s*type:\s*ignore(\[[^\]]+\])?\s*$")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked("*.py")
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if bare.search(line)
    ]
    assert not found


def test_every_service_module_has_its_test() -> None:
    """The test of `service/x/y.py` is `tests/service/x/test_y.py`."""
    missing = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if path.relative_to(ROOT).parts[0] == "service" and path.name != "__init__.py"
        if not (ROOT / "tests" / path.relative_to(ROOT).parent / f"test_{path.name}").exists()
    ]
    assert not missing


def test_no_unpickling_outside_the_bundle_layer() -> None:
    """Nothing but the loader's one function turns bytes into objects."""
    pattern = re.compile(r"pickle\.loads?\(|joblib\.load\(|yaml\.(unsafe_)?load\(|\beval\(|\bexec\(")
    found = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if pattern.search(path.read_text()) and path.name != "estimator_file.py"
    ]
    assert not found


def test_no_form_parser_is_installed() -> None:
    """A form parser on a JSON service is attack surface (see SECURITY.md)."""
    with pytest.raises(ImportError):
        __import__("python_multipart")
