"""Inhibition rules: read, made, changed, deleted."""

from typing import Annotated, Self

import strawberry
from strawberry import Maybe

from alertgraph.core import inhibition as core
from alertgraph.core.action import Unset
from alertgraph.core.errors import RefusedError
from alertgraph.core.ids import InhibitionRuleId, NodeKind, decode_key, encode_id
from alertgraph.core.query import Page
from resolvers.context import Info
from resolvers.deletion import DeleteInput, DeletePayload
from resolvers.errors import MutationError, errors_of, unknown
from resolvers.matcher import LabelMatcher, LabelMatcherInput, matchers_of
from resolvers.paging import UNSET, After, First, Node, PageInfo, listed, page_of
from resolvers.patch import patched
from resolvers.permissions import reads, writes
from resolvers.scalars import Long
from resolvers.words import Role


@strawberry.type(description="While a source alert is open, target alerts with the same labels are not paged.")
class InhibitionRule(Node):
    """While a source alert is open, target alerts with the same labels are not paged."""

    id: strawberry.ID = strawberry.field(description="Opaque.")
    name: str = strawberry.field(description="Unique in the tenant.")
    enabled: bool = strawberry.field(description="Whether it is applied.")
    source_matchers: list[LabelMatcher] = strawberry.field(
        description="Which alerts cover others.", metadata={"cost": 0}
    )
    target_matchers: list[LabelMatcher] = strawberry.field(
        description="Which alerts are covered.", metadata={"cost": 0}
    )
    equal_labels: list[str] = strawberry.field(description="Labels in which both must be equal.")
    version: Long = strawberry.field(description="See the rules at the top.")

    @classmethod
    def of(cls, rule: core.InhibitionRule) -> Self:
        """Return a rule as the API shows it."""
        return cls(
            id=strawberry.ID(encode_id(NodeKind.INHIBITION_RULE, rule.id)),
            name=rule.name,
            enabled=rule.enabled,
            source_matchers=[LabelMatcher.of(matcher) for matcher in rule.source_matchers],
            target_matchers=[LabelMatcher.of(matcher) for matcher in rule.target_matchers],
            equal_labels=list(rule.equal_labels),
            version=Long(rule.version),
        )


@strawberry.type(description="One of a page of inhibition rules.")
class InhibitionRuleEdge:
    """One of a page of inhibition rules."""

    cursor: str = strawberry.field(description="Its place in this list.")
    node: InhibitionRule = strawberry.field(description="The thing.")


@strawberry.type(description="A page of inhibition rules.")
class InhibitionRuleConnection:
    """A page of inhibition rules."""

    edges: list[InhibitionRuleEdge] = strawberry.field(description="With cursors.")
    nodes: list[InhibitionRule] = strawberry.field(description="Without cursors.")
    page_info: PageInfo = strawberry.field(description="Where the page lies.", metadata={"cost": 0})
    total_count: int = strawberry.field(description="How many there are in all pages.")

    @classmethod
    def of(cls, page: Page[core.InhibitionRule]) -> Self:
        """Return a page of rules as the API shows it."""
        assert page.total_count is not None, "configuration lists are always counted"
        edges = [InhibitionRuleEdge(cursor=cursor, node=InhibitionRule.of(rule)) for cursor, rule in page.items]
        return cls(
            edges=edges,
            nodes=[edge.node for edge in edges],
            page_info=PageInfo.of(page),
            total_count=page.total_count,
        )


@strawberry.input(description="A new inhibition rule.")
class InhibitionRuleInput:
    """A new inhibition rule."""

    name: str = strawberry.field(description="Unique in the tenant.")
    enabled: bool = strawberry.field(default=True, description="Whether it is applied.")
    source_matchers: list[LabelMatcherInput] = strawberry.field(description="At least one.")
    target_matchers: list[LabelMatcherInput] = strawberry.field(description="At least one.")
    equal_labels: list[str] = strawberry.field(default_factory=list, description="May be empty.")
    idempotency_key: str | None = strawberry.field(description="See the rules at the top.")


@strawberry.input(description="A patch.")
class UpdateInhibitionRuleInput:
    """A patch of a rule."""

    id: strawberry.ID = strawberry.field(description="Which.")
    expected_version: Long | None = strawberry.field(description="Refuse where it changed since.")
    name: Maybe[str | None] = strawberry.field(description="Unique.")
    enabled: Maybe[bool | None] = strawberry.field(description="Whether it is applied.")
    source_matchers: Maybe[list[LabelMatcherInput] | None] = strawberry.field(description="Replaces.")
    target_matchers: Maybe[list[LabelMatcherInput] | None] = strawberry.field(description="Replaces.")
    equal_labels: Maybe[list[str] | None] = strawberry.field(description="Replaces.")


@strawberry.type(description="Answer.")
class InhibitionRulePayload:
    """What became of a rule."""

    inhibition_rule: InhibitionRule | None = strawberry.field(description="Null where refused.")
    errors: list[MutationError] = strawberry.field(
        description="What the caller can mend; empty on success.", metadata={"cost": 0}
    )

    @classmethod
    def done(cls, rule: core.InhibitionRule) -> Self:
        """Return the answer to what was done with a rule."""
        return cls(inhibition_rule=InhibitionRule.of(rule), errors=[])

    @classmethod
    def refused(cls, error: RefusedError) -> Self:
        """Return the answer to what was refused."""
        return cls(inhibition_rule=None, errors=errors_of(error))


def _rule_id_of(text: str) -> InhibitionRuleId:
    key = decode_key(text, NodeKind.INHIBITION_RULE)
    if key is None:
        raise unknown("inhibition rule", "id")
    return InhibitionRuleId(key)


@reads(Role.VIEWER)
async def inhibition_rules(info: Info, first: First = UNSET, after: After = UNSET) -> InhibitionRuleConnection:
    """Return a page of rules, by name."""
    found = (await info.context.catalog()).inhibitions
    as_of = await info.context.reading.as_of()
    return InhibitionRuleConnection.of(
        listed(found, lambda rule: rule.name, page_of(first, after, None, None), as_of)
    )


@writes(Role.ADMIN)
async def create_inhibition_rule(
    info: Info, input: Annotated[InhibitionRuleInput, strawberry.argument(description="What.")]
) -> InhibitionRulePayload:
    """Make a rule."""
    context = info.context
    try:
        rule = await context.services.inhibitions.create(
            context.principal,
            name=input.name,
            source_matchers=matchers_of(input.source_matchers, "sourceMatchers"),
            target_matchers=matchers_of(input.target_matchers, "targetMatchers"),
            equal_labels=tuple(input.equal_labels),
            enabled=input.enabled,
            idempotency_key=input.idempotency_key,
        )
    except RefusedError as error:
        return InhibitionRulePayload.refused(error)
    return InhibitionRulePayload.done(rule)


@writes(Role.ADMIN)
async def update_inhibition_rule(
    info: Info, input: Annotated[UpdateInhibitionRuleInput, strawberry.argument(description="What.")]
) -> InhibitionRulePayload:
    """Change a rule."""
    context = info.context
    try:
        sources = patched(input.source_matchers, "sourceMatchers")
        targets = patched(input.target_matchers, "targetMatchers")
        labels = patched(input.equal_labels, "equalLabels")
        rule = await context.services.inhibitions.update(
            context.principal,
            _rule_id_of(input.id),
            name=patched(input.name, "name"),
            enabled=patched(input.enabled, "enabled"),
            source_matchers=sources if isinstance(sources, Unset) else matchers_of(sources, "sourceMatchers"),
            target_matchers=targets if isinstance(targets, Unset) else matchers_of(targets, "targetMatchers"),
            equal_labels=labels if isinstance(labels, Unset) else tuple(labels),
            expected_version=input.expected_version,
        )
    except RefusedError as error:
        return InhibitionRulePayload.refused(error)
    return InhibitionRulePayload.done(rule)


@writes(Role.ADMIN)
async def delete_inhibition_rule(
    info: Info, input: Annotated[DeleteInput, strawberry.argument(description="What.")]
) -> DeletePayload:
    """Delete a rule."""
    context = info.context
    try:
        await context.services.inhibitions.delete(
            context.principal, _rule_id_of(input.id), expected_version=input.expected_version
        )
    except RefusedError as error:
        return DeletePayload(deleted_id=None, errors=errors_of(error))
    return DeletePayload(deleted_id=input.id, errors=[])
