"""Routing: which version answers, with and without a file that says so."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from service.bundle.routing import find_bundles, read_routing
from service.errors import SettingsError
from service.events import ModelKey

ROOT = Path(__file__).resolve().parents[3]


def shelf(folder: Path, *bundles: str, routing: str | None = None) -> Path:
    """Make a bundle directory with empty bundles."""
    for bundle in bundles:
        (folder / bundle).mkdir(parents=True)
    if routing is not None:
        (folder / "routing.toml").write_text(routing)
    return folder


def test_versions_are_listed_in_natural_order(tmp_path: Path) -> None:
    """Ten comes after nine."""
    shelf(tmp_path, "b/10", "b/9", "a/1.10", "a/1.9", "a/1.9-rc1")
    keys = [(key.model_name, key.model_version) for key in find_bundles(tmp_path)]
    assert keys == [("a", "1.9"), ("a", "1.9-rc1"), ("a", "1.10"), ("b", "9"), ("b", "10")]


def test_what_is_no_bundle_is_passed_over(tmp_path: Path) -> None:
    """Files, half-written bundles and names that no model may have are not listed."""
    shelf(tmp_path, "a/1", "a/.1-xyz", ".cache/1", "Upper/1", "empty")
    (tmp_path / "a" / "2").touch()
    (tmp_path / "README.md").touch()
    assert list(find_bundles(tmp_path)) == [ModelKey("a", "1")]


def test_without_a_file_the_highest_version_is_stable(tmp_path: Path) -> None:
    """The first model by name is the default."""
    routing = read_routing(shelf(tmp_path, "b/2", "b/11", "a/3"))
    assert routing.stable == {"a": "3", "b": "11"}
    assert routing.default_model == "a"


def test_file_decides(tmp_path: Path) -> None:
    """A named version is stable; a model without an entry keeps its highest."""
    text = 'default_model = "b"\n[models.b]\nstable = "2"\n[models.c]\n'
    routing = read_routing(shelf(tmp_path, "b/2", "b/11", "a/3", "c/5", routing=text))
    assert routing.stable == {"a": "3", "b": "2", "c": "5"}
    assert routing.default_model == "b"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("default_model = ", "is not TOML"),
        ('default_model = "z"', "default_model: .*/z does not exist"),
        ('[models.z]\nstable = "1"', "models.z: .*/z does not exist"),
        ('[models.a]\nstable = "9"', "models.a.stable: .*/a/9 does not exist"),
        ("[models.a]\nstable = 1", "models.a.stable: Input should be a valid string"),
        ('[models.a]\nsteady = "1"', "models.a.steady: Extra inputs are not permitted"),
        ('[models.a]\nstable = "../etc"', "models.a.stable: String should match pattern"),
        ('defaultmodel = "a"', "defaultmodel: Extra inputs are not permitted"),
    ],
)
def test_wrong_file_is_refused_with_one_line(tmp_path: Path, text: str, message: str) -> None:
    """The line names the file, the entry and what is wrong with it."""
    shelf(tmp_path, "a/1", routing=text)
    with pytest.raises(SettingsError, match=message) as caught:
        read_routing(tmp_path)
    assert str(caught.value).startswith(str(tmp_path / "routing.toml"))
    assert "\n" not in str(caught.value)


def test_empty_shelf_says_how_to_fill_it(tmp_path: Path) -> None:
    """A fresh clone has no bundles."""
    with pytest.raises(SettingsError, match="python -m training"):
        read_routing(tmp_path)


def test_missing_directory_is_refused(tmp_path: Path) -> None:
    """A mistyped directory is named."""
    with pytest.raises(SettingsError, match=r"nowhere: cannot be listed: No such file"):
        read_routing(tmp_path / "nowhere")


def test_committed_routing_names_the_demo_models(tmp_path: Path) -> None:
    """The file in the repository fits what training makes."""
    text = (ROOT / "bundles" / "routing.toml").read_text()
    names = list(tomllib.loads(text)["models"])
    routing = read_routing(shelf(tmp_path, *(f"{name}/1" for name in names), routing=text))
    assert routing.default_model == "iris"
    assert set(names) == {"iris", "breast_cancer", "tickets", "wide_forest", "diabetes"}
