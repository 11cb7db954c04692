"""Settings are typed, safe and documented."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.errors import SettingsError
from service.settings import PREFIX, Settings, load_settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start from an environment without settings."""
    for field in Settings.model_fields:
        monkeypatch.delenv(f"{PREFIX}{field.upper()}", raising=False)


def test_defaults_are_safe() -> None:
    """Loopback, no origin, no token needed."""
    settings = load_settings()
    assert settings.is_loopback
    assert settings.cors_origins == ()
    assert settings.token_file is None


def test_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names carry the prefix; lists are comma separated; an empty token file is none."""
    monkeypatch.setenv("PLUMBLINE_QUEUE_ROWS", "77")
    monkeypatch.setenv("PLUMBLINE_CORS_ORIGINS", "https://a.example.org, https://b.example.org")
    monkeypatch.setenv("PLUMBLINE_TOKEN_FILE", "")
    settings = load_settings()
    assert settings.queue_rows == 77
    assert settings.cors_origins == ("https://a.example.org", "https://b.example.org")
    assert settings.token_file is None


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PORT", "http", "PLUMBLINE_PORT: "),
        ("WORKERS", "0", "PLUMBLINE_WORKERS: "),
        ("QUEUE_ROWS", "-1", "PLUMBLINE_QUEUE_ROWS: "),
        ("LOG_LEVEL", "loud", "PLUMBLINE_LOG_LEVEL: "),
        ("HOST", "0.0.0.0", "host 0.0.0.0 is reachable from outside"),
        ("HOST", "example.org", "host example.org is reachable from outside"),
    ],
)
def test_wrong_values_are_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    """The error names the variable, on one line."""
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(SettingsError, match=message) as caught:
        load_settings()
    assert "\n" not in str(caught.value)


def test_open_bind_needs_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """A public address is taken with tokens, or on explicit demand."""
    monkeypatch.setenv("PLUMBLINE_HOST", "0.0.0.0")
    monkeypatch.setenv("PLUMBLINE_ALLOW_OPEN_BIND", "true")
    assert not load_settings().is_loopback
    monkeypatch.delenv("PLUMBLINE_ALLOW_OPEN_BIND")
    monkeypatch.setenv("PLUMBLINE_TOKEN_FILE", "tokens")
    assert load_settings().token_file == Path("tokens")
