"""Deliveries as people read them: lists, those of an alert, their tries, and how the engine keeps up."""

# ruff: noqa: S608 - statements are put together from constant fragments; values are numbered parameters

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from alertgraph.core.alert import HoldReason
from alertgraph.core.delivery import Attempt, ChannelHealth, Delivery, DeliveryQuery, DeliveryStatus
from alertgraph.core.errors import InputError
from alertgraph.core.health import LATE_AFTER, EngineFigures
from alertgraph.core.ids import AlertId, ChannelId, DeliveryId, MonitorId, pack, unpack, uuid7_floor
from alertgraph.core.query import PAGE_SIZE_MAX, Page, PageRequest
from alertgraph.core.sealing import Refusal
from alertgraph.storage.deliveries import DELIVERY_SELECT, HEALTH_SELECT, delivery_of, health_of
from alertgraph.storage.reader import Reader
from alertgraph.storage.statement import Parameters, Statement

# Nobody needs to know more exactly how much is wrong or waits, and counting on takes longer than it is worth.
BROKEN_MAX = 10_000
PENDING_MAX = 100_000

# A LIMIT that is a parameter would be planned as a tenth of the table: so it is one of these.
_LIMITS = (11, 26, 51, PAGE_SIZE_MAX + 1)
# Ids begin with the instant at which they were made, which is nearly that of the decision.
_ID_MARGIN = timedelta(minutes=1)

_OPEN_STATUSES = frozenset(
    (DeliveryStatus.PENDING, DeliveryStatus.SENDING, DeliveryStatus.RETRYING, DeliveryStatus.SKIPPED)
)
_FINISHED_STATUSES = frozenset((DeliveryStatus.SENT, DeliveryStatus.FAILED, DeliveryStatus.SKIPPED))


# --------------------------------------------------------------------------------------- lists


async def delivery_page(reader: Reader, query: DeliveryQuery) -> Page[Delivery]:
    """Return deliveries over all alerts, newest first.

    Raises:
        InputError: A cursor is not of this list.
    """
    page = query.page
    rows = await reader.run(_page_statement(reader, query))
    return await _page(reader, page, [delivery_of(row) for row in rows[: page.size + 1]])


async def deliveries_of(
    reader: Reader, alert_ids: Collection[AlertId], page: PageRequest
) -> dict[AlertId, Page[Delivery]]:
    """Return the same page of several alerts' deliveries, oldest first, all read by one statement.

    Raises:
        InputError: A cursor is not of this list.
    """
    parameters = Parameters(reader.tenant_id, list(dict.fromkeys(alert_ids)))
    where = ["tenant_id = $1", "alert_id = one.alert_id", "alert_id IS NOT NULL"]
    where += _between(page, parameters, descending=False)
    way = "DESC" if page.backward else "ASC"
    tail = f"ORDER BY id {way} LIMIT {_limit(page)}"
    found: Mapping[AlertId, list[Delivery]] = defaultdict(list)
    if alert_ids:
        rows = await reader.fetch(
            "SELECT found.* FROM unnest($2::uuid[]) WITH ORDINALITY AS one (alert_id, place) CROSS JOIN LATERAL ("
            f"{_of_both(' AND '.join(where), tail)} {tail}) AS found ORDER BY one.place, found.id {way}",
            *parameters.values,
        )
        for delivery in map(delivery_of, rows):
            assert delivery.alert_id is not None, "the statement asks for deliveries about alerts"
            found[delivery.alert_id].append(delivery)
    return {alert_id: await _page(reader, page, found[alert_id][: page.size + 1]) for alert_id in alert_ids}


def _page_statement(reader: Reader, query: DeliveryQuery) -> Statement:
    """Return what reads the first deliveries of a list, one more than asked for or some more."""
    parameters = Parameters(reader.tenant_id)
    where = ["tenant_id = $1", *_between(query.page, parameters, descending=True)]
    if query.created_after is not None:
        floor = uuid7_floor(_shifted(query.created_after, -_ID_MARGIN))
        where.append(f"id >= {parameters.add(floor)} AND created_at >= {parameters.add(query.created_after)}")
    if query.created_before is not None:
        ceiling = uuid7_floor(_shifted(query.created_before, _ID_MARGIN))
        where.append(f"id <= {parameters.add(ceiling)} AND created_at < {parameters.add(query.created_before)}")
    statuses = frozenset(query.status)
    status = parameters.add(sorted(statuses)) if statuses else ""
    channel = parameters.add(list(dict.fromkeys(query.channel_ids))) if query.channel_ids else ""
    responder = parameters.add(list(dict.fromkeys(query.responder_ids))) if query.responder_ids else ""
    tail = f"ORDER BY id {'ASC' if query.page.backward else 'DESC'} LIMIT {_limit(query.page)}"

    def read(table: str, *, has_status_index: bool) -> str:
        conditions = list(where)
        drive = ""
        # What is equal in an index whose next column is the id is read in order, once for each value.
        if has_status_index and statuses and DeliveryStatus.SENT not in statuses:
            drive = f"unnest({status}::smallint[]) AS one (value)"
            conditions += ["status = one.value", "status <> 3"]
        elif status:
            conditions.append(f"status = ANY ({status}::smallint[])")
        if responder and not drive:
            drive = f"unnest({responder}::uuid[]) AS one (value)"
            conditions += ["responder_id = one.value", "responder_id IS NOT NULL"]
        elif responder:
            conditions.append(f"responder_id = ANY ({responder}::uuid[])")
        if channel and not drive:
            drive = f"unnest({channel}::uuid[]) AS one (value)"
            conditions.append("channel_id = one.value")
        elif channel:
            conditions.append(f"channel_id = ANY ({channel}::uuid[])")
        text = f"SELECT {DELIVERY_SELECT} FROM {table} WHERE {' AND '.join(conditions)} {tail}"
        return f"(SELECT each.* FROM {drive} CROSS JOIN LATERAL ({text}) AS each {tail})" if drive else f"({text})"

    parts = []
    if not statuses or statuses & _OPEN_STATUSES:
        parts.append(read("delivery_open", has_status_index=False))
    if not statuses or statuses & _FINISHED_STATUSES:
        parts.append(read("delivery", has_status_index=True))
    narrowed = sum(map(bool, (statuses, query.channel_ids, query.responder_ids)))
    is_keyed = narrowed == 0 and query.created_after is None and query.created_before is None
    text = parts[0] if len(parts) == 1 else f"{' UNION ALL '.join(parts)} {tail}"
    return Statement(text, parameters.values, is_keyed)


def _of_both(where: str, tail: str) -> str:
    return " UNION ALL ".join(
        f"(SELECT {DELIVERY_SELECT} FROM {table} WHERE {where} {tail})" for table in ("delivery_open", "delivery")
    )


def _limit(page: PageRequest) -> int:
    return next(size for size in _LIMITS if size > page.size)


def _shifted(at: datetime, by: timedelta) -> datetime:
    try:
        return at + by
    except OverflowError:
        return at


def _between(page: PageRequest, parameters: Parameters, *, descending: bool) -> list[str]:
    """Return the conditions of a page's cursors on the id, which is what both lists are ordered by."""
    where = []
    for name, cursor, is_after in (("after", page.after, True), ("before", page.before, False)):
        if cursor is not None:
            comparison = ">" if is_after is not descending else "<"
            where.append(f"id {comparison} {parameters.add(_place(cursor, name))}")
    return where


def _place(cursor: str, name: str) -> UUID:
    raw = unpack(cursor)
    if raw is None or len(raw) != 16:
        raise InputError("This is not a cursor of this list.", name)
    return UUID(bytes=raw)


async def _page(reader: Reader, page: PageRequest, found: Sequence[Delivery]) -> Page[Delivery]:
    """Return a page of what was found, in the direction in which it was read, one more than the page's size."""
    more = len(found) > page.size
    items = found[: page.size]
    return Page(
        [(pack(delivery.id.bytes), delivery) for delivery in (items[::-1] if page.backward else items)],
        has_next=page.before is not None if page.backward else more or page.before is not None,
        has_previous=more or page.after is not None if page.backward else page.after is not None,
        as_of=await reader.as_of(),
    )


# --------------------------------------------------------------------------------------- by id

_BY_ID = f"""
    SELECT found.* FROM unnest($2::uuid[]) AS one (id) CROSS JOIN LATERAL (
        {_of_both("tenant_id = $1 AND id >= one.id AND id <= one.id", "ORDER BY id LIMIT 1")} LIMIT 1
    ) AS found
"""
_WAITING = f"""
    SELECT {DELIVERY_SELECT} FROM delivery_open
    WHERE tenant_id = $1 AND alert_id = $2 AND alert_id IS NOT NULL ORDER BY id LIMIT $3
"""
_ATTEMPTS = """
    SELECT found.* FROM unnest($2::uuid[]) AS one (id) CROSS JOIN LATERAL (
        SELECT delivery_id, number, started_at, duration, status_code, error FROM delivery_attempt
        WHERE tenant_id = $1 AND delivery_id >= one.id AND delivery_id <= one.id ORDER BY delivery_id, number
    ) AS found ORDER BY found.delivery_id, found.number
"""
_HEALTH = f"SELECT {HEALTH_SELECT} FROM channel_health WHERE tenant_id = $1"
_LAST_BEATS = (
    "SELECT monitor_id, last_beat_at FROM heartbeat WHERE tenant_id = $1 AND monitor_id = ANY ($2::uuid[])"
)


async def load_deliveries(reader: Reader, ids: Collection[DeliveryId]) -> dict[DeliveryId, Delivery]:
    """Return the deliveries that exist among the ids, open and finished."""
    if not ids:
        return {}
    rows = await reader.fetch(_BY_ID, reader.tenant_id, list(ids))
    return {delivery.id: delivery for delivery in map(delivery_of, rows)}


async def load_waiting(reader: Reader, alert_id: AlertId, limit: int) -> list[Delivery]:
    """Return up to `limit` deliveries about an alert that have come to no end yet, oldest first."""
    return [delivery_of(row) for row in await reader.fetch(_WAITING, reader.tenant_id, alert_id, limit)]


async def load_attempts(reader: Reader, ids: Collection[DeliveryId]) -> dict[DeliveryId, Sequence[Attempt]]:
    """Return each try of several deliveries, oldest first; an empty list where there was none."""
    tries: dict[DeliveryId, list[Attempt]] = {id_: [] for id_ in ids}
    if tries:
        for delivery_id, *attempt in await reader.fetch(_ATTEMPTS, reader.tenant_id, list(tries)):
            tries[DeliveryId(delivery_id)].append(Attempt(*attempt))
    return dict(tries)


async def load_channel_health(reader: Reader) -> dict[ChannelId, ChannelHealth]:
    """Return how the tenant's channels do; one that was never used is absent."""
    return dict(map(health_of, await reader.fetch(_HEALTH, reader.tenant_id)))


async def load_last_beats(reader: Reader, ids: Collection[MonitorId]) -> dict[MonitorId, datetime]:
    """Return when monitors beat last; one that never did is absent."""
    if not ids:
        return {}
    rows = await reader.fetch(_LAST_BEATS, reader.tenant_id, list(ids))
    return {MonitorId(monitor_id): last_beat_at for monitor_id, last_beat_at in rows}


# --------------------------------------------------------------------------------------- the engine

# The first of an index, and how many lie before an instant: each is a read of one index in its order.
_OLDEST_DELIVERY = """
    (SELECT {column} FROM (
        (SELECT due_at, alert_id FROM delivery_open
         WHERE tenant_id = $1 AND is_first AND due_at {until} ORDER BY due_at, id LIMIT 1)
        UNION ALL
        (SELECT due_at, alert_id FROM delivery_open
         WHERE tenant_id = $1 AND NOT is_first AND due_at {until} ORDER BY due_at, id LIMIT 1)
    ) oldest ORDER BY due_at LIMIT 1)
"""
_FIGURES = f"""
    SELECT
        (SELECT due_at FROM alert_open WHERE tenant_id = $1 AND due_at <= $2 ORDER BY due_at LIMIT 1)
            AS oldest_due_at,
        {_OLDEST_DELIVERY.format(column="due_at", until="<= $2")} AS oldest_delivery_at,
        (SELECT count(*) FROM (SELECT FROM delivery_open WHERE tenant_id = $1 LIMIT {PENDING_MAX}) c)
            AS pending_count,
        (SELECT count(*) FROM (
            SELECT FROM alert_open WHERE tenant_id = $1 AND due_at < $3 LIMIT {BROKEN_MAX}) c) AS late_count,
        (SELECT id FROM alert_open WHERE tenant_id = $1 AND due_at < $3 ORDER BY due_at LIMIT 1) AS late_id,
        (SELECT count(*) FROM (
            (SELECT FROM delivery_open WHERE tenant_id = $1 AND is_first AND due_at < $3 LIMIT {BROKEN_MAX})
            UNION ALL
            (SELECT FROM delivery_open WHERE tenant_id = $1 AND NOT is_first AND due_at < $3 LIMIT {BROKEN_MAX})
        ) c) AS late_delivery_count,
        {_OLDEST_DELIVERY.format(column="alert_id", until="< $3")} AS late_delivery_alert_id,
        (SELECT count(*) FROM (
            SELECT FROM alert_open
            WHERE tenant_id = $1 AND status = 1 AND due_at IS NULL AND hold_reason IS NULL LIMIT {BROKEN_MAX}) c)
            AS forgotten_count,
        (SELECT id FROM alert_open WHERE tenant_id = $1 AND status = 1 AND due_at IS NULL AND hold_reason IS NULL
         ORDER BY id LIMIT 1) AS forgotten_id,
        (SELECT refusal FROM audit_tree WHERE tenant_id = $1) AS refusal,
        (SELECT e.recorded_at FROM audit_tree t CROSS JOIN LATERAL (
            SELECT recorded_at FROM event
            WHERE tenant_id = $1 AND number = t.first_number + t.size AND recorded_at >= t.recorded_at LIMIT 1) e
         WHERE t.tenant_id = $1) AS unsealed_since
"""
_HELD = f"""
    SELECT one.reason, (
        SELECT count(*) FROM (
            SELECT FROM alert_open WHERE tenant_id = $1 AND hold_reason = one.reason
                AND hold_reason = ANY ('{{2,3,4,5}}'::smallint[]) LIMIT {BROKEN_MAX}) c), (
        SELECT id FROM alert_open WHERE tenant_id = $1 AND hold_reason = one.reason
            AND hold_reason = ANY ('{{2,3,4,5}}'::smallint[]) ORDER BY id LIMIT 1)
    FROM unnest($2::smallint[]) AS one (reason)
"""


async def load_engine_figures(reader: Reader, now: datetime) -> EngineFigures:
    """Return what is wrong or late in the tenant; counts stop at the bounds above."""
    [figures] = await reader.fetch(_FIGURES, reader.tenant_id, now, now - LATE_AFTER)
    reasons = [HoldReason.NO_MATCHING_RULE, HoldReason.NOBODY_ON_CALL]
    held = await reader.fetch(_HELD, reader.tenant_id, reasons)
    return EngineFigures(
        oldest_due_at=figures["oldest_due_at"],
        oldest_delivery_at=figures["oldest_delivery_at"],
        pending_count=figures["pending_count"],
        late=(figures["late_count"], _alert_id(figures["late_id"])),
        late_deliveries=(
            min(figures["late_delivery_count"], BROKEN_MAX),
            _alert_id(figures["late_delivery_alert_id"]),
        ),
        held={HoldReason(reason): (count, _alert_id(id_)) for reason, count, id_ in held},
        forgotten=(figures["forgotten_count"], _alert_id(figures["forgotten_id"])),
        refusal=Refusal(figures["refusal"]) if figures["refusal"] is not None else None,
        unsealed_since=figures["unsealed_since"],
    )


def _alert_id(id_: UUID | None) -> AlertId | None:
    return None if id_ is None else AlertId(id_)
