"""What every deletion takes and answers."""

import strawberry

from resolvers.errors import MutationError
from resolvers.scalars import Long


@strawberry.input(description="To delete something.")
class DeleteInput:
    """To delete something."""

    id: strawberry.ID = strawberry.field(description="Which.")
    expected_version: Long | None = strawberry.field(description="Refuse where it changed since.")


@strawberry.type(description="Answer of a deletion. Something still in use is refused with IN_USE.")
class DeletePayload:
    """What became of a deletion."""

    deleted_id: strawberry.ID | None = strawberry.field(description="Null where refused.")
    errors: list[MutationError] = strawberry.field(
        description="What the caller can mend; empty on success.", metadata={"cost": 0}
    )
