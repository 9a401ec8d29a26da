"""The search index: words and labels of alerts, filled from the log a moment after each flush.

What the index has not read yet is looked at directly, so that an alert is found as soon as it is there.
"""

# ruff: noqa: S608 - statements are put together from constant fragments; values are numbered parameters

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from asyncpg import Record

from alertgraph.core.event import Event, EventKind, parse_canonical
from alertgraph.core.ids import EPOCH, TenantId
from alertgraph.core.search import alert_terms
from alertgraph.storage.database import Database
from alertgraph.storage.reader import Reader
from alertgraph.storage.statement import is_storable

# More finds than this are no selection: reading the list itself finds some of them soon enough.
FOUND_MAX = 5_000
# More alerts than this that the index does not know yet are not looked at one by one.
UNREAD_MAX = 1_000

# Kinds that change what an alert is found by.
_TELLING = f"'{{{EventKind.TRIGGERED:d},{EventKind.UPDATED:d},{EventKind.REOPENED:d}}}'::smallint[]"

_FIND = "SELECT id FROM search_alerts($1::text[], $2, $3, true, $4) AS id"
_ID_MIN, _ID_MAX = UUID(int=0), UUID(int=(1 << 128) - 1)

_POSITION = "SELECT number, recorded_at FROM index_position WHERE tenant_id = $1"

# Alerts the index can't tell of: news, and alerts so old that the index's partition of their month is gone.
_UNREAD = f"""
    SELECT id FROM (
        SELECT alert_id AS id FROM event
        WHERE tenant_id = $1 AND number > $2 AND recorded_at >= $3 AND kind = ANY ({_TELLING})
            AND alert_id IS NOT NULL
        UNION
        SELECT id FROM alert_open WHERE tenant_id = $1 AND id < (
            SELECT uuid7_floor(to_date(min(right(c.relname::text, 7)), 'YYYY"m"MM')::timestamp AT TIME ZONE 'UTC')
            FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = 'alert_terms'::regclass)
        UNION
        SELECT id FROM alert_closed_late WHERE tenant_id = $1
    ) AS unread LIMIT {UNREAD_MAX + 1}
"""

_TEXTS = """
    SELECT found.* FROM unnest($2::uuid[]) AS one (id) CROSS JOIN LATERAL (
        SELECT id, title, description, labels FROM alert_open WHERE tenant_id = $1 AND id = one.id
        UNION ALL
        SELECT id, title, description, labels FROM alert_closed WHERE tenant_id = $1 AND id = one.id
        UNION ALL
        SELECT id, title, description, labels FROM alert_closed_late WHERE tenant_id = $1 AND id = one.id
        LIMIT 1
    ) AS found
"""


async def find_alerts(reader: Reader, terms: Iterable[str]) -> list[UUID] | None:
    """Return the ids of exactly those alerts that all the terms are true of; None where these are too many.

    Args:
        reader: Whose alerts.
        terms: As in `core.search.alert_terms`; at least one.
    """
    wanted = frozenset(terms)
    positions = await reader.fetch(_POSITION, reader.tenant_id)
    number, recorded_at = positions[0] if positions else (0, EPOCH)
    rows = await reader.fetch(_UNREAD, reader.tenant_id, number, recorded_at)
    unread = {row["id"] for row in rows}
    if len(unread) > UNREAD_MAX:
        return None
    found = await reader.fetch(_FIND, sorted(wanted), _ID_MIN, _ID_MAX, FOUND_MAX + 1)
    if len(found) > FOUND_MAX:
        return None
    ids = [row["id"] for row in found if row["id"] not in unread]
    if unread:
        texts = await reader.fetch(_TEXTS, reader.tenant_id, list(unread))
        ids += [row["id"] for row in texts if wanted <= _terms(row)]
    return ids


def _terms(row: Record) -> frozenset[str]:
    return alert_terms(row["title"], row["description"], row["labels"])


# --------------------------------------------------------------------------------------- suggestions

_LABEL_NAMES = """
    SELECT label AS suggestion FROM label_name WHERE tenant_id = $1 AND label ^@ $2
    ORDER BY uses DESC, label COLLATE "C" LIMIT $3
"""

_LABEL_VALUES = """
    SELECT value AS suggestion FROM label_usage WHERE tenant_id = $1 AND label = $4 AND value ^@ $2
    ORDER BY uses DESC, value COLLATE "C" LIMIT $3
"""


async def suggest_labels(reader: Reader, label: str | None, prefix: str, limit: int) -> list[str]:
    """Return names of labels in use, or one label's values, that begin with `prefix`, the commonest first."""
    if not is_storable(prefix) or (label is not None and not is_storable(label)):
        return []
    if label is None:
        rows = await reader.fetch(_LABEL_NAMES, reader.tenant_id, prefix, limit)
    else:
        rows = await reader.fetch(_LABEL_VALUES, reader.tenant_id, prefix, limit, label)
    return [row["suggestion"] for row in rows]


# --------------------------------------------------------------------------------------- filling

# Whoever holds this row indexes the tenant; others pass by. Splitting a thousand texts into words may take a busy
# machine longer than a transaction may idle, and nobody waits for this one: it holds no head.
_CLAIM = """
    SELECT p.number, p.recorded_at, h.number AS last,
           set_config('idle_in_transaction_session_timeout', '30s', true)
    FROM index_position p JOIN tenant_head h ON h.tenant_id = p.tenant_id
    WHERE p.tenant_id = $1 FOR UPDATE OF p SKIP LOCKED
"""
_BEGIN = "INSERT INTO index_position (tenant_id, number) VALUES ($1, 0) ON CONFLICT DO NOTHING"

_NEWS = f"""
    SELECT number, recorded_at, alert_id, CASE WHEN kind = ANY ({_TELLING}) THEN content END AS content
    FROM event WHERE tenant_id = $1 AND number > $2 AND number <= $3 AND recorded_at >= $4 ORDER BY number
"""

_MOVE = "UPDATE index_position SET number = $2, recorded_at = $3 WHERE tenant_id = $1"

# All that one batch writes. Terms come flat, each beside its alert. A month whose partition is gone is not indexed
# any more. A label's value may be as long as a page: it is known by its hash.
_KEEP = """
WITH kept_terms AS (
    INSERT INTO alert_terms AS kept (tenant_id, id, terms)
    SELECT $1, told.id,
           COALESCE(array_agg(term_prefix($1) || one.term ORDER BY one.term) FILTER (WHERE one.term <> ''), '{}')
    FROM unnest($4::uuid[]) AS told (id)
    LEFT JOIN unnest($5::uuid[], $6::text[]) AS one (id, term) ON one.id = told.id
    WHERE uuid7_month(told.id) = ANY (ARRAY(
        SELECT right(c.relname::text, 8) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'alert_terms'::regclass AND NOT i.inhdetachpending))
    GROUP BY told.id
    ON CONFLICT (tenant_id, id) DO UPDATE SET terms = excluded.terms WHERE kept.terms <> excluded.terms
), counted_names AS (
    INSERT INTO label_name AS kept (tenant_id, label, uses)
    SELECT $1, one.label, one.uses FROM unnest($7::text[], $8::bigint[]) AS one (label, uses)
    ON CONFLICT (tenant_id, label) DO UPDATE SET uses = kept.uses + excluded.uses
), counted_values AS (
    INSERT INTO label_usage AS kept (tenant_id, label, value_hash, value, uses)
    SELECT $1, one.label, sha256(convert_to(one.value, 'UTF8')), one.value, one.uses
    FROM unnest($9::text[], $10::text[], $11::bigint[]) AS one (label, value, uses)
    ON CONFLICT (tenant_id, label, value_hash) DO UPDATE SET uses = kept.uses + excluded.uses
)
UPDATE index_position SET number = $2, recorded_at = $3 WHERE tenant_id = $1
"""


class PostgresSearchIndex:
    """Fills the search index. Fulfils `services.indexing.SearchIndex`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tenants_behind(self, limit: int) -> Sequence[TenantId]:
        """Return tenants whose log has events that the index has not read, those that wait longest first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch("SELECT id FROM tenants_to_index($1) AS id", limit)
        return [TenantId(row["id"]) for row in rows]

    async def advance(self, tenant_id: TenantId, limit: int) -> int:
        """Read up to `limit` further events of a tenant's log, all or nothing, and return how many.

        Several processes may try at once: one of them does it, and the others return 0.
        """
        async with self._database.transaction(tenant_id) as connection:
            position = await connection.fetchrow(_CLAIM, tenant_id)
            if position is None:
                await connection.execute(_BEGIN, tenant_id)
                position = await connection.fetchrow(_CLAIM, tenant_id)
            if position is None or position["last"] <= position["number"]:
                return 0
            # The head was read before the events: so all up to there are there, but what retention removed.
            last = min(position["number"] + limit, position["last"])
            rows = await connection.fetch(_NEWS, tenant_id, position["number"], last, position["recorded_at"])
            recorded_at = rows[-1]["recorded_at"] if rows else position["recorded_at"]
            told = {row["alert_id"] for row in rows if row["content"] is not None and row["alert_id"] is not None}
            if told:
                # As the alerts are now: at least as new as the events just read, and what changes later has later
                # events.
                texts = await connection.fetch(_TEXTS, tenant_id, sorted(told))
                events = [parse_canonical(row["content"]) for row in rows if row["content"] is not None]
                kept = [*_terms_of(texts), *_counts_of(label_uses(events))]
                await connection.execute(_KEEP, tenant_id, last, recorded_at, *kept)
            else:
                await connection.execute(_MOVE, tenant_id, last, recorded_at)
            return int(last - position["number"])


def _terms_of(texts: Sequence[Record]) -> tuple[list[UUID], list[UUID], list[str]]:
    """Return alerts, and their terms beside the alert of each."""
    alert_ids: list[UUID] = []
    owners: list[UUID] = []
    found: list[str] = []
    for alert_id, title, description, labels in texts:
        terms = alert_terms(title, description, labels)
        alert_ids.append(alert_id)
        owners += [alert_id] * len(terms)
        found += terms
    return alert_ids, owners, found


def _counts_of(
    uses: Mapping[tuple[str, str], int],
) -> tuple[list[str], list[int], list[str], list[str], list[int]]:
    """Return labels with how often they were used, and labels with values likewise."""
    names: Counter[str] = Counter()
    for (label, _), count in uses.items():
        names[label] += count
    labels, pairs = sorted(names), sorted(uses)
    return (
        labels,
        [names[label] for label in labels],
        [label for label, _ in pairs],
        [value for _, value in pairs],
        [uses[pair] for pair in pairs],
    )


def label_uses(events: Iterable[Event]) -> Counter[tuple[str, str]]:
    """Return how often each label with its value was newly put on an alert."""
    uses: Counter[tuple[str, str]] = Counter()
    for event in events:
        if event.kind is EventKind.UPDATED:
            for change in event.changes:
                if change.field == "labels":
                    uses.update(set(change.after.items()) - set(change.before.items()))
        else:
            uses.update(event.labels.items())
    return uses
