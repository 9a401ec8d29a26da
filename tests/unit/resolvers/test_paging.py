"""Lists that are at hand, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import pytest

from alertgraph.core.cursor import LogCursor
from alertgraph.core.errors import InputError
from alertgraph.core.query import PageRequest
from resolvers.paging import listed
from tests.factories import T0

AS_OF = LogCursor(1, 1, T0, b"\x00" * 4)


@dataclass(frozen=True)
class Thing:
    id: UUID
    name: str
    position: int = 0


THINGS = [Thing(UUID(int=number), name) for number, name in enumerate(["c", "a", "b", "a"])]


def names(things: list[Thing], size: int) -> list[list[int]]:
    """Return the ids of all pages."""
    pages: list[list[int]] = []
    after = None
    while True:
        page = listed(things, lambda thing: thing.name, PageRequest(size, after), AS_OF)
        assert page.total_count == len(things)
        assert page.has_previous is bool(pages)
        pages.append([thing.id.int for _, thing in page.items])
        if not page.has_next:
            return pages
        after = page.items[-1][0]


@pytest.mark.parametrize(
    ("size", "expected"), [(1, [[1], [3], [2], [0]]), (3, [[1, 3, 2], [0]]), (4, [[1, 3, 2, 0]])]
)
def test_pages_are_in_order_and_equal_names_go_by_id(size: int, expected: list[list[int]]) -> None:
    assert names(THINGS, size) == expected


def test_an_empty_list_has_one_empty_page() -> None:
    page = listed([], lambda thing: thing.name, PageRequest(), AS_OF)

    assert (page.items, page.has_next, page.has_previous, page.total_count) == ([], False, False, 0)


def test_a_page_goes_on_behind_a_thing_that_is_gone() -> None:
    cursor = listed(THINGS, lambda thing: thing.name, PageRequest(2), AS_OF).items[-1][0]
    rest = [thing for thing in THINGS if thing.id.int != 3]

    page = listed(rest, lambda thing: thing.name, PageRequest(2, cursor), AS_OF)

    assert [thing.id.int for _, thing in page.items] == [2, 0]


@pytest.mark.parametrize("cursor", ["", "x", "W10", "WzEsMl0", "bnVsbA", "ä", "eyJhIjoxfQ", "WyJhIiwiYiJd"])
def test_a_cursor_of_nothing_is_refused(cursor: str) -> None:
    with pytest.raises(InputError, match="not of this list") as refusal:
        listed(THINGS, lambda thing: thing.name, PageRequest(2, cursor), AS_OF)

    assert refusal.value.problems[0].path == ("after",)


def test_a_cursor_of_another_order_is_refused() -> None:
    by_position = listed(THINGS, lambda thing: thing.position, PageRequest(1), AS_OF).items[0][0]

    with pytest.raises(InputError, match="not of this list"):
        listed(THINGS, lambda thing: thing.name, PageRequest(1, by_position), AS_OF)
