"""What can be followed: services yield, and each event's fields are resolved in a context of its own."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta
from typing import Annotated, Self, TypeAlias, cast

import strawberry

from alertgraph.core import query
from alertgraph.core.tenant import Role
from alertgraph.execution.sharing import Standstill
from alertgraph.services.streams import Place, StreamBatch
from resolvers.context import Info
from resolvers.event import EventFilter, LogEvent, cursor_of
from resolvers.metrics import AlertMetrics, MetricsFilter, filter_of
from resolvers.paging import UNSET, given
from resolvers.permissions import follows
from resolvers.scalars import Cursor

BATCH_LENGTH_MAX = 100

Wanted: TypeAlias = Annotated[EventFilter | None, strawberry.argument(description="Which.")]
From: TypeAlias = Annotated[
    Cursor | None,
    strawberry.argument(description="From behind this position; from now where left out."),
]


@strawberry.type(description="Some events in commit order, and how far the stream has come.")
class LogEventBatch:
    """Some events in commit order, and how far the stream has come."""

    events: list[LogEvent] = strawberry.field(
        description="0 to 100 events; empty as a sign of life, at least every 15 seconds.",
        metadata={"page_size_default": BATCH_LENGTH_MAX},
    )
    cursor: Cursor = strawberry.field(
        description="Everything that matches up to here has been sent; resume from it."
    )
    live: bool = strawberry.field(description="False while catching up from `after`.")

    @property
    def resume_cursor(self) -> str:
        """Where a stream goes on behind this batch."""
        return self.cursor

    @classmethod
    def of(cls, batch: StreamBatch) -> Self:
        """Return a batch as the API shows it."""
        epoch = batch.cursor.log_epoch
        return cls(
            events=[LogEvent.of(stored, cursor_of(stored, epoch)) for stored in batch.events],
            cursor=Cursor(batch.cursor.encode()),
            live=batch.live,
        )


async def _steps(
    info: Info, filter: EventFilter | None, after: Cursor | None
) -> AsyncGenerator[StreamBatch | Standstill, None]:
    context = info.context
    wanted = given(filter)
    steps = context.services.streams.steps(
        context.principal,
        wanted.to_core("filter") if wanted is not None else query.EventFilter(),
        given(after),
    )
    # Closed at once when the client leaves, so that the service forgets it.
    async with aclosing(steps):
        async for step in steps:
            yield _standstill(step) if isinstance(step, Place) else step


def _standstill(place: Place) -> Standstill:
    """Return the place where an equal subscription may take over."""
    cursor = place.cursor.encode()
    return Standstill(place.feed, place.number, cursor, place.is_live, place.hold, place.release)


@follows(Role.VIEWER)
async def alert_events(info: Info, filter: Wanted = UNSET, after: From = UNSET) -> AsyncGenerator[LogEvent, None]:
    """Yield every event that the caller may see, one by one; a Standstill is for the executor, and no event."""
    async with aclosing(_steps(info, filter, after)) as steps:
        async for step in steps:
            if isinstance(step, Standstill):
                yield cast("LogEvent", step)
                continue
            for stored in step.events:
                yield LogEvent.of(stored, cursor_of(stored, step.cursor.log_epoch))


@follows(Role.VIEWER)
async def alert_event_batches(
    info: Info, filter: Wanted = UNSET, after: From = UNSET
) -> AsyncGenerator[LogEventBatch, None]:
    """Yield the same in batches, with signs of life; a Standstill is for the executor, and no batch."""
    async with aclosing(_steps(info, filter, after)) as steps:
        async for step in steps:
            yield cast("LogEventBatch", step) if isinstance(step, Standstill) else LogEventBatch.of(step)


@follows(Role.VIEWER)
async def alert_metrics(
    info: Info,
    window: Annotated[timedelta, strawberry.argument(description="At most P7D.")] = timedelta(hours=1),
    every: Annotated[timedelta, strawberry.argument(description="The shortest time between two.")] = timedelta(
        seconds=5
    ),
    filter: Annotated[MetricsFilter | None, strawberry.argument(description="Of which alerts.")] = UNSET,
) -> AsyncGenerator[AlertMetrics, None]:
    """Yield the figures of the last `window`, again whenever they change; a Standstill is for the executor."""
    context = info.context
    severities, services = filter_of(filter)
    steps = context.services.metrics_feed.steps(context.principal, window, every, severities, services)
    async with aclosing(steps):
        async for step in steps:
            figures = step.figures
            if step.is_new:
                yield AlertMetrics.of(figures.window, figures)
            # Who has these figures, and waited long enough, may be told of the next together with all others.
            yield cast("AlertMetrics", Standstill(figures.feed, figures.version, None, is_live=step.is_due))
