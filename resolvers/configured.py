"""Configured things and incidents by id: what `node` finds, and what an event of the log is about."""

from collections.abc import Sequence
from uuid import UUID

from alertgraph.core.ids import (
    AnomalyRuleId,
    ApiKeyId,
    ChannelId,
    IncidentId,
    ModelId,
    MonitorId,
    NodeKind,
    ResponderId,
    RuleId,
    SavedViewId,
    ScheduleId,
    SilenceId,
)
from resolvers.anomaly import AnomalyRule
from resolvers.api_key import ApiKey
from resolvers.channel import NotificationChannel
from resolvers.context import Context
from resolvers.heartbeat import HeartbeatMonitor
from resolvers.inhibition import InhibitionRule
from resolvers.paging import Node
from resolvers.prediction import PredictionModel
from resolvers.responder import Responder
from resolvers.rule import EscalationRule
from resolvers.saved_view import SavedView
from resolvers.schedule import OnCallSchedule, ShiftOverride
from resolvers.silence import Silence
from resolvers.tenant import Tenant


async def all_configured(
    context: Context, keys: Sequence[tuple[NodeKind, UUID]]
) -> dict[tuple[NodeKind, UUID], Node]:
    """Return those of configured things that the caller sees, what is not in memory read together."""
    loaders = context.loaders
    await loaders.api_key.load_many([ApiKeyId(key) for kind, key in keys if kind is NodeKind.API_KEY])
    await loaders.saved_view.load_many([SavedViewId(key) for kind, key in keys if kind is NodeKind.SAVED_VIEW])
    await loaders.silence.load_many([SilenceId(key) for kind, key in keys if kind is NodeKind.SILENCE])
    await loaders.incident.load_many([IncidentId(key) for kind, key in keys if kind is NodeKind.INCIDENT])
    await loaders.model.load_many([ModelId(key) for kind, key in keys if kind is NodeKind.MODEL])
    found = {(kind, key): await configured(context, kind, key) for kind, key in keys}
    return {key: node for key, node in found.items() if node is not None}


async def configured(context: Context, kind: NodeKind, key: UUID) -> Node | None:
    """Return a configured thing as it is now; None where the caller sees none of that kind with that id."""
    match kind:
        case NodeKind.TENANT:
            tenant = context.principal.tenant
            return Tenant.of(tenant) if key == tenant.id else None
        case NodeKind.API_KEY:
            api_key = await context.loaders.api_key.load(ApiKeyId(key))
            return ApiKey.of(api_key) if api_key is not None else None
        case NodeKind.SAVED_VIEW:
            view = await context.loaders.saved_view.load(SavedViewId(key))
            return SavedView.of(view) if view is not None else None
        case NodeKind.CHANNEL:
            channel = (await context.catalog()).channels.get(ChannelId(key))
            return NotificationChannel.of(channel) if channel is not None else None
        case NodeKind.RESPONDER:
            responder = (await context.catalog()).responders.get(ResponderId(key))
            return Responder.of(responder) if responder is not None else None
        case NodeKind.SCHEDULE:
            schedule = (await context.catalog()).schedules.get(ScheduleId(key))
            return OnCallSchedule.of(schedule) if schedule is not None else None
        case NodeKind.OVERRIDE:
            catalog = await context.catalog()
            override = next((each for each in catalog.overrides if each.id == key), None)
            who = catalog.responders.get(override.responder_id) if override is not None else None
            return (
                ShiftOverride.of(override, Responder.of(who)) if override is not None and who is not None else None
            )
        case NodeKind.ESCALATION_RULE:
            rule = (await context.catalog()).rule(RuleId(key))
            return EscalationRule.of(rule) if rule is not None else None
        case NodeKind.INHIBITION_RULE:
            inhibitions = (await context.catalog()).inhibitions
            inhibition = next((each for each in inhibitions if each.id == key), None)
            return InhibitionRule.of(inhibition) if inhibition is not None else None
        case NodeKind.SILENCE:
            silence = await context.loaders.silence.load(SilenceId(key))
            return Silence.of(silence, context.reading.now) if silence is not None else None
        case NodeKind.MONITOR:
            monitor = (await context.catalog()).monitors.get(MonitorId(key))
            return HeartbeatMonitor.of(monitor) if monitor is not None else None
        case NodeKind.ANOMALY_RULE:
            anomaly_rule = (await context.catalog()).anomaly_rules.get(AnomalyRuleId(key))
            return AnomalyRule.of(anomaly_rule) if anomaly_rule is not None else None
        case NodeKind.INCIDENT:
            # Here, since incidents show their events, which show what they are about.
            from resolvers.incident import Incident

            incident = await context.loaders.incident.load(IncidentId(key))
            return Incident.of(incident) if incident is not None else None
        case NodeKind.MODEL:
            model = await context.loaders.model.load(ModelId(key))
            return PredictionModel.of(model) if model is not None else None
        case _:
            return None
