"""What an installation is made of: its database, its keys and its files, for the service and for commands.

Commands need no more than this, and do without the seconds that the service's imports take.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets as system_secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alertgraph.core.actor import OPERATOR
from alertgraph.core.errors import AlertGraphError
from alertgraph.core.ids import TenantId, uuid7
from alertgraph.core.tenant import Principal, Role, Tenant
from alertgraph.core.tier import Tier
from alertgraph.edge.clock import SystemClock, SystemDice
from alertgraph.services.configuration import ConfigurationService
from alertgraph.settings import Settings, read_settings
from alertgraph.storage.configuration import PostgresConfiguration
from alertgraph.storage.embedded import EmbeddedPostgres
from alertgraph.storage.migrate import upgrade
from alertgraph.storage.secrets import MasterKey
from alertgraph.storage.tenants import TenantRegistry

MASTER_KEY_FILE = "master_key"
BOOTSTRAP_KEY_FILE = "bootstrap_key"
URL_FILE = "url"
EMBEDDED_FOLDER = "postgres"
CHECKPOINT_FOLDER = "checkpoints"


class StartError(Exception):
    """The service can't start; the message is one sentence that says what to do."""


@contextmanager
def database_at(settings: Settings, *, make: bool = True) -> Iterator[str]:
    """Lend the URL of the database: the one that is set, else an embedded one, started unless it runs already.

    Args:
        settings: Of the installation.
        make: Whether an embedded one is made where there is none.

    Raises:
        StartError: There is none, and none shall be made.
        DependencyError: It can't run.
    """
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    if not make and not (settings.data_dir / EMBEDDED_FOLDER).exists():
        raise StartError(
            f"There is no database in {settings.data_dir}: `alertgraph serve` makes one; or name another folder "
            "with CRITICAL_ALERT_DATA_DIR, or a database with CRITICAL_ALERT_DATABASE_URL."
        )
    with EmbeddedPostgres(settings.data_dir, pg_bin=settings.pg_bin) as embedded:
        yield embedded.url


@contextmanager
def migration_url() -> Iterator[str]:
    """Lend the URL that migrations run on, for the `alembic` command; its variables are those of the service."""
    settings = read_settings()
    with database_at(settings) as url:
        yield owner_url(settings, url)


def owner_url(settings: Settings, url: str) -> str:
    """Return the login that may act as the owner of the tables."""
    chosen = settings.migration_database_url
    return chosen.get_secret_value() if chosen is not None else url


def migrate_database(settings: Settings) -> None:
    """Bring the database to the shape that this release needs."""
    with database_at(settings) as url:
        upgrade(owner_url(settings, url), service_url=url)


def master_key(settings: Settings) -> MasterKey:
    """Return the installation's master key: the one that is set, else one made in the data directory.

    Raises:
        StartError: There is none, and one can't be made: a database of its own outlives this machine's files.
    """
    if settings.master_key is not None:
        return MasterKey(base64.b64decode(settings.master_key.get_secret_value()))
    path = settings.data_dir / MASTER_KEY_FILE
    if settings.database_url is not None:
        raise StartError(
            "CRITICAL_ALERT_MASTER_KEY is needed with a database of your own: it seals what is secret in it. "
            "`openssl rand -base64 32` makes one; keep it safe."
        )
    made = base64.b64encode(system_secrets.token_bytes(32)).decode()
    try:
        return MasterKey(base64.b64decode(read_or_keep(path, made), validate=True))
    except (binascii.Error, ValueError, AlertGraphError) as error:
        raise StartError(f"{path} does not hold a master key any more; put it back from a backup.") from error


def bootstrap_key_path(settings: Settings) -> Path:
    """Return where the first key of an embedded installation is kept, for commands on the same machine."""
    return settings.data_dir / BOOTSTRAP_KEY_FILE


def url_path(settings: Settings) -> Path:
    """Return where an embedded installation says at which URL it was served last, for the same commands."""
    return settings.data_dir / URL_FILE


def checkpoint_dir(settings: Settings) -> Path:
    """Return where the newest checkpoint of each tenant's log is kept besides the database."""
    return settings.checkpoint_dir or settings.data_dir / CHECKPOINT_FOLDER


def read_or_keep(path: Path, text: str) -> str:
    """Return what a private file holds; where there is none, it is made with `text`, whole or not at all."""
    new = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            # A link, not a rename: of two that start at once, both use the first one's.
            try:
                os.link(new, path)
            except FileExistsError:
                pass
            finally:
                new.unlink()
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise StartError(
            f"{path} can't be read or written ({error.strerror}): "
            "choose another folder with CRITICAL_ALERT_DATA_DIR."
        ) from error


def operator_of(tenant: Tenant) -> Principal:
    """Return the operator at the command line, who may do everything in a tenant."""
    return Principal(tenant, Role.ADMIN, "operator", OPERATOR, name="operator")


def configuration_service(store: PostgresConfiguration, key: MasterKey) -> ConfigurationService:
    """Return a configuration service of its own, for commands: nobody follows the log in their process."""
    return ConfigurationService(store, SystemClock(), SystemDice(), key.digest, lambda *_: None)


async def new_tenant(registry: TenantRegistry, slug: str, name: str, tier: Tier) -> Tenant:
    """Return a tenant just made.

    Raises:
        RefusedError: The slug is none, or taken.
    """
    now = SystemClock().now()
    tenant = Tenant(TenantId(uuid7(now, SystemDice().bits(74))), slug, name, tier)
    await registry.create(tenant)
    return tenant
