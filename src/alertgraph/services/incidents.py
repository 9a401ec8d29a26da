"""What people do with incidents: open, change, take and end them, add alerts, merge and split."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from alertgraph.core.action import Acknowledge, ById, Resolve, Target, Unset, check_note
from alertgraph.core.alert import AlertStatus
from alertgraph.core.batch import Outcome, Request, repeat_answer
from alertgraph.core.errors import (
    AccessDeniedError,
    ConflictError,
    DependencyError,
    ErrorCode,
    InputError,
    NotFoundError,
    Problem,
    RefusedError,
)
from alertgraph.core.flush import IdempotencyKey
from alertgraph.core.ids import UUID7_RANDOM_BITS, AlertId, IncidentId, TenantId, uuid7, uuid7_series
from alertgraph.core.incident import MERGE_COUNT_MAX, Incident, IncidentStatus, check_alert_count, check_title
from alertgraph.core.incident_action import (
    AddAlerts,
    IncidentAction,
    MergeIncidents,
    OpenIncident,
    SplitIncident,
    UpdateIncident,
)
from alertgraph.core.tenant import Principal, Role
from alertgraph.services.alerts import NOTE_PURPOSE, check_idempotency_key, contents_hash
from alertgraph.services.lanes import Lanes
from alertgraph.services.ports import Clock, Dice, SnapshotSource, TenantLog, Vault

# How many alerts of an incident are acted on, or moved, in one flush.
STEP_SIZE = 500
# More flushes than this, and alerts come faster than they can be dealt with.
STEP_COUNT_MAX = 2000

_UNKNOWN = "There is no such incident."


class IncidentService:
    """Carries out what people want of incidents. RESPONDER; no key that is limited by matchers.

    What is refused raises RefusedError, and then nothing was changed. An incident may have more alerts than go in
    one flush: then what was done before an error stays done, and the same call goes on with the rest.
    """

    def __init__(
        self, lanes: Lanes, log: TenantLog, snapshots: SnapshotSource, vault: Vault, clock: Clock, dice: Dice
    ) -> None:
        self._lanes = lanes
        self._log = log
        self._snapshots = snapshots
        self._vault = vault
        self._clock = clock
        self._dice = dice

    async def open(
        self,
        principal: Principal,
        title: str,
        alert_ids: Sequence[AlertId | None],
        idempotency_key: str | None = None,
    ) -> Incident:
        """Return a new incident of alerts chosen by hand; None among the ids stands for one that names nothing."""
        _require(principal)
        _check(check_title(title), check_alert_count(len(alert_ids)))
        named = _named(alert_ids)
        key = self._key(principal, "createIncident", idempotency_key, [title, list(map(str, named))])
        return await self._decide(principal, OpenIncident(self._new_id(), title, named), key)

    async def update(
        self,
        principal: Principal,
        incident_id: IncidentId | None,
        *,
        title: str | Unset = Unset.UNSET,
        root_alert_id: AlertId | Unset | None = Unset.UNSET,
        expected_version: int | None = None,
    ) -> Incident:
        """Return an incident after a patch."""
        _require(principal)
        if not isinstance(title, Unset):
            _check(check_title(title))
        known = _known(incident_id, "id")
        return await self._decide(principal, UpdateIncident(known, title, root_alert_id, expected_version))

    async def add(
        self,
        principal: Principal,
        incident_id: IncidentId | None,
        alert_ids: Sequence[AlertId | None],
        note: str | None = None,
    ) -> Incident:
        """Return an incident with more alerts, each of which leaves the incident it was in."""
        _require(principal)
        _check(check_alert_count(len(alert_ids)), *check_note(note))
        known, named = _known(incident_id, "id"), _named(alert_ids)
        return await self._decide(principal, AddAlerts(known, named, await self._sealed(principal, note)))

    async def split(
        self,
        principal: Principal,
        incident_id: IncidentId | None,
        alert_ids: Sequence[AlertId | None],
        note: str | None = None,
    ) -> Incident:
        """Return a new incident of some of another one's alerts."""
        _require(principal)
        _check(check_alert_count(len(alert_ids)), *check_note(note))
        known, named = _known(incident_id, "id"), _named(alert_ids)
        sealed = await self._sealed(principal, note)
        return await self._decide(principal, SplitIncident(known, self._new_id(), named, sealed))

    async def merge(
        self,
        principal: Principal,
        into_id: IncidentId | None,
        incident_ids: Sequence[IncidentId | None],
        note: str | None = None,
    ) -> Incident:
        """Return an incident that has taken over all alerts of others, which end in it.

        Raises:
            DependencyError: The store is away, or alerts keep joining; what has moved stays moved.
        """
        _require(principal)
        _check(*check_note(note))
        if not 1 <= len(incident_ids) <= MERGE_COUNT_MAX:
            raise InputError(
                f"incidentIds has 1 to {MERGE_COUNT_MAX} entries; this has {len(incident_ids):,}.", "incidentIds"
            )
        into = _known(into_id, "intoId")
        sources = [_known(each, "incidentIds", str(place)) for place, each in enumerate(incident_ids)]
        sealed = await self._sealed(principal, note)
        for _ in range(STEP_COUNT_MAX):
            step, more = await merge_step(self._snapshots, principal.tenant.id, into, sources)
            merged = await self._decide(principal, replace(step, note=sealed))
            if not more and await self._are_merged(principal, sources, into):
                return merged
        raise _too_quick()

    async def acknowledge(
        self,
        principal: Principal,
        incident_id: IncidentId | None,
        note: str | None = None,
        idempotency_key: str | None = None,
    ) -> Incident:
        """Return an incident all of whose open alerts are acknowledged."""
        return await self._act_on_all(
            principal,
            incident_id,
            lambda target, sealed: Acknowledge(target, None, sealed),
            (AlertStatus.TRIGGERED,),
            "acknowledgeIncident",
            note,
            idempotency_key,
        )

    async def resolve(
        self,
        principal: Principal,
        incident_id: IncidentId | None,
        note: str | None = None,
        idempotency_key: str | None = None,
    ) -> Incident:
        """Return an incident all of whose alerts are resolved."""
        return await self._act_on_all(
            principal,
            incident_id,
            Resolve,
            (AlertStatus.TRIGGERED, AlertStatus.ACKNOWLEDGED),
            "resolveIncident",
            note,
            idempotency_key,
        )

    # ---------------------------------------------------------------------------------------- steps

    async def _act_on_all(
        self,
        principal: Principal,
        incident_id: IncidentId | None,
        make: Callable[[Target, str | None], Acknowledge | Resolve],
        statuses: Collection[AlertStatus],
        operation: str,
        note: str | None,
        idempotency_key: str | None,
    ) -> Incident:
        """Act on the alerts that stand so, as many at once as go in one flush, until none does any more."""
        _require(principal)
        _check(*check_note(note))
        known = _known(incident_id, "id")
        key = self._key(principal, operation, idempotency_key, [str(known), note])
        if key is not None and await self._was_answered(principal, key):
            return await self._found(principal, known)
        sealed = await self._sealed(principal, note)
        for _ in range(STEP_COUNT_MAX):
            async with self._snapshots.snapshot(principal.tenant.id) as snapshot:
                incident = (await snapshot.incidents((known,))).get(known)
                alerts = await snapshot.alerts_in((known,), statuses, STEP_SIZE + 1)
            if incident is None:
                raise NotFoundError(_UNKNOWN, "id")
            if incident.merged_into is not None:
                raise ConflictError("The incident was merged into another one.", "id")
            if operation == "acknowledgeIncident" and incident.status is IncidentStatus.RESOLVED:
                raise ConflictError("The incident is resolved.", "id")
            if not alerts:
                # Also that there was nothing to do is the first answer to a key.
                return incident if key is None else await self._decide(principal, UpdateIncident(known), key)
            more = len(alerts) > STEP_SIZE
            step = alerts[:STEP_SIZE]
            now = self._clock.now()
            ids = uuid7_series(now, self._dice.bits(UUID7_RANDOM_BITS * len(step)), len(step))
            request = Request(
                tuple(make(ById(alert_id), sealed) for alert_id in step),
                tuple(map(AlertId, ids)),
                principal.actor,
                # The key stands for the whole: sent again before the last flush, it goes on with the rest.
                idempotency=None if more else key,
            )
            outcomes = await self._lanes.submit(principal.tenant.id, request)
            for outcome in outcomes:
                _check_key(outcome)
            if not more:
                return await self._found(principal, known)
        raise _too_quick()

    async def _decide(
        self, principal: Principal, action: IncidentAction, key: IdempotencyKey | None = None
    ) -> Incident:
        request = Request((), (), principal.actor, idempotency=key, incident=action)
        (outcome,) = await self._lanes.submit(principal.tenant.id, request)
        if outcome.problem is not None:
            raise RefusedError([outcome.problem])
        if outcome.incident is not None:
            return outcome.incident
        assert outcome.incident_id is not None, "an answer that is given again names its incident"
        return await self._found(principal, outcome.incident_id)

    async def _found(self, principal: Principal, incident_id: IncidentId) -> Incident:
        found = await self._log.load_incidents(principal.tenant.id, (incident_id,), ())
        incident = found.by_id[incident_id]
        if incident is None:
            raise NotFoundError(_UNKNOWN, "id")
        return incident

    async def _are_merged(self, principal: Principal, sources: Sequence[IncidentId], into: IncidentId) -> bool:
        found = await self._log.load_incidents(principal.tenant.id, sources, ())
        return all(each is None or each.merged_into == into for each in found.by_id.values())

    async def _was_answered(self, principal: Principal, key: IdempotencyKey) -> bool:
        loaded = await self._log.load(principal.tenant.id, (), (), (key,))
        stored = loaded.answers.get((key.operation, key.subject, key.key))
        if stored is None:
            return False
        for outcome in repeat_answer(stored, key, 1):
            _check_key(outcome)
        return True

    def _new_id(self) -> IncidentId:
        return IncidentId(uuid7(self._clock.now(), self._dice.bits(UUID7_RANDOM_BITS)))

    def _key(
        self, principal: Principal, operation: str, idempotency_key: str | None, contents: object
    ) -> IdempotencyKey | None:
        if idempotency_key is None:
            return None
        _check(check_idempotency_key(idempotency_key))
        return IdempotencyKey(operation, principal.subject, idempotency_key, contents_hash(contents))

    async def _sealed(self, principal: Principal, note: str | None) -> str | None:
        return await self._vault.seal(principal.tenant.id, NOTE_PURPOSE, note) if note is not None else None


async def merge_step(
    snapshots: SnapshotSource, tenant_id: TenantId, into: IncidentId, sources: Sequence[IncidentId]
) -> tuple[MergeIncidents, bool]:
    """Return what moves as many alerts as go in one flush, and whether there are more than these."""
    async with snapshots.snapshot(tenant_id) as snapshot:
        found = await snapshot.incidents(sources)
        left = [each for each in sources if each in found and found[each].merged_into is None]
        alerts = await snapshot.alerts_in(left, tuple(AlertStatus), STEP_SIZE + 1)
    more = len(alerts) > STEP_SIZE
    complete = {} if more else {each: found[each].version for each in left}
    return MergeIncidents(into, tuple(sources), tuple(alerts[:STEP_SIZE]), complete), more


def _require(principal: Principal) -> None:
    principal.require(Role.RESPONDER)
    if principal.scope:
        raise AccessDeniedError("A key that is limited by matchers can't act on what tells of all alerts.")


def _check(*problems: Problem | None) -> None:
    found = [problem for problem in problems if problem is not None]
    if found:
        raise RefusedError(found)


def _check_key(outcome: Outcome) -> None:
    """Let outcomes of single alerts pass: one that ended meanwhile needs nothing any more."""
    if outcome.problem is not None and outcome.problem.code is ErrorCode.IDEMPOTENCY_KEY_REUSED:
        raise RefusedError([outcome.problem])


def _known(incident_id: IncidentId | None, *path: str) -> IncidentId:
    if incident_id is None:
        raise NotFoundError(_UNKNOWN, *path)
    return incident_id


def _named(alert_ids: Sequence[AlertId | None]) -> tuple[AlertId, ...]:
    named = []
    for place, alert_id in enumerate(alert_ids):
        if alert_id is None:
            raise NotFoundError("There is no such alert.", "alertIds", str(place))
        named.append(alert_id)
    return tuple(named)


def _too_quick() -> DependencyError:
    return DependencyError(
        "postgresql", retryable=True, message="Alerts join the incident faster than they can be dealt with."
    )
