"""Alerta over a database of its own in the same PostgreSQL server, as durable as alertgraph's.

Fair to it: its default settings and plugins, which ask nobody for a key; as a WSGI application, as its
documentation wants it in production, in gunicorn, with the five workers that gunicorn recommends for two cores and
Alerta's own image has, of threads that keep connections alive. For its list it holds what its housekeeping leaves:
open alerts.
"""

from __future__ import annotations

import asyncio
import io
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from alertgraph.core.alert import AlertStatus
from alertgraph.core.ids import TenantId
from alertgraph.core.severity import Severity
from alertgraph.storage.migrate import dsn_of, owner_settings
from bench.installation import Installation, Server
from bench.peers.commands import install_once, must_run

HERE = Path(__file__).parent
DATABASE = "alerta"
WORKER_COUNT, THREAD_COUNT = 5, 4

SEVERITY_NAMES = {
    Severity.INFO: "informational",
    Severity.LOW: "minor",
    Severity.MEDIUM: "warning",
    Severity.HIGH: "major",
    Severity.CRITICAL: "critical",
}
STATUS_NAMES = {AlertStatus.TRIGGERED: "open", AlertStatus.ACKNOWLEDGED: "ack"}
_COLUMNS = (
    "id, resource, event, environment, severity, correlate, status, service, group, value, text, tags, "
    "attributes, origin, type, create_time, timeout, raw_data, customer, duplicate_count, repeat, "
    "previous_severity, trend_indication, receive_time, last_receive_id, last_receive_time, history, update_time"
)


def _case(column: str, names: dict[Severity, str] | dict[AlertStatus, str]) -> str:
    whens = " ".join(f"WHEN {number:d} THEN '{name}'" for number, name in names.items())
    return f"CASE {column} {whens} END"


# What Alerta would hold of the same alerts; one of its own is known by its resource and event.
_OPEN_ALERTS = f"""
    SELECT id::text, (labels ->> 'host') || '/' || id::text, labels ->> 'alertname', 'Production',
           {_case("severity", SEVERITY_NAMES)}, '{{}}'::text[], {_case("status", STATUS_NAMES)},
           ARRAY[monitored_service], 'Misc', '', title || ': ' || description,
           ARRAY(SELECT key || '=' || value FROM jsonb_each_text(labels)), annotations, source, 'exceptionAlert',
           triggered_at AT TIME ZONE 'UTC', 86400, NULL::text, NULL::text, occurrence_count - 1, false,
           'indeterminate', 'moreSevere', triggered_at AT TIME ZONE 'UTC', id::text,
           last_seen_at AT TIME ZONE 'UTC', NULL::text, triggered_at AT TIME ZONE 'UTC'
    FROM alert_open WHERE tenant_id = $1
"""


def start(installation: Installation, directory: Path, copy_of: TenantId | None = None) -> Server:
    """Return the server, with no alerts or with those that a tenant has open.

    Raises:
        AbsentError: It cannot be installed here.
    """
    environment = HERE / ".venv"
    install_once(HERE / "requirements.txt", environment, lambda: _install(environment))
    asyncio.run(_make_database(installation.url))
    variables = {
        **{name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "DATABASE_URL")},
        "DATABASE_URL": _url(installation.url),
        "SECRET_KEY": "bench only",
        # Alerta reads a file of the machine's otherwise.
        "ALERTA_SVR_CONF_FILE": os.devnull,
    }
    must_run("making Alerta's tables", [str(environment / "bin/python"), "-c", _MAKE_TABLES], directory, variables)
    if copy_of is not None:
        asyncio.run(_copy(installation.url, copy_of))
    command = [
        str(environment / "bin/gunicorn"),
        *("--bind", "127.0.0.1:{port}"),
        *("--worker-class", "gthread"),
        *("--workers", str(WORKER_COUNT)),
        *("--threads", str(THREAD_COUNT)),
        *("--keep-alive", "75"),
        *("--worker-tmp-dir", "/dev/shm"),
        # Each worker would make the tables once more, all at once.
        "--preload",
        "alerta:create_app()",
    ]
    return Server("Alerta", command, variables, "/management/gtg", directory / "alerta.log")


_MAKE_TABLES = "from alerta import create_app; create_app()"


def version() -> str:
    """Return which Alerta is locked."""
    lines = (HERE / "requirements.txt").read_text().splitlines()
    return next(line.partition("==")[2] for line in lines if line.startswith("alerta-server=="))


def _url(url: str) -> str:
    return urlunsplit(urlsplit(dsn_of(url))._replace(path=f"/{DATABASE}"))


def _install(into: Path) -> None:
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    must_run(
        "making an environment for Alerta", [sys.executable, "-m", "venv", "--clear", str(into)], HERE, variables
    )
    pip = [str(into / "bin/python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    must_run("installing Alerta", [*pip, "--quiet", "-r", str(HERE / "requirements.txt")], HERE, variables)


async def _make_database(url: str) -> None:
    connection = await asyncpg.connect(dsn_of(url))
    try:
        if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE) is None:
            await connection.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await connection.close()


async def _copy(url: str, tenant_id: TenantId) -> None:
    ours = await asyncpg.connect(dsn_of(url), server_settings=owner_settings())
    theirs = await asyncpg.connect(_url(url))
    try:
        async with theirs.transaction():
            await theirs.execute("TRUNCATE alerts")
            rows = io.BytesIO()
            await ours.copy_from_query(_OPEN_ALERTS, tenant_id, output=rows, format="text")
            rows.seek(0)
            columns = _COLUMNS.split(", ")
            await theirs.copy_to_table("alerts", source=rows, columns=columns, format="text")
        await theirs.execute("VACUUM ANALYZE alerts")
    finally:
        await ours.close()
        await theirs.close()
