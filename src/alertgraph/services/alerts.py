"""What callers do with alerts: senders fire and clear them, people act on them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from uuid import UUID

import orjson

from alertgraph.core.action import (
    Acknowledge,
    Action,
    AddNote,
    ById,
    ByKey,
    Fire,
    Resolve,
    Target,
    Unacknowledge,
    Unset,
    check_action,
    check_note,
)
from alertgraph.core.actor import Actor, ActorKind
from alertgraph.core.alert import Alert, AlertStatus
from alertgraph.core.batch import Outcome, Request
from alertgraph.core.duration import duration_text
from alertgraph.core.errors import ErrorCode, InputError, Problem, RefusedError
from alertgraph.core.flush import EVENT_COUNT_MAX, IdempotencyKey
from alertgraph.core.ids import UUID7_RANDOM_BITS, AlertId, uuid7_series
from alertgraph.core.query import (
    PAGE_SIZE_MAX,
    AlertFilter,
    AlertOrder,
    AlertOrderField,
    AlertQuery,
    PageRequest,
)
from alertgraph.core.tenant import Principal, Role
from alertgraph.core.value import quick, replace
from alertgraph.services.lanes import Lanes
from alertgraph.services.ports import Clock, Dice, SnapshotSource, TenantLog, Vault

IDEMPOTENCY_KEY_LENGTH_MAX = 255
IDEMPOTENCY_KEPT = timedelta(hours=24)
BULK_COUNT_MAX = 1000
NOTE_PURPOSE = "event.note"


@quick
@dataclass(frozen=True, slots=True)
class Wanted:
    """One action with the caller's promise that sending it again is the same request."""

    action: Action
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class BySelection:
    """Which alerts a bulk action is for: exactly one of the three is set.

    Attributes:
        ids: Pairs of the id as given and what it names; None where it names nothing.
        filter: The 1,000 oldest open ones that match.
    """

    ids: tuple[tuple[str, AlertId | None], ...] | None = None
    dedup_keys: tuple[str, ...] | None = None
    filter: AlertFilter | None = None


@dataclass(frozen=True, slots=True)
class BulkOutcome:
    """What became of a bulk action.

    Attributes:
        items: The id or key as given, for a filter None, each with its outcome.
        remaining_count: How many that match a filter were not looked at.
    """

    items: tuple[tuple[str | None, Outcome], ...]
    remaining_count: int = 0


class AlertService:
    """Carries out what callers want of alerts, within their role and scope."""

    def __init__(
        self,
        lanes: Lanes,
        log: TenantLog,
        snapshots: SnapshotSource,
        vault: Vault,
        clock: Clock,
        dice: Dice,
    ) -> None:
        self._lanes = lanes
        self._log = log
        self._snapshots = snapshots
        self._vault = vault
        self._clock = clock
        self._dice = dice

    async def send(self, principal: Principal, wanted: Sequence[Wanted]) -> list[Outcome]:
        """Fire and clear alerts for a sender; return one outcome for each, in order.

        Neighbours without an idempotency key share a flush where they fit in one; each is done or refused
        by itself.

        Raises:
            AccessDeniedError, DependencyError: Nothing more was done than the outcomes already committed.
        """
        principal.require(Role.INGEST)
        sender = replace(principal.actor, kind=ActorKind.SENDER)
        waiting: list[asyncio.Future[tuple[Outcome, ...]] | Problem] = []
        for key, group in groupby(wanted, key=_key_of_wanted):
            for chunk in _chunks([item.action for item in group], 1 if key is not None else EVENT_COUNT_MAX):
                request = self._request(principal, sender, chunk, "createAlert", key)
                waiting.append(
                    request if isinstance(request, Problem) else self._lanes.enqueue(principal.tenant.id, request)
                )
        if len(waiting) > 1:
            # Each is over before the first error is told, so that none is left that nobody looks at.
            await asyncio.gather(
                *[item for item in waiting if not isinstance(item, Problem)], return_exceptions=True
            )
        outcomes: list[Outcome] = []
        for item in waiting:
            if isinstance(item, Problem):
                outcomes.append(Outcome(None, problem=item))
            else:
                outcomes.extend(await item)
        return await self._filled(principal, outcomes)

    async def act(
        self, principal: Principal, action: Action, operation: str, idempotency_key: str | None = None
    ) -> Outcome:
        """Do something with one alert.

        Args:
            principal: Who wants it; needs RESPONDER.
            action: What is wanted; its note is plain text here.
            operation: Name of the mutation, which an idempotency key is good for.
            idempotency_key: See the rules of the API.
        """
        principal.require(Role.RESPONDER)
        problems = check_note(_note(action), required=isinstance(action, AddNote))
        if problems:
            return Outcome(None, problem=problems[0])
        request = self._request(principal, principal.actor, [action], operation, idempotency_key)
        if isinstance(request, Problem):
            return Outcome(None, problem=request)
        request = replace(request, actions=(await self._sealed(principal, action),))
        outcomes = await self._lanes.submit(principal.tenant.id, request)
        return (await self._filled(principal, list(outcomes)))[0]

    async def act_on_many(
        self,
        principal: Principal,
        action: Acknowledge | Unacknowledge | Resolve,
        selection: BySelection,
        operation: str,
        idempotency_key: str | None = None,
    ) -> BulkOutcome:
        """Do the same with many alerts, each done or refused by itself, all in one flush.

        Args:
            principal: RESPONDER; INGEST is enough to resolve by dedup keys.
            action: What is wanted; its target is replaced by each selected alert.
            selection: Which alerts.
            operation: Name of the mutation, which an idempotency key is good for.
            idempotency_key: The first answer is given again with the alerts of the first time.

        Raises:
            RefusedError: The input as a whole is refused.
        """
        by_sender = isinstance(action, Resolve) and selection.dedup_keys is not None
        principal.require(Role.INGEST if by_sender else Role.RESPONDER)
        problems = check_note(action.note)
        if problems:
            raise RefusedError(problems)
        names, targets, remaining = await self._select(principal, action, selection)
        actor = (
            replace(principal.actor, kind=ActorKind.SENDER)
            if by_sender and principal.role < Role.RESPONDER
            else principal.actor
        )
        sealed = await self._sealed(principal, action)
        assert isinstance(sealed, Acknowledge | Unacknowledge | Resolve)
        present = [(name, target) for name, target in zip(names, targets, strict=True) if target is not None]
        outcomes: dict[int, Outcome] = {}
        # What a filter selects may be something else the second time: the key stands for the filter itself.
        contents = selection if selection.filter is not None else [name for name, _ in present]
        request = self._request(
            principal,
            actor,
            [replace(sealed, target=target) for _, target in present],
            operation,
            idempotency_key,
            contents=[contents, replace(action, target=ByKey(""))],
        )
        if isinstance(request, Problem):
            raise RefusedError([request])
        answered: Sequence[Outcome] = ()
        if request.actions or request.idempotency is not None:
            answered = await self._filled(principal, list(await self._lanes.submit(principal.tenant.id, request)))
            if answered and answered[0].problem and answered[0].problem.code is ErrorCode.IDEMPOTENCY_KEY_REUSED:
                raise RefusedError([answered[0].problem])
            for outcome in answered:
                # The time is said once for all: where one alert refuses it, none has taken it.
                if outcome.problem is not None and outcome.problem.path == ("until",):
                    raise RefusedError([outcome.problem])
        if selection.filter is not None:
            return BulkOutcome(tuple((None, outcome) for outcome in answered), remaining)
        rest = iter(answered)
        for index, target in enumerate(targets):
            outcomes[index] = (
                next(rest)
                if target is not None
                else Outcome(None, problem=Problem(ErrorCode.NOT_FOUND, "There is no such alert."))
            )
        return BulkOutcome(tuple((name, outcomes[index]) for index, name in enumerate(names)), remaining)

    async def _select(
        self,
        principal: Principal,
        action: Acknowledge | Unacknowledge | Resolve,
        selection: BySelection,
    ) -> tuple[list[str], list[Target | None], int]:
        if selection.ids is not None:
            _check_bulk(len(selection.ids), "ids")
            unique = dict(selection.ids)
            return list(unique), [ById(i) if i is not None else None for i in unique.values()], 0
        if selection.dedup_keys is not None:
            _check_bulk(len(selection.dedup_keys), "dedupKeys")
            keys = list(dict.fromkeys(selection.dedup_keys))
            return keys, [ByKey(key) for key in keys], 0
        assert selection.filter is not None
        if selection.filter == AlertFilter():
            raise InputError("An empty filter would select everything.", "select", "filter")
        alerts, remaining = await self._oldest_open(principal, action, selection.filter)
        return [""] * len(alerts), [ById(alert.id) for alert in alerts], remaining

    async def _oldest_open(
        self, principal: Principal, action: Action, wanted: AlertFilter
    ) -> tuple[list[Alert], int]:
        """The oldest alerts that match and that the action can change, and how many more there are."""
        changeable = {
            Acknowledge: (AlertStatus.TRIGGERED,),
            Unacknowledge: (AlertStatus.ACKNOWLEDGED,),
        }.get(type(action), (AlertStatus.TRIGGERED, AlertStatus.ACKNOWLEDGED))
        status = tuple(s for s in changeable if wanted.status is None or s in wanted.status)
        found: list[Alert] = []
        after: str | None = None
        total: int | None = 0
        async with self._snapshots.snapshot(principal.tenant.id) as snapshot:
            while status and len(found) < BULK_COUNT_MAX:
                page = await snapshot.alert_page(
                    AlertQuery(
                        replace(wanted, status=status),
                        AlertOrder(AlertOrderField.TRIGGERED_AT, descending=False),
                        PageRequest(PAGE_SIZE_MAX, after),
                        self._clock.now(),
                        principal.scope,
                        with_total=after is None,
                    )
                )
                total = page.total_count if after is None else total
                found += [alert for _, alert in page.items]
                if not page.has_next or not page.items:
                    return found, 0
                after = page.items[-1][0]
        # Where nobody counted them there is at least one more: the last page said so.
        return found, 1 if total is None else total - len(found)

    def _request(
        self,
        principal: Principal,
        actor: Actor,
        actions: Sequence[Action],
        operation: str,
        idempotency_key: str | None,
        *,
        contents: object = None,
    ) -> Request | Problem:
        key = None
        if idempotency_key is not None:
            # What can't be kept as JSON can't be hashed either: its own refusal says what is wrong with it.
            fires = (check_action(action, self._clock.now()) for action in actions if isinstance(action, Fire))
            problem = check_idempotency_key(idempotency_key) or next(filter(None, fires), None)
            if problem is not None:
                return problem
            hashed = contents_hash(contents if contents is not None else list(actions))
            key = IdempotencyKey(operation, principal.subject, idempotency_key, hashed)
        now, count = self._clock.now(), len(actions)
        return Request(
            tuple(actions),
            tuple(map(AlertId, uuid7_series(now, self._dice.bits(UUID7_RANDOM_BITS * count), count))),
            actor,
            principal.scope,
            key,
        )

    async def _sealed(self, principal: Principal, action: Action) -> Action:
        note = _note(action)
        if note is None:
            return action
        sealed = await self._vault.seal(principal.tenant.id, NOTE_PURPOSE, note)
        return replace(action, note=sealed)  # type: ignore[arg-type]  # an action with a note has the field

    async def _filled(self, principal: Principal, outcomes: list[Outcome]) -> list[Outcome]:
        """Read anew the alerts of answers that are given again."""
        wanted = [o.alert_id for o in outcomes if o.alert is None and o.alert_id is not None]
        if not wanted:
            return outcomes
        loaded = await self._log.load(principal.tenant.id, (), wanted, ())
        return [
            replace(o, alert=loaded.by_id.get(o.alert_id)) if o.alert is None and o.alert_id is not None else o
            for o in outcomes
        ]


def _key_of_wanted(wanted: Wanted) -> str | None:
    return wanted.idempotency_key


def check_idempotency_key(key: str) -> Problem | None:
    """Return what is wrong with an idempotency key."""
    if 1 <= len(key) <= IDEMPOTENCY_KEY_LENGTH_MAX and key.isprintable():
        return None
    return Problem(
        ErrorCode.INVALID_INPUT,
        f"An idempotency key has 1 to {IDEMPOTENCY_KEY_LENGTH_MAX} printable characters.",
        ("idempotencyKey",),
    )


def contents_hash(contents: object) -> bytes:
    """Return the hash by which two requests with the same idempotency key are known to be the same."""
    raw = orjson.dumps(contents, default=_plain, option=orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS)
    return hashlib.sha256(raw).digest()


def _plain(value: object) -> object:
    if isinstance(value, Unset):
        return ["unset"]
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, UUID):
        # A store's driver may give ids of a class of its own, which orjson does not know.
        return str(value)
    fields = getattr(value, "__dataclass_fields__", None)
    if fields is None:
        raise TypeError(f"{type(value).__name__} has no canonical form")
    return {"": type(value).__name__, **{name: getattr(value, name) for name in fields}}


def _note(action: Action) -> str | None:
    return getattr(action, "note", None)


def _check_bulk(count: int, name: str) -> None:
    if not 1 <= count <= BULK_COUNT_MAX:
        raise InputError(f"{name} has 1 to {BULK_COUNT_MAX:,} entries; this has {count:,}.", "select", name)


def _chunks(actions: Sequence[Action], size: int) -> Iterator[Sequence[Action]]:
    for start in range(0, len(actions), size):
        yield actions[start : start + size]
