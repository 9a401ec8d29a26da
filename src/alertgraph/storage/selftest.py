"""The check at the start of the service: nothing stands between one tenant and another's rows but what must."""

from __future__ import annotations

import re
from collections.abc import Sequence

from alertgraph.core.errors import AlertGraphError
from alertgraph.storage.database import Connection, Database

# A row of these is no tenant's: what it says, it says of the installation.
INSTALLATION_TABLES = frozenset({"audit_key", "learning_process", "master_key_check"})

_ROLE = "SELECT current_user::text, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user"

_OWNED = """
SELECT c.relname::text FROM pg_class c
WHERE c.relnamespace = 'alertgraph'::regnamespace AND c.relkind IN ('r', 'p')
    AND pg_has_role(current_user, c.relowner, 'USAGE')
ORDER BY c.relname LIMIT 1
"""

_TENANT_TABLES = """
SELECT c.relname::text AS name, c.relispartition AS is_partition,
       c.relrowsecurity AND c.relforcerowsecurity AS is_forced,
       EXISTS (SELECT FROM aclexplode(c.relacl) g WHERE g.grantee <> c.relowner) AS is_granted
FROM pg_class c
WHERE c.relnamespace = 'alertgraph'::regnamespace AND c.relkind IN ('r', 'p')
    AND EXISTS (SELECT FROM pg_attribute a
                WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped)
ORDER BY c.relname
"""

# A plain view reads as its owner, whom another policy lets through.
_VIEWS = """
SELECT c.relname::text FROM pg_class c
WHERE c.relnamespace = 'alertgraph'::regnamespace AND c.relkind IN ('v', 'm')
    AND NOT COALESCE('security_invoker=true' = ANY (c.reloptions), false)
ORDER BY c.relname LIMIT 1
"""

_UNSCOPED = """
SELECT c.conrelid::regclass::text || '.' || c.conname FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
WHERE t.relnamespace = 'alertgraph'::regnamespace AND c.contype IN ('p', 'u', 'f') AND NOT t.relispartition
    AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attname = 'tenant_id')
    AND NOT EXISTS (SELECT FROM pg_attribute a
                    WHERE a.attrelid = t.oid AND a.attname = 'tenant_id' AND a.attnum = c.conkey[1])
ORDER BY 1
"""

_NAME = re.compile(r"[a-z_0-9]+")


class IsolationError(AlertGraphError):
    """The database would let one tenant see another's rows: the service does not start on it."""


async def check_isolation(database: Database) -> None:
    """Return where the service's role sees a tenant's rows only by naming the tenant.

    Raises:
        IsolationError: It could see more; the message says how, in a sentence.
        DependencyError: The store is away.
    """
    async with database.connection() as connection:
        await _check_role(connection)
        view = await connection.fetchval(_VIEWS)
        if view is not None:
            raise IsolationError(f"The view {view} reads as its owner: make it security_invoker or drop it.")
        tables = await connection.fetch(_TENANT_TABLES)
        for table in tables:
            if not table["is_forced"] and table["name"] not in INSTALLATION_TABLES:
                raise IsolationError(f"Row-level security is not forced on the table {table['name']}.")
            if table["is_partition"] and table["is_granted"]:
                raise IsolationError(
                    f"Something is granted on the partition {table['name']}, where its parent's policy does not "
                    "hold: revoke it."
                )
        for table in tables:
            if not table["is_partition"] and await _shows_rows(connection, table["name"]):
                raise IsolationError(f"The table {table['name']} shows rows although no tenant was named.")


async def unscoped_constraints(database: Database) -> Sequence[str]:
    """Return the keys of tenants' tables that do not begin with the tenant: these could not be distributed."""
    async with database.connection() as connection:
        return [row[0] for row in await connection.fetch(_UNSCOPED)]


async def _check_role(connection: Connection) -> None:
    role, is_superuser, bypasses = await connection.fetchrow(_ROLE)
    if is_superuser or bypasses:
        reason = "a superuser" if is_superuser else "exempt from row-level security"
        raise IsolationError(f"The service runs as {role}, which is {reason}: it needs a role that is not.")
    owned = await connection.fetchval(_OWNED)
    if owned is not None:
        raise IsolationError(
            f"The service runs as {role}, which owns the table {owned}: it needs a role that owns none."
        )


async def _shows_rows(connection: Connection, table: str) -> bool:
    assert _NAME.fullmatch(table), "a name from the catalog of our own schema"
    if not await connection.fetchval("SELECT has_table_privilege($1, 'SELECT')", table):
        return False
    return bool(await connection.fetchval(f"SELECT EXISTS (SELECT FROM {table})"))  # noqa: S608  (checked above)
