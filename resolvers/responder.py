"""People who can be notified: read, added, changed, removed."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Self, TypeAlias

import strawberry
from strawberry import Maybe

from alertgraph.core import responder as core
from alertgraph.core.action import Unset
from alertgraph.core.catalog import Catalog
from alertgraph.core.errors import InputError, RefusedError
from alertgraph.core.ids import NodeKind, ResponderId, decode_key, encode_id
from alertgraph.core.query import Page
from alertgraph.services.responders import ContactWish
from alertgraph.services.schedules import shifts_of, span_of_overrides
from resolvers.channel import NotificationChannel, channel_id_of
from resolvers.context import Info
from resolvers.deletion import DeleteInput, DeletePayload
from resolvers.errors import MutationError, errors_of, unknown
from resolvers.fields import computed
from resolvers.paging import UNSET, After, First, Node, PageInfo, Which, listed, page_of
from resolvers.patch import cleared, patched
from resolvers.permissions import reads, writes
from resolvers.relations import relation
from resolvers.scalars import Long
from resolvers.words import Role

if TYPE_CHECKING:
    from resolvers.schedule import Shift

SHIFTS_SPAN_MAX = timedelta(days=100)

Since: TypeAlias = Annotated[datetime, strawberry.argument(description="From.")]
Until: TypeAlias = Annotated[datetime, strawberry.argument(description="To.")]


@strawberry.type(description="One way to reach a person.")
class ContactMethod:
    """One way to reach a person."""

    channel: NotificationChannel = strawberry.field(description="Over which channel.", metadata={"cost": 0})
    address: str = strawberry.field(description="Address on that channel, such as a Slack user id.")
    delay: timedelta = strawberry.field(description="Used this long after the first.")


async def emails(info: Info, keys: Sequence[core.Responder]) -> Mapping[core.Responder, str]:
    """Return the addresses of people who have one that can be read, for whoever may read it."""
    principal, people = info.context.principal, info.context.services.responders
    if principal.role < Role.RESPONDER:
        return {}
    found = {key: await people.email(principal, key) for key in keys}
    return {key: email for key, email in found.items() if email is not None}


async def contact_methods_together(
    info: Info, keys: Sequence[core.Responder]
) -> Mapping[core.Responder, list[ContactMethod]]:
    """Return how to reach people, for whoever may know; an address that was made unreadable is empty."""
    context = info.context
    if context.principal.role < Role.RESPONDER:
        return {}
    channels = (await context.catalog()).channels
    return {
        key: [
            ContactMethod(
                channel=NotificationChannel.of(channels[method.channel_id]), address=address, delay=method.delay
            )
            for method, address in zip(
                key.contact_methods,
                await context.services.responders.addresses(context.principal, key),
                strict=True,
            )
            if method.channel_id in channels
        ]
        for key in keys
    }


async def shifts_by_responder(
    info: Info, keys: Sequence[core.Responder], since: datetime, until: datetime
) -> "Mapping[core.Responder, list[Shift]]":
    """Return when people are on call, on all schedules, by begin."""
    # Here, since shifts know people and people their shifts.
    from resolvers.schedule import Shift

    check_span(since, until)
    schedules = tuple((await info.context.catalog()).schedules.values())
    overrides = await info.context.loaders.overrides.load(span_of_overrides(schedules, since, until))
    return {
        key: [
            Shift.of(shift, schedule, Responder.of(key), overrides)
            for schedule, shift in shifts_of(schedules, overrides, key.id, since, until)
        ]
        for key in keys
    }


async def calendars_by_responder(info: Info, keys: Sequence[ResponderId]) -> Mapping[ResponderId, str]:
    """Return the addresses of people's feeds, for whoever may have them."""
    principal, calendars = info.context.principal, info.context.services.calendars
    return {
        key: calendars.url(principal.tenant.id, NodeKind.RESPONDER, key)
        for key in keys
        if principal.role >= Role.ADMIN or principal.responder_id == key
    }


@strawberry.type(description="A person who can be notified.")
class Responder(Node):
    """A person; what is personal is opened only where it is asked for, by who may read it."""

    kept: strawberry.Private[core.Responder]
    id: strawberry.ID = strawberry.field(description="Opaque.")
    name: str = strawberry.field(description="Name for people.")
    time_zone: str = strawberry.field(description="IANA zone, such as Europe/Berlin.")
    version: Long = strawberry.field(description="See the rules at the top.")

    @computed("Null below RESPONDER.", batch=relation(attrgetter("kept"), emails))
    @reads(Role.VIEWER)
    async def email(self, info: Info) -> str | None:
        """Return the address; None also where it was made unreadable."""
        return (await emails(info, [self.kept])).get(self.kept)

    @computed(
        "How to reach them, in order; empty below RESPONDER.",
        cost=0,
        page_size_default=5,
        batch=relation(attrgetter("kept"), contact_methods_together, missing=list),
    )
    @reads(Role.VIEWER)
    async def contact_methods(self, info: Info) -> list[ContactMethod]:
        """Return how to reach the person; an address that was made unreadable is empty."""
        return (await contact_methods_together(info, [self.kept])).get(self.kept, [])

    @computed("When they are on call; at most 100 days.", batch=relation(attrgetter("kept"), shifts_by_responder))
    @reads(Role.VIEWER)
    async def shifts(
        self, info: Info, since: Since, until: Until
    ) -> list[Annotated["Shift", strawberry.lazy("resolvers.schedule")]]:
        """Return the person's shifts on all schedules, by begin."""
        return (await shifts_by_responder(info, [self.kept], since, until))[self.kept]

    @computed(
        "Address of an iCalendar feed, with a token of its own; null but for the person and ADMIN.",
        personal=True,
        batch=relation(attrgetter("kept.id"), calendars_by_responder),
    )
    @reads(Role.VIEWER)
    async def calendar_url(self, info: Info) -> str | None:
        """Return the address of the feed."""
        return (await calendars_by_responder(info, [self.kept.id])).get(self.kept.id)

    @classmethod
    def of(cls, responder: core.Responder) -> Self:
        """Return a person as the API shows them."""
        return cls(
            kept=responder,
            id=strawberry.ID(encode_id(NodeKind.RESPONDER, responder.id)),
            name=responder.name,
            time_zone=responder.time_zone,
            version=Long(responder.version),
        )


def responders_of(catalog: Catalog, ids: Iterable[ResponderId]) -> list[Responder]:
    """Return the people with these ids, in order; one that is gone is left out."""
    return [Responder.of(catalog.responders[key]) for key in ids if key in catalog.responders]


async def people_together(
    info: Info, keys: Sequence[tuple[ResponderId, ...]]
) -> Mapping[tuple[ResponderId, ...], list[Responder]]:
    """Return the people of several groups, each in order; one who is gone is left out."""
    catalog = await info.context.catalog()
    return {key: responders_of(catalog, key) for key in keys}


def check_span(since: datetime, until: datetime) -> None:
    """Let a span of time pass for which shifts are told.

    Raises:
        InputError: It is empty or longer than 100 days.
    """
    if until <= since:
        raise InputError("until is not after since.", "until")
    if until - since > SHIFTS_SPAN_MAX:
        raise InputError(f"Shifts are told of at most {SHIFTS_SPAN_MAX.days} days at once.", "until")


@strawberry.type(description="One of a page of responders.")
class ResponderEdge:
    """One of a page of responders."""

    cursor: str = strawberry.field(description="Its place in this list.")
    node: Responder = strawberry.field(description="The thing.")


@strawberry.type(description="A page of responders.")
class ResponderConnection:
    """A page of responders."""

    edges: list[ResponderEdge] = strawberry.field(description="With cursors.")
    nodes: list[Responder] = strawberry.field(description="Without cursors.")
    page_info: PageInfo = strawberry.field(description="Where the page lies.", metadata={"cost": 0})
    total_count: int = strawberry.field(description="How many there are in all pages.")

    @classmethod
    def of(cls, page: Page[core.Responder]) -> Self:
        """Return a page of people as the API shows it."""
        assert page.total_count is not None, "configuration lists are always counted"
        edges = [ResponderEdge(cursor=cursor, node=Responder.of(found)) for cursor, found in page.items]
        return cls(
            edges=edges,
            nodes=[edge.node for edge in edges],
            page_info=PageInfo.of(page),
            total_count=page.total_count,
        )


@strawberry.input(description="One way to reach a person.")
class ContactMethodInput:
    """One way to reach a person."""

    channel_id: strawberry.ID = strawberry.field(description="Over which channel.")
    address: str = strawberry.field(
        default="", description="Address on that channel; empty for the channel's own."
    )
    delay: timedelta = strawberry.field(default=timedelta(0), description="This long after the first.")


@strawberry.input(description="A new person.")
class ResponderInput:
    """A new person."""

    name: str = strawberry.field(description="Name for people.")
    email: str | None = strawberry.field(description="Also links OIDC logins.")
    time_zone: str = strawberry.field(default="UTC", description="IANA zone.")
    contact_methods: list[ContactMethodInput] = strawberry.field(default_factory=list, description="In order.")
    idempotency_key: str | None = strawberry.field(description="See the rules at the top.")


@strawberry.input(description="A patch.")
class UpdateResponderInput:
    """A patch of a person."""

    id: strawberry.ID = strawberry.field(description="Which.")
    expected_version: Long | None = strawberry.field(description="Refuse where it changed since.")
    name: Maybe[str | None] = strawberry.field(description="Name.")
    email: Maybe[str | None] = strawberry.field(description="Null clears it.")
    time_zone: Maybe[str | None] = strawberry.field(description="IANA zone.")
    contact_methods: Maybe[list[ContactMethodInput] | None] = strawberry.field(description="Replaces.")


@strawberry.type(description="Answer.")
class ResponderPayload:
    """What became of a person."""

    responder: Responder | None = strawberry.field(description="Null where refused.")
    errors: list[MutationError] = strawberry.field(
        description="What the caller can mend; empty on success.", metadata={"cost": 0}
    )


def responder_id_of(text: str, *path: str) -> ResponderId:
    """Return the person that an id names.

    Raises:
        NotFoundError: It is no person's id.
    """
    key = decode_key(text, NodeKind.RESPONDER)
    if key is None:
        raise unknown("responder", *path)
    return ResponderId(key)


def _contacts(inputs: Sequence[ContactMethodInput]) -> tuple[ContactWish, ...]:
    return tuple(
        ContactWish(
            channel_id_of(given.channel_id, "contactMethods", str(index), "channelId"),
            given.address,
            given.delay,
        )
        for index, given in enumerate(inputs)
    )


@reads(Role.VIEWER)
async def responder(info: Info, id: Which) -> Responder | None:
    """Return a person; None where there is none with that id."""
    key = decode_key(id, NodeKind.RESPONDER)
    found = (await info.context.catalog()).responders.get(ResponderId(key)) if key is not None else None
    return Responder.of(found) if found is not None else None


@reads(Role.VIEWER)
async def responders(info: Info, first: First = UNSET, after: After = UNSET) -> ResponderConnection:
    """Return a page of people, by name."""
    found = (await info.context.catalog()).responders.values()
    as_of = await info.context.reading.as_of()
    return ResponderConnection.of(
        listed(found, lambda responder: responder.name, page_of(first, after, None, None), as_of)
    )


@writes(Role.ADMIN)
async def create_responder(
    info: Info, input: Annotated[ResponderInput, strawberry.argument(description="What.")]
) -> ResponderPayload:
    """Add a person."""
    context = info.context
    try:
        made = await context.services.responders.create(
            context.principal,
            name=input.name,
            email=input.email,
            time_zone=input.time_zone,
            contact_methods=_contacts(input.contact_methods),
            idempotency_key=input.idempotency_key,
        )
    except RefusedError as error:
        return ResponderPayload(responder=None, errors=errors_of(error))
    return ResponderPayload(responder=Responder.of(made), errors=[])


@writes(Role.VIEWER)
async def update_responder(
    info: Info, input: Annotated[UpdateResponderInput, strawberry.argument(description="What.")]
) -> ResponderPayload:
    """Change a person: ADMIN, or the person."""
    context = info.context
    try:
        contacts = patched(input.contact_methods, "contactMethods")
        changed = await context.services.responders.update(
            context.principal,
            responder_id_of(input.id, "id"),
            name=patched(input.name, "name"),
            email=cleared(input.email),
            time_zone=patched(input.time_zone, "timeZone"),
            contact_methods=contacts if isinstance(contacts, Unset) else _contacts(contacts),
            expected_version=input.expected_version,
        )
    except RefusedError as error:
        return ResponderPayload(responder=None, errors=errors_of(error))
    return ResponderPayload(responder=Responder.of(changed), errors=[])


@writes(Role.ADMIN)
async def delete_responder(
    info: Info, input: Annotated[DeleteInput, strawberry.argument(description="What.")]
) -> DeletePayload:
    """Remove a person."""
    context = info.context
    try:
        await context.services.responders.delete(
            context.principal, responder_id_of(input.id, "id"), expected_version=input.expected_version
        )
    except RefusedError as error:
        return DeletePayload(deleted_id=None, errors=errors_of(error))
    return DeletePayload(deleted_id=input.id, errors=[])
