"""The tenant, who is asking, and what is left of their budget."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Annotated, Self

import strawberry
from strawberry import Maybe

from alertgraph.core import tenant as core
from alertgraph.core.action import UNSET
from alertgraph.core.errors import RefusedError
from alertgraph.core.ids import NodeKind, TenantId, encode_id
from alertgraph.core.slo import SlaTarget as CoreSlaTarget
from resolvers.alert import rules_by_id, shown_rule
from resolvers.channel import NotificationChannel, channel_id_of, channels_by_id, shown_channel
from resolvers.context import Info
from resolvers.errors import MutationError, errors_of
from resolvers.fields import computed
from resolvers.paging import Node
from resolvers.patch import cleared, patched
from resolvers.permissions import reads, writes
from resolvers.relations import relation
from resolvers.responder import Responder
from resolvers.rule import EscalationRule, rule_id_of
from resolvers.scalars import Long
from resolvers.words import DocumentMode, NoiseMode, Role, Severity, Tier


@strawberry.type(description="What a tenant's tier promises for one severity.")
class SlaTarget:
    """What a tenant's tier promises for one severity."""

    severity: Severity = strawberry.field(description="The severity it is for.")
    acknowledge_within: timedelta = strawberry.field(description="From triggered to acknowledged.")
    resolve_within: timedelta = strawberry.field(description="From triggered to resolved.")

    @classmethod
    def of(cls, target: CoreSlaTarget) -> Self:
        """Return a promise as the API shows it."""
        return cls(
            severity=target.severity,
            acknowledge_within=target.acknowledge_within,
            resolve_within=target.resolve_within,
        )


@strawberry.type(description="A tenant's switches; changed by updateTenantSettings.")
class TenantSettings:
    """A tenant's switches."""

    kept: strawberry.Private[core.TenantSettings]
    resolve_timeout: timedelta = strawberry.field(
        description=(
            "An alert whose sender names no end is resolved this long after it was last seen; PT0S means never."
        )
    )
    retention: timedelta = strawberry.field(description="How long resolved alerts and their events are kept.")
    grouping_labels: list[str] = strawberry.field(
        description="Alerts equal in all these labels share an incident; empty switches this grouping off.",
        metadata={"cost": 0},
    )
    grouping_window: timedelta = strawberry.field(
        description="How long after its last alert an incident still takes in equal ones."
    )
    correlation_enabled: bool = strawberry.field(description="Whether the model may group alerts.")
    noise_mode: NoiseMode = strawberry.field(description="How far the model may go against noise.")
    noise_hold_max: timedelta = strawberry.field(description="The longest that a page may be held.")
    noise_regret_budget: timedelta = strawberry.field(
        description="Wrongly held time per 30 days beyond which holding switches itself off."
    )
    document_mode: DocumentMode = strawberry.field(description="Which documents are executed.")
    version: Long = strawberry.field(description="See the rules at the top.")

    @computed(
        "Used where no rule matches; null means such alerts are held with NO_MATCHING_RULE.",
        batch=relation(attrgetter("kept.default_rule_id"), rules_by_id, shown_rule),
    )
    @reads(Role.VIEWER)
    async def default_escalation_rule(self, info: Info) -> EscalationRule | None:
        """Return the rule that stands in."""
        found = (await info.context.catalog()).rule(self.kept.default_rule_id)
        return EscalationRule.of(found) if found is not None else None

    @computed(
        "Beaten every minute while the engine's invariants hold, and not otherwise.",
        batch=relation(attrgetter("kept.dead_man_channel_id"), channels_by_id, shown_channel),
    )
    @reads(Role.VIEWER)
    async def dead_man_channel(self, info: Info) -> NotificationChannel | None:
        """Return the channel of the dead-man beat."""
        if self.kept.dead_man_channel_id is None:
            return None
        found = (await info.context.catalog()).channels.get(self.kept.dead_man_channel_id)
        return NotificationChannel.of(found) if found is not None else None

    @classmethod
    def of(cls, settings: core.TenantSettings) -> Self:
        """Return the settings as the API shows them."""
        return cls(
            kept=settings,
            resolve_timeout=settings.resolve_timeout,
            retention=settings.retention,
            grouping_labels=list(settings.grouping_labels),
            grouping_window=settings.grouping_window,
            correlation_enabled=settings.correlation_enabled,
            noise_mode=settings.noise.mode,
            noise_hold_max=settings.noise.hold_max,
            noise_regret_budget=settings.noise.regret_budget,
            document_mode=settings.document_mode,
            version=Long(settings.version),
        )


async def promises(info: Info, keys: Sequence[TenantId]) -> Mapping[TenantId, list[SlaTarget]]:
    """Return what is promised, worst severity first: to the caller's tenant, for there is no other to be asked."""
    targets = [SlaTarget.of(target) for target in await info.context.reading.sla_targets()]
    return dict.fromkeys(keys, targets)


async def settings_of(info: Info, keys: Sequence[TenantId]) -> Mapping[TenantId, TenantSettings]:
    """Return the settings, of the caller's tenant likewise."""
    return dict.fromkeys(keys, TenantSettings.of(await info.context.reading.settings()))


@strawberry.type(
    description=(
        "One customer or team: the unit of isolation. Made and removed by the operator's command line only."
    )
)
class Tenant(Node):
    """One customer or team."""

    key: strawberry.Private[TenantId]
    id: strawberry.ID = strawberry.field(description="Opaque.")
    slug: str = strawberry.field(description="Short name, unique on the installation.")
    name: str = strawberry.field(description="Name for people.")
    tier: Tier = strawberry.field(description="What it has been promised.")

    @computed("The promise per severity.", page_size_default=1, batch=relation(attrgetter("key"), promises))
    @reads(Role.VIEWER)
    async def sla_targets(self, info: Info) -> list[SlaTarget]:
        """Return the promises, worst severity first."""
        return [SlaTarget.of(target) for target in await info.context.loaders.sla_targets.load(self.key)]

    @computed("What an ADMIN may set.", batch=relation(attrgetter("key"), settings_of))
    @reads(Role.VIEWER)
    async def settings(self, info: Info) -> TenantSettings:
        """Return the settings."""
        return TenantSettings.of(await info.context.loaders.settings.load(self.key))

    @classmethod
    def of(cls, tenant: core.Tenant) -> Self:
        """Return a tenant as the API shows it."""
        return cls(
            key=tenant.id,
            id=strawberry.ID(encode_id(NodeKind.TENANT, tenant.id)),
            slug=tenant.slug,
            name=tenant.name,
            tier=tenant.tier,
        )


@strawberry.type(description="Who is asking.")
class Viewer:
    """Who is asking."""

    tenant: Tenant = strawberry.field(description="The tenant of the credentials.")
    role: Role = strawberry.field(description="What the caller may do.")
    subject: str = strawberry.field(description="Name of the key or subject of the token.")

    @computed("The caller as somebody who can be on call; null for keys and where nobody is linked.")
    @reads(Role.VIEWER)
    async def responder(self, info: Info) -> Responder | None:
        """Return the person whose credentials these are."""
        responder_id = info.context.principal.responder_id
        if responder_id is None:
            return None
        found = (await info.context.catalog()).responders.get(responder_id)
        return Responder.of(found) if found is not None else None


@strawberry.type(description="What this request cost, and what is left of the key's budget.")
class RateLimit:
    """What this request cost, and what is left."""

    cost: int = strawberry.field(description="Points of this request.")
    limit: int = strawberry.field(description="Points a minute.")
    remaining: int = strawberry.field(description="Points left.")
    reset_at: datetime = strawberry.field(description="When all points are back.")


@strawberry.input(description="A patch.")
class UpdateTenantSettingsInput:
    """A patch of the settings."""

    expected_version: Long | None = strawberry.field(description="See the rules at the top.")
    resolve_timeout: Maybe[timedelta | None] = strawberry.field(description="See TenantSettings.")
    default_escalation_rule_id: Maybe[strawberry.ID | None] = strawberry.field(description="Null for none.")
    retention: Maybe[timedelta | None] = strawberry.field(description="P1D or more.")
    grouping_labels: Maybe[list[str] | None] = strawberry.field(description="Replaces.")
    grouping_window: Maybe[timedelta | None] = strawberry.field(description="See TenantSettings.")
    correlation_enabled: Maybe[bool | None] = strawberry.field(description="See TenantSettings.")
    noise_mode: Maybe[NoiseMode | None] = strawberry.field(description="See TenantSettings.")
    noise_hold_max: Maybe[timedelta | None] = strawberry.field(description="See TenantSettings.")
    noise_regret_budget: Maybe[timedelta | None] = strawberry.field(description="See TenantSettings.")
    document_mode: Maybe[DocumentMode | None] = strawberry.field(description="See TenantSettings.")
    dead_man_channel_id: Maybe[strawberry.ID | None] = strawberry.field(description="Null for none.")


@strawberry.type(description="Answer.")
class TenantSettingsPayload:
    """What became of a patch of the settings."""

    settings: TenantSettings | None = strawberry.field(description="Null where refused.")
    errors: list[MutationError] = strawberry.field(
        description="What the caller can mend; empty on success.", metadata={"cost": 0}
    )


@reads(Role.INGEST)
async def viewer(info: Info) -> Viewer:
    """Return who is asking, as their credentials say."""
    principal = info.context.principal
    return Viewer(
        tenant=Tenant.of(principal.tenant),
        role=principal.role,
        subject=principal.name or principal.subject,
    )


@reads(Role.INGEST)
async def rate_limit(info: Info) -> RateLimit:
    """Return what the request cost and what is left."""
    budget = info.context.budget
    assert budget is not None, "the edge counts every operation before it runs"
    return RateLimit(cost=budget.cost, limit=budget.limit, remaining=budget.remaining, reset_at=budget.reset_at)


@writes(Role.ADMIN)
async def update_tenant_settings(
    info: Info,
    input: Annotated[UpdateTenantSettingsInput, strawberry.argument(description="What.")],
) -> TenantSettingsPayload:
    """Change the tenant's settings."""
    context = info.context
    try:
        labels = patched(input.grouping_labels, "groupingLabels")
        rule, channel = cleared(input.default_escalation_rule_id), cleared(input.dead_man_channel_id)
        settings = await context.services.configuration.update_settings(
            context.principal,
            resolve_timeout=patched(input.resolve_timeout, "resolveTimeout"),
            retention=patched(input.retention, "retention"),
            grouping_labels=tuple(labels) if isinstance(labels, list) else UNSET,
            grouping_window=patched(input.grouping_window, "groupingWindow"),
            correlation_enabled=patched(input.correlation_enabled, "correlationEnabled"),
            noise_mode=patched(input.noise_mode, "noiseMode"),
            noise_hold_max=patched(input.noise_hold_max, "noiseHoldMax"),
            noise_regret_budget=patched(input.noise_regret_budget, "noiseRegretBudget"),
            document_mode=patched(input.document_mode, "documentMode"),
            default_rule_id=rule_id_of(rule, "defaultEscalationRuleId") if isinstance(rule, str) else rule,
            dead_man_channel_id=channel_id_of(channel, "deadManChannelId")
            if isinstance(channel, str)
            else channel,
            expected_version=input.expected_version,
        )
    except RefusedError as error:
        return TenantSettingsPayload(settings=None, errors=errors_of(error))
    return TenantSettingsPayload(settings=TenantSettings.of(settings), errors=[])
