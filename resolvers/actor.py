"""Who did something."""

from typing import TYPE_CHECKING, Annotated, Self

import strawberry

from alertgraph.core import actor
from alertgraph.core.ids import NodeKind, ResponderId, decode_key
from resolvers.context import Info
from resolvers.fields import computed
from resolvers.permissions import reads
from resolvers.words import ActorKind, Role

if TYPE_CHECKING:
    from resolvers.responder import Responder


@strawberry.type(description="Who did something.")
class Actor:
    """Who did something."""

    reference: strawberry.Private[str]
    kind: ActorKind = strawberry.field(description="What sort of actor.")
    name: str = strawberry.field(description="Name as it was then.")

    @computed("The person, where it is one we know.")
    @reads(Role.VIEWER)
    async def responder(self, info: Info) -> Annotated["Responder", strawberry.lazy("resolvers.responder")] | None:
        """Return the person, as they are now."""
        # Here, since schedules know who overrode them, and people know their shifts.
        from resolvers.responder import Responder

        key = decode_key(self.reference, NodeKind.RESPONDER) if self.kind is ActorKind.PERSON else None
        found = (await info.context.catalog()).responders.get(ResponderId(key)) if key is not None else None
        return Responder.of(found) if found is not None else None

    @classmethod
    def of(cls, who: actor.Actor) -> Self:
        """Return an actor as the API shows it: without the subject of its credentials."""
        return cls(reference=who.reference, kind=who.kind, name=who.name)
