"""Configuration from CRITICAL_ALERT_* variables: read once, checked at once, then passed on as plain values."""

from __future__ import annotations

import base64
import binascii
import difflib
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from alertgraph.core.budget import LIMIT_MAX
from alertgraph.core.duration import parse_duration
from alertgraph.core.tenant import SLUG

PREFIX = "CRITICAL_ALERT_"
# Read by the tests, and allowed to stand in the environment of a service.
FOREIGN = frozenset({"CRITICAL_ALERT_TEST_DATABASE_URL"})
POSTGRES_SCHEMES = ("postgresql://", "postgres://")
REDIS_SCHEMES = (
    "redis://",
    "rediss://",
    "redis+cluster://",
    "rediss+cluster://",
    "redis+sentinel://",
    "rediss+sentinel://",
    "unix://",
)


class SettingsError(Exception):
    """The configuration cannot work; the message is one sentence that names the variable."""


def _seconds(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


Seconds = Annotated[timedelta, BeforeValidator(_seconds)]


class Settings(BaseModel):
    """Everything an operator may set, each by the variable CRITICAL_ALERT_ and the name in capitals."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, use_attribute_docstrings=True)

    database_url: SecretStr | None = None
    """`postgresql://…`, PostgreSQL 15 or newer; an embedded one where left out."""
    migration_database_url: SecretStr | None = None
    """For migrations, where the service's own login may not make tables; the same where left out."""
    redis_url: SecretStr | None = None
    """`redis://`, `rediss://`, `redis+cluster://`, `redis+sentinel://` or `unix://`: hints and budgets between
    processes. Losing it loses speed, never an event."""
    data_dir: Path = Path("~/.local/share/alertgraph")
    """Embedded database, master key, first key, checkpoints."""
    checkpoint_dir: Path | None = None
    """Where the newest signed checkpoint of each tenant is kept besides the database; `checkpoints` in the data
    directory where left out. Best other storage."""
    pg_bin: Path | None = None
    """Folder of the programs of the embedded PostgreSQL; found where left out."""
    host: str = "127.0.0.1"
    """Address that `alertgraph serve` listens on."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port that `alertgraph serve` listens on; 0 for any."""
    bootstrap_tenant: str = "default"
    """Slug of the tenant that is made at the first start."""
    bootstrap_api_key: SecretStr | None = None
    """An ADMIN key that exists from the first start; made and printed once where left out."""
    master_key: SecretStr | None = None
    """32 bytes in base64 (`openssl rand -base64 32`): encrypts secrets, signs checkpoints. Needed with a
    database of your own; made in the data directory for the embedded one."""
    log_format: Literal["console", "json"] | None = None
    """`console` for people, `json` (Elastic Common Schema) for machines; by terminal where left out."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least level that is written: debug, info, warning or error."""
    database_pool_size: int = Field(default=10, ge=4, le=200)
    """Connections to the database of one process, 4 to 200."""
    max_escalation_levels: int = Field(default=5, ge=1, le=100)
    """The highest level that can be climbed to, 1 to 100."""
    cost_budget: int = Field(default=600_000, ge=1, le=LIMIT_MAX)
    """Cost points a minute of a key without a budget of its own."""
    metric_series_max: int = Field(default=10_000, ge=1, le=1_000_000)
    """Series of metrics watched of one tenant; 43 kB each in the learning process."""
    allowed_origins: str = ""
    """Web pages besides our own that may open websockets, comma-separated."""
    introspection: bool = True
    """Whether clients may read the schema."""
    compiled_plans: bool = True
    """Whether GraphQL operations are compiled; if not, graphql-core runs them all, many times slower."""
    public_url: str | None = None
    """Where people reach this installation, `https://alerts.example.com`: messages get links to act by,
    calendars addresses."""
    allow_private_targets: bool = False
    """Whether channels and the break-glass URL may be private addresses and any port, for closed networks."""
    break_glass_url: SecretStr | None = None
    """Told by a POST of JSON (`summary`, `since`, `host`) when an engine has had no answer of its database for
    60 s, every 5 min, and when it is back."""
    smtp_url: SecretStr | None = None
    """`smtp://user:password@host:587` or `smtps://…`: the mail server; without it e-mail channels go to their
    fallback."""
    mail_from: str = "alertgraph@localhost"
    """The sender of mail, `alertgraph <alerts@example.com>`."""
    ml_enabled: bool = True
    """Whether alerts are predicted, linked and watched by a learning process beside the service."""
    prediction_model: str = Field(default="torch_v1", min_length=1, max_length=1000)
    """The model that everybody begins with: a name, or a path."""
    predictor_url: str | None = None
    """Where the learning process is asked, where it runs elsewhere: `unix:///…` or `http://…`; a socket in the
    data directory where left out."""

    @field_validator("public_url", mode="after")
    @classmethod
    def _check_public_url(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("it begins with http:// or https://")
        return value.rstrip("/") if value is not None else None

    @field_validator("predictor_url", mode="after")
    @classmethod
    def _check_predictor_url(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("unix:///", "http://")):
            raise ValueError("it begins with unix:/// or http://")
        return value

    @field_validator("break_glass_url", mode="after")
    @classmethod
    def _check_break_glass_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("it begins with http:// or https://")
        return value

    @field_validator("smtp_url", mode="after")
    @classmethod
    def _check_smtp_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("smtp://", "smtps://")):
            raise ValueError("it begins with smtp:// or smtps://")
        return value

    @field_validator("data_dir", "checkpoint_dir", mode="after")
    @classmethod
    def _expand(cls, value: Path | None) -> Path | None:
        try:
            return value.expanduser().absolute() if value is not None else None
        except RuntimeError as error:
            raise ValueError("it begins with ~, and this user has no home") from error

    @field_validator("database_url", "migration_database_url", mode="after")
    @classmethod
    def _check_postgres(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(POSTGRES_SCHEMES):
            raise ValueError("it begins with postgresql://")
        return value

    @field_validator("redis_url", mode="after")
    @classmethod
    def _check_redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(REDIS_SCHEMES):
            raise ValueError("it begins with redis://, rediss://, redis+cluster:// or redis+sentinel://")
        return value

    @field_validator("bootstrap_tenant", mode="after")
    @classmethod
    def _check_tenant(cls, value: str) -> str:
        if not SLUG.fullmatch(value):
            raise ValueError("it is 1 to 63 lower-case letters, digits and inner hyphens")
        return value

    @field_validator("bootstrap_api_key", mode="after")
    @classmethod
    def _check_key(cls, value: SecretStr | None) -> SecretStr | None:
        secret = value.get_secret_value() if value is not None else None
        if secret is not None and not (
            secret.startswith("ag_") and 32 <= len(secret) <= 200 and secret.isascii() and secret.isprintable()
        ):
            raise ValueError("it begins with ag_ and has 32 to 200 printable characters")
        return value

    @field_validator("master_key", mode="after")
    @classmethod
    def _check_master_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            try:
                raw = base64.b64decode(value.get_secret_value(), validate=True)
            except binascii.Error:
                raw = b""
            if len(raw) != 32:
                raise ValueError("it is 32 bytes in base64, such as `openssl rand -base64 32` prints")
        return value

    @model_validator(mode="after")
    def _check_together(self) -> Settings:
        if self.migration_database_url is not None and self.database_url is None:
            raise ValueError(f"{PREFIX}MIGRATION_DATABASE_URL needs {PREFIX}DATABASE_URL")
        return self

    @property
    def origins(self) -> frozenset[str]:
        """Origins that browsers may open websockets from, besides our own."""
        return frozenset(origin.strip() for origin in self.allowed_origins.split(",") if origin.strip())


def environment_of(settings: Settings) -> dict[str, str]:
    """Return the variables that another process reads the same settings from; there are secrets among them."""
    variables: dict[str, str] = {}
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        elif isinstance(value, timedelta):
            value = value.total_seconds()
        if value is not None:
            variables[PREFIX + name.upper()] = str(value)
    return variables


def read_settings(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Return the settings of the environment.

    Args:
        environ: In place of the process's own variables; for tests.
        overrides: Values that the command line gives; they win.

    Raises:
        SettingsError: A value is refused, or a variable with our prefix is unknown, which is how a misspelt
            one would otherwise go unnoticed.
    """
    variables = os.environ if environ is None else environ
    known = {PREFIX + name.upper(): name for name in Settings.model_fields}
    unknown = sorted(
        name for name in variables if name.startswith(PREFIX) and name not in known and name not in FOREIGN
    )
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}."
        raise SettingsError(f"{unknown[0]} is no setting; {hint}")
    values = {known[name]: value for name, value in variables.items() if name in known and value != ""}
    try:
        return Settings(**{**values, **overrides})
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        message = str(fault["msg"]).removeprefix("Value error, ").rstrip(".")
        if not fault["loc"]:
            raise SettingsError(f"{message}.") from None
        raise SettingsError(f"{PREFIX}{str(fault['loc'][0]).upper()} is refused: {message}.") from None
