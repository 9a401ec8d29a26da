"""How what is set up changes: each change is one decision under the head's lock and one event that tells of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

import orjson

from alertgraph.core.alert import check_text
from alertgraph.core.anomaly import AnomalyRule
from alertgraph.core.catalog import ITEM_COUNT_MAX, KIND_OF, SUBJECT_TYPE_OF, Catalog, Change, Item
from alertgraph.core.channel import Channel
from alertgraph.core.errors import (
    AccessDeniedError,
    ConflictError,
    ErrorCode,
    NotFoundError,
    Problem,
    RefusedError,
)
from alertgraph.core.event import Event, EventKind, FieldChange, SealedEvent, seal
from alertgraph.core.flush import Appended, IdempotencyKey, StoredAnswer, TenantConfig
from alertgraph.core.ids import TenantId, encode_id, uuid7
from alertgraph.core.inhibition import InhibitionRule
from alertgraph.core.labels import Matcher
from alertgraph.core.monitor import HeartbeatMonitor
from alertgraph.core.responder import Responder
from alertgraph.core.rule import EscalationRule
from alertgraph.core.schedule import Schedule, ShiftOverride
from alertgraph.core.silence import Silence, until
from alertgraph.core.tenant import Principal
from alertgraph.services.alerts import check_idempotency_key, contents_hash
from alertgraph.services.ports import AnsweredError, Clock, Configuration, Dice, Vault

NAME_LENGTH_MAX = 256
_SHOWN_COUNT_MAX = 5

T = TypeVar("T", bound=Item)

# What an item is called in sentences.
_NOUN_OF: Mapping[type[Any], str] = {
    EscalationRule: "escalation rule",
    InhibitionRule: "inhibition rule",
    Silence: "silence",
    Channel: "channel",
    Responder: "responder",
    Schedule: "schedule",
    ShiftOverride: "override",
    HeartbeatMonitor: "heartbeat monitor",
    AnomalyRule: "anomaly rule",
}
# Whose names are one of a kind in a tenant; people may share theirs.
_NAMED_ONCE = (EscalationRule, InhibitionRule, Channel, Schedule, HeartbeatMonitor, AnomalyRule)
_PLACE_OF: Mapping[type[Any], Callable[[Catalog], Iterable[Item]]] = {
    EscalationRule: lambda catalog: catalog.rules,
    InhibitionRule: lambda catalog: catalog.inhibitions,
    Silence: lambda catalog: catalog.silences,
    Channel: lambda catalog: catalog.channels.values(),
    Responder: lambda catalog: catalog.responders.values(),
    Schedule: lambda catalog: catalog.schedules.values(),
    ShiftOverride: lambda catalog: catalog.overrides,
    HeartbeatMonitor: lambda catalog: catalog.monitors.values(),
    AnomalyRule: lambda catalog: catalog.anomaly_rules.values(),
}


@dataclass(frozen=True, slots=True)
class Secret:
    """Something told of an item only in so far as that it changed; equal to one that was not changed."""

    value: object


@dataclass(frozen=True, slots=True)
class Decided(Generic[T]):
    """An item as it shall be, and what changes along with it: all told by the one event about the item.

    Attributes:
        written: Other items as they are afterwards.
        deleted: Other items that are gone afterwards.
        detail: What the event says beyond the item's own fields.
    """

    item: T
    written: tuple[Item, ...] = ()
    deleted: tuple[Item, ...] = ()
    detail: Mapping[str, Any] | None = None


class CatalogChanges:
    """The one way in which items of the catalog are created, patched and deleted. Roles are the callers' matter.

    Every method raises RefusedError for what a caller can mend; paths are relative to the mutation's input.
    `told` returns an item's fields by their names in the API, as JSON; what is personal or secret as a `Secret`.

    Args:
        changed: Called after each commit with the tenant and the number its log now ends at.
    """

    def __init__(
        self,
        store: Configuration,
        vault: Vault,
        clock: Clock,
        dice: Dice,
        changed: Callable[[TenantId, int], None],
    ) -> None:
        self._store = store
        self._vault = vault
        self._clock = clock
        self._dice = dice
        self._changed = changed

    def now(self) -> datetime:
        """Return the present instant."""
        return self._clock.now()

    def new_id(self) -> UUID:
        """Return the id of an item to be created."""
        return uuid7(self._clock.now(), self._dice.bits(74))

    async def seal(self, principal: Principal, purpose: str, text: str) -> str:
        """Return ciphertext of what is personal or secret, for an item of the caller's tenant."""
        return await self._vault.seal(principal.tenant.id, purpose, text)

    async def create(
        self,
        principal: Principal,
        item: T,
        *,
        operation: str,
        contents: object,
        told: Callable[[T], Mapping[str, Any]],
        decide: Callable[[TenantConfig, T], Decided[T]] | None = None,
        idempotency_key: str | None = None,
    ) -> T:
        """Return a new item as it was kept; for an idempotency key answered before, the one of the first time.

        Args:
            principal: Who wants it.
            item: As wanted, with an id from `new_id`.
            operation: Name of the mutation, which the idempotency key is good for.
            contents: What the caller said, by which two requests are known to be the same.
            told: What the event says of it.
            decide: Checks the item against what there is and returns it as it shall be kept; must be pure, may
                raise RefusedError.
            idempotency_key: See the rules of the API.
        """
        kind = type(item)
        answer = stored_answer(principal, operation, idempotency_key, contents, str(item.id))
        now = self.now()

        def change(config: TenantConfig) -> Change:
            _check_count(config.catalog, kind, now)
            decided = decide(config, item) if decide is not None else Decided(item)
            _check_name(config.catalog, decided.item)
            event = self._event(EventKind.CONFIG_CREATED, principal, decided, {}, told(decided.item))
            return Change(event, (decided.item, *decided.written), decided.deleted)

        try:
            config, appended = await self._store.change(principal.tenant.id, change, answer=answer)
        except AnsweredError as error:
            first = first_answer(error.stored, answer)
            config, _ = await self._store.change(principal.tenant.id, lambda _: None)
            earlier = find(config.catalog, kind, first)
            if earlier is None:
                raise NotFoundError(
                    f"The {_NOUN_OF[kind]} made by this idempotency key was deleted since."
                ) from error
            return earlier
        return self._settled(principal, config, appended, item)

    async def update(
        self,
        principal: Principal,
        kind: type[T],
        item_id: UUID,
        *,
        told: Callable[[T], Mapping[str, Any]],
        decide: Callable[[TenantConfig, T], Decided[T]],
        expected_version: int | None = None,
        event_kind: EventKind = EventKind.CONFIG_UPDATED,
    ) -> T:
        """Return an item after a patch; where nothing differs, nothing is written.

        Args:
            principal: Who wants it.
            kind: What it is.
            item_id: Which.
            told: What the event says of it.
            decide: Returns the item as it shall be; must be pure, may raise RefusedError.
            expected_version: Refused with VERSION_CONFLICT where it has another.
            event_kind: CONFIG_DELETED for what ends a thing without removing it.
        """

        def change(config: TenantConfig) -> Change | None:
            before = require(config.catalog, kind, item_id)
            check_version(before.version, expected_version)
            decided = decide(config, before)
            if decided.item == before and not decided.written and not decided.deleted:
                return None
            _check_name(config.catalog, decided.item)
            event = self._event(event_kind, principal, decided, told(before), told(decided.item))
            return Change(event, (decided.item, *decided.written), decided.deleted)

        config, appended = await self._store.change(principal.tenant.id, change)
        return self._settled(principal, config, appended, require(config.catalog, kind, item_id))

    async def delete(
        self,
        principal: Principal,
        kind: type[T],
        item_id: UUID,
        *,
        told: Callable[[T], Mapping[str, Any]],
        decide: Callable[[TenantConfig, T], Decided[T]] | None = None,
        expected_version: int | None = None,
    ) -> T:
        """Delete an item and return it as it was.

        Args:
            principal: Who wants it.
            kind: What it is.
            item_id: Which.
            told: What the event says of it.
            decide: Refuses where something still uses it (see `refuse_use`), and says what else goes with it.
            expected_version: Refused with VERSION_CONFLICT where it has another.
        """
        gone: list[T] = []

        def change(config: TenantConfig) -> Change:
            before = require(config.catalog, kind, item_id)
            check_version(before.version, expected_version)
            decided = decide(config, before) if decide is not None else Decided(before)
            gone[:] = [before]
            event = self._event(EventKind.CONFIG_DELETED, principal, decided, told(before), {})
            return Change(event, decided.written, (before, *decided.deleted))

        _, appended = await self._store.change(principal.tenant.id, change)
        self._tell(principal, appended)
        return gone[0]

    async def config(self, tenant_id: TenantId) -> TenantConfig:
        """Return what is set up now, past every cache."""
        config, _ = await self._store.change(tenant_id, lambda _: None)
        return config

    def _settled(self, principal: Principal, config: TenantConfig, appended: Appended | None, item: T) -> T:
        self._tell(principal, appended)
        return require(config.catalog, type(item), item.id)

    def _tell(self, principal: Principal, appended: Appended | None) -> None:
        if appended is not None:
            self._changed(principal.tenant.id, appended.first_number)

    def _event(
        self,
        kind: EventKind,
        principal: Principal,
        decided: Decided[T],
        before: Mapping[str, Any],
        after: Mapping[str, Any],
    ) -> SealedEvent:
        item_type = cast("type[Item]", type(decided.item))
        return config_event(
            kind,
            principal,
            self.now(),
            SUBJECT_TYPE_OF[item_type],
            encode_id(KIND_OF[item_type], decided.item.id),
            before,
            after,
            decided.detail,
        )


# -------------------------------------------------------------------------------- what is set up


def items_of(catalog: Catalog, kind: type[T]) -> Iterable[T]:
    """Return all items of a type, in the catalog's order."""
    return cast("Iterable[T]", _PLACE_OF[kind](catalog))


def find(catalog: Catalog, kind: type[T], item_id: UUID) -> T | None:
    """Return an item; None where there is none of that type with that id."""
    return next((item for item in items_of(catalog, kind) if item.id == item_id), None)


def require(catalog: Catalog, kind: type[T], item_id: UUID, *path: str) -> T:
    """Return an item.

    Raises:
        NotFoundError: There is none; at `path`, or at `id` where none is given.
    """
    item = find(catalog, kind, item_id)
    if item is None:
        raise NotFoundError(f"There is no such {_NOUN_OF[kind]}.", *(path or ("id",)))
    return item


def refuse_use(item: Item, users: Sequence[Item | str]) -> None:
    """Let an item pass that nothing uses.

    Args:
        item: What shall be deleted.
        users: What uses it: items, or words for what is no item.

    Raises:
        RefusedError: IN_USE, with what uses it.
    """
    if not users:
        return
    names = [user if isinstance(user, str) else _called(user) for user in users]
    if len(names) > _SHOWN_COUNT_MAX:
        names = [*names[:_SHOWN_COUNT_MAX], f"{len(names) - _SHOWN_COUNT_MAX:,} more"]
    shown = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    raise RefusedError(
        [Problem(ErrorCode.IN_USE, f"The {_NOUN_OF[type(item)]} is still used by {shown}.", ("id",))]
    )


def check_name(name: str) -> None:
    """Let a name pass that an item can have: 1 to 256 characters on one line.

    Raises:
        RefusedError: It can't; the path is `name`.
    """
    problems = check_text(name, "name", NAME_LENGTH_MAX, length_min=1, one_line=True)
    if problems:
        raise RefusedError(problems)


def check_version(version: int, expected: int | None) -> None:
    """Let a patch pass whose writer has seen the last change.

    Raises:
        RefusedError: VERSION_CONFLICT, with the version it has now.
    """
    if expected is not None and expected != version:
        problem = Problem(
            ErrorCode.VERSION_CONFLICT,
            f"It changed since version {expected}; it is at version {version} now.",
            ("expectedVersion",),
            version,
        )
        raise RefusedError([problem])


def require_unscoped(principal: Principal) -> None:
    """Let a caller pass whose key is for all alerts.

    Raises:
        AccessDeniedError: The key is limited by matchers: what it set up would reach beyond them.
    """
    if principal.scope:
        raise AccessDeniedError("A key that is limited by matchers can't change what is set up for all alerts.")


def told_matchers(matchers: Iterable[Matcher]) -> list[dict[str, str]]:
    """Return matchers as events tell them."""
    return [{"label": m.label, "operator": m.operator.name, "value": m.value} for m in matchers]


def _called(item: Item) -> str:
    noun = _NOUN_OF[type(item)]
    match item:
        case Silence() | ShiftOverride():
            return f"the {noun} {encode_id(KIND_OF[type(item)], item.id)}"
        case _:
            return f"the {noun} {item.name}"


def _check_count(catalog: Catalog, kind: type[T], now: datetime) -> None:
    count = sum(_is_live(item, now) for item in items_of(catalog, kind))
    if count >= ITEM_COUNT_MAX:
        raise RefusedError(
            [Problem(ErrorCode.LIMIT_REACHED, f"A tenant has at most {ITEM_COUNT_MAX:,} {_NOUN_OF[kind]}s.")]
        )


def _is_live(item: Item, now: datetime) -> bool:
    match item:
        case Silence():
            ends_at = until(item)
            return ends_at is None or ends_at > now
        case ShiftOverride():
            return item.ends_at > now
        case _:
            return True


def _check_name(catalog: Catalog, item: Item) -> None:
    if not isinstance(item, _NAMED_ONCE):
        return
    if any(other.name == item.name and other.id != item.id for other in items_of(catalog, type(item))):
        raise ConflictError(f"Another {_NOUN_OF[type(item)]} has this name.", "name")


# -------------------------------------------------------------------------- events and answers


def config_event(
    kind: EventKind,
    principal: Principal,
    decided_at: datetime,
    subject_type: str,
    subject_id: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    detail: Mapping[str, Any] | None = None,
) -> SealedEvent:
    """Return the event that tells of a change: the fields that differ, of secrets the names alone.

    Args:
        kind: CONFIG_CREATED, CONFIG_UPDATED or CONFIG_DELETED.
        principal: Who made it.
        decided_at: When.
        subject_type: Of what was changed.
        subject_id: Its opaque id.
        before: Its fields by their names in the API, as JSON or `Secret`; empty where it is new.
        after: The same afterwards; empty where it is gone.
        detail: What else the event says.
    """
    changes = tuple(
        FieldChange(name, _shown(before.get(name)), _shown(after.get(name)))
        for name in dict.fromkeys((*before, *after))
        if before.get(name) != after.get(name)
    )
    return seal(
        Event(
            kind=kind,
            actor=principal.actor,
            decided_at=decided_at,
            subject_type=subject_type,
            subject_id=subject_id,
            changes=changes,
            detail=detail or {},
        )
    )


def stored_answer(
    principal: Principal, operation: str, key: str | None, contents: object, answer: str
) -> StoredAnswer | None:
    """Return what is kept under an idempotency key; None where the caller gave none.

    Raises:
        RefusedError: The key can't be used.
    """
    if key is None:
        return None
    problem = check_idempotency_key(key)
    if problem is not None:
        raise RefusedError([problem])
    kept = IdempotencyKey(operation, principal.subject, key, contents_hash(contents))
    return StoredAnswer(kept, orjson.dumps(answer).decode())


def first_answer(stored: StoredAnswer, answer: StoredAnswer | None) -> UUID:
    """Return the id that was answered to an idempotency key the first time.

    Raises:
        RefusedError: The key was used with other contents.
    """
    assert answer is not None, "only a request with an idempotency key can have been answered before"
    if stored.key.request_hash != answer.key.request_hash:
        problem = Problem(
            ErrorCode.IDEMPOTENCY_KEY_REUSED,
            "This idempotency key was used with other contents within the last 24 hours.",
            ("idempotencyKey",),
        )
        raise RefusedError([problem])
    return UUID(orjson.loads(stored.answer))


def _shown(value: object) -> object:
    return None if isinstance(value, Secret) else value
