"""Nodes and pages: what every list of the API has in common."""

from collections.abc import Collection
from typing import Annotated, Any, Self, TypeAlias, TypeVar

import strawberry
from graphql import FieldNode, FragmentSpreadNode, InlineFragmentNode, SelectionSetNode

from alertgraph.core.query import Page, PageRequest, page_request
from resolvers.context import Info

T = TypeVar("T")

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
