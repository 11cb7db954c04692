"""Loading a bundle: what is whole is loaded, everything else is refused with one line that says why."""

from __future__ import annotations

import io
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import pytest
from sklearn.linear_model import LinearRegression

from service.bundle.folder import BundleFolder
from service.bundle.golden import check_predictions
from service.bundle.loader import describe_bundle, load_bundle
from service.errors import BundleError
from service.events import ModelKey
from tests import builders


class Canary:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def pickled(thing: object) -> bytes:
    """Write a thing as joblib would."""
    buffer = io.BytesIO()
    joblib.dump(thing, buffer)
    return buffer.getvalue()


def changed(name: str, change: Callable[[Any], None]) -> Callable[[Path], None]:
    """Damage a JSON file of the bundle and give it a right hash."""

    def damage(directory: Path) -> None:
        content = builders.read_json(directory / name)
        change(content)
        builders.replace_file(directory, name, json.dumps(content).encode())

    return damage


def truncate(name: str) -> Callable[[Path], None]:
    """Cut the last 100 bytes off a file."""
    return lambda directory: os.truncate(directory / name, (directory / name).stat().st_size - 100)


def flip_bit(directory: Path) -> None:
    """Change one bit in the middle of the model."""
    content = bytearray((directory / "model.joblib").read_bytes())
    content[len(content) // 2] ^= 1
    (directory / "model.joblib").write_bytes(content)


def link_model(directory: Path) -> None:
    """Put a link to the very same bytes in the place of the model."""
    target = directory.parent.parent / "elsewhere.joblib"
    (directory / "model.joblib").rename(target)
    (directory / "model.joblib").symlink_to(target)


def fifo(directory: Path) -> None:
    """Put a pipe that nobody writes to in the place of the model."""
    (directory / "model.joblib").unlink()
    os.mkfifo(directory / "model.joblib")


def forget_file(directory: Path) -> None:
    """Take the golden requests out of the manifest, and the file away."""
    files = builders.read_json(directory / "manifest.json")["files"]
    del files["golden.json"]
    builders.change_manifest(directory, files=files)
    (directory / "golden.json").unlink()


def list_path(directory: Path) -> None:
    """Let the manifest list a file outside the bundle."""
    files = builders.read_json(directory / "manifest.json")["files"]
    builders.change_manifest(directory, files={**files, "../../etc/passwd": files["model.joblib"]})


def other_libraries(**versions: str) -> Callable[[Path], None]:
    """Let the manifest say that it was packed with these libraries."""
    names = {name.replace("_", "-"): version for name, version in versions.items()}
    return lambda directory: builders.change_manifest(directory, library_versions=names)


def with_model(thing: object) -> Callable[[Path], None]:
    """Put another object in the place of the model, with a right hash."""
    return lambda directory: builders.replace_file(directory, "model.joblib", pickled(thing))


def drop_count(reference: Any) -> None:
    """Leave out one count of a feature."""
    reference["features"]["girth"]["counts"].pop()


def swap_edges(reference: Any) -> None:
    """Let edges descend."""
    reference["features"]["girth"]["edges"].reverse()


DAMAGES: dict[str, tuple[Callable[[Path], object], str, str, str]] = {
    "truncated model": (truncate("model.joblib"), "hash", "model.joblib", "bytes, the manifest says"),
    "truncated reference": (truncate("reference.json"), "hash", "reference.json", "bytes, the manifest says"),
    "truncated manifest": (truncate("manifest.json"), "manifest", "manifest.json", "is not JSON"),
    "one bit of the model": (flip_bit, "hash", "model.joblib", "was altered"),
    "no manifest": (
        lambda d: (d / "manifest.json").unlink(),
        "missing_file",
        "manifest.json",
        "does not exist",
    ),
    "no signature": (
        lambda d: (d / "signature.json").unlink(),
        "missing_file",
        "signature.json",
        "not exist",
    ),
    "a link": (link_model, "missing_file", "model.joblib", "links are refused"),
    "a pipe": (fifo, "missing_file", "model.joblib", "not a regular file"),
    "an extra file": (lambda d: (d / "notes.txt").touch(), "manifest", "notes.txt", "not listed"),
    "a file fewer": (forget_file, "manifest", "manifest.json", "does not list the file: golden.json"),
    "a path in the manifest": (list_path, "manifest", "manifest.json", "no bundle has"),
    "a newer format": (
        lambda d: builders.change_manifest(d, format_version=2, something_new=True),
        "format_version",
        "manifest.json",
        "format version 2, this program reads 1",
    ),
    "no format": (lambda d: (d / "manifest.json").write_text("[]"), "manifest", "manifest.json", ""),
    "an unknown entry": (
        lambda d: builders.change_manifest(d, colour="red"),
        "manifest",
        "manifest.json",
        "colour: Extra inputs",
    ),
    "another name": (
        lambda d: builders.change_manifest(d, model_name="letters"),
        "manifest",
        "manifest.json",
        "names letters/3, but its folder is numbers/3",
    ),
    "another scikit-learn": (
        other_libraries(scikit_learn="0.24.2"),
        "library_version",
        "manifest.json",
        "packed with scikit-learn 0.24.2",
    ),
    "a library that is not there": (
        other_libraries(no_such_library="1.0"),
        "library_version",
        "manifest.json",
        "not installed",
    ),
    "another task": (
        lambda d: builders.change_manifest(d, task="binary"),
        "signature",
        "signature.json",
        "is for multiclass on tabular, the manifest for binary on tabular",
    ),
    "a signature that is none": (
        changed("signature.json", lambda s: s.pop("features")),
        "signature",
        "signature.json",
        "features: Field required",
    ),
    "classes in another order": (
        changed("signature.json", lambda s: s["classes"].reverse()),
        "signature",
        "model.joblib",
        "other classes",
    ),
    "a feature fewer": (
        lambda d: (
            changed("signature.json", lambda s: s["features"].pop())(d),
            changed("reference.json", lambda r: r["features"].pop("slope"))(d),
            builders.change_manifest(d, monitored_features=["height", "girth"]),
        ),
        "signature",
        "model.joblib",
        "takes 3 features, the signature has 2",
    ),
    "a monitored feature that is none": (
        lambda d: builders.change_manifest(d, monitored_features=["age"]),
        "signature",
        "signature.json",
        "no feature 'age'",
    ),
    "a count too few": (
        changed("reference.json", drop_count),
        "reference",
        "reference.json",
        "girth has 10 counts",
    ),
    "descending edges": (
        changed("reference.json", swap_edges),
        "reference",
        "reference.json",
        "do not ascend",
    ),
    "a reference too few": (
        changed("reference.json", lambda r: r["features"].pop("slope")),
        "reference",
        "reference.json",
        "differ in 'slope'",
    ),
    "golden requests that are none": (
        changed("golden.json", lambda g: g.update(requests=[])),
        "golden",
        "golden.json",
        "requests",
    ),
    "no pickle": (
        lambda d: builders.replace_file(d, "model.joblib", b"this is no pickle"),
        "unpickle",
        "model.joblib",
        "cannot be unpickled",
    ),
    "no estimator": (
        with_model({"weights": [1, 2]}),
        "signature",
        "model.joblib",
        "a dict, which cannot predict",
    ),
    "a regressor": (with_model(LinearRegression()), "signature", "model.joblib", "other classes"),
}


@pytest.mark.parametrize("name", builders.MODELS)
def test_whole_bundle_is_loaded_and_predicts(name: str) -> None:
    """Every kind of model is loaded with its identity and repeats its golden requests."""
    bundle = load_bundle(builders.bundle_dir() / name / builders.VERSION)
    assert bundle.key == ModelKey(name, builders.VERSION)
    assert bundle.manifest.model_name == name
    assert len(bundle.manifest_sha256) == 64
    check_predictions(bundle)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_bundle_is_refused_with_one_line(damage: str, tmp_path: Path) -> None:
    """Whatever is wrong, one line names the file and says why."""
    apply, reason, file, text = DAMAGES[damage]
    directory = builders.copy_bundle(builders.NUMBERS, tmp_path)
    apply(directory)
    with pytest.raises(BundleError) as caught:
        load_bundle(directory)
    assert caught.value.reason == reason
    assert str(caught.value).startswith(f"{directory / file}: ")
    assert text in caught.value.message
    assert "\n" not in str(caught.value)


def test_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    """The line names the folder."""
    with pytest.raises(BundleError, match="numbers/9: does not exist") as caught:
        load_bundle(tmp_path / "numbers" / "9")
    assert caught.value.reason == "missing_file"


def test_relative_path_knows_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle is found from within its own folder as well."""
    monkeypatch.chdir(builders.bundle_dir() / builders.NUMBERS)
    assert load_bundle(Path("3")).key == ModelKey(builders.NUMBERS, "3")


def test_nothing_is_unpickled_before_the_hash_is_checked(tmp_path: Path) -> None:
    """A model whose hash is wrong runs no code."""
    directory = builders.copy_bundle(builders.NUMBERS, tmp_path)
    (directory / "model.joblib").write_bytes(pickle.dumps(Canary(tmp_path / "ran")))
    with pytest.raises(BundleError, match=r"model\.joblib"):
        load_bundle(directory)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "damage",
    [
        other_libraries(numpy="0.1"),
        changed("signature.json", lambda s: s.pop("features")),
        changed("reference.json", drop_count),
        changed("golden.json", lambda g: g.update(requests=[])),
    ],
    ids=["library", "signature", "reference", "golden"],
)
def test_nothing_is_unpickled_before_everything_else_was_read(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    """Even with a right hash, a bundle that is refused for another reason runs no code."""
    directory = builders.copy_bundle(builders.NUMBERS, tmp_path)
    builders.replace_file(directory, "model.joblib", pickle.dumps(Canary(tmp_path / "ran")))
    damage(directory)
    with pytest.raises(BundleError):
        load_bundle(directory)
    assert not (tmp_path / "ran").exists()


def test_canary_runs_when_it_is_unpickled(tmp_path: Path) -> None:
    """The two tests above could fail: with a right hash and nothing else wrong the canary does run."""
    directory = builders.copy_bundle(builders.NUMBERS, tmp_path)
    builders.replace_file(directory, "model.joblib", pickle.dumps(Canary(tmp_path / "ran")))
    with pytest.raises(BundleError, match="cannot predict"):
        load_bundle(directory)
    assert (tmp_path / "ran").exists()


def test_model_swapped_after_its_hash_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is unpickled is the descriptor that was hashed, whatever lies under its name by then."""
    directory = builders.copy_bundle(builders.NUMBERS, tmp_path)
    verify = BundleFolder.verify

    def verify_and_swap(self: BundleFolder, name: str, *rest: Any) -> None:
        verify(self, name, *rest)
        evil = tmp_path / "evil"
        evil.write_bytes(pickle.dumps(Canary(tmp_path / "ran")))
        evil.replace(directory / name)

    monkeypatch.setattr(BundleFolder, "verify", verify_and_swap)
    check_predictions(load_bundle(directory))
    assert not (tmp_path / "ran").exists()


def test_library_mismatch_can_be_allowed(tmp_path: Path) -> None:
    """With the permission, other library versions are no reason to refuse."""
    directory = builders.copy_bundle(builders.NUMBERS, tmp_path)
    other_libraries(scikit_learn="0.24.2")(directory)
    check_predictions(load_bundle(directory, allow_library_mismatch=True))


def test_estimator_of_another_scikit_learn_is_refused_unless_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version inside the pickle counts, whatever the manifest says."""
    directory = builders.copy_bundle(builders.NUMBERS, tmp_path)
    estimator, *_ = builders.numbers_model()
    with monkeypatch.context() as patch:
        patch.setattr("sklearn.base.__version__", "1.2.3")
        content = pickled(estimator)
    builders.replace_file(directory, "model.joblib", content)
    with pytest.raises(BundleError, match="another scikit-learn") as caught:
        load_bundle(directory)
    assert caught.value.reason == "library_version"
    assert "\n" not in str(caught.value)
    check_predictions(load_bundle(directory, allow_library_mismatch=True))


def external(folder: Path) -> Path:
    """Make an external bundle of a copy: its files and what the manifest says of an estimator are gone."""
    directory = builders.copy_bundle(builders.NUMBERS, folder)
    files = builders.read_json(directory / "manifest.json")["files"]
    for name in ("golden.json", "model.joblib"):
        (directory / name).unlink()
        del files[name]
    builders.change_manifest(directory, external=True, container=None, output=None, files=files)
    return directory


def test_bundle_of_before_external_ones_is_loaded(tmp_path: Path) -> None:
    """Its manifest has none of the entries that came later."""
    directory = builders.copy_bundle(builders.NUMBERS, tmp_path)
    content = builders.read_json(directory / "manifest.json")
    for name in ("external", "store_features"):
        del content[name]
    (directory / "manifest.json").write_text(json.dumps(content))
    bundle = load_bundle(directory)
    check_predictions(bundle)
    assert (bundle.manifest.external, bundle.manifest.store_features) == (False, True)


def test_external_bundle_is_described_and_cannot_be_loaded(tmp_path: Path) -> None:
    """Everything that it has is checked; there is no estimator to load."""
    directory = external(tmp_path)
    description = describe_bundle(directory)
    assert description.key == ModelKey("numbers", "3")
    assert description.golden is None
    assert [feature.name for feature in description.signature.features] == ["height", "girth", "slope"]
    with pytest.raises(BundleError) as caught:
        load_bundle(directory)
    assert caught.value.reason == "manifest"
    assert str(caught.value) == (
        f"{directory / 'manifest.json'}: is of an external model: there is no estimator to load"
    )


def add_model(directory: Path) -> None:
    """List a model in the manifest of an external bundle, and put it there."""
    builders.replace_file(directory, "model.joblib", b"")


EXTERNAL_DAMAGES: dict[str, tuple[Callable[[Path], object], str, str, str]] = {
    "a model": (add_model, "manifest", "manifest.json", "a file that no external bundle has: model.joblib"),
    "golden requests": (lambda d: (d / "golden.json").touch(), "manifest", "golden.json", "is not listed"),
    "truncated": (truncate("reference.json"), "hash", "reference.json", "bytes, the manifest says"),
    "a call": (
        lambda d: builders.change_manifest(d, container="array"),
        "manifest",
        "manifest.json",
        "container and output belong to a model with an estimator",
    ),
    "not external": (
        lambda d: builders.change_manifest(d, external=False),
        "manifest",
        "manifest.json",
        "container and output belong to a model with an estimator",
    ),
    "half of it": (
        lambda d: builders.change_manifest(d, external=False, container="array", output="argmax"),
        "manifest",
        "manifest.json",
        "does not list the file: golden.json",
    ),
}


@pytest.mark.parametrize("damage", EXTERNAL_DAMAGES)
def test_damaged_external_bundle_is_refused_with_one_line(damage: str, tmp_path: Path) -> None:
    """As any other."""
    apply, reason, file, text = EXTERNAL_DAMAGES[damage]
    directory = external(tmp_path)
    apply(directory)
    with pytest.raises(BundleError) as caught:
        describe_bundle(directory)
    assert caught.value.reason == reason
    assert str(caught.value).startswith(f"{directory / file}: ")
    assert text in caught.value.message


def test_description_unpickles_nothing(tmp_path: Path) -> None:
    """A bundle of unknown origin can be looked at."""
    directory = builders.copy_bundle(builders.NUMBERS, tmp_path)
    builders.replace_file(directory, "model.joblib", pickle.dumps(Canary(tmp_path / "ran")))
    description = describe_bundle(directory)
    assert description.golden is not None
    assert [feature.name for feature in description.signature.features] == ["height", "girth", "slope"]
    assert not (tmp_path / "ran").exists()
