"""The enums of the API: the core's own, with a description for each value.

Types of the API take their enums from here: an enum that Strawberry met before it was described would be
another type of the same name.
"""

from collections.abc import Mapping
from enum import Enum, EnumMeta

import strawberry
from strawberry.types.enum import StrawberryEnumDefinition

from alertgraph.core.actor import ActorKind
from alertgraph.core.alert import AlertStatus, AlertVerdict, HoldReason
from alertgraph.core.anomaly import AnomalyDirection, AnomalySensitivity, AnomalyTarget
from alertgraph.core.channel import ChannelKind, WebhookPreset
from alertgraph.core.delivery import DeliveryStatus
from alertgraph.core.document import DocumentMode
from alertgraph.core.errors import ErrorCode
from alertgraph.core.event import EventKind
from alertgraph.core.incident import IncidentStatus
from alertgraph.core.labels import MatchOperator
from alertgraph.core.learning import ModelState
from alertgraph.core.noise import NoiseMode
from alertgraph.core.prediction_model import PredictionState
from alertgraph.core.query import AlertOrderField
from alertgraph.core.severity import Severity
from alertgraph.core.silence import SilenceState
from alertgraph.core.tenant import Role
from alertgraph.core.tier import Tier

__all__ = [
    "ActorKind",
    "AlertOrderField",
    "AlertStatus",
    "AlertVerdict",
    "AnomalyDirection",
    "AnomalySensitivity",
    "AnomalyTarget",
    "ChannelKind",
    "DeliveryStatus",
    "DocumentMode",
    "ErrorCode",
    "EventKind",
    "HoldReason",
    "IncidentStatus",
    "MatchOperator",
    "MetricsDimension",
    "ModelState",
    "NoiseMode",
    "OrderDirection",
    "PredictionState",
    "Role",
    "Severity",
    "SilenceState",
    "Tier",
    "WebhookPreset",
    "Weekday",
]


class OrderDirection(Enum):
    """Direction of an order."""

    ASC = "ASC"
    DESC = "DESC"


class MetricsDimension(Enum):
    """What figures can be split by."""

    SEVERITY = "SEVERITY"
    MONITORED_SERVICE = "MONITORED_SERVICE"


class Weekday(Enum):
    """A day of the week, numbered as the core does."""

    MONDAY = 0
    TUESDAY = 1
    WEDNESDAY = 2
    THURSDAY = 3
    FRIDAY = 4
    SATURDAY = 5
    SUNDAY = 6


def _publish(enum: EnumMeta, description: str, values: Mapping[str, str]) -> None:
    """Make an enum one of the API's; its values come in the order of their descriptions.

    The core knows no framework, so its enums are described here rather than where they are defined.
    """
    strawberry.enum(enum, description=description)
    definition = enum.__strawberry_definition__  # type: ignore[attr-defined]  # set by the line above
    assert isinstance(definition, StrawberryEnumDefinition)
    by_name = {value.name: value for value in definition.values}
    assert by_name.keys() == values.keys(), f"{enum.__name__} and its descriptions differ"
    for name, text in values.items():
        by_name[name].description = text
    definition.values = [by_name[name] for name in values]


_publish(
    Severity,
    "How bad it is, worst first. Maps to Opsgenie P1 to P5 and to PagerDuty critical, error, warning, info.",
    {
        "CRITICAL": "People are hurt now; never held back by a prediction.",
        "HIGH": "Will hurt soon.",
        "MEDIUM": "Needs work today.",
        "LOW": "Needs work some day.",
        "INFO": "For information.",
    },
)


_publish(
    AlertStatus,
    "Where an alert stands. Firing again after it was resolved makes a new alert.",
    {
        "TRIGGERED": "Open, nobody has it; it climbs.",
        "ACKNOWLEDGED": "Open, somebody has it; it does not climb.",
        "RESOLVED": "Over.",
    },
)


_publish(
    Tier,
    "What the tenant has been promised; set by the operator.",
    {
        "FREE": "No promise beyond best effort.",
        "STANDARD": "The usual targets.",
        "PREMIUM": "Tighter targets.",
        "ENTERPRISE": "The tightest targets.",
    },
)


_publish(
    DocumentMode,
    "Which GraphQL documents a tenant's keys may execute.",
    {
        "OPEN": "Any.",
        "APQ": "Any, and by hash once seen.",
        "TRUSTED_ONLY": "Registered ones only.",
    },
)


_publish(
    NoiseMode,
    "How far the model may go against noise; each includes those before it. CRITICAL is never held.",
    {
        "ANNOTATE": "Say so on the alert.",
        "GROUP": "Group quietly.",
        "HOLD": "Hold for the usual self-resolve time.",
        "SUPPRESS": "Do not page at all.",
    },
)


_publish(
    Role,
    "What a caller may do; each includes those before it.",
    {
        "INGEST": "Send alerts and beats.",
        "VIEWER": "Read.",
        "RESPONDER": "Act on alerts, incidents, silences and shifts.",
        "ADMIN": "Change configuration and keys.",
    },
)


_publish(
    MatchOperator,
    "How a label is compared; regular expressions are RE2 and match the whole value.",
    {
        "EQUAL": "Is this text.",
        "NOT_EQUAL": "Is not this text, or is absent.",
        "REGEX": "Matches.",
        "NOT_REGEX": "Does not match, or is absent.",
    },
)


_publish(
    ActorKind,
    "Who did it.",
    {
        "PERSON": "A person, by OIDC token, chat button or signed link.",
        "API_KEY": "An API key.",
        "SENDER": "What sent the alert.",
        "ENGINE": "The escalation engine.",
        "MODEL": "The prediction model.",
        "OPERATOR": "The operator, by command line.",
    },
)


_publish(
    IncidentStatus,
    "Where an incident stands.",
    {
        "OPEN": "At least one alert is triggered.",
        "ACKNOWLEDGED": "Open alerts are all acknowledged.",
        "RESOLVED": "Every alert is resolved. It never takes in a new alert.",
    },
)

_publish(
    HoldReason,
    "Why an open alert has no next escalation.",
    {
        "ACKNOWLEDGED": "Somebody has it.",
        "SILENCED": "A silence covers it.",
        "INHIBITED": "A bigger alert covers it.",
        "NO_MATCHING_RULE": "No rule matches and the tenant has no default rule.",
        "NOBODY_ON_CALL": "The rule's targets come to nobody.",
        "LADDER_EXHAUSTED": "Every level and every repeat was climbed.",
        "PREDICTED_NOISE": "Held as likely noise, within the tenant's bound.",
    },
)


_publish(
    AlertVerdict,
    "A person's judgement of an alert, which the model learns from.",
    {
        "ACTIONABLE": "It needed somebody.",
        "NOISE": "It needed nobody.",
    },
)


_publish(
    EventKind,
    "What an event in the log says. Kinds from INCIDENT_ on are not about one alert.",
    {
        "TRIGGERED": "A new alert is open.",
        "REPEATED": "An open alert fired again.",
        "UPDATED": "A field changed, such as the severity; see changes.",
        "ACKNOWLEDGED": "Somebody took it.",
        "UNACKNOWLEDGED": "Given back, or the acknowledgement ran out; it climbs again.",
        "ASSIGNED": "Given to a responder.",
        "ESCALATED": "It reached a level; see detail.",
        "RESOLVED": "It ended.",
        "REOPENED": "Triggered again by hand, from a resolved one.",
        "NOTED": "Somebody wrote a note.",
        "FEEDBACK_GIVEN": "Somebody said noise or actionable.",
        "SILENCED": "A silence covers it.",
        "UNSILENCED": "No silence covers it any more.",
        "INHIBITED": "A bigger alert covers it.",
        "UNINHIBITED": "No bigger alert covers it any more.",
        "GROUPED": "It joined an incident.",
        "UNGROUPED": "It left an incident.",
        "PREDICTED": "The model judged it.",
        "HELD": "Nothing will be sent for now; see holdReason.",
        "SLA_AT_RISK": "Three quarters of an SLA time have passed.",
        "SLA_BREACHED": "An SLA time has passed.",
        "DELIVERY_SENT": "A delivery arrived.",
        "DELIVERY_FAILED": "A delivery was given up.",
        "DELIVERY_FELL_BACK": "The fallback channel took over.",
        "DELIVERY_SKIPPED": "A delivery was no longer wanted.",
        "INCIDENT_OPENED": "An incident was opened.",
        "INCIDENT_UPDATED": "Its title, root or severity changed.",
        "INCIDENT_ACKNOWLEDGED": "All its open alerts were acknowledged.",
        "INCIDENT_RESOLVED": "Its last alert ended.",
        "INCIDENT_MERGED": "Others were merged into it.",
        "INCIDENT_SPLIT": "Alerts were split off it.",
        "CONFIG_CREATED": "Rule, channel, person, schedule, silence, key, setting … was created; see subject.",
        "CONFIG_UPDATED": "One was changed; see changes.",
        "CONFIG_DELETED": "One was deleted, expired or revoked.",
        "PERSONAL_DATA_READ": "Personal data was read.",
        "MODEL_PROMOTED": "A model version became active; see reason in detail.",
        "MODEL_ROLLED_BACK": "The version before was put back.",
    },
)


_publish(
    ErrorCode,
    "A stable name for what went wrong. The first seven appear in payloads, the others as extensions.code of a "
    "GraphQL error.",
    {
        "INVALID_INPUT": "A value is refused; path names it.",
        "NOT_FOUND": "No such thing for this caller.",
        "CONFLICT": "Its present state does not allow that.",
        "VERSION_CONFLICT": "It changed since; see currentVersion.",
        "IN_USE": "Something else still uses it.",
        "IDEMPOTENCY_KEY_REUSED": "The key was used with other contents.",
        "LIMIT_REACHED": "A quota is used up.",
        "UNAUTHENTICATED": "No valid credentials.",
        "FORBIDDEN": "The role or the key's scope does not allow it.",
        "RATE_LIMITED": "Too much in too short a time; see retryAfter.",
        "COST_EXCEEDED": "The document would cost too much.",
        "PARSE_FAILED": "The document cannot be parsed.",
        "VALIDATION_FAILED": "The document does not fit the schema.",
        "BAD_REQUEST": "The request is malformed.",
        "DOCUMENT_NOT_FOUND": "The document is not registered.",
        "CURSOR_EXPIRED": "The log before this cursor is gone; load the list again.",
        "SLOW_CONSUMER": "The client reads too slowly; resume from the last cursor.",
        "UNAVAILABLE": "A store is away; try again.",
        "INTERNAL": "Our fault; quote the request id.",
    },
)


_publish(
    AlertOrderField,
    "What alerts can be ordered by; equal ones by id.",
    {
        "TRIGGERED_AT": "When it began.",
        "LAST_SEEN_AT": "When it fired last.",
        "SEVERITY": "How bad; DESC is worst first.",
        "INCIDENT_PROBABILITY": "Predicted chance to need a person; none comes last.",
    },
)


_publish(
    OrderDirection,
    "Direction of an order.",
    {
        "ASC": "Smallest or oldest first.",
        "DESC": "Largest or newest first.",
    },
)


_publish(
    MetricsDimension,
    "What figures can be split by.",
    {
        "SEVERITY": "Severity.",
        "MONITORED_SERVICE": "Thing watched.",
    },
)


_publish(
    ChannelKind,
    "What a channel speaks.",
    {
        "SLACK": "Slack, chat.postMessage.",
        "TEAMS": "Microsoft Teams, Workflows webhook.",
        "PAGERDUTY": "PagerDuty Events v2.",
        "WEBHOOK": "Standard Webhooks.",
        "EMAIL": "SMTP.",
    },
)


_publish(
    WebhookPreset,
    "A service behind a webhook whose own documented form the body takes.",
    {
        "TWILIO_SMS": "Twilio, a text message.",
        "TWILIO_CALL": "Twilio, a call that reads the alert out.",
        "NTFY": "ntfy, a push message.",
        "PUSHOVER": "Pushover, a push message.",
    },
)


_publish(
    AnomalyTarget,
    "What an anomaly rule watches.",
    {
        "SERIES": "Metrics that are sent to /ingest/metrics.",
        "ALERT_RATE": "How many alerts come in five minutes, by monitored service.",
    },
)


_publish(
    AnomalySensitivity,
    "How unusual is unusual enough.",
    {
        "LOW": "Only what goes far beyond anything seen lately.",
        "NORMAL": "What goes beyond anything seen lately.",
        "HIGH": "Sooner, and wrong more often.",
    },
)


_publish(
    AnomalyDirection,
    "On which side of the usual.",
    {"BOTH": "Either.", "UP": "Higher than usual.", "DOWN": "Lower than usual."},
)


_publish(
    DeliveryStatus,
    "Where a delivery stands.",
    {
        "PENDING": "Waiting for its turn.",
        "SENDING": "An attempt is under way.",
        "SENT": "The provider took it.",
        "RETRYING": "Failed for now; tried again at nextAttemptAt.",
        "FAILED": "Given up.",
        "SKIPPED": "No longer wanted, for instance acknowledged first.",
    },
)


_publish(
    Weekday,
    "A day of the week.",
    {
        "MONDAY": "Monday.",
        "TUESDAY": "Tuesday.",
        "WEDNESDAY": "Wednesday.",
        "THURSDAY": "Thursday.",
        "FRIDAY": "Friday.",
        "SATURDAY": "Saturday.",
        "SUNDAY": "Sunday.",
    },
)


_publish(
    SilenceState,
    "Where a silence stands.",
    {
        "PENDING": "Not begun, or between two recurrences.",
        "ACTIVE": "Silencing now.",
        "EXPIRED": "Over for good.",
    },
)


_publish(
    ModelState,
    "How a model version is used.",
    {
        "CANDIDATE": "Being trained.",
        "SHADOW": "Scores beside the active one, unseen.",
        "ACTIVE": "In use.",
        "RETIRED": "No longer used.",
    },
)


_publish(
    PredictionState,
    "Whether predictions are to be had.",
    {
        "OFF": "Switched off.",
        "UNAVAILABLE": "The predicting process is not up yet or is away.",
        "LEARNING": "Too few own labels; base rates are shown.",
        "ACTIVE": "In use.",
    },
)
