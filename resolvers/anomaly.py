"""Anomaly rules: read, made, changed, deleted."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Self

import strawberry
from strawberry import Maybe

from alertgraph.core import anomaly as core
from alertgraph.core.action import Unset
from alertgraph.core.alert import Link as CoreLink
from alertgraph.core.errors import RefusedError
from alertgraph.core.ids import AnomalyRuleId, NodeKind, decode_key, encode_id
from alertgraph.core.query import Page
from resolvers.alert import Link
from resolvers.alert_input import LinkInput
from resolvers.context import Info
from resolvers.deletion import DeleteInput, DeletePayload
from resolvers.errors import MutationError, errors_of, unknown
from resolvers.matcher import LabelMatcher, LabelMatcherInput, matchers_of
from resolvers.paging import UNSET, After, First, Node, PageInfo, listed, page_of
from resolvers.patch import cleared, patched
from resolvers.permissions import reads, writes
from resolvers.scalars import Long
from resolvers.words import AnomalyDirection, AnomalySensitivity, AnomalyTarget, Role, Severity

MATCHERS = (
    "Of series: what their labels must be, __name__ among them; at least one. Of alert rates: on @service alone."
)
SERVICE_LABEL = "Label whose value names the monitored service; null for service, else job."
MIN_DURATION = "How long it has to last before the alert; PT0S to PT6H."


@strawberry.type(description="Raises an alert for each series that it watches while that series is unusual.")
class AnomalyRule(Node):
    """Raises an alert for each series that it watches while that series is unusual."""

    id: strawberry.ID = strawberry.field(description="Opaque.")
    name: str = strawberry.field(description="Unique in the tenant.")
    enabled: bool = strawberry.field(description="Whether it watches.")
    target: AnomalyTarget = strawberry.field(description="What it watches.")
    matchers: list[LabelMatcher] = strawberry.field(description=MATCHERS, metadata={"cost": 0})
    severity: Severity = strawberry.field(description="Of its alerts.")
    monitored_service: str | None = strawberry.field(
        description="Of its alerts; null to take it from serviceLabel, or from whose alerts are counted."
    )
    service_label: str | None = strawberry.field(description=SERVICE_LABEL)
    sensitivity: AnomalySensitivity = strawberry.field(description="How unusual is unusual enough.")
    direction: AnomalyDirection = strawberry.field(description="On which side of the usual.")
    min_duration: timedelta = strawberry.field(description=MIN_DURATION)
    links: list[Link] = strawberry.field(description="Of its alerts.", metadata={"cost": 0})
    version: Long = strawberry.field(description="See the rules at the top.")

    @classmethod
    def of(cls, rule: core.AnomalyRule) -> Self:
        """Return a rule as the API shows it."""
        return cls(
            id=strawberry.ID(encode_id(NodeKind.ANOMALY_RULE, rule.id)),
            name=rule.name,
            enabled=rule.enabled,
            target=rule.target,
            matchers=[LabelMatcher.of(matcher) for matcher in rule.matchers],
            severity=rule.severity,
            monitored_service=rule.monitored_service,
            service_label=rule.service_label,
            sensitivity=rule.sensitivity,
            direction=rule.direction,
            min_duration=rule.min_duration,
            links=[Link(href=link.href, text=link.text) for link in rule.links],
            version=Long(rule.version),
        )


@strawberry.type(description="One of a page of anomaly rules.")
class AnomalyRuleEdge:
    """One of a page of anomaly rules."""

    cursor: str = strawberry.field(description="Its place in this list.")
    node: AnomalyRule = strawberry.field(description="The thing.")


@strawberry.type(description="A page of anomaly rules.")
class AnomalyRuleConnection:
    """A page of anomaly rules."""

    edges: list[AnomalyRuleEdge] = strawberry.field(description="With cursors.")
    nodes: list[AnomalyRule] = strawberry.field(description="Without cursors.")
    page_info: PageInfo = strawberry.field(description="Where the page lies.", metadata={"cost": 0})
    total_count: int = strawberry.field(description="How many there are in all pages.")

    @classmethod
    def of(cls, page: Page[core.AnomalyRule]) -> Self:
        """Return a page of rules as the API shows it."""
        assert page.total_count is not None, "configuration lists are always counted"
        edges = [AnomalyRuleEdge(cursor=cursor, node=AnomalyRule.of(rule)) for cursor, rule in page.items]
        return cls(
            edges=edges,
            nodes=[edge.node for edge in edges],
            page_info=PageInfo.of(page),
            total_count=page.total_count,
        )


@strawberry.input(description="A new anomaly rule.")
class AnomalyRuleInput:
    """A new anomaly rule."""

    name: str = strawberry.field(description="Unique in the tenant.")
    enabled: bool = strawberry.field(default=True, description="Whether it watches.")
    target: AnomalyTarget = strawberry.field(
        default=AnomalyTarget.SERIES, description="What it watches; stays as it is."
    )
    matchers: list[LabelMatcherInput] = strawberry.field(default_factory=list, description=MATCHERS)
    severity: Severity = strawberry.field(default=Severity.MEDIUM, description="Of its alerts.")
    monitored_service: str | None = strawberry.field(description="Of its alerts.")
    service_label: str | None = strawberry.field(description=SERVICE_LABEL)
    sensitivity: AnomalySensitivity = strawberry.field(
        default=AnomalySensitivity.NORMAL, description="How unusual is unusual enough."
    )
    direction: AnomalyDirection = strawberry.field(
        default=AnomalyDirection.BOTH, description="On which side of the usual; of alert rates UP or BOTH."
    )
    min_duration: timedelta = strawberry.field(default=timedelta(0), description=MIN_DURATION)
    links: list[LinkInput] = strawberry.field(default_factory=list, description="Of its alerts; at most 10.")
    idempotency_key: str | None = strawberry.field(description="See the rules at the top.")


@strawberry.input(description="A patch.")
class UpdateAnomalyRuleInput:
    """A patch of a rule."""

    id: strawberry.ID = strawberry.field(description="Which.")
    expected_version: Long | None = strawberry.field(description="Refuse where it changed since.")
    name: Maybe[str | None] = strawberry.field(description="Unique.")
    enabled: Maybe[bool | None] = strawberry.field(description="Whether it watches.")
    matchers: Maybe[list[LabelMatcherInput] | None] = strawberry.field(description="Replaces.")
    severity: Maybe[Severity | None] = strawberry.field(description="Of its alerts.")
    monitored_service: Maybe[str | None] = strawberry.field(description="Null takes it from the label.")
    service_label: Maybe[str | None] = strawberry.field(description="Null for service, else job.")
    sensitivity: Maybe[AnomalySensitivity | None] = strawberry.field(description="How unusual.")
    direction: Maybe[AnomalyDirection | None] = strawberry.field(description="On which side.")
    min_duration: Maybe[timedelta | None] = strawberry.field(description=MIN_DURATION)
    links: Maybe[list[LinkInput] | None] = strawberry.field(description="Replaces.")


@strawberry.type(description="Answer.")
class AnomalyRulePayload:
    """What became of a rule."""

    anomaly_rule: AnomalyRule | None = strawberry.field(description="Null where refused.")
    errors: list[MutationError] = strawberry.field(
        description="What the caller can mend; empty on success.", metadata={"cost": 0}
    )

    @classmethod
    def done(cls, rule: core.AnomalyRule) -> Self:
        """Return the answer to what was done with a rule."""
        return cls(anomaly_rule=AnomalyRule.of(rule), errors=[])

    @classmethod
    def refused(cls, error: RefusedError) -> Self:
        """Return the answer to what was refused."""
        return cls(anomaly_rule=None, errors=errors_of(error))


def _rule_id_of(text: str) -> AnomalyRuleId:
    key = decode_key(text, NodeKind.ANOMALY_RULE)
    if key is None:
        raise unknown("anomaly rule", "id")
    return AnomalyRuleId(key)


def _links(inputs: Sequence[LinkInput]) -> tuple[CoreLink, ...]:
    return tuple(CoreLink(given.href, given.text) for given in inputs)


@reads(Role.VIEWER)
async def anomaly_rules(info: Info, first: First = UNSET, after: After = UNSET) -> AnomalyRuleConnection:
    """Return a page of rules, by name."""
    found = (await info.context.catalog()).anomaly_rules.values()
    as_of = await info.context.reading.as_of()
    return AnomalyRuleConnection.of(
        listed(found, lambda rule: rule.name, page_of(first, after, None, None), as_of)
    )


@writes(Role.ADMIN)
async def create_anomaly_rule(
    info: Info, input: Annotated[AnomalyRuleInput, strawberry.argument(description="What.")]
) -> AnomalyRulePayload:
    """Make a rule."""
    context = info.context
    try:
        rule = await context.services.anomaly_rules.create(
            context.principal,
            name=input.name,
            target=input.target,
            matchers=matchers_of(input.matchers, "matchers"),
            severity=input.severity,
            monitored_service=input.monitored_service,
            service_label=input.service_label,
            sensitivity=input.sensitivity,
            direction=input.direction,
            min_duration=input.min_duration,
            links=_links(input.links),
            enabled=input.enabled,
            idempotency_key=input.idempotency_key,
        )
    except RefusedError as error:
        return AnomalyRulePayload.refused(error)
    return AnomalyRulePayload.done(rule)


@writes(Role.ADMIN)
async def update_anomaly_rule(
    info: Info, input: Annotated[UpdateAnomalyRuleInput, strawberry.argument(description="What.")]
) -> AnomalyRulePayload:
    """Change a rule."""
    context = info.context
    try:
        matchers = patched(input.matchers, "matchers")
        links = patched(input.links, "links")
        rule = await context.services.anomaly_rules.update(
            context.principal,
            _rule_id_of(input.id),
            name=patched(input.name, "name"),
            enabled=patched(input.enabled, "enabled"),
            matchers=matchers if isinstance(matchers, Unset) else matchers_of(matchers, "matchers"),
            severity=patched(input.severity, "severity"),
            monitored_service=cleared(input.monitored_service),
            service_label=cleared(input.service_label),
            sensitivity=patched(input.sensitivity, "sensitivity"),
            direction=patched(input.direction, "direction"),
            min_duration=patched(input.min_duration, "minDuration"),
            links=links if isinstance(links, Unset) else _links(links),
            expected_version=input.expected_version,
        )
    except RefusedError as error:
        return AnomalyRulePayload.refused(error)
    return AnomalyRulePayload.done(rule)


@writes(Role.ADMIN)
async def delete_anomaly_rule(
    info: Info, input: Annotated[DeleteInput, strawberry.argument(description="What.")]
) -> DeletePayload:
    """Delete a rule."""
    context = info.context
    try:
        await context.services.anomaly_rules.delete(
            context.principal, _rule_id_of(input.id), expected_version=input.expected_version
        )
    except RefusedError as error:
        return DeletePayload(deleted_id=None, errors=errors_of(error))
    return DeletePayload(deleted_id=input.id, errors=[])
