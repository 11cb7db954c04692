"""Every setting of the service, read from the environment (prefix `PLUMBLINE_`) and nowhere else."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.errors import SettingsError

PREFIX = "PLUMBLINE_"


class Settings(BaseSettings):
    """Settings of predictor and exporter; a field's docstring is its documentation."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, use_attribute_docstrings=True)

    host: str = "127.0.0.1"
    """Address the predictor binds. Anything but loopback needs a token file, or `allow_open_bind`."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port of the predictor."""
    allow_open_bind: bool = False
    """Allow a bind beyond loopback without tokens, for a network that is closed by other means (compose)."""
    token_file: Path | None = None
    """File of bearer tokens, a line each: `name token`, the token at least 32 characters long.
    With it every route but health, ready and docs needs `Authorization: Bearer`."""
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins that browsers may call from, comma separated; none by default."""

    bundle_dir: Path = Path("bundles")
    """Folder of the model bundles and of `routing.toml`."""
    allow_library_mismatch: bool = False
    """Serve a bundle packed with other library versions than those installed; otherwise it is refused."""

    workers: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1, le=256)
    """Worker processes; one per core, since each has one inference thread. Default: the number of cores."""
    max_requests: int = Field(default=0, ge=0)
    """Requests after which a worker is replaced; 0 never. Only for a proven leak."""
    max_requests_jitter: int = Field(default=0, ge=0)
    """Spread of `max_requests`, so that workers are not replaced together."""
    backlog: int = Field(default=256, ge=1)
    """Connections that wait in the kernel; short, since queueing belongs to the application."""
    worker_connections: int = Field(default=512, ge=1)
    """Connections of one worker; one more is answered 503 and closed."""
    keepalive_seconds: int = Field(default=75, ge=1)
    """Idle time after which a connection is closed; longer than that of a proxy in front."""
    worker_timeout_seconds: int = Field(default=30, ge=2)
    """A worker whose event loop is silent for so long is killed and replaced."""
    graceful_timeout_seconds: int = Field(default=25, ge=1)
    """Time that a stopping worker has to answer what it accepted."""

    single_body_max_bytes: int = Field(default=262_144, ge=1024)
    """Largest body of a single prediction."""
    batch_body_max_bytes: int = Field(default=2_097_152, ge=1024)
    """Largest body of a batch. A thousand rows of thirty named features are half of it; reading a hostile one
    of this size holds up its worker for about a fifth of a second."""
    batch_rows_max: int = Field(default=1000, ge=1)
    """Most rows of a batch."""
    body_timeout_seconds: float = Field(default=10.0, gt=0)
    """Time in which a whole body must arrive."""

    queue_rows: int = Field(default=1024, ge=1)
    """Rows that may wait in one worker; beyond it requests are refused with 503."""
    micro_batch_rows: int = Field(default=64, ge=1)
    """Most rows in one call of the model."""
    request_deadline_seconds: float = Field(default=5.0, gt=0)
    """A request that waits longer is answered 504."""
    inference_stall_seconds: float = Field(default=60.0, gt=0)
    """A call of the model that runs longer marks the worker as not alive; it then replaces itself."""

    metrics_dir: Path = Path(".local/run/metrics")
    """Folder of the shared counter files, one per container or host; each start of the predictor uses a new
    folder inside."""
    metrics_flush_seconds: float = Field(default=0.02, gt=0)
    """How long rows wait before they are counted into feature bins; what a killed worker may lose."""
    exporter_host: str = "127.0.0.1"
    """Address the exporter binds; inside a container network the address of the container."""
    exporter_port: int = Field(default=9101, ge=0, le=65535)
    """Port of the exporter, which Prometheus scrapes."""
    series_limit: int = Field(default=200_000, ge=1000)
    """Series per scrape target, equal to `sample_limit` of Prometheus; a bundle that would take the target
    above 80 % of it is not loaded."""

    log_dir: Path = Path(".local/prediction_log")
    """Folder of the prediction log: spool, keys and, without a DSN, the SQLite database. One per host or
    volume; keep it: what is lost here is lost."""
    log_dsn_file: Path | None = None
    """File with the address of a PostgreSQL database, `postgresql://user:password@host:5432/name`, for the
    prediction log of several hosts; needs `id_key_file`, the same keys on all of them."""
    id_key_file: Path | None = None
    """File with the keys that sign prediction ids, 64 hexadecimal digits a line; the first signs, all are
    accepted. Default: `id_keys` in `log_dir`, made at the first start."""
    id_accept_days: int = Field(default=400, ge=1)
    """Age of a prediction, days, up to which its ground truth is accepted."""
    log_spool_max_bytes: int = Field(default=2_147_483_648, ge=1_048_576)
    """Most bytes of records that wait for the database, all workers together; about an hour of 500 rows a
    second of 1 KB."""
    log_segment_bytes: int = Field(default=16_777_216, ge=4096)
    """Size at which a worker begins a new file in the spool."""
    log_sync_seconds: float = Field(default=1.0, gt=0)
    """How often the spool is brought to the disk: what a power loss may take. A killed process loses none."""
    log_full_policy: Literal["serve_and_count", "refuse"] = "serve_and_count"
    """What happens to a prediction that the spool cannot take (cap, full disk): answered and counted as
    dropped, or refused with 503. A ground truth is always refused then."""
    log_retention_days: int = Field(default=90, ge=1)
    """Age, in whole days, from which predictions are removed from the database."""
    log_retention_bytes: int = Field(default=10_737_418_240, ge=1_048_576)
    """Size of the stored rows above which the oldest days are removed."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is logged."""
    log_requests: Literal["all", "errors", "none"] = "all"
    """Which requests get their line in the log."""

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("token_file", "log_dsn_file", "id_key_file", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @model_validator(mode="after")
    def _is_safe(self) -> Settings:
        if not self.is_loopback and self.token_file is None and not self.allow_open_bind:
            raise ValueError(
                f"host {self.host} is reachable from outside: give a token file, "
                f"or set {PREFIX}ALLOW_OPEN_BIND=true inside a closed network"
            )
        if self.log_dsn_file is not None and self.id_key_file is None:
            raise ValueError(
                f"{PREFIX}LOG_DSN_FILE needs {PREFIX}ID_KEY_FILE: "
                "hosts that share a database must share the keys"
            )
        return self

    @property
    def id_keys(self) -> Path:
        """The file of the keys that sign prediction ids."""
        return self.log_dir / "id_keys" if self.id_key_file is None else self.id_key_file

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the predictor."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsError: a value is missing or wrong; the text names the variable.
    """
    try:
        return Settings()
    except ValidationError as error:
        lines = []
        for problem in error.errors(include_url=False, include_input=False):
            name = ".".join(str(part) for part in problem["loc"])
            variable = f"{PREFIX}{name.upper()}: " if name else ""
            lines.append(variable + problem["msg"].removeprefix("Value error, "))
        raise SettingsError("; ".join(lines)) from error
