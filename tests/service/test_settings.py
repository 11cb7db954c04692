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
        ("LOG_FULL_POLICY", "drop", "PLUMBLINE_LOG_FULL_POLICY: "),
        ("ID_ACCEPT_DAYS", "0", "PLUMBLINE_ID_ACCEPT_DAYS: "),
        ("LOG_SPOOL_MAX_BYTES", "1000", "PLUMBLINE_LOG_SPOOL_MAX_BYTES: "),
        ("LOG_SEGMENT_BYTES", "0", "PLUMBLINE_LOG_SEGMENT_BYTES: "),
        ("LOG_SYNC_SECONDS", "0", "PLUMBLINE_LOG_SYNC_SECONDS: "),
        ("LOG_DSN_FILE", "dsn", "PLUMBLINE_LOG_DSN_FILE needs PLUMBLINE_ID_KEY_FILE"),
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


def test_keys_lie_in_the_log_unless_a_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """One host makes its own key; several share one, and with it a database."""
    assert load_settings().id_keys == load_settings().log_dir / "id_keys"
    monkeypatch.setenv("PLUMBLINE_LOG_DIR", "/var/log/plumbline")
    assert load_settings().id_keys == Path("/var/log/plumbline/id_keys")
    monkeypatch.setenv("PLUMBLINE_ID_KEY_FILE", "/run/secrets/keys")
    monkeypatch.setenv("PLUMBLINE_LOG_DSN_FILE", "/run/secrets/dsn")
    settings = load_settings()
    assert (settings.id_keys, settings.log_dsn_file) == (Path("/run/secrets/keys"), Path("/run/secrets/dsn"))


def test_empty_files_of_the_log_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose passes an empty variable for what is not set."""
    monkeypatch.setenv("PLUMBLINE_LOG_DSN_FILE", "")
    monkeypatch.setenv("PLUMBLINE_ID_KEY_FILE", "")
    settings = load_settings()
    assert (settings.log_dsn_file, settings.id_key_file) == (None, None)


def test_predictions_go_on_by_default_when_the_log_is_full() -> None:
    """Serving comes before logging, unless somebody says otherwise."""
    assert load_settings().log_full_policy == "serve_and_count"
