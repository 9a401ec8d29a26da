"""Silences: made, changed, ended, by people and by buttons in a chat."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from alertgraph.core.alert import Alert
from alertgraph.core.errors import AccessDeniedError, ConflictError, InputError, NotFoundError
from alertgraph.core.event import EventKind, instant_text
from alertgraph.core.flush import TenantConfig
from alertgraph.core.ids import SilenceId
from alertgraph.core.labels import Matcher, MatchOperator
from alertgraph.core.lifecycle import UNSET, Unset
from alertgraph.core.silence import Silence, SilenceState, check_silence, state_at
from alertgraph.core.tenant import Principal, Role
from alertgraph.services.catalog_changes import CatalogChanges, Decided, told_matchers


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
