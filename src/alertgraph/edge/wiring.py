"""Builds the service: the only place that knows every concrete class."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import structlog

from alertgraph.cache.budgets import Budgets, InProcessBudgets, RedisBudgets
from alertgraph.cache.live_updates import RedisWakeups
from alertgraph.core.channel import ChannelKind
from alertgraph.core.errors import ConflictError, DependencyError, InputError
from alertgraph.core.message import SendResult
from alertgraph.core.tenant import Role
from alertgraph.core.tier import Tier
from alertgraph.edge.clock import SystemClock, SystemDice
from alertgraph.edge.installation import (
    StartError,
    bootstrap_key_path,
    checkpoint_dir,
    configuration_service,
    database_at,
    master_key,
    new_tenant,
    operator_of,
    owner_url,
    read_or_keep,
)
from alertgraph.edge.models import model_path
from alertgraph.edge.pager import PagerStores
from alertgraph.edge.service import Sealing, Service, Stores
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
from alertgraph.services.upkeep import Upkeep
from alertgraph.services.wakeups import LinkedWakeups
from alertgraph.settings import Settings
from alertgraph.storage.audit_tree import PostgresAuditTrees
from alertgraph.storage.configuration import PostgresConfiguration
from alertgraph.storage.database import Database
from alertgraph.storage.dead_man import PostgresDeadManTurns
from alertgraph.storage.deliveries import PostgresDeliveries
from alertgraph.storage.documents import PostgresDocuments
from alertgraph.storage.due import PostgresDueWork
from alertgraph.storage.learning import PREDICTOR, PostgresLearningReports
from alertgraph.storage.log import PostgresLog
from alertgraph.storage.migrate import is_current, require_current, upgrade
from alertgraph.storage.monitors import PostgresMonitors
from alertgraph.storage.noise import PostgresNoiseBook
from alertgraph.storage.notify import PostgresWakeups
from alertgraph.storage.partitions import Housekeeper
from alertgraph.storage.points import PostgresPoints
from alertgraph.storage.search import PostgresSearchIndex
from alertgraph.storage.secrets import MasterKey, PostgresVault, is_signature
from alertgraph.storage.selftest import check_isolation
from alertgraph.storage.snapshot import PostgresSnapshotSource
from alertgraph.storage.tenants import TenantRegistry
from alertgraph.storage.witness import FolderWitness


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
    model_path(settings)
    key = master_key(settings)
    # Starting a server blocks, and a server must be the child of a thread that lives as long as we do.
    log = structlog.get_logger("alertgraph")
    if settings.database_url is None:
        log.info("starting the embedded PostgreSQL", data_dir=str(settings.data_dir))
    url = resources.enter_context(database_at(settings))
    if settings.database_url is None and not await is_current(url):
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
        sealing=Sealing(
            PostgresAuditTrees(database), key.signing_key, is_signature, FolderWitness(checkpoint_dir(settings))
        ),
        wakeups=wakeups,
        budgets=budgets,
        points=PostgresPoints(database),
        digest=key.digest,
        learning=PostgresLearningReports(database, PREDICTOR),
        predictor_token=key.predictor_token,
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
            noise=PostgresNoiseBook(database),
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
        kept = read_or_keep(bootstrap_key_path(settings), secret)
        if kept == secret:
            lines.append(
                f"also kept in {bootstrap_key_path(settings)} for `alertgraph send` and `alertgraph tail`"
            )
    return lines
