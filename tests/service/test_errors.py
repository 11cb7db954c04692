"""The tree in the docstring is the tree in the code."""

from __future__ import annotations

import re
from typing import Any

from service import errors


def tree(root: type[Any], depth: int = 0) -> list[tuple[int, str]]:
    """List the classes below `root` with their depth, in order of definition."""
    found = [(depth, root.__name__)]
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:  # commands have errors of their own below the root
            found += tree(child, depth + 1)
    return found


def test_docstring_draws_the_tree() -> None:
    """Every class stands in the drawing at its depth."""
    drawn = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"([│├└─ ]*)(\w+Error)\b", line)
        if match:
            drawn.append((len(match[1]) // 4, match[2]))
    assert sorted(drawn) == sorted(tree(errors.PlumblineError))


def test_bundle_errors_are_one_line_that_names_the_file() -> None:
    """What is logged says where and why."""
    error = errors.BundleError("bundles/iris/1/model.joblib", "hash", "is not the file that was packed")
    assert str(error) == "bundles/iris/1/model.joblib: is not the file that was packed"
    assert error.reason in errors.BUNDLE_FAILURES
