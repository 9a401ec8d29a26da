"""Fields that take work, made only where they are asked for."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import strawberry

F = TypeVar("F", bound=Callable[..., Any])


def computed(description: str, **metadata: object) -> Callable[[F], F]:
    """Make a method of a type one of its fields.

    Args:
        description: For who reads the schema.
        metadata: What execution/cost.py reads (cost, page_size_default, size_argument); `personal` where the
            value depends on who asks beyond tenant, role and scope, for execution/sharing.py; and `batch`, a
            relation of relations.py, where it is read for many objects at once.
    """
    return cast("Callable[[F], F]", strawberry.field(description=description, metadata=metadata))
