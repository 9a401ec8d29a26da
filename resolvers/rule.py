"""Escalation rules: read, made, changed, put in order, deleted."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from operator import attrgetter
from typing import Annotated, Self, TypeAlias, assert_never

import strawberry
from strawberry import Maybe

from alertgraph.core import rule as core
from alertgraph.core.action import Unset
from alertgraph.core.catalog import Catalog
from alertgraph.core.errors import RefusedError
from alertgraph.core.ids import NodeKind, RuleId, decode_key, encode_id
from alertgraph.core.query import Page
from resolvers.channel import NotificationChannel, channel_id_of
from resolvers.context import Info
from resolvers.deletion import DeleteInput, DeletePayload
from resolvers.errors import MutationError, errors_of, unknown
from resolvers.fields import computed
from resolvers.matcher import LabelMatcher, LabelMatcherInput, matchers_of
from resolvers.paging import UNSET, After, First, Node, PageInfo, Which, listed, page_of
from resolvers.patch import cleared, patched
from resolvers.permissions import reads, writes
from resolvers.relations import relation
from resolvers.responder import Responder, responder_id_of
from resolvers.scalars import Long
from resolvers.schedule import OnCallSchedule, schedule_id_of
from resolvers.words import Role, Severity

EscalationTarget: TypeAlias = Annotated[
    Responder | OnCallSchedule | NotificationChannel,
    strawberry.union("EscalationTarget", description="Whom a level notifies."),
]


Targets: TypeAlias = tuple[core.EscalationTarget, ...]


async def targets_together(info: Info, keys: Sequence[Targets]) -> Mapping[Targets, list[EscalationTarget]]:
    """Return whom levels notify, as they are now; one that was deleted is left out."""
    catalog = await info.context.catalog()
    return {key: [shown for each in key if (shown := _target_of(each, catalog)) is not None] for key in keys}


@strawberry.type(
    description=(
        "One rung: its targets are notified, and after the delay the next rung is reached unless somebody "
        "acknowledged."
    )
)
class EscalationLevel:
    """One rung of a ladder."""

    kept: strawberry.Private[core.Level]
    number: int = strawberry.field(description="From 1.")
    delay: timedelta = strawberry.field(description="Until the next rung.")

    @computed(
        "All are notified; a deleted one is left out.",
        page_size_default=3,
        batch=relation(attrgetter("kept.targets"), targets_together),
    )
    @reads(Role.VIEWER)
    async def targets(self, info: Info) -> list[EscalationTarget]:
        """Return whom the level notifies, as they are now."""
        return (await targets_together(info, [self.kept.targets]))[self.kept.targets]


def levels_of(levels: Sequence[core.Level]) -> list[EscalationLevel]:
    """Return a ladder as the API shows it."""
    return [
        EscalationLevel(kept=level, number=number, delay=level.delay)
        for number, level in enumerate(levels, start=1)
    ]


def _target_of(
    target: core.EscalationTarget, catalog: Catalog
) -> Responder | OnCallSchedule | NotificationChannel | None:
    match target:
        case core.ResponderTarget(responder_id):
            responder = catalog.responders.get(responder_id)
            return Responder.of(responder) if responder is not None else None
        case core.ScheduleTarget(schedule_id):
            schedule = catalog.schedules.get(schedule_id)
            return OnCallSchedule.of(schedule) if schedule is not None else None
        case core.ChannelTarget(channel_id):
            channel = catalog.channels.get(channel_id)
            return NotificationChannel.of(channel) if channel is not None else None
        case _:
            assert_never(target)


@strawberry.type(description="Which alerts it is for, whom to notify, and when to go one level up.")
class EscalationRule(Node):
    """A rule as it stands today."""

    kept: strawberry.Private[core.EscalationRule]
    id: strawberry.ID = strawberry.field(description="Opaque.")
    name: str = strawberry.field(description="Unique in the tenant.")
    enabled: bool = strawberry.field(description="Whether it is tried.")
    position: int = strawberry.field(
        description="Rules are tried from the lowest position up; the first that matches is used."
    )
    matchers: list[LabelMatcher] = strawberry.field(
        description="All must hold; empty for any labels.", metadata={"cost": 0}
    )
    severities: list[Severity] = strawberry.field(description="Empty for any severity.")
    incident_probability_min: float | None = strawberry.field(
        description=(
            "Only alerts predicted at this chance or more, 0 to 1; null for all, with or without a prediction."
        )
    )
    repeat_count: int = strawberry.field(description="How often the whole ladder is climbed again.")
    escalate_on_sla: bool = strawberry.field(
        description="Whether an SLA time at risk or missed brings the next level at once."
    )
    version: Long = strawberry.field(description="See the rules at the top.")

    @computed("The ladder, lowest first.", cost=0, page_size_default=5)
    def levels(self) -> list[EscalationLevel]:
        """Return the ladder."""
        return levels_of(self.kept.levels)

    @classmethod
    def of(cls, rule: core.EscalationRule) -> Self:
        """Return a rule as the API shows it."""
        return cls(
            kept=rule,
            id=strawberry.ID(encode_id(NodeKind.ESCALATION_RULE, rule.id)),
            name=rule.name,
            enabled=rule.enabled,
            position=rule.position,
            matchers=[LabelMatcher.of(matcher) for matcher in rule.matchers],
            severities=list(rule.severities),
            incident_probability_min=rule.incident_probability_min,
            repeat_count=rule.repeat_count,
            escalate_on_sla=rule.escalate_on_sla,
            version=Long(rule.version),
        )


@strawberry.type(description="One of a page of escalation rules.")
class EscalationRuleEdge:
    """One of a page of escalation rules."""

    cursor: str = strawberry.field(description="Its place in this list.")
    node: EscalationRule = strawberry.field(description="The thing.")


@strawberry.type(description="A page of escalation rules.")
class EscalationRuleConnection:
    """A page of escalation rules."""

    edges: list[EscalationRuleEdge] = strawberry.field(description="With cursors.")
    nodes: list[EscalationRule] = strawberry.field(description="Without cursors.")
    page_info: PageInfo = strawberry.field(description="Where the page lies.", metadata={"cost": 0})
    total_count: int = strawberry.field(description="How many there are in all pages.")

    @classmethod
    def of(cls, page: Page[core.EscalationRule]) -> Self:
        """Return a page of rules as the API shows it."""
        assert page.total_count is not None, "configuration lists are always counted"
        edges = [EscalationRuleEdge(cursor=cursor, node=EscalationRule.of(rule)) for cursor, rule in page.items]
        return cls(
            edges=edges,
            nodes=[edge.node for edge in edges],
            page_info=PageInfo.of(page),
            total_count=page.total_count,
        )


# ------------------------------------------------------------------------------------------ input


@strawberry.input(description="Exactly one target.", one_of=True)
class EscalationTargetInput:
    """Exactly one target."""

    responder_id: Maybe[strawberry.ID] = strawberry.field(description="A person.")
    schedule_id: Maybe[strawberry.ID] = strawberry.field(description="Whoever is on call.")
    channel_id: Maybe[strawberry.ID] = strawberry.field(description="A channel.")

    def to_core(self, *path: str) -> core.EscalationTarget:
        """Return the target as services take it.

        Raises:
            NotFoundError: The id names no such thing.
        """
        if self.responder_id is not None:
            return core.ResponderTarget(responder_id_of(self.responder_id.value, *path, "responderId"))
        if self.schedule_id is not None:
            return core.ScheduleTarget(schedule_id_of(self.schedule_id.value, *path, "scheduleId"))
        assert self.channel_id is not None, "exactly one is given"
        return core.ChannelTarget(channel_id_of(self.channel_id.value, *path, "channelId"))


@strawberry.input(description="One rung.")
class EscalationLevelInput:
    """One rung."""

    delay: timedelta = strawberry.field(description="Until the next rung, PT0S or more.")
    targets: list[EscalationTargetInput] = strawberry.field(description="At least one.")


@strawberry.input(description="A new escalation rule.")
class EscalationRuleInput:
    """A new escalation rule."""

    name: str = strawberry.field(description="Unique in the tenant.")
    enabled: bool = strawberry.field(default=True, description="Whether it is tried.")
    position: int | None = strawberry.field(
        description="Rules at or behind it move back by one; last where left out."
    )
    matchers: list[LabelMatcherInput] = strawberry.field(default_factory=list, description="All must hold.")
    severities: list[Severity] = strawberry.field(default_factory=list, description="Empty for any.")
    incident_probability_min: float | None = strawberry.field(
        description="Only alerts predicted at this chance or more, 0 to 1."
    )
    levels: list[EscalationLevelInput] = strawberry.field(
        description="At least one, at most MAX_ESCALATION_LEVELS."
    )
    repeat_count: int = strawberry.field(default=0, description="How often the ladder is climbed again, 0 to 100.")
    escalate_on_sla: bool = strawberry.field(
        default=False, description="A level up when an SLA time is at risk or missed."
    )
    idempotency_key: str | None = strawberry.field(description="See the rules at the top.")


@strawberry.input(description="A patch. Alerts under way keep the ladder they began with.")
class UpdateEscalationRuleInput:
    """A patch of a rule."""

    id: strawberry.ID = strawberry.field(description="Which.")
    expected_version: Long | None = strawberry.field(description="Refuse where it changed since.")
    name: Maybe[str | None] = strawberry.field(description="Unique.")
    enabled: Maybe[bool | None] = strawberry.field(description="Whether it is tried.")
    position: Maybe[int | None] = strawberry.field(description="Others move.")
    matchers: Maybe[list[LabelMatcherInput] | None] = strawberry.field(description="Replaces.")
    severities: Maybe[list[Severity] | None] = strawberry.field(description="Replaces.")
    incident_probability_min: Maybe[float | None] = strawberry.field(description="Null for all.")
    levels: Maybe[list[EscalationLevelInput] | None] = strawberry.field(description="Replaces.")
    repeat_count: Maybe[int | None] = strawberry.field(description="Repeats.")
    escalate_on_sla: Maybe[bool | None] = strawberry.field(description="See EscalationRule.")


@strawberry.type(description="Answer.")
class EscalationRulePayload:
    """What became of a rule."""

    escalation_rule: EscalationRule | None = strawberry.field(description="Null where refused.")
    errors: list[MutationError] = strawberry.field(
        description="What the caller can mend; empty on success.", metadata={"cost": 0}
    )

    @classmethod
    def done(cls, rule: core.EscalationRule) -> Self:
        """Return the answer to what was done with a rule."""
        return cls(escalation_rule=EscalationRule.of(rule), errors=[])

    @classmethod
    def refused(cls, error: RefusedError) -> Self:
        """Return the answer to what was refused."""
        return cls(escalation_rule=None, errors=errors_of(error))


def rule_id_of(text: str, *path: str) -> RuleId:
    """Return the rule that an id names.

    Raises:
        NotFoundError: It is no escalation rule's id.
    """
    key = decode_key(text, NodeKind.ESCALATION_RULE)
    if key is None:
        raise unknown("escalation rule", *path)
    return RuleId(key)


def _levels(inputs: Sequence[EscalationLevelInput]) -> tuple[core.Level, ...]:
    """Return a ladder as the core takes it; it judges it."""
    return tuple(
        core.Level(
            given.delay,
            tuple(
                target.to_core("levels", str(index), "targets", str(place))
                for place, target in enumerate(given.targets)
            ),
        )
        for index, given in enumerate(inputs)
    )


# -------------------------------------------------------------------------------------- resolvers


@reads(Role.VIEWER)
async def escalation_rule(info: Info, id: Which) -> EscalationRule | None:
    """Return a rule; None where there is none with that id."""
    key = decode_key(id, NodeKind.ESCALATION_RULE)
    found = (await info.context.catalog()).rule(RuleId(key)) if key is not None else None
    return EscalationRule.of(found) if found is not None else None


@reads(Role.VIEWER)
async def escalation_rules(info: Info, first: First = UNSET, after: After = UNSET) -> EscalationRuleConnection:
    """Return a page of rules, by position."""
    found = (await info.context.catalog()).rules
    as_of = await info.context.reading.as_of()
    return EscalationRuleConnection.of(
        listed(found, lambda rule: rule.position, page_of(first, after, None, None), as_of)
    )


@writes(Role.ADMIN)
async def create_escalation_rule(
    info: Info, input: Annotated[EscalationRuleInput, strawberry.argument(description="What.")]
) -> EscalationRulePayload:
    """Make a rule."""
    context = info.context
    try:
        rule = await context.services.rules.create(
            context.principal,
            name=input.name,
            levels=_levels(input.levels),
            enabled=input.enabled,
            position=input.position,
            matchers=matchers_of(input.matchers, "matchers"),
            severities=tuple(input.severities),
            incident_probability_min=input.incident_probability_min,
            repeat_count=input.repeat_count,
            escalate_on_sla=input.escalate_on_sla,
            idempotency_key=input.idempotency_key,
        )
    except RefusedError as error:
        return EscalationRulePayload.refused(error)
    return EscalationRulePayload.done(rule)


@writes(Role.ADMIN)
async def update_escalation_rule(
    info: Info, input: Annotated[UpdateEscalationRuleInput, strawberry.argument(description="What.")]
) -> EscalationRulePayload:
    """Change a rule."""
    context = info.context
    try:
        matchers = patched(input.matchers, "matchers")
        severities = patched(input.severities, "severities")
        levels = patched(input.levels, "levels")
        rule = await context.services.rules.update(
            context.principal,
            rule_id_of(input.id, "id"),
            name=patched(input.name, "name"),
            enabled=patched(input.enabled, "enabled"),
            position=patched(input.position, "position"),
            matchers=matchers if isinstance(matchers, Unset) else matchers_of(matchers, "matchers"),
            severities=severities if isinstance(severities, Unset) else tuple(severities),
            incident_probability_min=cleared(input.incident_probability_min),
            levels=levels if isinstance(levels, Unset) else _levels(levels),
            repeat_count=patched(input.repeat_count, "repeatCount"),
            escalate_on_sla=patched(input.escalate_on_sla, "escalateOnSla"),
            expected_version=input.expected_version,
        )
    except RefusedError as error:
        return EscalationRulePayload.refused(error)
    return EscalationRulePayload.done(rule)


@writes(Role.ADMIN)
async def delete_escalation_rule(
    info: Info, input: Annotated[DeleteInput, strawberry.argument(description="What.")]
) -> DeletePayload:
    """Delete a rule."""
    context = info.context
    try:
        await context.services.rules.delete(
            context.principal, rule_id_of(input.id, "id"), expected_version=input.expected_version
        )
    except RefusedError as error:
        return DeletePayload(deleted_id=None, errors=errors_of(error))
    return DeletePayload(deleted_id=input.id, errors=[])
