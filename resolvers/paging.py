"""Nodes and pages: what every list of the API has in common."""

from collections.abc import Callable, Collection, Iterable
from itertools import islice
from typing import Annotated, Any, Protocol, Self, TypeAlias, TypeVar
from uuid import UUID

import orjson
import strawberry
from graphql import FieldNode, FragmentSpreadNode, InlineFragmentNode, SelectionSetNode

from alertgraph.core.cursor import LogCursor
from alertgraph.core.errors import InputError
from alertgraph.core.ids import pack, unpack
from alertgraph.core.query import Page, PageRequest, page_request
from resolvers.context import Info

T = TypeVar("T")
P = TypeVar("P", str, int)

# For an argument that may be left out with no default to show for it.
UNSET: Any = strawberry.UNSET

Which: TypeAlias = Annotated[strawberry.ID, strawberry.argument(description="Its id.")]
First: TypeAlias = Annotated[int | None, strawberry.argument(description="1 to 100; 50 where left out.")]
After: TypeAlias = Annotated[str | None, strawberry.argument(description="Start behind this cursor.")]
Last: TypeAlias = Annotated[int | None, strawberry.argument(description="Like first, from the end.")]
Before: TypeAlias = Annotated[str | None, strawberry.argument(description="End before this cursor.")]


@strawberry.interface(description="Anything that can be fetched again by its id.")
class Node:
    """Anything that can be fetched again by its id."""

    id: strawberry.ID = strawberry.field(description="Opaque and stable; see node.")


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    """Where a page lies in its list."""

    has_next_page: bool = strawberry.field(description="Whether there is more behind this page.")
    has_previous_page: bool = strawberry.field(description="Whether there is more before this page.")
    start_cursor: str | None = strawberry.field(description="Cursor of the first edge; null on an empty page.")
    end_cursor: str | None = strawberry.field(description="Cursor of the last edge; null on an empty page.")

    @classmethod
    def of(cls, page: Page[Any]) -> Self:
        """Return where a page lies."""
        return cls(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=page.items[0][0] if page.items else None,
            end_cursor=page.items[-1][0] if page.items else None,
        )


def given(value: T | None) -> T | None:
    """Return an argument's value; None where it was left out."""
    return None if value is UNSET else value


def page_of(first: int | None, after: str | None, last: int | None, before: str | None) -> PageRequest:
    """Return the part of a list that a field's arguments name.

    Raises:
        InputError: first and last are both given, or out of 1 to 100.
    """
    return page_request(given(first), given(after), given(last), given(before))


class Listed(Protocol):
    """Something with an id, of which there are so few that all are at hand."""

    @property
    def id(self) -> UUID:
        """What tells it from others in the same place."""
        ...


L = TypeVar("L", bound=Listed)


def listed(items: Iterable[L], place: Callable[[L], P], request: PageRequest, as_of: LogCursor) -> Page[L]:
    """Return a page of a list that is at hand, forward.

    Args:
        items: All of them, in any order.
        place: What the list is ordered by: a name or a number; equal ones go by id.
        request: Which part.
        as_of: The log as the items saw it.

    Raises:
        InputError: The cursor is not of this list.
    """
    placed = sorted(((place(item), item.id, item) for item in items), key=lambda each: each[:2])
    behind = _place_of(request.after) if request.after is not None else None
    rest = placed
    if behind is not None:
        if placed and type(behind[0]) is not type(placed[0][0]):
            raise InputError(_OTHER_CURSOR, "after")
        rest = [each for each in placed if each[:2] > behind]
    return Page(
        items=[(_cursor(at, key), item) for at, key, item in islice(rest, request.size)],
        has_next=len(rest) > request.size,
        has_previous=len(rest) < len(placed),
        as_of=as_of,
        total_count=len(placed),
    )


_OTHER_CURSOR = "This cursor is not of this list."


def _cursor(place: str | int, key: UUID) -> str:
    return pack(orjson.dumps([place, key.hex]))


def _place_of(cursor: str) -> tuple[Any, UUID]:
    raw = unpack(cursor) if cursor.isascii() else None
    try:
        place, key = orjson.loads(raw or b"")
        if isinstance(place, str | int) and not isinstance(place, bool):
            return place, UUID(hex=key)
    except (ValueError, TypeError, AttributeError):
        pass
    raise InputError(_OTHER_CURSOR, "after")


def selects(info: Info, names: Collection[str]) -> bool:
    """Say whether one of these fields is asked for right below the field being resolved.

    What @skip or @include leaves out counts as asked for: reading too much is no error.
    """
    raw = info._raw_info
    waiting: list[SelectionSetNode] = [node.selection_set for node in raw.field_nodes if node.selection_set]
    spread: set[str] = set()
    while waiting:
        for selection in waiting.pop().selections:
            if isinstance(selection, FieldNode):
                if selection.name.value in names:
                    return True
            elif isinstance(selection, InlineFragmentNode):
                waiting.append(selection.selection_set)
            elif isinstance(selection, FragmentSpreadNode) and selection.name.value not in spread:
                spread.add(selection.name.value)
                waiting.append(raw.fragments[selection.name.value].selection_set)
    return False
