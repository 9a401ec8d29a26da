"""Silences: made, changed, ended, by people and by buttons in a chat."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from alertgraph.core.action import UNSET, Unset
from alertgraph.core.actor import ENGINE
from alertgraph.core.alert import Alert
from alertgraph.core.errors import AccessDeniedError, ConflictError, InputError, NotFoundError
from alertgraph.core.event import EventKind, StoredEvent, instant_text
from alertgraph.core.flush import TenantConfig
from alertgraph.core.ids import SilenceId, TenantId
from alertgraph.core.labels import Matcher, MatchOperator, matches_all
from alertgraph.core.query import event_match_values
from alertgraph.core.silence import Silence, SilenceState, check_silence, state_at, window_at
from alertgraph.core.tenant import Principal, Role
from alertgraph.services.catalog_changes import CatalogChanges, Decided, told_matchers
from alertgraph.services.ports import Clock, Observer, SnapshotSource

END_TRY_COUNT_MAX = 5
END_TRY_AGAIN_AFTER = timedelta(seconds=1)


class SilenceService:
    """Changes silences. Every method needs RESPONDER, and raises RefusedError for what the caller can mend.

    A key that is limited by matchers may silence what it sees: all of them must be among the silence's own.
    """

    def __init__(self, changes: CatalogChanges) -> None:
        self._changes = changes

    async def create(
        self,
        principal: Principal,
        *,
        matchers: tuple[Matcher, ...],
        ends_at: datetime,
        comment: str,
        starts_at: datetime | None = None,
        recurrence: str | None = None,
        time_zone: str = "UTC",
        end_on_resolve: bool = False,
        idempotency_key: str | None = None,
        operation: str = "createSilence",
    ) -> Silence:
        """Return a new silence, from now on where no begin is given.

        `operation` names what the idempotency key is good for, where it is not the mutation.
        """
        principal.require(Role.RESPONDER)
        now = self._changes.now()
        silence = Silence(
            SilenceId(self._changes.new_id()),
            matchers,
            starts_at if starts_at is not None else now,
            ends_at,
            comment,
            principal.actor,
            recurrence,
            time_zone,
            end_on_resolve,
        )
        if not _is_within(principal, silence):
            raise AccessDeniedError("A key that is limited by matchers can silence only what has all of them.")
        check_silence(silence, now)
        said = {**_told(silence), "startsAt": starts_at}
        return await self._changes.create(
            principal,
            silence,
            operation=operation,
            contents=said,
            told=_told,
            idempotency_key=idempotency_key,
        )

    async def silence_alert(
        self,
        principal: Principal,
        alert: Alert,
        duration: timedelta,
        *,
        comment: str = "Silenced from a message.",
        idempotency_key: str | None = None,
    ) -> Silence:
        """Return a new silence of exactly this alert, and of what fires under its key, for that long from now."""
        key = Matcher("@dedup_key", MatchOperator.EQUAL, alert.dedup_key)
        return await self.create(
            principal,
            matchers=(key, *(matcher for matcher in principal.scope if matcher != key)),
            ends_at=self._changes.now() + duration,
            comment=comment,
            idempotency_key=idempotency_key,
            operation="silenceAlert",
        )

    async def update(
        self,
        principal: Principal,
        silence_id: SilenceId,
        *,
        matchers: tuple[Matcher, ...] | Unset = UNSET,
        starts_at: datetime | Unset = UNSET,
        ends_at: datetime | Unset = UNSET,
        recurrence: str | Unset | None = UNSET,
        time_zone: str | Unset = UNSET,
        end_on_resolve: bool | Unset = UNSET,
        comment: str | Unset = UNSET,
        expected_version: int | None = None,
    ) -> Silence:
        """Return a silence after a patch; one that is over is refused."""
        principal.require(Role.RESPONDER)
        now = self._changes.now()
        patch = {
            "matchers": matchers,
            "starts_at": starts_at,
            "ends_at": ends_at,
            "recurrence": recurrence,
            "time_zone": time_zone,
            "end_on_resolve": end_on_resolve,
            "comment": comment,
        }
        given: dict[str, Any] = {field: value for field, value in patch.items() if value is not UNSET}

        def decide(_: TenantConfig, before: Silence) -> Decided[Silence]:
            _check_live(principal, before, now)
            after = replace(before, **given)
            if not _is_within(principal, after):
                raise InputError("The key's own matchers must stay among them.", "matchers")
            return Decided(after if after == before else check_silence(after, now))

        return await self._changes.update(
            principal, Silence, silence_id, told=_told, decide=decide, expected_version=expected_version
        )

    async def expire(
        self, principal: Principal, silence_id: SilenceId, *, expected_version: int | None = None
    ) -> Silence:
        """Return a silence that ends now, for good; one that is over is refused."""
        principal.require(Role.RESPONDER)
        now = self._changes.now()

        def decide(_: TenantConfig, before: Silence) -> Decided[Silence]:
            _check_live(principal, before, now)
            return Decided(replace(before, over_at=now))

        return await self._changes.update(
            principal,
            Silence,
            silence_id,
            told=lambda silence: {**_told(silence), "state": state_at(silence, now).name},
            decide=decide,
            expected_version=expected_version,
            event_kind=EventKind.CONFIG_DELETED,
        )


class SilenceEnds:
    """Ends silences early whose last alert was resolved, where they say so.

    Each process hears of the alerts that it has resolved itself. One that dies before it has looked leaves the
    silence to its windows, or to the next alert under it that is resolved.
    """

    def __init__(
        self, changes: CatalogChanges, snapshots: SnapshotSource, clock: Clock, observer: Observer
    ) -> None:
        self._changes = changes
        self._snapshots = snapshots
        self._clock = clock
        self._observer = observer
        self._heard: dict[TenantId, list[Mapping[str, str]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def hear(self, tenant_id: TenantId, config: TenantConfig | None, events: Sequence[StoredEvent]) -> None:
        """Learn of events just committed; never waits.

        Args:
            tenant_id: Whose.
            config: As it was remembered when they were decided; None where it is not known.
            events: In their order.
        """
        if config is not None and not any(silence.end_on_resolve for silence in config.catalog.silences):
            return
        resolved: list[Mapping[str, str]] = [
            event_match_values(stored) for stored in events if stored.event.kind is EventKind.RESOLVED
        ]
        if not resolved:
            return
        waiting = self._heard.get(tenant_id)
        if waiting is not None:
            waiting += resolved
            return
        self._heard[tenant_id] = resolved
        task = asyncio.create_task(self._look(tenant_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        """Return once everything heard of so far was looked at."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _look(self, tenant_id: TenantId) -> None:
        try:
            while self._heard[tenant_id]:
                resolved = self._heard[tenant_id]
                self._heard[tenant_id] = []
                await self._try(tenant_id, resolved)
        finally:
            del self._heard[tenant_id]

    async def _try(self, tenant_id: TenantId, resolved: Sequence[Mapping[str, str]]) -> None:
        for _ in range(END_TRY_COUNT_MAX):
            try:
                await self._end(tenant_id, resolved)
                return
            except Exception as error:  # noqa: BLE001  (what is heard next must still be looked at)
                self._observer.failed("silences", error)
            await self._clock.sleep(END_TRY_AGAIN_AFTER)

    async def _end(self, tenant_id: TenantId, resolved: Sequence[Mapping[str, str]]) -> None:
        now = self._clock.now()
        async with self._snapshots.snapshot(tenant_id) as snapshot:
            config = await snapshot.config()
            over = [
                silence
                for silence in config.catalog.silences
                if silence.end_on_resolve
                and window_at(silence, now) is not None
                and any(matches_all(silence.matchers, values) for values in resolved)
                and not await snapshot.matching(silence.matchers, None, 1)
            ]
            if not over:
                return
            tenant = await snapshot.tenant()
        engine = Principal(tenant, Role.ADMIN, "engine", ENGINE, name=ENGINE.name)

        def decide(_: TenantConfig, before: Silence) -> Decided[Silence]:
            if state_at(before, now) is SilenceState.EXPIRED or not before.end_on_resolve:
                return Decided(before)
            return Decided(replace(before, over_at=now), detail={"reason": "Its last alert was resolved."})

        for silence in over:
            try:
                await self._changes.update(
                    engine,
                    Silence,
                    silence.id,
                    told=lambda each: {**_told(each), "state": state_at(each, now).name},
                    decide=decide,
                    event_kind=EventKind.CONFIG_DELETED,
                )
            except NotFoundError:
                continue


def _is_within(principal: Principal, silence: Silence) -> bool:
    """Say whether a silence covers only what the caller's key may see."""
    return set(principal.scope) <= set(silence.matchers)


def _check_live(principal: Principal, silence: Silence, now: datetime) -> None:
    if not _is_within(principal, silence):
        raise NotFoundError("There is no such silence.", "id")
    if state_at(silence, now) is SilenceState.EXPIRED:
        raise ConflictError("It is over; make a new one.", "id")


def _told(silence: Silence) -> dict[str, Any]:
    return {
        "matchers": told_matchers(silence.matchers),
        "startsAt": instant_text(silence.starts_at),
        "endsAt": instant_text(silence.ends_at),
        "recurrence": silence.recurrence,
        "timeZone": silence.time_zone,
        "endOnResolve": silence.end_on_resolve,
        "comment": silence.comment,
    }
