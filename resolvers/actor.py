"""Who did something."""

from typing import Self

import strawberry

from alertgraph.core import actor
from resolvers.words import ActorKind


@strawberry.type(description="Who did something.")
class Actor:
    """Who did something."""

    kind: ActorKind = strawberry.field(description="What sort of actor.")
    name: str = strawberry.field(description="Name as it was then.")

    @classmethod
    def of(cls, who: actor.Actor) -> Self:
        """Return an actor as the API shows it: without the subject of its credentials."""
        return cls(kind=who.kind, name=who.name)
