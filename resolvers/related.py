"""Alerts that are believed to belong together, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import strawberry

from alertgraph.core import correlation as core
from alertgraph.core.alert import Alert
from alertgraph.core.alert_link import Related
from alertgraph.core.errors import InputError
from alertgraph.core.ids import AlertId
from resolvers.context import Info
from resolvers.relations import in_parts

if TYPE_CHECKING:
    from resolvers.alert import CriticalAlert

RELATED_COUNT_DEFAULT = 10
RELATED_COUNT_MAX = 50


@strawberry.type(description="One reason.")
class CorrelationEvidence:
    """One reason for a link."""

    kind: str = strawberry.field(description="Sort of reason, such as topology or labels.")
    weight: float = strawberry.field(description="Its share of the score.")
    text: str = strawberry.field(description="In words.")

    @classmethod
    def of(cls, evidence: core.Evidence) -> "CorrelationEvidence":
        """Return a reason as the API shows it."""
        return cls(kind=evidence.kind.name.lower(), weight=evidence.weight, text=evidence.text)


@strawberry.type(description="Why two alerts are believed to belong together.")
class RelatedAlert:
    """The other end of a link."""

    alert: Annotated["CriticalAlert", strawberry.lazy("resolvers.alert")] = strawberry.field(
        description="The other alert."
    )
    score: float = strawberry.field(description="How sure, 0 to 1.")
    evidence: list[CorrelationEvidence] = strawberry.field(
        description="What speaks for it, strongest first.", metadata={"cost": 0}
    )


@dataclass(frozen=True, slots=True)
class Relatives:
    """An alert's links with the alerts at their other ends, those that the caller may see."""

    found: tuple[tuple[Alert, Related], ...]


async def related_by_alert(
    info: Info, keys: Sequence[AlertId], first: int = RELATED_COUNT_DEFAULT
) -> Mapping[AlertId, Relatives]:
    """Return the links of each alert; nothing of those at which the model has not looked."""
    if not 1 <= first <= RELATED_COUNT_MAX:
        raise InputError(f"first is 1 to {RELATED_COUNT_MAX}.", "first")
    reading = info.context.reading
    links = await in_parts(lambda part: reading.related(part, first), keys)
    others = list(dict.fromkeys(each.other for several in links.values() for each in several))
    alerts = await in_parts(reading.alerts, others) if others else {}
    return {
        key: Relatives(tuple((alerts[each.other], each) for each in several if each.other in alerts))
        for key, several in links.items()
    }


def shown_related(info: Info, found: Relatives) -> list[RelatedAlert]:
    """Return an alert's links as the API shows them."""
    # Here, since alerts show these.
    from resolvers.alert import CriticalAlert

    now = info.context.reading.now
    return [
        RelatedAlert(
            alert=CriticalAlert.of(alert, now),
            score=related.score,
            evidence=[CorrelationEvidence.of(each) for each in related.evidence],
        )
        for alert, related in found.found
    ]
