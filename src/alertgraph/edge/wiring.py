"""Builds the service: the only place that knows every concrete class."""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import secrets as system_secrets
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import structlog

from alertgraph.cache.budgets import Budgets, InProcessBudgets, RedisBudgets
from alertgraph.cache.live_updates import RedisWakeups
from alertgraph.core.actor import OPERATOR
from alertgraph.core.channel import ChannelKind
from alertgraph.core.errors import AlertGraphError, ConflictError, DependencyError, InputError
from alertgraph.core.ids import TenantId, uuid7
from alertgraph.core.message import SendResult
from alertgraph.core.tenant import Principal, Role, Tenant
from alertgraph.core.tier import Tier
from alertgraph.edge.clock import SystemClock, SystemDice
from alertgraph.edge.pager import PagerStores
from alertgraph.edge.service import Service, Stores
from alertgraph.edge.telemetry import Telemetry
from alertgraph.notify.adapter import Adapter
from alertgraph.notify.email import EmailAdapter
from alertgraph.notify.guard import Guard
from alertgraph.notify.http import HttpPoster
from alertgraph.notify.notifier import ChannelNotifier
from alertgraph.notify.pagerduty import PagerDutyAdapter
from alertgraph.notify.slack import SlackAdapter, SlackReplies
from alertgraph.notify.teams import TeamsAdapter
from alertgraph.notify.webhook import WebhookAdapter
from alertgraph.services.configuration import ConfigurationService
from alertgraph.services.upkeep import Upkeep
from alertgraph.services.wakeups import LinkedWakeups
from alertgraph.settings import Settings, read_settings
from alertgraph.storage.configuration import PostgresConfiguration
from alertgraph.storage.database import Database
from alertgraph.storage.dead_man import PostgresDeadManTurns
from alertgraph.storage.deliveries import PostgresDeliveries
from alertgraph.storage.documents import PostgresDocuments
from alertgraph.storage.due import PostgresDueWork
from alertgraph.storage.embedded import EmbeddedPostgres
from alertgraph.storage.log import PostgresLog
from alertgraph.storage.migrate import require_current, upgrade
from alertgraph.storage.monitors import PostgresMonitors
from alertgraph.storage.notify import PostgresWakeups
from alertgraph.storage.partitions import Housekeeper
from alertgraph.storage.search import PostgresSearchIndex
from alertgraph.storage.secrets import MasterKey, PostgresVault
from alertgraph.storage.selftest import check_isolation
from alertgraph.storage.snapshot import PostgresSnapshotSource
from alertgraph.storage.tenants import TenantRegistry

MASTER_KEY_FILE = "master_key"
BOOTSTRAP_KEY_FILE = "bootstrap_key"
URL_FILE = "url"
EMBEDDED_FOLDER = "postgres"


class StartError(Exception):
    """The service can't start; the message is one sentence that says what to do."""


# --------------------------------------------------------------------------------------- database


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
        return MasterKey(base64.b64decode(_read_or_keep(path, made), validate=True))
    except (binascii.Error, ValueError, AlertGraphError) as error:
        raise StartError(f"{path} does not hold a master key any more; put it back from a backup.") from error


def bootstrap_key_path(settings: Settings) -> Path:
    """Return where the first key of an embedded installation is kept, for commands on the same machine."""
    return settings.data_dir / BOOTSTRAP_KEY_FILE


def url_path(settings: Settings) -> Path:
    """Return where an embedded installation says at which URL it was served last, for the same commands."""
    return settings.data_dir / URL_FILE


def _read_or_keep(path: Path, text: str) -> str:
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


# ---------------------------------------------------------------------------------------- service


async def open_service(settings: Settings, role: str, telemetry: Telemetry) -> Service:
    """Return the service, up and at work; whatever it holds is given back by its `close`.

    Args:
        settings: Of the installation.
        role: all, api or engine.
        telemetry: Where it reports.

    Raises:
        StartError, AlertGraphError: It can't start; what was started is ended again.
    """
    resources = AsyncExitStack()
    try:
        service = await _opened(settings, role, telemetry, resources)
    except BaseException:
        await resources.aclose()
        raise
    return service


async def _opened(settings: Settings, role: str, telemetry: Telemetry, resources: AsyncExitStack) -> Service:
    clock, dice = SystemClock(), SystemDice()
    key = master_key(settings)
    # Starting a server blocks, and a server must be the child of a thread that lives as long as we do.
    log = structlog.get_logger("alertgraph")
    if settings.database_url is None:
        log.info("starting the embedded PostgreSQL", data_dir=str(settings.data_dir))
    url = resources.enter_context(database_at(settings))
    if settings.database_url is None:
        log.info("bringing the database up to date")
        await asyncio.to_thread(upgrade, url)
    try:
        await require_current(owner_url(settings, url))
        database = await Database.connect(url, pool_size=settings.database_pool_size)
    except DependencyError as error:
        if settings.database_url is None or not error.retryable:
            raise
        raise StartError(
            f"{error.message.rstrip('.')}; it was looked for at {place_of(url)}: "
            "check CRITICAL_ALERT_DATABASE_URL."
        ) from error
    resources.push_async_callback(database.close)
    await check_isolation(database)
    vault = PostgresVault(database, key)
    await vault.check()

    wakeups, budgets = await _between_processes(settings, url, telemetry, resources)
    configuration = PostgresConfiguration(database, lambda: UUID(int=dice.bits(128)))
    partitions = Housekeeper(database, owner_url(settings, url))
    upkeep = Upkeep(partitions, clock, telemetry)
    await upkeep.prepare()
    greeting = await _bootstrapped(settings, url, key, configuration)
    log_store, snapshots, due = PostgresLog(database), PostgresSnapshotSource(database), PostgresDueWork(database)
    guard = Guard(allow_private=settings.allow_private_targets)
    poster = HttpPoster(guard, clock)
    resources.push_async_callback(poster.aclose)
    stores = Stores(
        log=log_store,
        snapshots=snapshots,
        vault=vault,
        configuration=configuration,
        documents=PostgresDocuments(database),
        due=due,
        search=PostgresSearchIndex(database),
        wakeups=wakeups,
        budgets=budgets,
        digest=key.digest,
        ping=_ping(database),
        pager=PagerStores(
            log=log_store,
            snapshots=snapshots,
            vault=vault,
            configuration=configuration,
            due=due,
            deliveries=PostgresDeliveries(database),
            monitors=PostgresMonitors(database),
            dead_man=PostgresDeadManTurns(database),
            notifier=ChannelNotifier(_adapters(settings, poster), guard, telemetry),
            break_glass=await _break_glass(settings, poster, guard),
            host=socket.gethostname(),
            replies=SlackReplies(poster, allow_private_targets=settings.allow_private_targets),
            action_key=key.action_key,
            sign_calendar=key.sign_calendar,
        ),
    )
    service = Service(settings, role, telemetry, clock, dice, stores, upkeep, greeting, resources)
    service.start()
    return service


def _adapters(settings: Settings, poster: HttpPoster) -> Mapping[ChannelKind, Adapter]:
    smtp_url = settings.smtp_url.get_secret_value() if settings.smtp_url is not None else None
    try:
        email = EmailAdapter(smtp_url, settings.mail_from)
    except InputError as error:
        name = "MAIL_FROM" if error.problems[0].path == ("mailFrom",) else "SMTP_URL"
        raise StartError(f"CRITICAL_ALERT_{name} can't be used: {error.message}") from error
    return {
        ChannelKind.SLACK: SlackAdapter(poster),
        ChannelKind.TEAMS: TeamsAdapter(poster),
        ChannelKind.PAGERDUTY: PagerDutyAdapter(poster),
        ChannelKind.WEBHOOK: WebhookAdapter(poster),
        ChannelKind.EMAIL: email,
    }


async def _break_glass(
    settings: Settings, poster: HttpPoster, guard: Guard
) -> Callable[[bytes], Awaitable[SendResult]] | None:
    if settings.break_glass_url is None:
        return None
    url = settings.break_glass_url.get_secret_value()
    try:
        await guard.check_url(url)
    except InputError as error:
        # It may be well again by the time it is needed; until then it is known that it is not.
        structlog.get_logger("alertgraph").warning(
            f"CRITICAL_ALERT_BREAK_GLASS_URL can't be reached now: {error.message}"
        )

    async def post(content: bytes) -> SendResult:
        answer = await poster.post(url, headers={"Content-Type": "application/json"}, content=content)
        return answer.result

    return post


async def _between_processes(
    settings: Settings, url: str, telemetry: Telemetry, resources: AsyncExitStack
) -> tuple[LinkedWakeups, Budgets]:
    clock, dice = SystemClock(), SystemDice()
    wakeups: LinkedWakeups
    budgets: Budgets
    if settings.redis_url is None:
        wakeups, budgets = PostgresWakeups(url, clock, dice, telemetry), InProcessBudgets()
    else:
        redis_url = settings.redis_url.get_secret_value()
        try:
            wakeups = RedisWakeups(redis_url, clock, dice, telemetry)
            budgets = RedisBudgets(redis_url, clock, telemetry)
        except ValueError as error:
            raise StartError(f"CRITICAL_ALERT_REDIS_URL can't be used: {error}.") from error
        resources.push_async_callback(budgets.close)
        try:
            await budgets.start()
            await wakeups.start()
        except DependencyError as error:
            raise StartError(
                f"Redis can't be used at {place_of(redis_url)} ({error.message}): check CRITICAL_ALERT_REDIS_URL."
            ) from error
        resources.push_async_callback(wakeups.close)
        return wakeups, budgets
    await wakeups.start()
    resources.push_async_callback(wakeups.close)
    return wakeups, budgets


def place_of(url: str) -> str:
    """Return the host and port of a URL, or its folder of sockets, and never its user or password."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return place or parse_qs(parts.query).get("host", ["the default address"])[0]


def _ping(database: Database) -> Callable[[], Awaitable[None]]:
    async def ping() -> None:
        async with database.connection() as connection:
            await connection.fetchval("SELECT 1")

    return ping


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


async def _bootstrapped(settings: Settings, url: str, key: MasterKey, store: PostgresConfiguration) -> list[str]:
    """Make the first tenant and its ADMIN key where they are missing; return what to tell who started us."""
    registry = TenantRegistry(owner_url(settings, url), key)
    slug = settings.bootstrap_tenant
    tenant = await registry.find(slug)
    is_new = tenant is None
    if tenant is None:
        try:
            tenant = await new_tenant(registry, slug, slug, Tier.STANDARD)
        except ConflictError:
            # Another process that starts at the same time was faster, and makes the key, too.
            return []
    given = settings.bootstrap_api_key
    if given is not None:
        known = await store.find_keys(given.get_secret_value()[:11])
        if any(key.digest(given.get_secret_value()) in stored.digests for stored in known):
            return []
    elif not is_new:
        path = bootstrap_key_path(settings)
        return [f"ADMIN key of tenant {slug}: see {path}"] if path.exists() else []
    _, secret = await configuration_service(store, key).create_api_key(
        operator_of(tenant),
        name="bootstrap",
        role=Role.ADMIN,
        secret=given.get_secret_value() if given is not None else None,
    )
    assert secret is not None, "without an idempotency key there is always a new secret"
    if given is not None:
        return [f"tenant {slug} has the key of CRITICAL_ALERT_BOOTSTRAP_API_KEY"]
    lines = [f"ADMIN key of tenant {slug}, shown once: {secret}"]
    if settings.database_url is None:
        kept = _read_or_keep(bootstrap_key_path(settings), secret)
        if kept == secret:
            lines.append(
                f"also kept in {bootstrap_key_path(settings)} for `alertgraph send` and `alertgraph tail`"
            )
    return lines
