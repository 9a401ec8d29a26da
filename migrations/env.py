"""Runs the migrations: `alembic` loads this file, from the project or from inside the wheel.

The database is the one that the caller names in the configuration's attributes, as `alertgraph.storage.migrate`
does; from the plain command line it is CRITICAL_ALERT_MIGRATION_DATABASE_URL, else CRITICAL_ALERT_DATABASE_URL,
else the embedded server, which is started for as long as the command runs.
"""

from __future__ import annotations

import asyncio
import os
import sys

from alembic import context

from alertgraph.core.errors import AlertGraphError
from alertgraph.storage import migrate


def _run_on(url: str, service_url: str | None) -> None:
    asyncio.run(migrate.run(url, service_url, context))


def _run_from_command_line() -> None:
    service_url = os.environ.get("CRITICAL_ALERT_DATABASE_URL") or None
    url = os.environ.get("CRITICAL_ALERT_MIGRATION_DATABASE_URL") or service_url
    try:
        if url is not None:
            _run_on(url, service_url)
            return
        from alertgraph.edge.installation import migration_url

        with migration_url() as embedded_url:
            _run_on(embedded_url, None)
    except AlertGraphError as error:
        sys.exit(error.message)


if context.is_offline_mode():
    sys.exit("alertgraph's migrations need a database: they make roles and partitions by what they find there.")
_url = context.config.attributes.get("url")
if _url is not None:
    _run_on(_url, context.config.attributes.get("service_url"))
else:
    _run_from_command_line()
