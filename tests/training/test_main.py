"""`python -m training`: all demo models, or the one asked for; what is there and usable is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.bundle.golden import check_predictions
from service.bundle.loader import load_bundle
from tests import builders
from training.__main__ import DEMOS, main


@pytest.mark.parametrize("name", DEMOS)
def test_every_demo_loads_and_predicts(name: str, demo_dir: Path) -> None:
    """Trained, packed, loaded, golden requests repeated."""
    check_predictions(load_bundle(demo_dir / name / "1"))


@pytest.mark.parametrize(
    ("name", "score", "low", "high"),
    [
        ("iris", "accuracy", 0.93, 1.0),
        ("breast_cancer", "accuracy", 0.93, 1.0),
        ("tickets", "accuracy", 0.85, 0.97),
        ("wide_forest", "accuracy", 0.90, 0.99),
        ("diabetes", "mae", 40.0, 50.0),
    ],
)
def test_every_demo_is_good_but_not_perfect(
    name: str, score: str, low: float, high: float, demo_dir: Path
) -> None:
    """So that the objectives of the demo mean something."""
    assert low <= load_bundle(demo_dir / name / "1").manifest.validation_scores[score] <= high


@pytest.mark.parametrize(
    ("name", "task", "container", "features"),
    [
        ("iris", "multiclass", "array", 4),
        ("breast_cancer", "binary", "array", 30),
        ("tickets", "multiclass", "text", 1),
        ("wide_forest", "binary", "array", 20),
        ("diabetes", "regression", "array", 10),
    ],
)
def test_every_demo_is_of_its_kind(
    name: str, task: str, container: str, features: int, demo_dir: Path
) -> None:
    """Task, form and features as the documentation says."""
    bundle = load_bundle(demo_dir / name / "1")
    assert (bundle.manifest.task, bundle.manifest.container) == (task, container)
    assert len(bundle.signature.features) == features


@pytest.mark.parametrize("name", ["iris", "breast_cancer", "tickets", "diabetes"])
def test_features_of_real_data_are_described(name: str, demo_dir: Path) -> None:
    """A reader of /docs knows what to send."""
    bundle = load_bundle(demo_dir / name / "1")
    assert all(feature.description for feature in bundle.signature.features)


def test_usable_bundle_is_kept_and_force_replaces_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second start of the stack does not train."""
    assert main(["--only", "iris", "--out", str(tmp_path)]) == 0
    written = (tmp_path / "iris" / "1" / "manifest.json").stat().st_ino
    assert main(["--only", "iris", "--out", str(tmp_path)]) == 0
    assert "iris: there already" in capsys.readouterr().out
    assert (tmp_path / "iris" / "1" / "manifest.json").stat().st_ino == written
    assert main(["--only", "iris", "--out", str(tmp_path), "--force"]) == 0
    assert "iris: training" in capsys.readouterr().out


def test_bundle_of_other_libraries_is_trained_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After an upgrade of scikit-learn the demo still starts."""
    main(["--only", "iris", "--out", str(tmp_path)])
    builders.change_manifest(tmp_path / "iris" / "1", library_versions={"scikit-learn": "0.24.2"})
    capsys.readouterr()
    main(["--only", "iris", "--out", str(tmp_path)])
    assert "iris: training" in capsys.readouterr().out
    check_predictions(load_bundle(tmp_path / "iris" / "1"))


def test_only_takes_known_names(capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped name shows those there are."""
    with pytest.raises(SystemExit) as stopped:
        main(["--only", "irises"])
    assert stopped.value.code == 2
    assert "wide_forest" in capsys.readouterr().err
