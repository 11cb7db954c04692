"""The application on the test bundles, in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.bootstrap import build_app
from service.settings import Settings
from tests.asgi import AsgiClient
from tests.builders import bundle_dir

TOKEN = "t0ken-" + "x" * 32


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Small limits, so that each can be met."""
    return Settings(
        bundle_dir=bundle_dir(),
        metrics_dir=tmp_path_factory.mktemp("metrics"),
        log_dir=tmp_path_factory.mktemp("prediction_log"),
        single_body_max_bytes=4096,
        batch_body_max_bytes=65536,
        batch_rows_max=50,
        body_timeout_seconds=0.2,
        log_requests="none",
    )


@pytest.fixture(scope="session")
def client(settings: Settings) -> Iterator[AsgiClient]:
    """Serve without tokens."""
    with AsgiClient(build_app(settings)) as started:
        yield started


@pytest.fixture
def guarded(settings: Settings, tmp_path: Path) -> Iterator[AsgiClient]:
    """Serve with a token file."""
    path = tmp_path / "tokens"
    path.write_text(f"# who may call\n\nalice {TOKEN}\n")
    with AsgiClient(build_app(settings.model_copy(update={"token_file": path}))) as started:
        yield started
