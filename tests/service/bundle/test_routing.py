"""Routing: which version answers, with and without a file that says so."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from service.bundle.routing import find_bundles, read_routing
from service.errors import SettingsError
from service.events import ModelKey

ROOT = Path(__file__).resolve().parents[3]


def shelf(folder: Path, *bundles: str, routing: str | None = None, external: tuple[str, ...] = ()) -> Path:
    """Make a bundle directory with empty bundles; the external ones have a manifest that says so."""
    for bundle in (*bundles, *external):
        (folder / bundle).mkdir(parents=True)
        if bundle in external:
            (folder / bundle / "manifest.json").write_text(json.dumps({"external": True}))
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


def test_external_model_has_a_stable_version_but_is_no_default(tmp_path: Path) -> None:
    """A request that names no model must find one that can answer."""
    routing = read_routing(shelf(tmp_path, "b/2", "c/1", external=("a/3", "a/4")))
    assert routing.stable == {"a": "4", "b": "2", "c": "1"}
    assert routing.default_model == "b"


def test_stable_version_decides_whether_a_model_is_external(tmp_path: Path) -> None:
    """A version that is not asked does not count."""
    shelf(tmp_path, "a/1", "b/1", external=("a/2",), routing='[models.a]\nstable = "1"\n')
    assert read_routing(tmp_path).default_model == "a"
    (tmp_path / "routing.toml").unlink()
    assert read_routing(tmp_path).default_model == "b"


def test_without_a_model_that_answers_there_is_no_default(tmp_path: Path) -> None:
    """The service may watch nothing but other software."""
    routing = read_routing(shelf(tmp_path, external=("a/3", "b/1")))
    assert routing.default_model is None
    assert routing.stable == {"a": "3", "b": "1"}


def test_external_model_may_not_be_named_as_the_default(tmp_path: Path) -> None:
    """The line says why, rather than that each request fails."""
    shelf(tmp_path, "b/2", external=("a/3",), routing='default_model = "a"\n')
    with pytest.raises(SettingsError, match=r"default_model: .*/a/3 is external, so it answers no request"):
        read_routing(tmp_path)


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
