"""Who did something."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from alertgraph.core.value import quick


class ActorKind(IntEnum):
    """What sort of actor. The numbers are stored: never reuse one."""

    PERSON = 1
    API_KEY = 2
    SENDER = 3
    ENGINE = 4
    MODEL = 5
    OPERATOR = 6


@quick
@dataclass(frozen=True, slots=True)
class Actor:
    """Who did something, by the name they had then.

    Attributes:
        reference: The subject of the credentials, such as `key:` and an id; empty for machinery.
    """

    kind: ActorKind
    name: str
    reference: str = ""


ENGINE = Actor(ActorKind.ENGINE, "escalation engine")
MODEL = Actor(ActorKind.MODEL, "prediction model")
CORRELATION = Actor(ActorKind.MODEL, "correlation")
OPERATOR = Actor(ActorKind.OPERATOR, "command line")
