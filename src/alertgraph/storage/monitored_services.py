"""Things watched, by name, and what they need of one another.

What counts open alerts has a row for every service that an alert ever named, also once none is open: so names are
read from there, and from dependencies.
"""

# ruff: noqa: S608 - statements are put together from constant fragments; values are numbered parameters

from __future__ import annotations

from collections.abc import Collection, Sequence

from alertgraph.core.errors import InputError
from alertgraph.core.ids import TenantId, pack, unpack
from alertgraph.core.monitored_service import Dependencies, MonitoredService
from alertgraph.core.query import Page, PageRequest
from alertgraph.core.severity import Severity
from alertgraph.storage.catalog import Fetch
from alertgraph.storage.database import Connection
from alertgraph.storage.reader import Reader
from alertgraph.storage.statement import is_storable

# No name goes on behind a prefix with so many of the last character there is.
_BEYOND = "\U0010ffff" * 8
# What cursors of this list begin with: those of no other list do.
_CURSOR = b"s:"

# Columns and conditions say the collation that the indexes have: bytes, which no locale changes.
_NAMES = """
    (SELECT DISTINCT {0} COLLATE "C" AS name FROM {1}
     WHERE tenant_id = $1 AND {0} COLLATE "C" >= $2 AND {0} COLLATE "C" <= $3 AND {0} ^@ $2 AND {0} <> ''{2})
"""
_SOURCES = (
    ("monitored_service", "open_count"),
    ("service", "service_dependency"),
    ("needs", "service_dependency"),
)
_BEHIND = ' AND {0} COLLATE "C" > $4 ORDER BY 1 LIMIT $5'
_PAGE = (
    "SELECT name FROM ("
    + " UNION ".join(_NAMES.format(column, table, _BEHIND.format(column)) for column, table in _SOURCES)
    + ') AS found ORDER BY name COLLATE "C" LIMIT $5'
)
_COUNT = (
    "SELECT count(*) FROM ("
    + " UNION ".join(_NAMES.format(column, table, "") for column, table in _SOURCES)
    + ") AS found"
)

_STANDING = """
    SELECT one.name, COALESCE(sum(c.count), 0)::bigint AS open_count,
           max(c.severity) FILTER (WHERE c.count > 0) AS worst, bool_or(c.count IS NOT NULL) AS is_known
    FROM unnest($2::text[]) AS one (name)
    LEFT JOIN open_count c ON c.tenant_id = $1 AND c.monitored_service COLLATE "C" = one.name
    GROUP BY one.name
"""
_NAMED = """
    SELECT one.name FROM unnest($2::text[]) AS one (name)
    WHERE EXISTS (SELECT FROM service_dependency d WHERE d.tenant_id = $1 AND d.service = one.name)
        OR EXISTS (SELECT FROM service_dependency d WHERE d.tenant_id = $1 AND d.needs = one.name)
"""
_BESIDE = """
    SELECT one.name, beside.{0} AS other FROM unnest($2::text[]) AS one (name) CROSS JOIN LATERAL (
        SELECT {0} FROM service_dependency WHERE tenant_id = $1 AND {1} = one.name ORDER BY {0} LIMIT $3
    ) AS beside ORDER BY one.name COLLATE "C", other
"""
_NEEDS, _NEEDED_BY = _BESIDE.format("needs", "service"), _BESIDE.format("service", "needs")

_ALL = "SELECT service, needs FROM service_dependency WHERE tenant_id = $1 ORDER BY service, needs"
_DELETE = "DELETE FROM service_dependency WHERE tenant_id = $1 AND service = ANY ($2::text[])"
_WRITE = """
INSERT INTO service_dependency (tenant_id, version, service, needs)
SELECT $1, $2, one.service, one.needs FROM unnest($3::text[], $4::text[]) AS one (service, needs)
"""


# --------------------------------------------------------------------------------------- services


async def service_page(reader: Reader, prefix: str, page: PageRequest) -> Page[MonitoredService]:
    """Return a page of things watched whose names begin so, by name, forward, with the total count.

    Raises:
        InputError: The cursor is not of this list.
    """
    after = _name_of(page.after) if page.after is not None else ""
    if not is_storable(prefix):
        return Page((), has_next=False, has_previous=False, as_of=await reader.as_of(), total_count=0)
    bounds = (reader.tenant_id, prefix, prefix + _BEYOND)
    rows = await reader.fetch(_PAGE, *bounds, after, page.size + 1)
    names = [row["name"] for row in rows[: page.size]]
    (counted,) = await reader.fetch(_COUNT, *bounds)
    standing = await _standing(reader, names)
    return Page(
        [(pack(_CURSOR + name.encode()), standing[name][0]) for name in names],
        has_next=len(rows) > page.size,
        has_previous=page.after is not None,
        as_of=await reader.as_of(),
        total_count=counted["count"],
    )


async def load_services(reader: Reader, names: Collection[str]) -> dict[str, MonitoredService]:
    """Return those of the things watched that an alert or a dependency has named."""
    standing = await _standing(reader, names)
    found = {name: service for name, (service, is_known) in standing.items() if is_known}
    unknown = [name for name in standing if name not in found]
    if unknown:
        for row in await reader.fetch(_NAMED, reader.tenant_id, unknown):
            found[row["name"]] = standing[row["name"]][0]
    return found


async def services_beside(
    reader: Reader, names: Collection[str], limit: int, *, dependents: bool
) -> dict[str, list[MonitoredService]]:
    """Return up to `limit` things that each of these needs, or that need it, by name; in two round trips."""
    wanted = sorted(filter(is_storable, names))
    rows = await reader.fetch(_NEEDED_BY if dependents else _NEEDS, reader.tenant_id, wanted, limit)
    standing = await _standing(reader, {row["other"] for row in rows})
    found: dict[str, list[MonitoredService]] = {}
    for row in rows:
        found.setdefault(row["name"], []).append(standing[row["other"]][0])
    return found


async def _standing(reader: Reader, names: Collection[str]) -> dict[str, tuple[MonitoredService, bool]]:
    """Return how services stand, and of each whether an alert ever named it."""
    wanted = sorted(filter(is_storable, names))
    if not wanted:
        return {}
    rows = await reader.fetch(_STANDING, reader.tenant_id, wanted)
    return {
        row["name"]: (
            MonitoredService(
                row["name"], row["open_count"], Severity(row["worst"]) if row["worst"] is not None else None
            ),
            row["is_known"],
        )
        for row in rows
    }


def _name_of(cursor: str) -> str:
    raw = unpack(cursor) if cursor.isascii() else None
    try:
        name = raw.removeprefix(_CURSOR).decode() if raw is not None and raw.startswith(_CURSOR) else ""
    except UnicodeDecodeError:
        name = ""
    if not name or not is_storable(name):
        raise InputError("This is not a cursor of a list of monitored services.", "after")
    return name


# --------------------------------------------------------------------------------------- dependencies


async def read_dependencies(fetch: Fetch, tenant_id: TenantId) -> dict[str, tuple[str, ...]]:
    """Return everything that a tenant's services need, by name and in order of names."""
    found: dict[str, list[str]] = {}
    for service, needs in await fetch(_ALL, tenant_id):
        found.setdefault(service, []).append(needs)
    return {service: tuple(needs) for service, needs in found.items()}


async def write_dependencies(
    connection: Connection, tenant_id: TenantId, changed: Dependencies, version: int
) -> None:
    """Replace what these services need, as of the event of that number."""
    pairs: Sequence[tuple[str, str]] = [(service, need) for service, needs in changed.items() for need in needs]
    await connection.execute(_DELETE, tenant_id, list(changed))
    if pairs:
        await connection.execute(
            _WRITE, tenant_id, version, [service for service, _ in pairs], [need for _, need in pairs]
        )
