"""On-call schedules: made, changed, deleted; people standing in; calendars taken over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from alertgraph.core.action import UNSET, Unset
from alertgraph.core.calendar import read_calendar
from alertgraph.core.catalog import ITEM_COUNT_MAX, Catalog, Item
from alertgraph.core.duration import duration_text
from alertgraph.core.errors import ErrorCode, InputError, Problem, RefusedError
from alertgraph.core.event import instant_text
from alertgraph.core.flush import TenantConfig
from alertgraph.core.ids import NodeKind, OverrideId, ResponderId, ScheduleId, encode_id
from alertgraph.core.rule import ScheduleTarget
from alertgraph.core.schedule import (
    TIME_MAX,
    TIME_MIN,
    Rotation,
    Schedule,
    Shift,
    ShiftOverride,
    WeeklyWindow,
    check_override,
    check_schedule,
    shifts,
)
from alertgraph.core.tenant import Principal, Role
from alertgraph.services.catalog_changes import (
    CatalogChanges,
    Decided,
    refuse_use,
    require,
    require_unscoped,
)
from alertgraph.services.ports import Vault
from alertgraph.services.responders import found_by_email
from alertgraph.services.sealed import Opened, with_opened

_SHOWN_COUNT_MAX = 5
_WEEKDAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")


@dataclass(frozen=True, slots=True)
class _Coming:
    """An event of a calendar that is not over, and the id that the override made of it gets.

    Attributes:
        emails: Who it may be about, likeliest first.
    """

    id: OverrideId
    emails: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime


class ScheduleService:
    """Changes who is on call when.

    Every method raises RefusedError for what the caller can mend; paths are relative to the input.
    """

    def __init__(self, changes: CatalogChanges, vault: Vault) -> None:
        self._changes = changes
        self._vault = vault

    async def create(
        self,
        principal: Principal,
        *,
        name: str,
        time_zone: str = "UTC",
        rotations: Sequence[Rotation] = (),
        calendar: str | None = None,
        idempotency_key: str | None = None,
    ) -> Schedule:
        """Return a new schedule, of rotations or of an imported calendar. ADMIN."""
        _require(principal, Role.ADMIN)
        schedule = check_schedule(Schedule(ScheduleId(self._changes.new_id()), name, time_zone, tuple(rotations)))
        coming = await self._coming(calendar, time_zone) if calendar is not None else ()

        async def change(opened: Opened) -> Schedule:
            def decide(config: TenantConfig, wanted: Schedule) -> Decided[Schedule]:
                _check_people(config.catalog, wanted)
                made = _overrides(config.catalog, wanted, coming, opened, principal, ())
                _check_count(config.catalog, made, (), self._changes.now())
                return Decided(wanted, written=made, detail=_counted(made, ()) if calendar is not None else None)

            return await self._changes.create(
                principal,
                schedule,
                operation="createOnCallSchedule",
                contents=[name, time_zone, list(rotations), calendar],
                told=_told,
                decide=decide,
                idempotency_key=idempotency_key,
            )

        return await with_opened(self._vault, principal.tenant.id, change)

    async def update(
        self,
        principal: Principal,
        schedule_id: ScheduleId,
        *,
        name: str | Unset = UNSET,
        time_zone: str | Unset = UNSET,
        rotations: Sequence[Rotation] | Unset = UNSET,
        calendar: str | Unset = UNSET,
        expected_version: int | None = None,
    ) -> Schedule:
        """Return a schedule after a patch; a calendar's events replace the overrides to come. ADMIN.

        Somebody who stands in now goes on, unless the calendar says otherwise of this very time.
        """
        _require(principal, Role.ADMIN)
        now = self._changes.now()
        coming: tuple[_Coming, ...] = ()
        if not isinstance(calendar, Unset):
            zone_name = time_zone
            if isinstance(zone_name, Unset):
                catalog = (await self._changes.config(principal.tenant.id)).catalog
                zone_name = require(catalog, Schedule, schedule_id).time_zone
            coming = await self._coming(calendar, zone_name)

        async def change(opened: Opened) -> Schedule:
            def decide(config: TenantConfig, before: Schedule) -> Decided[Schedule]:
                after = before
                if not isinstance(name, Unset):
                    after = replace(after, name=name)
                if not isinstance(time_zone, Unset):
                    after = replace(after, time_zone=time_zone)
                if not isinstance(rotations, Unset):
                    after = replace(after, rotations=tuple(rotations))
                    _check_people(config.catalog, after)
                check_schedule(after)
                if isinstance(calendar, Unset):
                    return Decided(after)
                own = config.catalog.overrides_of(before.id)
                wanted = _overrides(config.catalog, after, coming, opened, principal, own)
                kept = {each.id for each in wanted}
                gone = tuple(each for each in own if each.starts_at > now and each.id not in kept)
                known = {each.id for each in own}
                made = tuple(each for each in wanted if each.id not in known)
                _check_count(config.catalog, made, gone, now)
                return Decided(after, written=made, deleted=gone, detail=_counted(made, gone))

            return await self._changes.update(
                principal, Schedule, schedule_id, told=_told, decide=decide, expected_version=expected_version
            )

        return await with_opened(self._vault, principal.tenant.id, change)

    async def delete(
        self, principal: Principal, schedule_id: ScheduleId, *, expected_version: int | None = None
    ) -> None:
        """Delete a schedule that no rule uses, with its overrides. ADMIN."""
        _require(principal, Role.ADMIN)

        def decide(config: TenantConfig, before: Schedule) -> Decided[Schedule]:
            users: list[Item | str] = [
                rule
                for rule in config.catalog.rules
                if any(ScheduleTarget(before.id) in level.targets for level in rule.levels)
            ]
            refuse_use(before, users)
            return Decided(before, deleted=config.catalog.overrides_of(before.id))

        await self._changes.delete(
            principal, Schedule, schedule_id, told=_told, decide=decide, expected_version=expected_version
        )

    async def override_shift(
        self,
        principal: Principal,
        schedule_id: ScheduleId,
        responder_id: ResponderId,
        *,
        starts_at: datetime,
        ends_at: datetime,
        idempotency_key: str | None = None,
    ) -> ShiftOverride:
        """Return a new override: somebody else is on call for a while. RESPONDER."""
        _require(principal, Role.RESPONDER)
        override = ShiftOverride(
            OverrideId(self._changes.new_id()), schedule_id, responder_id, starts_at, ends_at, principal.actor
        )
        now = self._changes.now()

        def decide(config: TenantConfig, wanted: ShiftOverride) -> Decided[ShiftOverride]:
            schedule = require(config.catalog, Schedule, schedule_id, "scheduleId")
            if responder_id not in config.catalog.responders:
                raise _nobody("responderId")
            check_override(wanted, now)
            # So that the schedule's version tells that who is on call has changed.
            return Decided(wanted, written=(schedule,))

        return await self._changes.create(
            principal,
            override,
            operation="overrideShift",
            contents=[schedule_id, responder_id, starts_at, ends_at],
            told=_told_override,
            decide=decide,
            idempotency_key=idempotency_key,
        )

    async def delete_override(
        self, principal: Principal, override_id: OverrideId, *, expected_version: int | None = None
    ) -> None:
        """Take an override back. RESPONDER."""
        _require(principal, Role.RESPONDER)

        def decide(config: TenantConfig, before: ShiftOverride) -> Decided[ShiftOverride]:
            schedule = config.catalog.schedules.get(before.schedule_id)
            return Decided(before, written=(schedule,) if schedule is not None else ())

        await self._changes.delete(
            principal,
            ShiftOverride,
            override_id,
            told=_told_override,
            decide=decide,
            expected_version=expected_version,
        )

    async def _coming(self, calendar: str, time_zone: str) -> tuple[_Coming, ...]:
        """Return the events of a calendar that are not over yet."""
        # A large calendar takes a while to read, and others shall be served meanwhile.
        events = await asyncio.to_thread(read_calendar, calendar, time_zone, self._changes.now())
        return tuple(
            _Coming(OverrideId(self._changes.new_id()), event.emails, event.starts_at, event.ends_at)
            for event in events
        )


def span_of_overrides(
    schedules: Iterable[Schedule], since: datetime, until: datetime
) -> tuple[datetime, datetime]:
    """Return the stretch of time whose overrides say where the shifts that touch [since, until) begin and end.

    A shift is told whole: who stood in earlier in the same turn says where it begins.
    """
    longest = max(
        (rotation.shift_length for schedule in schedules for rotation in schedule.rotations),
        default=timedelta(0),
    )
    return max(since, TIME_MIN + longest) - longest, min(until, TIME_MAX - longest) + longest


def shifts_of(
    schedules: Iterable[Schedule],
    overrides: Iterable[ShiftOverride],
    responder_id: ResponderId,
    since: datetime,
    until: datetime,
) -> list[tuple[Schedule, Shift]]:
    """Return one person's shifts on schedules that touch [since, until), by begin.

    Args:
        schedules: Which.
        overrides: Those of these schedules and others, as `span_of_overrides` says.
        responder_id: Whose.
        since: Begin.
        until: End, not included.
    """
    by_schedule: dict[ScheduleId, list[ShiftOverride]] = {}
    for override in overrides:
        by_schedule.setdefault(override.schedule_id, []).append(override)
    found = [
        (schedule, shift)
        for schedule in schedules
        for shift in shifts(schedule, by_schedule.get(schedule.id, ()), since, until)
        if shift.responder_id == responder_id
    ]
    return sorted(found, key=lambda pair: (pair[1].starts_at, pair[0].name))


def _require(principal: Principal, role: Role) -> None:
    principal.require(role)
    require_unscoped(principal)


def _nobody(*path: str) -> RefusedError:
    return RefusedError([Problem(ErrorCode.NOT_FOUND, "There is no such responder.", path)])


def _check_people(catalog: Catalog, schedule: Schedule) -> None:
    """Let a schedule pass whose people all exist."""
    for index, rotation in enumerate(schedule.rotations):
        for place, responder_id in enumerate(rotation.responder_ids):
            if responder_id not in catalog.responders:
                raise _nobody("rotations", str(index), "responderIds", str(place))


def _check_count(
    catalog: Catalog, made: Sequence[ShiftOverride], gone: Sequence[ShiftOverride], now: datetime
) -> None:
    live_count = sum(override.ends_at > now for override in catalog.overrides)
    if made and live_count + len(made) - len(gone) > ITEM_COUNT_MAX:
        message = f"A tenant has at most {ITEM_COUNT_MAX:,} overrides; with this calendar there would be more."
        raise RefusedError([Problem(ErrorCode.LIMIT_REACHED, message, ("calendar",))])


def _overrides(
    catalog: Catalog,
    schedule: Schedule,
    coming: Sequence[_Coming],
    opened: Opened,
    principal: Principal,
    own: Sequence[ShiftOverride],
) -> tuple[ShiftOverride, ...]:
    """Return the overrides that a calendar's events say; one that is there already is taken as it is.

    Raises:
        InputError: Nobody has any of an event's e-mail addresses.
    """
    if not coming:
        return ()
    people = found_by_email(catalog, opened)
    meant = [next((people[email] for email in event.emails if email in people), None) for event in coming]
    unknown = list(
        dict.fromkeys(event.emails[0] for event, found in zip(coming, meant, strict=True) if found is None)
    )
    if unknown:
        shown = ", ".join(unknown[:_SHOWN_COUNT_MAX])
        more = f" and {len(unknown) - _SHOWN_COUNT_MAX:,} more" if len(unknown) > _SHOWN_COUNT_MAX else ""
        raise InputError(f"The calendar names people whom nobody here is by e-mail: {shown}{more}.", "calendar")
    there = {(each.responder_id, each.starts_at, each.ends_at): each for each in own}
    made: dict[tuple[ResponderId, datetime, datetime], ShiftOverride] = {}
    for event, found in zip(coming, meant, strict=True):
        assert found is not None, "whoever is unknown was refused"
        responder_id = found.id
        key = (responder_id, event.starts_at, event.ends_at)
        made[key] = there.get(key) or _override_of(event, schedule.id, responder_id, principal)
    return tuple(made.values())


def _override_of(
    event: _Coming, schedule_id: ScheduleId, responder_id: ResponderId, principal: Principal
) -> ShiftOverride:
    override = ShiftOverride(event.id, schedule_id, responder_id, event.starts_at, event.ends_at, principal.actor)
    try:
        # It is not over: those were left out.
        return check_override(override, event.starts_at)
    except RefusedError as error:
        raise InputError(
            f"The event of {event.starts_at.isoformat()} can't be an override: {error.message}", "calendar"
        ) from error


def _counted(made: Sequence[ShiftOverride], gone: Sequence[ShiftOverride]) -> Mapping[str, Any]:
    return {"overridesMade": len(made), "overridesDeleted": len(gone)}


def _told(schedule: Schedule) -> Mapping[str, Any]:
    """Return what the log tells of a schedule."""
    return {
        "name": schedule.name,
        "timeZone": schedule.time_zone,
        "rotations": [_told_rotation(rotation) for rotation in schedule.rotations],
    }


def _told_rotation(rotation: Rotation) -> dict[str, Any]:
    return {
        "responderIds": [encode_id(NodeKind.RESPONDER, each) for each in rotation.responder_ids],
        "startsAt": instant_text(rotation.starts_at),
        "shiftLength": duration_text(rotation.shift_length),
        "windows": [_told_window(window) for window in rotation.windows],
    }


def _told_window(window: WeeklyWindow) -> dict[str, Any]:
    return {
        "days": [_WEEKDAYS[day] for day in window.days],
        "startsAt": f"{window.starts_at // 60:02}:{window.starts_at % 60:02}",
        "endsAt": f"{window.ends_at // 60:02}:{window.ends_at % 60:02}",
    }


def _told_override(override: ShiftOverride) -> Mapping[str, Any]:
    return {
        "scheduleId": encode_id(NodeKind.SCHEDULE, override.schedule_id),
        "responderId": encode_id(NodeKind.RESPONDER, override.responder_id),
        "startsAt": instant_text(override.starts_at),
        "endsAt": instant_text(override.ends_at),
    }
