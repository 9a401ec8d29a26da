"""Silences: read, tried, made, changed, ended."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Self, TypeAlias

import strawberry
from strawberry import Maybe

from alertgraph.core import silence as core
from alertgraph.core.action import Unset
from alertgraph.core.errors import InputError, RefusedError
from alertgraph.core.ids import NodeKind, SilenceId, decode_key, encode_id
from alertgraph.core.labels import Matcher
from alertgraph.core.query import PAGE_SIZE_MAX, Page
from resolvers.actor import Actor
from resolvers.alert import CriticalAlert
from resolvers.context import Info
from resolvers.deletion import DeleteInput
from resolvers.errors import MutationError, errors_of, unknown
from resolvers.fields import computed
from resolvers.matcher import LabelMatcher, LabelMatcherInput, matchers_of
from resolvers.paging import UNSET, After, First, Node, PageInfo, Which, given, page_of
from resolvers.patch import cleared, patched
from resolvers.permissions import reads, writes
from resolvers.relations import relation
from resolvers.scalars import Long
from resolvers.words import Role, SilenceState

PREVIEW_SPAN = timedelta(days=7)


Matchers: TypeAlias = tuple[Matcher, ...]


def active_matchers(silence: "Silence") -> Matchers | None:
    """Return what a silence covers; None while it covers nothing."""
    return silence.kept.matchers if silence.state is SilenceState.ACTIVE else None


async def matched_counts(info: Info, keys: Sequence[Matchers]) -> Mapping[Matchers, int]:
    """Return how many open alerts that the caller may see match."""
    matching = info.context.loaders.matching_count
    return {key: await matching.load((key, None)) for key in keys}


@strawberry.type(
    description=("A person's order not to page for some alerts: once, or again and again as a maintenance window.")
)
class Silence(Node):
    """A person's order not to page for some alerts."""

    kept: strawberry.Private[core.Silence]
    id: strawberry.ID = strawberry.field(description="Opaque.")
    matchers: list[LabelMatcher] = strawberry.field(description="All must hold.", metadata={"cost": 0})
    starts_at: datetime = strawberry.field(description="Begin of the first window.")
    ends_at: datetime = strawberry.field(description="End of the first window.")
    recurrence: str | None = strawberry.field(description="RRULE (RFC 5545) by which the window comes again.")
    time_zone: str = strawberry.field(description="Zone of the recurrence's wall clock, such as Europe/Berlin.")
    end_on_resolve: bool = strawberry.field(description="Ends early, when the last alert under it is resolved.")
    comment: str = strawberry.field(description="Why.")
    created_by: Actor = strawberry.field(description="Who.", metadata={"cost": 0})
    state: SilenceState = strawberry.field(description="Where it stands.")
    version: Long = strawberry.field(description="See the rules at the top.")

    @computed(
        "How many open alerts it covers now.",
        cost=5,
        batch=relation(active_matchers, matched_counts, missing=int),
    )
    @reads(Role.VIEWER)
    async def matched_count(self, info: Info) -> int:
        """Return how many open alerts that the caller may see it covers; 10,000 stands for that many or more."""
        key = active_matchers(self)
        return (await matched_counts(info, [key]))[key] if key is not None else 0

    @classmethod
    def of(cls, silence: core.Silence, now: datetime) -> Self:
        """Return a silence as the API shows it, with its state as of `now`."""
        return cls(
            kept=silence,
            id=strawberry.ID(encode_id(NodeKind.SILENCE, silence.id)),
            matchers=[LabelMatcher.of(matcher) for matcher in silence.matchers],
            starts_at=silence.starts_at,
            ends_at=silence.ends_at,
            recurrence=silence.recurrence,
            time_zone=silence.time_zone,
            end_on_resolve=silence.end_on_resolve,
            comment=silence.comment,
            created_by=Actor.of(silence.created_by),
            state=core.state_at(silence, now),
            version=Long(silence.version),
        )


@strawberry.type(description="One of a page of silences.")
class SilenceEdge:
    """One of a page of silences."""

    cursor: str = strawberry.field(description="Its place in this list.")
    node: Silence = strawberry.field(description="The thing.")


@strawberry.type(description="A page of silences.")
class SilenceConnection:
    """A page of silences."""

    edges: list[SilenceEdge] = strawberry.field(description="With cursors.")
    nodes: list[Silence] = strawberry.field(description="Without cursors.")
    page_info: PageInfo = strawberry.field(description="Where the page lies.", metadata={"cost": 0})
    total_count: int = strawberry.field(description="How many there are in all pages.")

    @classmethod
    def of(cls, page: Page[core.Silence], now: datetime) -> Self:
        """Return a page of silences as the API shows it."""
        assert page.total_count is not None, "configuration lists are always counted"
        edges = [SilenceEdge(cursor=cursor, node=Silence.of(silence, now)) for cursor, silence in page.items]
        return cls(
            edges=edges,
            nodes=[edge.node for edge in edges],
            page_info=PageInfo.of(page),
            total_count=page.total_count,
        )


@strawberry.type(description="What a silence would do.")
class SilencePreview:
    """What a silence would do; each half is read only where it is asked for."""

    wanted: strawberry.Private[tuple[Matcher, ...]]

    @computed("Open alerts it would cover now.", cost=5)
    @reads(Role.VIEWER)
    async def open_count(self, info: Info) -> int:
        """Return how many open alerts match; 10,000 stands for that many or more."""
        return await info.context.loaders.matching_count.load((self.wanted, None))

    @computed("Alerts of the last 7 days it would have covered; 10,000 stands for that many or more.", cost=10)
    @reads(Role.VIEWER)
    async def last_week_count(self, info: Info) -> int:
        """Return how many alerts of the last week match, open and closed."""
        since = info.context.reading.now - PREVIEW_SPAN
        return await info.context.loaders.matching_count.load((self.wanted, since))

    @computed("Some of the open ones, worst first.")
    @reads(Role.VIEWER)
    async def alerts(
        self, info: Info, first: Annotated[int, strawberry.argument(description="1 to 100.")] = 20
    ) -> list[CriticalAlert]:
        """Return some of the open alerts that match."""
        if not 1 <= first <= PAGE_SIZE_MAX:
            raise InputError(f"first is 1 to {PAGE_SIZE_MAX}; this is {first}.", "first")
        found = await info.context.loaders.matching.load(self.wanted)
        return [CriticalAlert.of(alert, info.context.reading.now) for alert in found[:first]]


# ------------------------------------------------------------------------------------------ input


@strawberry.input(description="A new silence.")
class SilenceInput:
    """A new silence."""

    matchers: list[LabelMatcherInput] = strawberry.field(
        description="At least one; not all may match the empty text."
    )
    starts_at: datetime | None = strawberry.field(description="Now where left out.")
    ends_at: datetime = strawberry.field(description="At most a year after the start.")
    recurrence: str | None = strawberry.field(description="RRULE.")
    time_zone: str = strawberry.field(default="UTC", description="Zone of the recurrence.")
    end_on_resolve: bool = strawberry.field(default=False, description="Ends early, with the last alert under it.")
    comment: str = strawberry.field(description="Why.")
    idempotency_key: str | None = strawberry.field(description="See the rules at the top.")


@strawberry.input(description="A patch of a silence that is not over.")
class UpdateSilenceInput:
    """A patch of a silence that is not over."""

    id: strawberry.ID = strawberry.field(description="Which.")
    expected_version: Long | None = strawberry.field(description="Refuse where it changed since.")
    matchers: Maybe[list[LabelMatcherInput] | None] = strawberry.field(description="Replaces.")
    starts_at: Maybe[datetime | None] = strawberry.field(description="Begin.")
    ends_at: Maybe[datetime | None] = strawberry.field(description="End.")
    recurrence: Maybe[str | None] = strawberry.field(description="Null for once.")
    time_zone: Maybe[str | None] = strawberry.field(description="Zone.")
    end_on_resolve: Maybe[bool | None] = strawberry.field(description="See Silence.")
    comment: Maybe[str | None] = strawberry.field(description="Why.")


@strawberry.type(description="Answer.")
class SilencePayload:
    """What became of a silence."""

    silence: Silence | None = strawberry.field(
        description="Null where refused; matchedCount tells what it covers now."
    )
    errors: list[MutationError] = strawberry.field(
        description="What the caller can mend; empty on success.", metadata={"cost": 0}
    )

    @classmethod
    async def done(cls, silence: core.Silence, info: Info) -> Self:
        """Return the answer to what was done with a silence, as it stands once that is done."""
        await info.context.renew()
        return cls(silence=Silence.of(silence, info.context.reading.now), errors=[])

    @classmethod
    def refused(cls, error: RefusedError) -> Self:
        """Return the answer to what was refused."""
        return cls(silence=None, errors=errors_of(error))


def _silence_id_of(text: str) -> SilenceId:
    key = decode_key(text, NodeKind.SILENCE)
    if key is None:
        raise unknown("silence", "id")
    return SilenceId(key)


# -------------------------------------------------------------------------------------- resolvers


@reads(Role.VIEWER)
async def silence(info: Info, id: Which) -> Silence | None:
    """Return a silence, also one that is over; None where there is none with that id."""
    key = decode_key(id, NodeKind.SILENCE)
    found = await info.context.loaders.silence.load(SilenceId(key)) if key is not None else None
    return Silence.of(found, info.context.reading.now) if found is not None else None


@reads(Role.VIEWER)
async def silences(
    info: Info,
    state: Annotated[list[SilenceState] | None, strawberry.argument(description="Which.")] = UNSET,
    first: First = UNSET,
    after: After = UNSET,
) -> SilenceConnection:
    """Return a page of silences, latest end first."""
    reading = info.context.reading
    states = given(state)
    page = await reading.silence_page(
        page_of(first, after, None, None), frozenset(states) if states is not None else None
    )
    return SilenceConnection.of(page, reading.now)


@reads(Role.VIEWER)
async def silence_preview(
    info: Info,  # noqa: ARG001  (by it is known who asks)
    matchers: Annotated[list[LabelMatcherInput], strawberry.argument(description="All must hold; at least one.")],
) -> SilencePreview:
    """Return what a silence with these matchers would cover."""
    wanted = matchers_of(matchers, "matchers")
    core.check_silence_matchers(wanted)
    return SilencePreview(wanted=wanted)


@writes(Role.RESPONDER)
async def create_silence(
    info: Info, input: Annotated[SilenceInput, strawberry.argument(description="What.")]
) -> SilencePayload:
    """Make a silence."""
    context = info.context
    try:
        made = await context.services.silences.create(
            context.principal,
            matchers=matchers_of(input.matchers, "matchers"),
            starts_at=input.starts_at,
            ends_at=input.ends_at,
            recurrence=input.recurrence,
            time_zone=input.time_zone,
            end_on_resolve=input.end_on_resolve,
            comment=input.comment,
            idempotency_key=input.idempotency_key,
        )
    except RefusedError as error:
        return SilencePayload.refused(error)
    return await SilencePayload.done(made, info)


@writes(Role.RESPONDER)
async def update_silence(
    info: Info, input: Annotated[UpdateSilenceInput, strawberry.argument(description="What.")]
) -> SilencePayload:
    """Change a silence."""
    context = info.context
    try:
        matchers = patched(input.matchers, "matchers")
        changed = await context.services.silences.update(
            context.principal,
            _silence_id_of(input.id),
            matchers=matchers if isinstance(matchers, Unset) else matchers_of(matchers, "matchers"),
            starts_at=patched(input.starts_at, "startsAt"),
            ends_at=patched(input.ends_at, "endsAt"),
            recurrence=cleared(input.recurrence),
            time_zone=patched(input.time_zone, "timeZone"),
            end_on_resolve=patched(input.end_on_resolve, "endOnResolve"),
            comment=patched(input.comment, "comment"),
            expected_version=input.expected_version,
        )
    except RefusedError as error:
        return SilencePayload.refused(error)
    return await SilencePayload.done(changed, info)


@writes(Role.RESPONDER)
async def expire_silence(
    info: Info, input: Annotated[DeleteInput, strawberry.argument(description="What.")]
) -> SilencePayload:
    """End a silence now."""
    context = info.context
    try:
        ended = await context.services.silences.expire(
            context.principal, _silence_id_of(input.id), expected_version=input.expected_version
        )
    except RefusedError as error:
        return SilencePayload.refused(error)
    return await SilencePayload.done(ended, info)
