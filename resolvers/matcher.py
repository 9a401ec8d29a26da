"""What a label must be, and the bounds that all filters share."""

import re
from collections.abc import Sequence
from typing import Self

import strawberry
from graphql import Undefined

from alertgraph.core.errors import InputError
from alertgraph.core.labels import Matcher, check_matcher
from resolvers.words import MatchOperator

LABEL = "Name of a label, or a built-in: @title, @severity, @source, @service, @dedup_key."
FILTER_LENGTH_MAX = 100
FILTER_TEXT_LENGTH_MAX = 1024
MATCHER_COUNT_MAX = 20
_SURROGATE = re.compile(r"[\ud800-\udfff]")


# Points for what is looked for row by row rather than read by an index; a page of alerts costs 50 by itself.
LOOKED_FOR_POINTS = 50
SEARCH_POINTS = 10


def matcher_points(matchers: object) -> int:
    """Return what matchers add to the cost of a list, as a document or its variables give them."""
    given = matchers if isinstance(matchers, list) else [matchers]
    operators = [each.get("operator") if isinstance(each, dict) else None for each in given]
    equal = (None, Undefined, MatchOperator.EQUAL, MatchOperator.EQUAL.name)
    return sum(SEARCH_POINTS if operator in equal else LOOKED_FOR_POINTS for operator in operators)


def looked_for(_: object) -> int:
    """Return what a condition adds to the cost of a list for which rows are looked at one by one."""
    return LOOKED_FOR_POINTS


def searched(_: object) -> int:
    """Return what a search adds to the cost of a list."""
    return SEARCH_POINTS


ALERT_FILTER_COST = {
    "surcharges": {
        "filter.matchers": matcher_points,
        "filter.search": searched,
        "filter.silenced": looked_for,
        "filter.inhibited": looked_for,
    }
}
EVENT_FILTER_COST = {
    "surcharges": {
        "filter.matchers": matcher_points,
        "filter.source": looked_for,
        "filter.monitoredService": looked_for,
        "filter.severity": looked_for,
        "filter.actorKind": looked_for,
    }
}
PREVIEW_COST = {"surcharges": {"matchers": matcher_points}}


@strawberry.type(description="What a label must be.")
class LabelMatcher:
    """What a label must be."""

    label: str = strawberry.field(description=LABEL)
    operator: MatchOperator = strawberry.field(description="How it is compared.")
    value: str = strawberry.field(description="With what.")

    @classmethod
    def of(cls, matcher: Matcher) -> Self:
        """Return a matcher as the API shows it."""
        return cls(label=matcher.label, operator=matcher.operator, value=matcher.value)


@strawberry.input(description="What a label must be.")
class LabelMatcherInput:
    """What a label must be."""

    label: str = strawberry.field(description=LABEL)
    operator: MatchOperator = strawberry.field(default=MatchOperator.EQUAL, description="How it is compared.")
    value: str = strawberry.field(description="With what; a regular expression is RE2.")


def matchers_of(inputs: Sequence[LabelMatcherInput] | None, *path: str) -> tuple[Matcher, ...]:
    """Return the matchers of a filter or a key; none where None is given.

    Raises:
        InputError: There are too many, or one can't be used; the path names it.
    """
    if inputs is None:
        return ()
    if len(inputs) > MATCHER_COUNT_MAX:
        raise InputError(f"There are at most {MATCHER_COUNT_MAX} matchers; these are {len(inputs):,}.", *path)
    return tuple(
        check_matcher(Matcher(given.label, given.operator, given.value), *path, str(index))
        for index, given in enumerate(inputs)
    )


def check_length(values: Sequence[object] | None, *path: str) -> None:
    """Let a filter's list pass that is short enough to be searched for.

    Raises:
        InputError: It has too many entries.
    """
    if values is not None and len(values) > FILTER_LENGTH_MAX:
        raise InputError(
            f"A filter's list has at most {FILTER_LENGTH_MAX} entries; this has {len(values):,}.", *path
        )


def texts_of(values: Sequence[str] | None, *path: str) -> tuple[str, ...] | None:
    """Return the texts that a filter asks for; None where it does not ask.

    Raises:
        InputError: There are too many, or one could be no text of ours.
    """
    if values is None:
        return None
    check_length(values, *path)
    for index, value in enumerate(values):
        check_text(value, *path, str(index))
    return tuple(values)


def check_text(value: str, *path: str) -> None:
    """Let a text pass that something of ours may be compared with.

    Raises:
        InputError: It is too long, or no store could keep it.
    """
    if len(value) > FILTER_TEXT_LENGTH_MAX:
        raise InputError(f"A text of a filter has at most {FILTER_TEXT_LENGTH_MAX:,} characters.", *path)
    if "\x00" in value or (not value.isascii() and _SURROGATE.search(value)):
        raise InputError("A NUL character or half of a surrogate pair is not allowed.", *path)
