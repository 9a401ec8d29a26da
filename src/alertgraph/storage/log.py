"""A tenant's log in PostgreSQL: one call loads what a decision needs, one call writes it down."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from alertgraph.core.alert import Alert, AlertStatus
from alertgraph.core.cursor import LogCursor
from alertgraph.core.delivery import Delivery, Finish
from alertgraph.core.errors import CursorExpiredError, DependencyError, NotFoundError
from alertgraph.core.event import SealedEvent, StoredEvent
from alertgraph.core.flush import (
    AlertWrite,
    Appended,
    Flush,
    Head,
    IdempotencyKey,
    Incidents,
    IncidentWrite,
    Loaded,
    NewPrediction,
    StoredAnswer,
    TenantConfig,
    Touch,
)
from alertgraph.core.ids import AlertId, DeliveryId, IncidentId, TenantId
from alertgraph.core.incident import Incident
from alertgraph.core.message import RECEIPT_LENGTH_MAX, storable
from alertgraph.core.metrics import COUNT_NAMES, Tally
from alertgraph.core.prediction import Advice, DurationEstimate
from alertgraph.core.value import replace
from alertgraph.services.ports import LostCommitError
from alertgraph.storage.catalog import load_config
from alertgraph.storage.database import DEPENDENCY, Connection, Database
from alertgraph.storage.deliveries import DELIVERY_SELECT, delivery_of
from alertgraph.storage.rows import (
    ALERT_SELECT,
    EVENT_SELECT,
    INCIDENT_SELECT,
    alert_of,
    event_of,
    incident_of,
    ladder_json,
)

_NEW, _CHANGED, _ENDED, _NEW_AND_ENDED = 1, 2, 3, 4

_APPEND_ARGUMENT_COUNT = 28
_APPEND = f"SELECT * FROM append_v4({', '.join(f'${n}' for n in range(1, _APPEND_ARGUMENT_COUNT + 1))})"  # noqa: S608  (numbers)

_LOAD_PART, _LOAD_ANSWER = 1, 5  # fields before the alert's own: which part, and an answer's five
_LOAD = f"""
SELECT part, operation, subject, key, request_hash, answer, {ALERT_SELECT} FROM load_v4($1, $2, $3, $4, $5, $6)
"""  # noqa: S608  (columns are constants)

_LOAD_INCIDENTS = f"""
SELECT part, {INCIDENT_SELECT} FROM load_incidents($1, $2, $3)
"""  # noqa: S608  (columns are constants)

_OPEN_DELIVERIES = f"""
SELECT {DELIVERY_SELECT} FROM open_deliveries($1, $2)
"""  # noqa: S608  (columns are constants)

_OPEN_ALERTS = f"""
SELECT {ALERT_SELECT} FROM alert_open WHERE tenant_id = $1 ORDER BY id DESC LIMIT $2
"""  # noqa: S608  (columns are constants)

_HEAD = """
SELECT number, recorded_at, leaf, link, config_version, log_epoch, pruned_number, pruned_link
FROM tenant_head WHERE tenant_id = $1
"""
_PRUNED_NUMBER = "SELECT pruned_number FROM tenant_head WHERE tenant_id = $1"
_LOCK_HEAD = "SELECT number FROM tenant_head WHERE tenant_id = $1 FOR UPDATE"

_EVENTS_AFTER = f"""
SELECT {EVENT_SELECT} FROM event
WHERE tenant_id = $1 AND number > $2 AND recorded_at >= $3 ORDER BY number LIMIT $4
"""  # noqa: S608  (columns are constants)
_EVENT_AT = "SELECT leaf FROM event WHERE tenant_id = $1 AND number = $2 AND recorded_at = $3"

_FLUSH_END = (
    "SELECT number, recorded_at, link FROM event WHERE tenant_id = $1 AND flush_id = $2 AND link IS NOT NULL"
)
_COUNTS_OF = """
SELECT id, occurrence_count FROM alert_open WHERE tenant_id = $1 AND id = ANY ($2)
UNION ALL SELECT id, occurrence_count FROM alert_closed WHERE tenant_id = $1 AND id = ANY ($2)
UNION ALL SELECT id, occurrence_count FROM alert_closed_late WHERE tenant_id = $1 AND id = ANY ($2)
"""
_TOUCHED = """
SELECT o.id, o.last_seen_at FROM alert_open o WHERE o.tenant_id = $1 AND o.id = ANY ($2) ORDER BY o.id FOR UPDATE
"""
_ANSWERED = """
SELECT count(*) FROM unnest($2::text[], $3::text[], $4::text[], $5::text[]) AS k (operation, subject, key, answer)
JOIN idempotency_answer i ON i.tenant_id = $1
    AND i.operation = k.operation AND i.subject = k.subject AND i.key = k.key AND i.answer = k.answer
"""


class PostgresLog:
    """The write side: fulfils `services.ports.TenantLog`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def config(self, tenant_id: TenantId) -> TenantConfig | None:
        """Return the tenant's configuration; None where there is no such tenant."""
        async with self._database.transaction(tenant_id, read_only=True, snapshot=True) as connection:
            return await read_config(connection, tenant_id)

    async def open_alerts(self, tenant_id: TenantId, limit: int) -> tuple[Sequence[Alert], bool]:
        """Return open alerts, newest first, and whether these are all."""
        async with self._database.transaction(tenant_id, read_only=True) as connection:
            rows = await connection.fetch(_OPEN_ALERTS, tenant_id, limit + 1)
        return [alert_of(row) for row in rows[:limit]], len(rows) <= limit

    async def load(
        self,
        tenant_id: TenantId,
        keys: Collection[str],
        alert_ids: Collection[AlertId],
        idempotency_keys: Collection[IdempotencyKey],
        delivery_ids: Collection[DeliveryId] = (),
    ) -> Loaded:
        """Return the state that some commands are about, without a lock; one round trip, two with deliveries."""
        async with self._database.connection() as connection:
            return await load(connection, tenant_id, keys, alert_ids, idempotency_keys, delivery_ids)

    async def load_incidents(
        self, tenant_id: TenantId, ids: Collection[IncidentId], group_keys: Collection[bytes]
    ) -> Incidents:
        """Return incidents that decisions turned out to be about, without a lock, in one round trip."""
        async with self._database.connection() as connection:
            return await load_incidents(connection, tenant_id, ids, group_keys)

    async def append(self, tenant_id: TenantId, flush: Flush) -> Appended:
        """Write a flush: all of it or nothing, in one call; errors as `services.ports.TenantLog` says."""
        arguments = append_arguments(tenant_id, flush)

        async def call(connection: Connection) -> Appended:
            return _appended(await connection.fetchrow(_APPEND, *arguments))

        return await self._database.commit(call)

    async def append_locked(
        self,
        tenant_id: TenantId,
        keys: Collection[str],
        alert_ids: Collection[AlertId],
        idempotency_keys: Collection[IdempotencyKey],
        decide: Callable[[TenantConfig, Loaded], Flush],
        delivery_ids: Collection[DeliveryId] = (),
        incident_ids: Collection[IncidentId] = (),
        group_keys: Collection[bytes] = (),
    ) -> tuple[Flush, Appended]:
        """Load, decide and write while the head's lock is held.

        Errors are those that `services.ports.TenantLog` names, but that a lost commit is looked up here.
        """
        written: list[Flush] = []

        async def decide_and_write(connection: Connection) -> tuple[Flush, Appended]:
            await lock_head(connection, tenant_id)
            config = await read_config(connection, tenant_id)
            assert config is not None, "a tenant with a head has settings"
            loaded = await load(connection, tenant_id, keys, alert_ids, idempotency_keys, delivery_ids)
            if incident_ids or group_keys:
                found = await load_incidents(connection, tenant_id, incident_ids, group_keys)
                loaded = replace(loaded, incidents=found.by_id, groups=found.by_key)
            flush = decide(config, loaded)
            appended = await append(connection, tenant_id, flush)
            written.append(flush)
            return flush, appended

        try:
            return await self._database.write(tenant_id, decide_and_write)
        except LostCommitError as error:
            # Nobody else knows which flush it was.
            found = await self.find_flush(tenant_id, written[-1]) if written else None
            if found is None:
                raise DependencyError(DEPENDENCY, retryable=True) from error
            return written[-1], found

    async def find_flush(self, tenant_id: TenantId, flush: Flush) -> Appended | None:
        """Return what became of a flush whose answer was lost, once it can't be under way any more."""
        async with self._database.transaction(tenant_id, keeps=False) as connection:
            return await find_flush(connection, tenant_id, flush)

    async def head(self, tenant_id: TenantId) -> Head | None:
        """Return where the tenant's log ends; None where there is no such tenant."""
        async with self._database.transaction(tenant_id, read_only=True) as connection:
            row = await connection.fetchrow(_HEAD, tenant_id)
        return Head(**row) if row is not None else None

    async def heads(self, tenant_ids: Collection[TenantId]) -> Mapping[TenantId, int]:
        """Return the number of the last event of each tenant that exists among these."""
        async with self._database.connection() as connection:
            rows = await connection.fetch("SELECT tenant_id, number FROM head_numbers($1)", list(tenant_ids))
        return {TenantId(row[0]): row[1] for row in rows}

    async def events_after(self, tenant_id: TenantId, after: LogCursor, limit: int) -> Sequence[StoredEvent]:
        """Return the events behind a position, in order and without a gap.

        Raises:
            CursorExpiredError: Retention has taken events behind the position.
            DependencyError: The store is away.
        """
        async with self._database.transaction(tenant_id, read_only=True) as connection:
            rows = await connection.fetch(_EVENTS_AFTER, tenant_id, after.number, after.recorded_at, limit)
            if not rows:
                pruned_number = await connection.fetchval(_PRUNED_NUMBER, tenant_id)
                if pruned_number is not None and pruned_number > after.number:
                    raise CursorExpiredError("The log behind this cursor is gone: retention has passed it.")
        events = [event_of(row) for row in rows]
        for number, event in enumerate(events, after.number + 1):
            if event.number != number:
                # The log itself has no gaps, so this one is an end: what was there has been retired.
                raise CursorExpiredError("The log behind this cursor is gone: retention has passed it.")
        return events

    async def check_cursor(self, tenant_id: TenantId, cursor: LogCursor) -> None:
        """Return where one can read on from the cursor.

        Raises:
            CursorExpiredError: What is behind it is gone, or it is of another log.
        """
        async with self._database.transaction(tenant_id, read_only=True, snapshot=True) as connection:
            head = await connection.fetchrow(_HEAD, tenant_id)
            if head is None:
                raise NotFoundError("There is no such tenant.")
            if cursor.log_epoch != head["log_epoch"] or cursor.number > head["number"]:
                raise CursorExpiredError(
                    "This cursor is of another log, such as one from before the database was restored."
                )
            if cursor.number < head["pruned_number"]:
                raise CursorExpiredError("The log behind this cursor is gone: retention has passed it.")
            if cursor.number == 0:
                return
            leaf = await connection.fetchval(_EVENT_AT, tenant_id, cursor.number, cursor.recorded_at)
            # The event right at the end of what was retired is gone itself, and yet nothing behind it is.
            if leaf is None and cursor.number == head["pruned_number"]:
                return
            if leaf is None or leaf[:4] != cursor.hash_start:
                raise CursorExpiredError("This cursor is of another log, such as another tenant's.")


async def read_config(connection: Connection, tenant_id: TenantId) -> TenantConfig | None:
    """Return the tenant's configuration, inside a transaction of the tenant; None where it does not exist."""
    return await load_config(connection.fetch, tenant_id)


async def load(
    connection: Connection,
    tenant_id: TenantId,
    keys: Collection[str],
    alert_ids: Collection[AlertId],
    idempotency_keys: Collection[IdempotencyKey],
    delivery_ids: Collection[DeliveryId] = (),
) -> Loaded:
    """Return the state that some commands are about, as this connection sees it."""
    rows = await connection.fetch(
        _LOAD,
        tenant_id,
        list(keys),
        list(alert_ids),
        [key.operation for key in idempotency_keys],
        [key.subject for key in idempotency_keys],
        [key.key for key in idempotency_keys],
    )
    by_key: dict[str, Alert] = {}
    by_id: dict[AlertId, Alert] = {}
    answers: dict[tuple[str, str, str], StoredAnswer] = {}
    for row in rows:
        if row[0] == 1:
            alert = alert_of(row, _LOAD_PART + _LOAD_ANSWER)
            by_key[alert.dedup_key] = alert
        elif row[0] == 2:
            alert = alert_of(row, _LOAD_PART + _LOAD_ANSWER)
            by_id[alert.id] = alert
        else:
            _, operation, subject, key, request_hash, answer = row[: _LOAD_PART + _LOAD_ANSWER]
            idempotency_key = IdempotencyKey(operation, subject, key, request_hash)
            answers[operation, subject, key] = StoredAnswer(idempotency_key, answer)
    deliveries: dict[DeliveryId, Delivery] = {}
    if delivery_ids:
        found = await connection.fetch(_OPEN_DELIVERIES, tenant_id, list(delivery_ids))
        deliveries = {delivery.id: delivery for delivery in map(delivery_of, found)}
    return Loaded(by_key, by_id, answers, deliveries)


async def load_incidents(
    connection: Connection, tenant_id: TenantId, ids: Collection[IncidentId], group_keys: Collection[bytes]
) -> Incidents:
    """Return incidents by id and the unresolved ones by group key, as this connection sees them."""
    by_id: dict[IncidentId, Incident | None] = dict.fromkeys(ids)
    by_key: dict[bytes, Incident | None] = dict.fromkeys(group_keys)
    for row in await connection.fetch(_LOAD_INCIDENTS, tenant_id, list(by_id), list(by_key)):
        incident = incident_of(row, 1)
        if row[0] == 1:
            by_id[incident.id] = incident
        elif incident.group_key is not None:
            by_key[incident.group_key] = incident
    return Incidents(by_id, by_key)


async def lock_head(connection: Connection, tenant_id: TenantId) -> int:
    """Return the number of the log's last event, which stays the last one until the transaction ends.

    Raises:
        NotFoundError: There is no such tenant.
    """
    number: int | None = await connection.fetchval(_LOCK_HEAD, tenant_id)
    if number is None:
        raise NotFoundError("There is no such tenant.")
    return number


async def find_flush(connection: Connection, tenant_id: TenantId, flush: Flush) -> Appended | None:
    """Return what became of a flush, inside a transaction of the tenant; None where it was not written."""
    # append_v4 holds this lock from its beginning. The head's would not do: a flush may still be waiting for it,
    # and it goes to whoever comes at the right moment.
    await connection.execute("SET LOCAL lock_timeout = '10s'")
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))", str(flush.id))
    number = await lock_head(connection, tenant_id)
    if flush.events:
        last = await connection.fetchrow(_FLUSH_END, tenant_id, flush.id)
        if last is None:
            return None
        number, recorded_at, link = last
        first_number = number - len(flush.events) + 1
    elif await _short_way_was_taken(connection, tenant_id, flush):
        head = await connection.fetchrow(_HEAD, tenant_id)
        first_number, recorded_at, link = number + 1, head["recorded_at"], head["link"]
    else:
        return None
    ids = [write.alert.id for write in flush.writes] + [touch.alert_id for touch in flush.touches]
    counts = await connection.fetch(_COUNTS_OF, tenant_id, ids)
    return Appended(first_number, recorded_at, link, {AlertId(row[0]): row[1] for row in counts})


async def append(connection: Connection, tenant_id: TenantId, flush: Flush) -> Appended:
    """Write a flush as part of the transaction that the connection is in."""
    return _appended(await connection.fetchrow(_APPEND, *append_arguments(tenant_id, flush)))


def append_arguments(tenant_id: TenantId, flush: Flush) -> list[Any]:
    """Return what append_v4 takes, in its order; each list holds rows of the type that the migration names."""
    reliance = flush.reliance
    # In the order of their ids, which is the order in which everybody locks rows.
    writes = sorted(flush.writes, key=_id_of_write)
    alerts = [_written_alert(write) for write in writes if not (write.was_closed or write.only_advice)]
    advised = {write.alert.id: write.event_index for write in writes if write.only_advice}
    places = [alert[0] for alert in alerts]
    touches = sorted(flush.touches, key=_id_of_touch)
    # Two processes that keep the same answers wait for each other in the same order.
    answers = sorted(flush.answers, key=lambda stored: (stored.key.operation, stored.key.subject, stored.key.key))
    return [
        tenant_id,
        flush.id,
        reliance.config_version,
        list(reliance.keys.items()),
        list(reliance.alerts.items()),
        list(reliance.incidents.items()),
        list(reliance.group_keys.items()),
        flush.raises_config_version,
        [_new_event(sealed) for sealed in flush.events],
        b"".join([sealed.leaf for sealed in flush.events]),
        alerts,
        places.count(_NEW),
        places.count(_CHANGED),
        places.count(_ENDED),
        places.count(_NEW_AND_ENDED),
        [
            (
                write.alert.id,
                write.event_index,
                write.alert.verdict,
                write.alert.incident_id,
                *_advice_columns(write.alert.advice),
            )
            for write in writes
            if write.was_closed
        ],
        [_touched_alert(touch) for touch in touches],
        *_tally_arguments(flush.tally),
        [_new_answer(stored) for stored in answers],
        [write.alert.id for write in writes if write.inhibits is not None],
        [(write.alert.id, key.rule_id, key.digest) for write in writes for key in write.inhibits or ()],
        [write.alert.id for write in writes if write.skips_pages],
        [_new_delivery(delivery) for delivery in flush.deliveries],
        # Whoever sends locks deliveries in the order of their ids.
        [_delivery_end(finish) for finish in sorted(flush.finishes, key=lambda finish: finish.delivery_id)],
        [_written_incident(write) for write in sorted(flush.incidents, key=lambda write: write.incident.id)],
        [
            _new_prediction(new, advised.get(new.alert_id))
            for new in sorted(flush.predictions, key=lambda new: new.alert_id)
        ],
        len(advised),
    ]


def _id_of_write(write: AlertWrite) -> AlertId:
    return write.alert.id


def _id_of_touch(touch: Touch) -> AlertId:
    return touch.alert_id


def _new_event(sealed: SealedEvent) -> tuple[Any, ...]:
    event = sealed.event
    return (
        event.kind,
        event.actor.kind,
        event.alert_id,
        event.severity_before,
        event.severity_after,
        event.service_before,
        event.service_after,
        event.source,
        event.subject_type,
        event.subject_id,
        event.incident_id,
        sealed.content,
    )


def _written_alert(write: AlertWrite) -> tuple[Any, ...]:
    alert = write.alert
    if alert.status is AlertStatus.RESOLVED:
        place = _NEW_AND_ENDED if write.is_new else _ENDED
    else:
        place = _NEW if write.is_new else _CHANGED
    return (
        place,
        write.event_index,
        write.occurrence_delta,
        alert.id,
        alert.dedup_key,
        alert.title,
        alert.description,
        alert.severity,
        alert.status,
        alert.source,
        alert.monitored_service,
        alert.labels,
        alert.annotations,
        alert.links,
        alert.occurrence_count,
        alert.triggered_at,
        alert.last_seen_at,
        alert.acknowledged_at,
        alert.acknowledged_until,
        alert.acknowledged_by,
        alert.first_acknowledged_at,
        alert.resolved_at,
        alert.resolved_by,
        alert.escalation_level,
        alert.held,
        alert.sla.acknowledge_by,
        alert.sla.resolve_by,
        alert.resolve_at,
        alert.resolve_by_timeout,
        alert.verdict,
        alert.due_at,
        None if alert.ladder is None else alert.ladder.rule_id,
        None if alert.ladder is None else ladder_json(alert.ladder),
        alert.escalation_round,
        alert.resumes,
        alert.next_escalation_at,
        alert.judge_at,
        alert.sla_marks,
        alert.assignee,
        alert.told,
        alert.incident_id,
        *_advice_columns(alert.advice),
    )


def _advice_columns(advice: Advice | None) -> tuple[Any, Any, Any]:
    if advice is None:
        return (None, None, None)
    return (advice.incident_probability, advice.self_resolve_probability, advice.resolve_median)


def _written_incident(write: IncidentWrite) -> tuple[Any, ...]:
    incident = write.incident
    return (
        incident.id,
        write.event_index,
        write.is_new,
        incident.title,
        incident.status,
        incident.severity,
        incident.opened_at,
        incident.last_joined_at,
        incident.resolved_at,
        incident.alert_count,
        incident.open_counts,
        incident.triggered_count,
        incident.worst,
        incident.services,
        incident.root_alert_id,
        incident.merged_into,
        incident.group_key,
    )


def _new_prediction(new: NewPrediction, event_index: int | None) -> tuple[Any, ...]:
    said, shadow = new.prediction, new.shadow
    return (
        event_index,
        new.alert_id,
        said.model_version,
        said.predicted_at,
        said.incident_probability,
        said.sla_breach_probability,
        said.self_resolve_probability,
        *_estimate_columns(said.time_to_acknowledge),
        *_estimate_columns(said.time_to_resolve),
        said.abstained,
        new.features,
        None if shadow is None else shadow.model_version,
        None
        if shadow is None
        else (shadow.incident_probability, shadow.sla_breach_probability, shadow.self_resolve_probability),
    )


def _estimate_columns(estimate: DurationEstimate | None) -> tuple[Any, Any, Any]:
    return (None, None, None) if estimate is None else (estimate.median, estimate.low, estimate.high)


def _new_delivery(delivery: Delivery) -> tuple[Any, ...]:
    return (
        delivery.id,
        delivery.alert_id,
        delivery.channel_id,
        delivery.channel_name,
        delivery.purpose,
        delivery.level,
        delivery.round,
        delivery.responder_id,
        delivery.address,
        delivery.wanted,
        delivery.created_at,
        delivery.due_at,
        delivery.fallback_of,
        delivery.change,
        delivery.is_first,
    )


def _delivery_end(finish: Finish) -> tuple[Any, ...]:
    attempt = finish.attempt
    return (
        finish.delivery_id,
        finish.fence,
        finish.status,
        finish.at,
        storable(finish.error),
        finish.fell_back_to,
        None if attempt is None else attempt.number,
        None if attempt is None else attempt.duration,
        None if attempt is None else attempt.status_code,
        None if attempt is None else storable(attempt.error),
        storable(finish.receipt, RECEIPT_LENGTH_MAX),
    )


def _touched_alert(touch: Touch) -> tuple[Any, ...]:
    return (
        touch.alert_id,
        touch.version,
        touch.count,
        touch.count_below,
        touch.last_seen_at,
        touch.resolve_at,
        touch.resolve_by_timeout,
    )


def _tally_arguments(tally: Tally) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    return (
        [
            (group.severity, group.monitored_service, *(getattr(counts, name) for name in COUNT_NAMES))
            for group, counts in sorted(tally.counts.items(), key=lambda item: item[0])
        ],
        [
            (group.severity, group.monitored_service, kind, bucket, count)
            for (group, kind, bucket), count in sorted(tally.durations.items())
        ],
    )


def _new_answer(stored: StoredAnswer) -> tuple[Any, ...]:
    key = stored.key
    return (key.operation, key.subject, key.key, key.request_hash, stored.answer)


def _appended(row: Any) -> Appended:
    first_number, recorded_at, link, ids, counts = row
    return Appended(
        first_number=first_number,
        recorded_at=recorded_at,
        link=link,
        occurrence_counts=dict(zip(ids, counts, strict=True)) if ids is not None else {},
    )


async def _short_way_was_taken(connection: Connection, tenant_id: TenantId, flush: Flush) -> bool:
    """Say whether a flush without events was written, as far as its traces tell.

    A repeat that another one followed leaves none: it is then counted twice rather than not at all. Another
    flush may have answered the same idempotency keys, so the answers must say the same and the repeats be ours.
    """
    if not (flush.touches or flush.answers):
        return False
    # Waits for whoever holds one of the rows.
    rows = await connection.fetch(_TOUCHED, tenant_id, [touch.alert_id for touch in flush.touches])
    last_seen = {row[0]: row[1] for row in rows}
    if any(last_seen.get(touch.alert_id) != touch.last_seen_at for touch in flush.touches):
        return False
    keys = [stored.key for stored in flush.answers]
    found = await connection.fetchval(
        _ANSWERED,
        tenant_id,
        [key.operation for key in keys],
        [key.subject for key in keys],
        [key.key for key in keys],
        [stored.answer for stored in flush.answers],
    )
    return bool(found == len(flush.answers))
