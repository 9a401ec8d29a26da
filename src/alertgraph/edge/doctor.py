"""What `alertgraph doctor` looks at: each finding is one line that says what to do."""

from __future__ import annotations

import asyncio
import platform
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from alertgraph import __version__
from alertgraph.cache.budgets import RedisBudgets
from alertgraph.core.errors import AlertGraphError
from alertgraph.edge.clock import SystemClock
from alertgraph.edge.installation import StartError, database_at, master_key, owner_url
from alertgraph.edge.models import model_path
from alertgraph.services.upkeep import DAYS_AHEAD_MIN
from alertgraph.settings import Settings
from alertgraph.storage.database import Database
from alertgraph.storage.learning import PREDICTOR, PostgresLearningReports
from alertgraph.storage.migrate import require_current
from alertgraph.storage.partitions import Housekeeper
from alertgraph.storage.secrets import MasterKey, PostgresVault
from alertgraph.storage.selftest import check_isolation

CLOCK_SKEW_MAX = timedelta(seconds=2)
# Minor releases that close known holes (PostgreSQL 15.20 closes 42, as Debian published on 2026-11-13).
CURRENT_MINORS = {15: 20}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        state: ok, warning or fault.
    """

    check: str
    state: str
    text: str


def examine(settings: Settings) -> list[Finding]:
    """Return what every check found; a fault in one does not keep the others from looking."""
    findings = [
        Finding("alertgraph", "ok", f"{__version__} on Python {platform.python_version()}, {sys.platform}")
    ]
    findings += _ways_out(settings)
    try:
        key = master_key(settings)
    except StartError as error:
        return [*findings, Finding("master key", "fault", str(error))]
    try:
        with database_at(settings, make=False) as url:
            findings += asyncio.run(_examine(settings, url, key))
    except (AlertGraphError, StartError) as error:
        findings.append(Finding("database", "fault", str(error)))
    return findings


def _ways_out(settings: Settings) -> list[Finding]:
    """Return what messages to people can do, as far as the settings decide it."""
    links = "none is set: messages have no links to act by, addresses of calendars no host"
    mail = "none is set: e-mail channels go to their fallback"
    return [
        Finding("public URL", "ok", settings.public_url or f"{links} (CRITICAL_ALERT_PUBLIC_URL)"),
        Finding(
            "mail server",
            "ok",
            f"one is set; mail comes from {settings.mail_from}"
            if settings.smtp_url is not None
            else f"{mail} (CRITICAL_ALERT_SMTP_URL)",
        ),
    ]


async def _examine(settings: Settings, url: str, key: MasterKey) -> list[Finding]:
    findings: list[Finding] = []

    async def look(check: str, work: Callable[[], Awaitable[Finding | str]]) -> bool:
        try:
            found = await work()
        except AlertGraphError as error:
            findings.append(Finding(check, "fault", error.message))
            return False
        findings.append(found if isinstance(found, Finding) else Finding(check, "ok", found))
        return True

    async def migrations() -> str:
        await require_current(owner_url(settings, url))
        return "the database has this release's shape"

    if not await look("migrations", migrations):
        return findings
    database = await Database.connect(url, pool_size=2, application_name="alertgraph-doctor")
    try:

        async def server() -> Finding:
            async with database.connection() as connection:
                version = await connection.fetchval("SHOW server_version")
                durable = await connection.fetchval("SHOW fsync") == "on"
            major, _, minor = version.split()[0].partition(".")
            kind = "of your own" if settings.database_url is not None else f"embedded in {settings.data_dir}"
            text = f"PostgreSQL {version.split()[0]}, {kind}"
            if not durable:
                return Finding("database", "fault", f"{text}; fsync is off: what is answered can be lost")
            newest = CURRENT_MINORS.get(int(major))
            if newest is not None and minor.isdigit() and int(minor) < newest:
                return Finding("database", "warning", f"{text}; {major}.{newest} has fixes that it lacks")
            return Finding("database", "ok", text)

        async def clock() -> Finding:
            async with database.connection() as connection:
                there: datetime = await connection.fetchval("SELECT clock_timestamp()")
            skew = abs(datetime.now(UTC) - there)
            state = "ok" if skew <= CLOCK_SKEW_MAX else "warning"
            return Finding("clock", state, f"{skew.total_seconds():.3f} s apart from the database's")

        async def isolation() -> str:
            await check_isolation(database)
            return "row-level security is forced on every table, and our role can't pass it"

        async def vault() -> str:
            await PostgresVault(database, key).check()
            return "it is the one this database was set up with"

        async def partitions() -> Finding:
            days = await Housekeeper(database, owner_url(settings, url)).days_ahead()
            state = "ok" if days >= DAYS_AHEAD_MIN else "fault"
            return Finding("partitions", state, f"made for {days} more days")

        async def redis() -> Finding:
            if settings.redis_url is None:
                return Finding(
                    "redis", "ok", "none is set: hints travel by NOTIFY, budgets are kept by each process"
                )
            budgets = RedisBudgets(settings.redis_url.get_secret_value(), SystemClock(), _Quiet())
            try:
                await budgets.start()
            finally:
                with suppress(OSError):
                    await budgets.close()
            return Finding("redis", "ok", "it answers")

        for check, work in (
            ("database", server),
            ("clock", clock),
            ("isolation", isolation),
            ("master key", vault),
            ("partitions", partitions),
            ("redis", redis),
            ("learning", lambda: _learning(settings, database)),
        ):
            await look(check, work)
    finally:
        await database.close()
    return findings


async def _learning(settings: Settings, database: Database) -> Finding:
    """Return how what learns does."""
    if not settings.ml_enabled:
        return Finding("learning", "ok", "switched off: predictions are null (CRITICAL_ALERT_ML_ENABLED)")
    try:
        model = model_path(settings)
    except StartError as error:
        return Finding("learning", "fault", str(error))
    said = await PostgresLearningReports(database, PREDICTOR).alive()
    reasons = {report.why_not for report in said}
    begin = f"it begins with {model.stem}" if model is not None else "there is no model to begin with"
    if not said:
        return Finding("learning", "ok", f"{begin}; no learning process is up")
    if None in reasons:
        behind = max(report.behind_seconds for report in said)
        return Finding("learning", "ok", f"{begin}; {len(said)} at work, at most {behind:.0f} s behind")
    return Finding("learning", "warning", f"{begin}; no predictions: {', '.join(map(str, reasons))}")


class _Quiet:
    """An observer for a check that tells what it finds itself."""

    def flushed(self, *, commands: int, events: int, seconds: float, outcome: str) -> None:
        """Note nothing."""

    def queued(self, seconds: float) -> None:
        """Note nothing."""

    def streamed(self, *, events: int, source: str) -> None:
        """Note nothing."""

    def failed(self, part: str, error: BaseException) -> None:
        """Note nothing."""
