"""The roster of fields. `make schema` prints it to schema.graphql."""

import strawberry
from strawberry.schema.config import StrawberryConfig

import resolvers.alert
import resolvers.alert_action
import resolvers.anomaly
import resolvers.api_key
import resolvers.audit
import resolvers.channel
import resolvers.delivery
import resolvers.event
import resolvers.forecast
import resolvers.health
import resolvers.heartbeat
import resolvers.incident
import resolvers.inhibition
import resolvers.live
import resolvers.matcher
import resolvers.metrics
import resolvers.monitored_service
import resolvers.nodes
import resolvers.prediction
import resolvers.responder
import resolvers.rule
import resolvers.saved_view
import resolvers.schedule
import resolvers.silence
import resolvers.tenant
import resolvers.words
from alertgraph.execution.constructors import compile_inputs
from resolvers.alert import CriticalAlert, CriticalAlertConnection
from resolvers.alert_action import (
    AlertActionPayload,
    AlertsActionPayload,
    CreateAlertPayload,
    CreateAlertsPayload,
)
from resolvers.anomaly import AnomalyRuleConnection, AnomalyRulePayload
from resolvers.api_key import ApiKeyConnection, ApiKeyPayload
from resolvers.audit import AuditConsistency, AuditHead, AuditProof
from resolvers.channel import (
    NotificationChannel,
    NotificationChannelConnection,
    NotificationChannelPayload,
    NotificationPreview,
    TestNotificationPayload,
)
from resolvers.deletion import DeletePayload
from resolvers.delivery import DeliveryConnection
from resolvers.event import LogEventConnection
from resolvers.forecast import EscalationForecast
from resolvers.health import EngineHealth
from resolvers.heartbeat import HeartbeatMonitorConnection, HeartbeatMonitorPayload
from resolvers.incident import Incident, IncidentConnection, IncidentPayload
from resolvers.inhibition import InhibitionRuleConnection, InhibitionRulePayload
from resolvers.metrics import AlertMetrics
from resolvers.monitored_service import MonitoredServiceConnection, ServiceDependenciesPayload
from resolvers.paging import Node
from resolvers.prediction import PredictionModelConnection, PredictionStatus
from resolvers.responder import Responder, ResponderConnection, ResponderPayload
from resolvers.rule import EscalationRule, EscalationRuleConnection, EscalationRulePayload
from resolvers.saved_view import SavedViewConnection, SavedViewPayload
from resolvers.scalars import SCALARS
from resolvers.schedule import OnCallSchedule, OnCallScheduleConnection, OnCallSchedulePayload
from resolvers.silence import Silence, SilenceConnection, SilencePayload, SilencePreview
from resolvers.tenant import RateLimit, TenantSettingsPayload, Viewer


@strawberry.type(description="What can be read. Needs VIEWER where nothing else is said.")
class Query:
    """What can be read."""

    node: Node | None = strawberry.field(
        resolver=resolvers.nodes.node, description="One thing by id; null where the caller sees none."
    )
    nodes: list[Node | None] = strawberry.field(
        resolver=resolvers.nodes.nodes,
        description="Up to 100 things by id, in the order asked, null where the caller sees none.",
    )
    viewer: Viewer = strawberry.field(resolver=resolvers.tenant.viewer, description="Who is asking. INGEST.")
    alert: CriticalAlert | None = strawberry.field(resolver=resolvers.alert.alert, description="One alert by id.")
    alerts: CriticalAlertConnection = strawberry.field(
        resolver=resolvers.alert.alerts, description="Alerts.", metadata=resolvers.matcher.ALERT_FILTER_COST
    )
    incident: Incident | None = strawberry.field(
        resolver=resolvers.incident.incident, description="One incident by id."
    )
    incidents: IncidentConnection = strawberry.field(
        resolver=resolvers.incident.incidents, description="Incidents, newest first."
    )
    events: LogEventConnection = strawberry.field(
        resolver=resolvers.event.events,
        description=(
            "The log, oldest first; `last` gets the newest. VIEWER sees what alerts and incidents did, RESPONDER "
            "also configuration, ADMIN also keys and reads of personal data."
        ),
        metadata=resolvers.matcher.EVENT_FILTER_COST,
    )
    deliveries: DeliveryConnection = strawberry.field(
        resolver=resolvers.delivery.deliveries, description="Deliveries over all alerts, newest first."
    )
    label_suggestions: list[str] = strawberry.field(
        resolver=resolvers.alert.label_suggestions,
        description=(
            "Names of labels in use, or with `label` its values, the commonest first: for filter and matcher "
            "forms."
        ),
        metadata={"cost": 1},
    )
    escalation_rule: EscalationRule | None = strawberry.field(
        resolver=resolvers.rule.escalation_rule, description="One escalation rule by id."
    )
    escalation_rules: EscalationRuleConnection = strawberry.field(
        resolver=resolvers.rule.escalation_rules, description="Escalation rules, by position."
    )
    inhibition_rules: InhibitionRuleConnection = strawberry.field(
        resolver=resolvers.inhibition.inhibition_rules, description="Inhibition rules, by name."
    )
    notification_channel: NotificationChannel | None = strawberry.field(
        resolver=resolvers.channel.notification_channel, description="One channel by id."
    )
    notification_channels: NotificationChannelConnection = strawberry.field(
        resolver=resolvers.channel.notification_channels, description="Channels, by name."
    )
    notification_preview: NotificationPreview = strawberry.field(
        resolver=resolvers.channel.notification_preview,
        description="How a message would look, of an open alert or a made-up one. Sends nothing. RESPONDER.",
    )
    on_call_schedule: OnCallSchedule | None = strawberry.field(
        resolver=resolvers.schedule.on_call_schedule, description="One schedule by id."
    )
    on_call_schedules: OnCallScheduleConnection = strawberry.field(
        resolver=resolvers.schedule.on_call_schedules, description="Schedules, by name."
    )
    responder: Responder | None = strawberry.field(
        resolver=resolvers.responder.responder, description="One person by id."
    )
    responders: ResponderConnection = strawberry.field(
        resolver=resolvers.responder.responders, description="People, by name."
    )
    silence: Silence | None = strawberry.field(
        resolver=resolvers.silence.silence, description="One silence by id."
    )
    silences: SilenceConnection = strawberry.field(
        resolver=resolvers.silence.silences, description="Silences, latest end first."
    )
    silence_preview: SilencePreview = strawberry.field(
        resolver=resolvers.silence.silence_preview,
        description="What a silence with these matchers would cover.",
        metadata=resolvers.matcher.PREVIEW_COST,
    )
    heartbeat_monitors: HeartbeatMonitorConnection = strawberry.field(
        resolver=resolvers.heartbeat.heartbeat_monitors, description="Heartbeat monitors, by name."
    )
    anomaly_rules: AnomalyRuleConnection = strawberry.field(
        resolver=resolvers.anomaly.anomaly_rules, description="Anomaly rules, by name."
    )
    monitored_services: MonitoredServiceConnection = strawberry.field(
        resolver=resolvers.monitored_service.monitored_services, description="Things watched, by name."
    )
    saved_views: SavedViewConnection = strawberry.field(
        resolver=resolvers.saved_view.saved_views, description="The caller's views and the shared ones, by name."
    )
    api_keys: ApiKeyConnection = strawberry.field(
        resolver=resolvers.api_key.api_keys, description="The tenant's keys, newest first. ADMIN."
    )
    alert_metrics: AlertMetrics = strawberry.field(
        resolver=resolvers.metrics.alert_metrics,
        description="Figures of a window of at most 400 days.",
        metadata=resolvers.metrics.FIGURES_COST,
    )
    escalation_forecast: EscalationForecast = strawberry.field(
        resolver=resolvers.forecast.escalation_forecast,
        description="Who would be told when, of an open alert or of a draft: exactly one of the two.",
        metadata=resolvers.forecast.FORECAST_COST,
    )
    prediction_status: PredictionStatus = strawberry.field(
        resolver=resolvers.prediction.prediction_status,
        description="Whether predictions are to be had, and what holding cost.",
    )
    prediction_models: PredictionModelConnection = strawberry.field(
        resolver=resolvers.prediction.prediction_models, description="Model versions, newest first."
    )
    engine_health: EngineHealth = strawberry.field(
        resolver=resolvers.health.engine_health,
        description="Whether the engine keeps its promises for this tenant.",
    )
    audit_head: AuditHead | None = strawberry.field(
        resolver=resolvers.audit.audit_head,
        description="The newest signed head of the log; null until there is one.",
    )
    audit_proof: AuditProof | None = strawberry.field(
        resolver=resolvers.audit.audit_proof,
        description=(
            "Proof that an event stands in the log; null where the event is unknown or no head covers it yet."
        ),
        metadata=resolvers.audit.PROOF_COST,
    )
    audit_consistency: AuditConsistency | None = strawberry.field(
        resolver=resolvers.audit.audit_consistency,
        description="Proof that the log of today only added to an earlier one; null where there is no head.",
        metadata=resolvers.audit.PROOF_COST,
    )
    rate_limit: RateLimit = strawberry.field(
        resolver=resolvers.tenant.rate_limit,
        description="This request's cost and the key's budget. INGEST.",
        metadata={"cost": 0},
    )


@strawberry.type(description="What can be changed. Each names the role it needs. Success means committed.")
class Mutation:
    """What can be changed."""

    create_alert: CreateAlertPayload = strawberry.field(
        resolver=resolvers.alert_action.create_alert,
        description="Sends an alert; repeats of an open one are folded into it. INGEST.",
    )
    create_alerts: CreateAlertsPayload = strawberry.field(
        resolver=resolvers.alert_action.create_alerts,
        description=(
            "Up to 1,000 at once; an invalid one is reported by its path and the others are kept; a value of the "
            "wrong type refuses the whole request. INGEST."
        ),
    )
    update_alert: AlertActionPayload = strawberry.field(
        resolver=resolvers.alert_action.update_alert, description="Changes an open alert. RESPONDER."
    )
    acknowledge_alert: AlertActionPayload = strawberry.field(
        resolver=resolvers.alert_action.acknowledge_alert,
        description="Takes an alert, which stops its escalation. RESPONDER.",
    )
    unacknowledge_alert: AlertActionPayload = strawberry.field(
        resolver=resolvers.alert_action.unacknowledge_alert,
        description="Gives an alert back; it climbs again from the level it had. RESPONDER.",
    )
    resolve_alert: AlertActionPayload = strawberry.field(
        resolver=resolvers.alert_action.resolve_alert, description="Ends an alert. RESPONDER."
    )
    reopen_alert: CreateAlertPayload = strawberry.field(
        resolver=resolvers.alert_action.reopen_alert,
        description=("Triggers a resolved alert again, as a new alert with the same contents and key. RESPONDER."),
    )
    escalate_alert: AlertActionPayload = strawberry.field(
        resolver=resolvers.alert_action.escalate_alert,
        description="Climbs now, also when acknowledged. RESPONDER.",
    )
    assign_alert: AlertActionPayload = strawberry.field(
        resolver=resolvers.alert_action.assign_alert,
        description="Gives an alert to a responder, who is notified. RESPONDER.",
    )
    add_alert_note: AlertActionPayload = strawberry.field(
        resolver=resolvers.alert_action.add_alert_note, description="Writes on the timeline. RESPONDER."
    )
    give_alert_feedback: AlertActionPayload = strawberry.field(
        resolver=resolvers.alert_action.give_alert_feedback,
        description="Says whether an alert needed somebody; the model learns from it. RESPONDER.",
    )
    acknowledge_alerts: AlertsActionPayload = strawberry.field(
        resolver=resolvers.alert_action.acknowledge_alerts, description="Takes many alerts. RESPONDER."
    )
    unacknowledge_alerts: AlertsActionPayload = strawberry.field(
        resolver=resolvers.alert_action.unacknowledge_alerts, description="Gives many back. RESPONDER."
    )
    resolve_alerts: AlertsActionPayload = strawberry.field(
        resolver=resolvers.alert_action.resolve_alerts,
        description="Ends many. RESPONDER; INGEST where selected by dedupKeys.",
    )
    create_incident: IncidentPayload = strawberry.field(
        resolver=resolvers.incident.create_incident,
        description="Opens an incident of alerts chosen by hand. RESPONDER.",
    )
    update_incident: IncidentPayload = strawberry.field(
        resolver=resolvers.incident.update_incident, description="Changes title or root. RESPONDER."
    )
    acknowledge_incident: IncidentPayload = strawberry.field(
        resolver=resolvers.incident.acknowledge_incident,
        description="Acknowledges all its open alerts; one that joins later climbs by itself. RESPONDER.",
    )
    resolve_incident: IncidentPayload = strawberry.field(
        resolver=resolvers.incident.resolve_incident, description="Resolves all its open alerts. RESPONDER."
    )
    add_alerts_to_incident: IncidentPayload = strawberry.field(
        resolver=resolvers.incident.add_alerts_to_incident,
        description="Adds alerts; each leaves the incident it was in. RESPONDER.",
    )
    merge_incidents: IncidentPayload = strawberry.field(
        resolver=resolvers.incident.merge_incidents,
        description="Makes one incident of several; the model learns from it. RESPONDER.",
    )
    split_incident: IncidentPayload = strawberry.field(
        resolver=resolvers.incident.split_incident,
        description="Moves alerts to a new incident; the model learns from it. RESPONDER.",
    )
    override_shift: OnCallSchedulePayload = strawberry.field(
        resolver=resolvers.schedule.override_shift,
        description="Puts somebody else on call for a while. RESPONDER.",
    )
    delete_shift_override: DeletePayload = strawberry.field(
        resolver=resolvers.schedule.delete_shift_override, description="Takes an override back. RESPONDER."
    )
    create_silence: SilencePayload = strawberry.field(
        resolver=resolvers.silence.create_silence, description="Makes a silence. RESPONDER."
    )
    update_silence: SilencePayload = strawberry.field(
        resolver=resolvers.silence.update_silence, description="Changes a silence. RESPONDER."
    )
    expire_silence: SilencePayload = strawberry.field(
        resolver=resolvers.silence.expire_silence,
        description="Ends a silence now; its open alerts climb. RESPONDER.",
    )
    beat: HeartbeatMonitorPayload = strawberry.field(
        resolver=resolvers.heartbeat.beat, description="Shows that a sender is alive. INGEST."
    )
    create_escalation_rule: EscalationRulePayload = strawberry.field(
        resolver=resolvers.rule.create_escalation_rule, description="Makes an escalation rule. ADMIN."
    )
    update_escalation_rule: EscalationRulePayload = strawberry.field(
        resolver=resolvers.rule.update_escalation_rule, description="Changes one. ADMIN."
    )
    delete_escalation_rule: DeletePayload = strawberry.field(
        resolver=resolvers.rule.delete_escalation_rule, description="Deletes one. ADMIN."
    )
    create_inhibition_rule: InhibitionRulePayload = strawberry.field(
        resolver=resolvers.inhibition.create_inhibition_rule, description="Makes an inhibition rule. ADMIN."
    )
    update_inhibition_rule: InhibitionRulePayload = strawberry.field(
        resolver=resolvers.inhibition.update_inhibition_rule, description="Changes one. ADMIN."
    )
    delete_inhibition_rule: DeletePayload = strawberry.field(
        resolver=resolvers.inhibition.delete_inhibition_rule, description="Deletes one. ADMIN."
    )
    create_heartbeat_monitor: HeartbeatMonitorPayload = strawberry.field(
        resolver=resolvers.heartbeat.create_heartbeat_monitor, description="Makes a heartbeat monitor. ADMIN."
    )
    update_heartbeat_monitor: HeartbeatMonitorPayload = strawberry.field(
        resolver=resolvers.heartbeat.update_heartbeat_monitor, description="Changes one. ADMIN."
    )
    delete_heartbeat_monitor: DeletePayload = strawberry.field(
        resolver=resolvers.heartbeat.delete_heartbeat_monitor,
        description="Deletes one; its alert is resolved. ADMIN.",
    )
    create_anomaly_rule: AnomalyRulePayload = strawberry.field(
        resolver=resolvers.anomaly.create_anomaly_rule, description="Makes an anomaly rule. ADMIN."
    )
    update_anomaly_rule: AnomalyRulePayload = strawberry.field(
        resolver=resolvers.anomaly.update_anomaly_rule, description="Changes one. ADMIN."
    )
    delete_anomaly_rule: DeletePayload = strawberry.field(
        resolver=resolvers.anomaly.delete_anomaly_rule,
        description="Deletes one; its alerts are resolved by whoever watches. ADMIN.",
    )
    create_saved_view: SavedViewPayload = strawberry.field(
        resolver=resolvers.saved_view.create_saved_view, description="Saves a view. VIEWER."
    )
    update_saved_view: SavedViewPayload = strawberry.field(
        resolver=resolvers.saved_view.update_saved_view, description="Changes a view. VIEWER."
    )
    delete_saved_view: DeletePayload = strawberry.field(
        resolver=resolvers.saved_view.delete_saved_view, description="Deletes a view. VIEWER."
    )
    create_notification_channel: NotificationChannelPayload = strawberry.field(
        resolver=resolvers.channel.create_notification_channel, description="Makes a channel. ADMIN."
    )
    update_notification_channel: NotificationChannelPayload = strawberry.field(
        resolver=resolvers.channel.update_notification_channel, description="Changes one. ADMIN."
    )
    delete_notification_channel: DeletePayload = strawberry.field(
        resolver=resolvers.channel.delete_notification_channel, description="Deletes one. ADMIN."
    )
    test_notification_channel: TestNotificationPayload = strawberry.field(
        resolver=resolvers.channel.test_notification_channel,
        description="Sends a test message now, past the queue, and waits at most 15 s. ADMIN.",
    )
    create_responder: ResponderPayload = strawberry.field(
        resolver=resolvers.responder.create_responder, description="Adds a person. ADMIN."
    )
    update_responder: ResponderPayload = strawberry.field(
        resolver=resolvers.responder.update_responder, description="Changes one. ADMIN, or the person."
    )
    delete_responder: DeletePayload = strawberry.field(
        resolver=resolvers.responder.delete_responder, description="Removes one. ADMIN."
    )
    create_on_call_schedule: OnCallSchedulePayload = strawberry.field(
        resolver=resolvers.schedule.create_on_call_schedule, description="Makes a schedule. ADMIN."
    )
    update_on_call_schedule: OnCallSchedulePayload = strawberry.field(
        resolver=resolvers.schedule.update_on_call_schedule, description="Changes one. ADMIN."
    )
    delete_on_call_schedule: DeletePayload = strawberry.field(
        resolver=resolvers.schedule.delete_on_call_schedule, description="Deletes one. ADMIN."
    )
    set_service_dependencies: ServiceDependenciesPayload = strawberry.field(
        resolver=resolvers.monitored_service.set_service_dependencies,
        description="Says what depends on what. ADMIN.",
    )
    create_api_key: ApiKeyPayload = strawberry.field(
        resolver=resolvers.api_key.create_api_key,
        description="Makes a key and shows its secret once. ADMIN.",
    )
    rotate_api_key: ApiKeyPayload = strawberry.field(
        resolver=resolvers.api_key.rotate_api_key,
        description="Gives a key a new secret and shows it once. ADMIN.",
    )
    revoke_api_key: DeletePayload = strawberry.field(
        resolver=resolvers.api_key.revoke_api_key,
        description="Ends a key at once, open sockets included. ADMIN.",
    )
    update_tenant_settings: TenantSettingsPayload = strawberry.field(
        resolver=resolvers.tenant.update_tenant_settings, description="Changes the tenant's settings. ADMIN."
    )


@strawberry.type(
    description=(
        "What can be followed, over graphql-transport-ws or SSE. Needs VIEWER; who sees which events is as in "
        "Query.events."
    )
)
class Subscription:
    """What can be followed."""

    alert_events = strawberry.subscription(
        resolver=resolvers.live.alert_events,
        description=(
            "Every event in commit order, one by one. With `after`, first everything since that cursor, then "
            "live, with no gap; where retention has passed it, CURSOR_EXPIRED."
        ),
        metadata={"resume_argument": "after"},
    )
    alert_event_batches = strawberry.subscription(
        resolver=resolvers.live.alert_event_batches,
        description=(
            "The same in batches, with signs of life that keep a quiet filter's cursor fresh: for stores and "
            "dashboards."
        ),
        metadata={"resume_argument": "after"},
    )
    alert_metrics = strawberry.subscription(
        resolver=resolvers.live.alert_metrics,
        description=(
            "The figures of the last `window`, at once and again whenever they change, at most once per `every` "
            "(PT1S or more)."
        ),
        metadata={**resolvers.metrics.FIGURES_COST, "resume_argument": None},
    )


RULES = """\
Rules that hold everywhere, so that a client learns them once.

reading: Lists that grow by themselves (alerts, events) page both ways, configuration lists forward.
`first` and `last` are 1 to 100, 50 where both are left out; never both at once. A cursor is only good for
the order it came from.

writing: One `input`, one payload; what the caller can mend is in `errors`, and then nothing was changed
unless the field says otherwise. XInput creates. UpdateXInput is a patch: a field left out stays as it is,
null clears it where it may be empty, a list replaces the list.

versions: `version` is the number of the last log event that changed the thing. expectedVersion refuses a
lost update (VERSION_CONFLICT).

retries: The same idempotencyKey within 24 hours gets the first answer again; with other contents
IDEMPOTENCY_KEY_REUSED.

roles: INGEST < VIEWER < RESPONDER < ADMIN. Reading needs VIEWER, a mutation names its role; a higher one may
do it too. An INGEST key reads viewer, rateLimit and the plain fields of the alert it just sent, and no
relation of it.

ids: Opaque and without authority: an id of another tenant, or of something the key may not see, is as
unknown as a random one.

enums: May grow; a client treats an unknown value as "something else". Extensions of errors use the same
ErrorCode."""
"""What descriptions mean by "the rules at the top"."""


def build_schema() -> strawberry.Schema:
    """Return the schema of the API."""
    built = strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        config=StrawberryConfig(scalar_map=SCALARS),
    )
    # Strawberry has no place for the description of a schema; introspection reads it from here.
    built._schema.description = RULES
    compile_inputs(built)
    return built


schema = build_schema()


def print_sdl() -> str:
    """Return the published contract, as schema.graphql holds it."""
    roots = "schema {\n  query: Query\n  mutation: Mutation\n  subscription: Subscription\n}"
    return f'"""\n{RULES}\n"""\n{roots}\n\n{schema.as_str().rstrip()}\n'
