"""Saved views: named filters, for one person or for all."""

import dataclasses
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Self

import strawberry
from strawberry import Maybe
from strawberry.utils.str_converters import to_camel_case

from alertgraph.core import tenant as core
from alertgraph.core.action import UNSET as LEFT_OUT
from alertgraph.core.action import Unset
from alertgraph.core.errors import RefusedError
from alertgraph.core.ids import NodeKind, SavedViewId, decode_id, encode_id
from alertgraph.core.query import Page
from resolvers.actor import Actor
from resolvers.alert import AlertFilter, AlertOrder
from resolvers.context import Info
from resolvers.deletion import DeleteInput, DeletePayload
from resolvers.errors import MutationError, errors_of, unknown
from resolvers.paging import UNSET, After, First, Node, PageInfo, page_of
from resolvers.patch import cleared, patched
from resolvers.permissions import reads, writes
from resolvers.scalars import JSON, Long, instant_text
from resolvers.words import Role


@strawberry.type(description="A named filter, for one person or for all.")
class SavedView(Node):
    """A named filter."""

    id: strawberry.ID = strawberry.field(description="Opaque.")
    name: str = strawberry.field(description="Name for people.")
    filter: JSON = strawberry.field(description="Shaped as AlertFilter; pass it back as that variable.")
    order_by: JSON | None = strawberry.field(description="Shaped as AlertOrder.")
    shared: bool = strawberry.field(description="Whether everybody in the tenant sees it.")
    owner: Actor = strawberry.field(description="Whose it is.", metadata={"cost": 0})
    version: Long = strawberry.field(description="See the rules at the top.")

    @classmethod
    def of(cls, view: core.SavedView) -> Self:
        """Return a view as the API shows it."""
        return cls(
            id=strawberry.ID(encode_id(NodeKind.SAVED_VIEW, view.id)),
            name=view.name,
            filter=JSON(view.filter),
            order_by=JSON(view.order_by) if view.order_by is not None else None,
            shared=view.shared,
            owner=Actor.of(view.owner),
            version=Long(view.version),
        )


@strawberry.type(description="One of a page of saved views.")
class SavedViewEdge:
    """One of a page of saved views."""

    cursor: str = strawberry.field(description="Its place in this list.")
    node: SavedView = strawberry.field(description="The thing.")


@strawberry.type(description="A page of saved views.")
class SavedViewConnection:
    """A page of saved views."""

    edges: list[SavedViewEdge] = strawberry.field(description="With cursors.")
    nodes: list[SavedView] = strawberry.field(description="Without cursors.")
    page_info: PageInfo = strawberry.field(description="Where the page lies.", metadata={"cost": 0})
    total_count: int = strawberry.field(description="How many there are in all pages.")

    @classmethod
    def of(cls, page: Page[core.SavedView]) -> Self:
        """Return a page of views as the API shows it."""
        assert page.total_count is not None, "configuration lists are always counted"
        edges = [SavedViewEdge(cursor=cursor, node=SavedView.of(view)) for cursor, view in page.items]
        return cls(
            edges=edges,
            nodes=[edge.node for edge in edges],
            page_info=PageInfo.of(page),
            total_count=page.total_count,
        )


@strawberry.input(description="A new view.")
class SavedViewInput:
    """A new view."""

    name: str = strawberry.field(description="Name for people.")
    filter: AlertFilter = strawberry.field(description="Which alerts.")
    order_by: AlertOrder | None = strawberry.field(description="In which order.")
    shared: bool = strawberry.field(default=False, description="For everybody; needs RESPONDER.")
    idempotency_key: str | None = strawberry.field(description="See the rules at the top.")


@strawberry.input(description="A patch of an own view; of a shared one, needs RESPONDER.")
class UpdateSavedViewInput:
    """A patch of a view."""

    id: strawberry.ID = strawberry.field(description="Which.")
    expected_version: Long | None = strawberry.field(description="Refuse where it changed since.")
    name: Maybe[str | None] = strawberry.field(description="Name.")
    filter: Maybe[AlertFilter | None] = strawberry.field(description="Replaces.")
    order_by: Maybe[AlertOrder | None] = strawberry.field(description="Replaces.")
    shared: Maybe[bool | None] = strawberry.field(description="For everybody.")


@strawberry.type(description="Answer.")
class SavedViewPayload:
    """What became of a view."""

    saved_view: SavedView | None = strawberry.field(description="Null where refused.")
    errors: list[MutationError] = strawberry.field(
        description="What the caller can mend; empty on success.", metadata={"cost": 0}
    )


def as_json(value: object) -> Any:
    """Return an input object as the JSON that a variable of its type would be sent as.

    Fields that are null are left out: in a filter they ask for nothing.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            to_camel_case(field.name): as_json(item)
            for field in dataclasses.fields(value)
            if (item := getattr(value, field.name)) is not None
        }
    if isinstance(value, list):
        return [as_json(item) for item in value]
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, datetime):
        return instant_text(value)
    return value


def _filter_json(wanted: AlertFilter) -> dict[str, Any]:
    """Return a filter to be kept, once it is known that it can be used."""
    wanted.to_core("filter")
    kept: dict[str, Any] = as_json(wanted)
    return kept


def _view_id(text: str) -> SavedViewId:
    decoded = decode_id(text)
    if decoded is None or decoded[0] is not NodeKind.SAVED_VIEW:
        raise unknown("view", "id")
    return SavedViewId(decoded[1])  # type: ignore[arg-type]  # only the id of an event holds anything but a UUID


@reads(Role.VIEWER)
async def saved_views(info: Info, first: First = UNSET, after: After = UNSET) -> SavedViewConnection:
    """Return a page of the caller's views and the shared ones, by name."""
    return SavedViewConnection.of(await info.context.reading.saved_view_page(page_of(first, after, None, None)))


@writes(Role.VIEWER)
async def create_saved_view(
    info: Info, input: Annotated[SavedViewInput, strawberry.argument(description="What.")]
) -> SavedViewPayload:
    """Save a view."""
    context = info.context
    try:
        view = await context.services.configuration.create_saved_view(
            context.principal,
            name=input.name,
            filter=_filter_json(input.filter),
            order_by=as_json(input.order_by) if input.order_by is not None else None,
            shared=input.shared,
            idempotency_key=input.idempotency_key,
        )
    except RefusedError as error:
        return SavedViewPayload(saved_view=None, errors=errors_of(error))
    return SavedViewPayload(saved_view=SavedView.of(view), errors=[])


@writes(Role.VIEWER)
async def update_saved_view(
    info: Info, input: Annotated[UpdateSavedViewInput, strawberry.argument(description="What.")]
) -> SavedViewPayload:
    """Change a view."""
    context = info.context
    try:
        wanted = patched(input.filter, "filter")
        order = cleared(input.order_by)
        view = await context.services.configuration.update_saved_view(
            context.principal,
            _view_id(input.id),
            name=patched(input.name, "name"),
            filter=LEFT_OUT if isinstance(wanted, Unset) else _filter_json(wanted),
            order_by=order if order is None or isinstance(order, Unset) else as_json(order),
            shared=patched(input.shared, "shared"),
            expected_version=input.expected_version,
        )
    except RefusedError as error:
        return SavedViewPayload(saved_view=None, errors=errors_of(error))
    return SavedViewPayload(saved_view=SavedView.of(view), errors=[])


@writes(Role.VIEWER)
async def delete_saved_view(
    info: Info, input: Annotated[DeleteInput, strawberry.argument(description="What.")]
) -> DeletePayload:
    """Delete a view."""
    context = info.context
    try:
        await context.services.configuration.delete_saved_view(
            context.principal, _view_id(input.id), expected_version=input.expected_version
        )
    except RefusedError as error:
        return DeletePayload(deleted_id=None, errors=errors_of(error))
    return DeletePayload(deleted_id=input.id, errors=[])
