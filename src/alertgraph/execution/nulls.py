"""What failures leave of a response: nulls where the specification wants them, and located errors."""

from __future__ import annotations

from collections.abc import Sequence

from graphql import GraphQLError, located_error

from alertgraph.execution.run import Failure, Keys, Position, put_at


def nulled(
    data: dict[str, object], failures: Sequence[Failure]
) -> tuple[dict[str, object] | None, list[GraphQLError]]:
    """Return the data with null where each failure leads to it, and the errors to be told.

    A failure where null may not stand is handed on to the next place above where it may. Of failures that lead to
    null at the same place, or at one below it afterwards, only the first is told.

    Args:
        data: Changed in place.
        failures: In the order in which they happened.
    """
    result: dict[str, object] | None = data
    places: set[Keys] = set()
    errors: list[GraphQLError] = []
    for failure in failures:
        place = null_place(failure)
        if place in places or any(place[:length] in places for length in range(len(place))):
            continue
        places.add(place)
        errors.append(located_error(failure.error, failure.position.field.nodes, list(failure.keys)))  # type: ignore[arg-type]
        if place:
            put_at(result, place, None)
        else:
            result = None
    return result, errors


def null_place(failure: Failure) -> Keys:
    """Return where null stands because of a failure; the empty place is the whole response."""
    position: Position | None = failure.position
    keys = failure.keys
    while position is not None and position.is_required:
        position = position.above
        keys = keys[:-1]
    return keys if position is not None else ()
