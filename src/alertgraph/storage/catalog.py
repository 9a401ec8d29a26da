"""What is set up for paging, read whole as of one moment and changed row by row."""

# ruff: noqa: S608 - statements are put together from constant fragments; values are numbered parameters

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, TypeAlias

from alertgraph.core.catalog import Catalog, Item
from alertgraph.core.document import DocumentMode
from alertgraph.core.flush import TenantConfig
from alertgraph.core.ids import TenantId
from alertgraph.core.noise import NoiseMode, NoiseRules
from alertgraph.core.severity import Severity
from alertgraph.core.slo import SlaTarget
from alertgraph.core.tenant import TenantSettings
from alertgraph.storage.database import Connection
from alertgraph.storage.items import ITEM_KIND_OF, ITEM_SELECT, ItemKind, body_of, item_of, name_of, until_of

# Runs a statement inside a transaction of the tenant; a connection's or a reader's `fetch`.
Fetch: TypeAlias = Callable[..., Awaitable[Sequence[Any]]]

# How asyncpg spells infinity: an item that is never over by itself.
NEVER = datetime.max  # noqa: DTZ901

_VERSION = "SELECT config_version FROM tenant_head WHERE tenant_id = $1"
# In the order of TenantSettings.
_SETTINGS = """
SELECT
    resolve_timeout, retention, version, default_rule_id, dead_man_channel_id, document_mode, grouping_labels,
    grouping_window, correlation_enabled, noise_mode, noise_hold_max, noise_regret_budget, noise_armed_at
FROM tenant_settings WHERE tenant_id = $1
"""
_WRITE_SETTINGS = """
UPDATE tenant_settings SET
    resolve_timeout = $2, retention = $3, version = $4, default_rule_id = $5, dead_man_channel_id = $6,
    document_mode = $7, grouping_labels = $8, grouping_window = $9, correlation_enabled = $10,
    noise_mode = $11, noise_hold_max = $12, noise_regret_budget = $13, noise_armed_at = $14
WHERE tenant_id = $1
"""
_SLA_TARGETS = "SELECT severity, acknowledge_within, resolve_within FROM sla_target WHERE tenant_id = $1"
# One scan of an index for each kind, past what is over; there is more of that than of the rest in the long run.
_ITEMS = f"""
SELECT item.* FROM unnest($2::smallint[]) AS one (kind) CROSS JOIN LATERAL (
    SELECT {ITEM_SELECT} FROM config_item
    WHERE tenant_id = $1 AND kind = one.kind AND until > now() - interval '1 day') AS item
"""
_KINDS = [int(kind) for kind in ItemKind]

_WRITE_ITEMS = """
INSERT INTO config_item (tenant_id, version, kind, id, name, until, body)
SELECT $1, $2, item.* FROM unnest($3::smallint[], $4::uuid[], $5::text[], $6::timestamptz[], $7::jsonb[]) AS item
ON CONFLICT (tenant_id, kind, id) DO UPDATE SET
    version = excluded.version, name = excluded.name, until = excluded.until, body = excluded.body
"""
_DELETE_ITEMS = """
DELETE FROM config_item i USING unnest($2::smallint[], $3::uuid[]) AS gone (kind, id)
WHERE i.tenant_id = $1 AND i.kind = gone.kind AND i.id = gone.id
"""


async def load_settings(fetch: Fetch, tenant_id: TenantId) -> TenantSettings | None:
    """Return what an ADMIN may set; None where there is no such tenant."""
    rows = await fetch(_SETTINGS, tenant_id)
    if not rows:
        return None
    resolve_timeout, retention, version, rule_id, channel_id, mode, labels, window, correlates, *noise = rows[0]
    return TenantSettings(
        resolve_timeout,
        retention,
        version,
        rule_id,
        channel_id,
        DocumentMode(mode),
        tuple(labels),
        window,
        correlates,
        NoiseRules(NoiseMode(noise[0]), *noise[1:]),
    )


async def load_config(fetch: Fetch, tenant_id: TenantId) -> TenantConfig | None:
    """Return the tenant's configuration; None where there is no such tenant.

    The caller sees to it that nothing changes between the statements: by the head's lock, or by a snapshot.

    Raises:
        DependencyError: Something is stored in a form that this release can't read.
    """
    versions = await fetch(_VERSION, tenant_id)
    settings = await load_settings(fetch, tenant_id)
    if not versions or settings is None:
        return None
    targets = await fetch(_SLA_TARGETS, tenant_id)
    rows = await fetch(_ITEMS, tenant_id, _KINDS)
    return TenantConfig(
        versions[0][0],
        settings,
        {Severity(row[0]): SlaTarget(Severity(row[0]), row[1], row[2]) for row in targets},
        _catalog_of(map(item_of, rows)),
    )


def _catalog_of(items: Iterable[Item]) -> Catalog:
    by_kind: dict[ItemKind, list[Any]] = {kind: [] for kind in ItemKind}
    for item in items:
        by_kind[ITEM_KIND_OF[type(item)]].append(item)

    def of(kind: ItemKind, *order: str) -> list[Any]:
        return sorted(by_kind[kind], key=attrgetter(*order, "id"))

    return Catalog(
        rules=tuple(of(ItemKind.RULE, "position")),
        inhibitions=tuple(of(ItemKind.INHIBITION)),
        silences=tuple(of(ItemKind.SILENCE)),
        channels={channel.id: channel for channel in of(ItemKind.CHANNEL)},
        responders={responder.id: responder for responder in of(ItemKind.RESPONDER)},
        schedules={schedule.id: schedule for schedule in of(ItemKind.SCHEDULE)},
        overrides=tuple(of(ItemKind.OVERRIDE, "starts_at")),
        monitors={monitor.id: monitor for monitor in of(ItemKind.MONITOR)},
        anomaly_rules={rule.id: rule for rule in of(ItemKind.ANOMALY_RULE)},
    )


async def write_settings(
    connection: Connection, tenant_id: TenantId, settings: TenantSettings, version: int
) -> None:
    """Keep a tenant's settings as of the event of that number."""
    await connection.execute(
        _WRITE_SETTINGS,
        tenant_id,
        settings.resolve_timeout,
        settings.retention,
        version,
        settings.default_rule_id,
        settings.dead_man_channel_id,
        settings.document_mode,
        settings.grouping_labels,
        settings.grouping_window,
        settings.correlation_enabled,
        settings.noise.mode,
        settings.noise.hold_max,
        settings.noise.regret_budget,
        settings.noise.armed_at,
    )


async def write_items(connection: Connection, tenant_id: TenantId, items: Sequence[Item], version: int) -> None:
    """Keep items, new ones and changed ones, as of the event of that number."""
    if not items:
        return
    await connection.execute(
        _WRITE_ITEMS,
        tenant_id,
        version,
        [ITEM_KIND_OF[type(item)] for item in items],
        [item.id for item in items],
        [name_of(item) for item in items],
        [until_of(item) or NEVER for item in items],
        [body_of(item) for item in items],
    )


async def delete_items(connection: Connection, tenant_id: TenantId, items: Sequence[Item]) -> None:
    """Delete items."""
    if items:
        kinds = [ITEM_KIND_OF[type(item)] for item in items]
        await connection.execute(_DELETE_ITEMS, tenant_id, kinds, [item.id for item in items])
