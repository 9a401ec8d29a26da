"""On-call schedules: who is on call when, and who stands in."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Annotated, Self

import strawberry
from strawberry import Maybe

from alertgraph.core import schedule as core
from alertgraph.core.action import Unset
from alertgraph.core.errors import RefusedError
from alertgraph.core.ids import NodeKind, OverrideId, ScheduleId, decode_key, encode_id
from alertgraph.core.query import Page
from alertgraph.services.schedules import span_of_overrides
from resolvers.actor import Actor
from resolvers.context import Info
from resolvers.deletion import DeleteInput, DeletePayload
from resolvers.errors import MutationError, errors_of, unknown
from resolvers.fields import computed
from resolvers.paging import UNSET, After, First, Node, PageInfo, Which, given, listed, page_of
from resolvers.patch import patched
from resolvers.permissions import reads, writes
from resolvers.relations import relation
from resolvers.responder import (
    Responder,
    Since,
    Until,
    check_span,
    people_together,
    responder_id_of,
    responders_of,
)
from resolvers.scalars import LocalTime, Long
from resolvers.words import Role, Weekday

# The shortest stretch of time there is.
INSTANT = timedelta(microseconds=1)


@strawberry.type(description="Some hours of some days; an end at or before the begin is on the next day.")
class WeeklyWindow:
    """Some hours of some days."""

    days: list[Weekday] = strawberry.field(description="On which days it begins.")
    starts_at: LocalTime = strawberry.field(description="Wall clock.")
    ends_at: LocalTime = strawberry.field(description="Wall clock.")

    @classmethod
    def of(cls, window: core.WeeklyWindow) -> Self:
        """Return a window as the API shows it."""
        return cls(
            days=[Weekday(day) for day in window.days],
            starts_at=LocalTime(window.starts_at),
            ends_at=LocalTime(window.ends_at),
        )


@strawberry.type(description="One layer: people take turns.")
class Rotation:
    """One layer: people take turns."""

    kept: strawberry.Private[core.Rotation]
    starts_at: datetime = strawberry.field(
        description="First hand-off; its wall-clock time in the schedule's zone is that of every later one."
    )
    shift_length: timedelta = strawberry.field(
        description="PT8H, P1D, P7D …; whole days follow the wall clock through daylight saving."
    )
    windows: list[WeeklyWindow] = strawberry.field(
        description="Only then; empty for always.", metadata={"cost": 0}
    )

    @computed("In turn.", batch=relation(attrgetter("kept.responder_ids"), people_together))
    @reads(Role.VIEWER)
    async def responders(self, info: Info) -> list[Responder]:
        """Return the people who take turns."""
        return responders_of(await info.context.catalog(), self.kept.responder_ids)

    @classmethod
    def of(cls, rotation: core.Rotation) -> Self:
        """Return a layer as the API shows it."""
        return cls(
            kept=rotation,
            starts_at=rotation.starts_at,
            shift_length=rotation.shift_length,
            windows=[WeeklyWindow.of(window) for window in rotation.windows],
        )


@strawberry.type(description="Somebody stands in.")
class ShiftOverride(Node):
    """Somebody stands in."""

    id: strawberry.ID = strawberry.field(description="Opaque.")
    responder: Responder = strawberry.field(description="Who stands in.")
    starts_at: datetime = strawberry.field(description="Begin.")
    ends_at: datetime = strawberry.field(description="End.")
    created_by: Actor = strawberry.field(description="Who said so.", metadata={"cost": 0})

    @classmethod
    def of(cls, override: core.ShiftOverride, responder: Responder) -> Self:
        """Return an override as the API shows it."""
        return cls(
            id=strawberry.ID(encode_id(NodeKind.OVERRIDE, override.id)),
            responder=responder,
            starts_at=override.starts_at,
            ends_at=override.ends_at,
            created_by=Actor.of(override.created_by),
        )


@strawberry.type(description="One person's turn.")
class Shift:
    """One person's turn."""

    schedule: "OnCallSchedule" = strawberry.field(description="On which schedule.", metadata={"cost": 0})
    responder: Responder = strawberry.field(description="Who.", metadata={"cost": 0})
    starts_at: datetime = strawberry.field(description="Begin.")
    ends_at: datetime = strawberry.field(description="End.")
    override: ShiftOverride | None = strawberry.field(
        description="The override it comes from; null for a rotation.", metadata={"cost": 0}
    )

    @classmethod
    def of(
        cls,
        shift: core.Shift,
        schedule: core.Schedule,
        responder: Responder,
        overrides: Sequence[core.ShiftOverride],
    ) -> Self:
        """Return a shift as the API shows it; `overrides` are those that it was made with."""
        override = None
        if shift.override_id is not None:
            override = next(each for each in overrides if each.id == shift.override_id)
        return cls(
            schedule=OnCallSchedule.of(schedule),
            responder=responder,
            starts_at=shift.starts_at,
            ends_at=shift.ends_at,
            override=ShiftOverride.of(override, responder) if override is not None else None,
        )


async def on_call_by_schedule(
    info: Info, keys: Sequence[core.Schedule], at: datetime | None = UNSET
) -> Mapping[core.Schedule, list[Responder]]:
    """Return who is on call on schedules then."""
    catalog = await info.context.catalog()
    moment = given(at) or info.context.reading.now
    # Beyond the years of schedules nobody is on call, and there may be no later instant.
    begin = min(moment, core.TIME_MAX)
    overrides = await info.context.loaders.overrides.load((begin, begin + INSTANT))
    return {key: responders_of(catalog, core.on_call_at(key, overrides, moment)) for key in keys}


async def shifts_by_schedule(
    info: Info, keys: Sequence[core.Schedule], since: datetime, until: datetime
) -> Mapping[core.Schedule, list[Shift]]:
    """Return who is on call on schedules from when to when."""
    check_span(since, until)
    people = (await info.context.catalog()).responders
    overrides = await info.context.loaders.overrides.load(span_of_overrides(keys, since, until))
    return {
        key: [
            Shift.of(shift, key, Responder.of(people[shift.responder_id]), overrides)
            for shift in core.shifts(key, overrides, since, until)
            if shift.responder_id in people
        ]
        for key in keys
    }


async def overrides_by_schedule(
    info: Info, keys: Sequence[ScheduleId], since: datetime, until: datetime
) -> Mapping[ScheduleId, list[ShiftOverride]]:
    """Return who stands in on schedules, by begin."""
    check_span(since, until)
    people = (await info.context.catalog()).responders
    found: dict[ScheduleId, list[ShiftOverride]] = {key: [] for key in keys}
    for override in await info.context.loaders.overrides.load((since, until)):
        touches = override.starts_at < until and override.ends_at > since
        if override.schedule_id in found and touches and override.responder_id in people:
            shown = ShiftOverride.of(override, Responder.of(people[override.responder_id]))
            found[override.schedule_id].append(shown)
    return found


async def calendars_by_schedule(info: Info, keys: Sequence[ScheduleId]) -> Mapping[ScheduleId, str]:
    """Return the addresses of schedules' feeds, for whoever may have them."""
    principal, calendars = info.context.principal, info.context.services.calendars
    if principal.role < Role.RESPONDER:
        return {}
    return {key: calendars.url(principal.tenant.id, NodeKind.SCHEDULE, key) for key in keys}


@strawberry.type(description="Who is on call when. Later rotations lie over earlier ones, overrides over all.")
class OnCallSchedule(Node):
    """Who is on call when; what takes work is made only where it is asked for."""

    kept: strawberry.Private[core.Schedule]
    id: strawberry.ID = strawberry.field(description="Opaque.")
    name: str = strawberry.field(description="Unique in the tenant.")
    time_zone: str = strawberry.field(description="IANA zone in which hand-offs keep their wall-clock time.")
    version: Long = strawberry.field(description="See the rules at the top.")

    @computed("The layers, lowest first.", cost=0, page_size_default=3)
    def rotations(self) -> list[Rotation]:
        """Return the layers."""
        return [Rotation.of(rotation) for rotation in self.kept.rotations]

    @computed(
        "Who is on call, empty where nobody is.",
        page_size_default=2,
        batch=relation(attrgetter("kept"), on_call_by_schedule),
    )
    @reads(Role.VIEWER)
    async def on_call(
        self,
        info: Info,
        at: Annotated[datetime | None, strawberry.argument(description="Now where left out.")] = UNSET,
    ) -> list[Responder]:
        """Return who is on call then."""
        return (await on_call_by_schedule(info, [self.kept], at))[self.kept]

    @computed(
        "Final shifts, overrides applied, by start; at most 100 days.",
        page_size_default=50,
        batch=relation(attrgetter("kept"), shifts_by_schedule),
    )
    @reads(Role.VIEWER)
    async def shifts(self, info: Info, since: Since, until: Until) -> list[Shift]:
        """Return who is on call from when to when."""
        return (await shifts_by_schedule(info, [self.kept], since, until))[self.kept]

    @computed(
        "Overrides that touch this time, by start; at most 100 days.",
        batch=relation(attrgetter("kept.id"), overrides_by_schedule),
    )
    @reads(Role.VIEWER)
    async def overrides(self, info: Info, since: Since, until: Until) -> list[ShiftOverride]:
        """Return who stands in."""
        return (await overrides_by_schedule(info, [self.kept.id], since, until))[self.kept.id]

    @computed(
        "Address of an iCalendar feed, with a token of its own; null below RESPONDER.",
        batch=relation(attrgetter("kept.id"), calendars_by_schedule),
    )
    @reads(Role.VIEWER)
    async def calendar_url(self, info: Info) -> str | None:
        """Return the address of the feed."""
        return (await calendars_by_schedule(info, [self.kept.id])).get(self.kept.id)

    @classmethod
    def of(cls, schedule: core.Schedule) -> Self:
        """Return a schedule as the API shows it."""
        return cls(
            kept=schedule,
            id=strawberry.ID(encode_id(NodeKind.SCHEDULE, schedule.id)),
            name=schedule.name,
            time_zone=schedule.time_zone,
            version=Long(schedule.version),
        )


@strawberry.type(description="One of a page of schedules.")
class OnCallScheduleEdge:
    """One of a page of schedules."""

    cursor: str = strawberry.field(description="Its place in this list.")
    node: OnCallSchedule = strawberry.field(description="The thing.")


@strawberry.type(description="A page of schedules.")
class OnCallScheduleConnection:
    """A page of schedules."""

    edges: list[OnCallScheduleEdge] = strawberry.field(description="With cursors.")
    nodes: list[OnCallSchedule] = strawberry.field(description="Without cursors.")
    page_info: PageInfo = strawberry.field(description="Where the page lies.", metadata={"cost": 0})
    total_count: int = strawberry.field(description="How many there are in all pages.")

    @classmethod
    def of(cls, page: Page[core.Schedule]) -> Self:
        """Return a page of schedules as the API shows it."""
        assert page.total_count is not None, "configuration lists are always counted"
        edges = [OnCallScheduleEdge(cursor=cursor, node=OnCallSchedule.of(found)) for cursor, found in page.items]
        return cls(
            edges=edges,
            nodes=[edge.node for edge in edges],
            page_info=PageInfo.of(page),
            total_count=page.total_count,
        )


# ------------------------------------------------------------------------------------------ input


@strawberry.input(description="Some hours of some days.")
class WeeklyWindowInput:
    """Some hours of some days."""

    days: list[Weekday] = strawberry.field(description="On which days it begins.")
    starts_at: LocalTime = strawberry.field(description="Wall clock.")
    ends_at: LocalTime = strawberry.field(description="Wall clock.")


@strawberry.input(description="One layer.")
class RotationInput:
    """One layer."""

    responder_ids: list[strawberry.ID] = strawberry.field(description="In turn, at least one.")
    starts_at: datetime = strawberry.field(description="First hand-off.")
    shift_length: timedelta = strawberry.field(description="PT1H or more.")
    windows: list[WeeklyWindowInput] = strawberry.field(
        default_factory=list, description="Only then; empty for always."
    )


@strawberry.input(description="A new schedule, of rotations or of an imported calendar.")
class OnCallScheduleInput:
    """A new schedule."""

    name: str = strawberry.field(description="Unique in the tenant.")
    time_zone: str = strawberry.field(default="UTC", description="IANA zone.")
    rotations: list[RotationInput] = strawberry.field(
        default_factory=list, description="The layers, lowest first."
    )
    calendar: str | None = strawberry.field(
        description="An iCalendar text; its events become overrides, people found by e-mail."
    )
    idempotency_key: str | None = strawberry.field(description="See the rules at the top.")


@strawberry.input(description="A patch.")
class UpdateOnCallScheduleInput:
    """A patch of a schedule."""

    id: strawberry.ID = strawberry.field(description="Which.")
    expected_version: Long | None = strawberry.field(description="Refuse where it changed since.")
    name: Maybe[str | None] = strawberry.field(description="Unique.")
    time_zone: Maybe[str | None] = strawberry.field(description="IANA zone.")
    rotations: Maybe[list[RotationInput] | None] = strawberry.field(description="Replaces.")
    calendar: Maybe[str | None] = strawberry.field(description="Its events replace the overrides to come.")


@strawberry.input(description="Somebody stands in.")
class OverrideShiftInput:
    """Somebody stands in."""

    schedule_id: strawberry.ID = strawberry.field(description="On which schedule.")
    responder_id: strawberry.ID = strawberry.field(description="Who.")
    starts_at: datetime = strawberry.field(description="Begin.")
    ends_at: datetime = strawberry.field(description="End.")
    idempotency_key: str | None = strawberry.field(description="See the rules at the top.")


@strawberry.type(description="Answer.")
class OnCallSchedulePayload:
    """What became of a schedule."""

    on_call_schedule: OnCallSchedule | None = strawberry.field(description="Null where refused.")
    override: ShiftOverride | None = strawberry.field(description="The override made.")
    errors: list[MutationError] = strawberry.field(
        description="What the caller can mend; empty on success.", metadata={"cost": 0}
    )

    @classmethod
    def done(cls, schedule: core.Schedule) -> Self:
        """Return the answer to what was done with a schedule."""
        return cls(on_call_schedule=OnCallSchedule.of(schedule), override=None, errors=[])

    @classmethod
    def refused(cls, error: RefusedError) -> Self:
        """Return the answer to what was refused."""
        return cls(on_call_schedule=None, override=None, errors=errors_of(error))


def schedule_id_of(text: str, *path: str) -> ScheduleId:
    """Return the schedule that an id names.

    Raises:
        NotFoundError: It is no schedule's id.
    """
    key = decode_key(text, NodeKind.SCHEDULE)
    if key is None:
        raise unknown("schedule", *path)
    return ScheduleId(key)


def _rotations(inputs: Sequence[RotationInput]) -> tuple[core.Rotation, ...]:
    """Return layers as the core takes them; it judges them."""
    return tuple(
        core.Rotation(
            responder_ids=tuple(
                responder_id_of(text, "rotations", str(index), "responderIds", str(place))
                for place, text in enumerate(given.responder_ids)
            ),
            starts_at=given.starts_at,
            shift_length=given.shift_length,
            windows=tuple(
                core.WeeklyWindow(tuple(day.value for day in window.days), window.starts_at, window.ends_at)
                for window in given.windows
            ),
        )
        for index, given in enumerate(inputs)
    )


# -------------------------------------------------------------------------------------- resolvers


@reads(Role.VIEWER)
async def on_call_schedule(info: Info, id: Which) -> OnCallSchedule | None:
    """Return a schedule; None where there is none with that id."""
    key = decode_key(id, NodeKind.SCHEDULE)
    found = (await info.context.catalog()).schedules.get(ScheduleId(key)) if key is not None else None
    return OnCallSchedule.of(found) if found is not None else None


@reads(Role.VIEWER)
async def on_call_schedules(info: Info, first: First = UNSET, after: After = UNSET) -> OnCallScheduleConnection:
    """Return a page of schedules, by name."""
    found = (await info.context.catalog()).schedules.values()
    as_of = await info.context.reading.as_of()
    return OnCallScheduleConnection.of(
        listed(found, lambda schedule: schedule.name, page_of(first, after, None, None), as_of)
    )


@writes(Role.ADMIN)
async def create_on_call_schedule(
    info: Info, input: Annotated[OnCallScheduleInput, strawberry.argument(description="What.")]
) -> OnCallSchedulePayload:
    """Make a schedule."""
    context = info.context
    try:
        schedule = await context.services.schedules.create(
            context.principal,
            name=input.name,
            time_zone=input.time_zone,
            rotations=_rotations(input.rotations),
            calendar=input.calendar,
            idempotency_key=input.idempotency_key,
        )
    except RefusedError as error:
        return OnCallSchedulePayload.refused(error)
    return OnCallSchedulePayload.done(schedule)


@writes(Role.ADMIN)
async def update_on_call_schedule(
    info: Info, input: Annotated[UpdateOnCallScheduleInput, strawberry.argument(description="What.")]
) -> OnCallSchedulePayload:
    """Change a schedule."""
    context = info.context
    try:
        rotations = patched(input.rotations, "rotations")
        schedule = await context.services.schedules.update(
            context.principal,
            schedule_id_of(input.id, "id"),
            name=patched(input.name, "name"),
            time_zone=patched(input.time_zone, "timeZone"),
            rotations=rotations if isinstance(rotations, Unset) else _rotations(rotations),
            calendar=patched(input.calendar, "calendar"),
            expected_version=input.expected_version,
        )
    except RefusedError as error:
        return OnCallSchedulePayload.refused(error)
    return OnCallSchedulePayload.done(schedule)


@writes(Role.ADMIN)
async def delete_on_call_schedule(
    info: Info, input: Annotated[DeleteInput, strawberry.argument(description="What.")]
) -> DeletePayload:
    """Delete a schedule."""
    context = info.context
    try:
        await context.services.schedules.delete(
            context.principal, schedule_id_of(input.id, "id"), expected_version=input.expected_version
        )
    except RefusedError as error:
        return DeletePayload(deleted_id=None, errors=errors_of(error))
    return DeletePayload(deleted_id=input.id, errors=[])


@writes(Role.RESPONDER)
async def override_shift(
    info: Info, input: Annotated[OverrideShiftInput, strawberry.argument(description="What.")]
) -> OnCallSchedulePayload:
    """Put somebody else on call for a while."""
    context = info.context
    try:
        override = await context.services.schedules.override_shift(
            context.principal,
            schedule_id_of(input.schedule_id, "scheduleId"),
            responder_id_of(input.responder_id, "responderId"),
            starts_at=input.starts_at,
            ends_at=input.ends_at,
            idempotency_key=input.idempotency_key,
        )
    except RefusedError as error:
        return OnCallSchedulePayload.refused(error)
    catalog = await context.catalog()
    # Either may have been deleted since by somebody else.
    schedule = catalog.schedules.get(override.schedule_id)
    who = catalog.responders.get(override.responder_id)
    return OnCallSchedulePayload(
        on_call_schedule=OnCallSchedule.of(schedule) if schedule is not None else None,
        override=ShiftOverride.of(override, Responder.of(who)) if who is not None else None,
        errors=[],
    )


@writes(Role.RESPONDER)
async def delete_shift_override(
    info: Info, input: Annotated[DeleteInput, strawberry.argument(description="What.")]
) -> DeletePayload:
    """Take an override back."""
    context = info.context
    key = decode_key(input.id, NodeKind.OVERRIDE)
    try:
        if key is None:
            raise unknown("override", "id")
        await context.services.schedules.delete_override(
            context.principal, OverrideId(key), expected_version=input.expected_version
        )
    except RefusedError as error:
        return DeletePayload(deleted_id=None, errors=errors_of(error))
    return DeletePayload(deleted_id=input.id, errors=[])
