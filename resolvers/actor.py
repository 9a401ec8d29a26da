"""Who did something."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

import strawberry

from alertgraph.core import actor
from alertgraph.core.ids import NodeKind, ResponderId, decode_key
from resolvers.context import Info
from resolvers.fields import computed
from resolvers.permissions import reads
from resolvers.relations import relation
from resolvers.words import ActorKind, Role

if TYPE_CHECKING:
    from resolvers.responder import Responder


def responder_key(who: "Actor") -> ResponderId | None:
    """Return the person who somebody is; None for anybody else."""
    key = decode_key(who.reference, NodeKind.RESPONDER) if who.kind is ActorKind.PERSON else None
    return ResponderId(key) if key is not None else None


async def responders_by_id(info: Info, keys: Sequence[ResponderId]) -> Mapping[ResponderId, Any]:
    """Return the people that there are today."""
    people = (await info.context.catalog()).responders
    return {key: people[key] for key in keys if key in people}


def shown_responder(_info: Info, found: Any) -> "Responder":
    """Return a person as the API shows them."""
    from resolvers.responder import Responder

    return Responder.of(found)


@strawberry.type(description="Who did something.")
class Actor:
    """Who did something."""

    reference: strawberry.Private[str]
    kind: ActorKind = strawberry.field(description="What sort of actor.")
    name: str = strawberry.field(description="Name as it was then.")

    @computed(
        "The person, where it is one we know.", batch=relation(responder_key, responders_by_id, shown_responder)
    )
    @reads(Role.VIEWER)
    async def responder(self, info: Info) -> Annotated["Responder", strawberry.lazy("resolvers.responder")] | None:
        """Return the person, as they are now."""
        # Here, since schedules know who overrode them, and people know their shifts.
        from resolvers.responder import Responder

        key = responder_key(self)
        found = (await info.context.catalog()).responders.get(key) if key is not None else None
        return Responder.of(found) if found is not None else None

    @classmethod
    def of(cls, who: actor.Actor) -> Self:
        """Return an actor as the API shows it: without the subject of its credentials."""
        return cls(reference=who.reference, kind=who.kind, name=who.name)
