// Written by `npm run codegen`; do not edit.
import { document } from '../../api/document';

/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
/** Who did it. */
export type ActorKind =
  /** An API key. */
  | 'API_KEY'
  /** The escalation engine. */
  | 'ENGINE'
  /** The prediction model. */
  | 'MODEL'
  /** The operator, by command line. */
  | 'OPERATOR'
  /** A person, by OIDC token, chat button or signed link. */
  | 'PERSON'
  /** What sent the alert. */
  | 'SENDER';

/** Which alerts. Every field given must hold; of a list, one value is enough. */
export type AlertFilter = {
  /** Acknowledged by these responders. */
  acknowledgedById?: Array<string> | null | undefined;
  /** Given to these responders. */
  assigneeId?: Array<string> | null | undefined;
  /** With these dedup keys, open and closed: an alert's history. */
  dedupKey?: Array<string> | null | undefined;
  /** At this level or above. */
  escalationLevelMin?: number | null | undefined;
  /** Matched by this rule. */
  escalationRuleId?: string | null | undefined;
  /** Of this incident. */
  incidentId?: string | null | undefined;
  /** Predicted at this chance or more, 0 to 1; leaves out those with no prediction. */
  incidentProbabilityMin?: number | null | undefined;
  /** Whether a bigger alert covers it now. */
  inhibited?: boolean | null | undefined;
  /** With these labels; all must hold. */
  matchers?: Array<LabelMatcherInput> | null | undefined;
  /** Of these things watched. */
  monitoredService?: Array<string> | null | undefined;
  /** Resolved at or after. */
  resolvedAfter?: string | null | undefined;
  /** Resolved before. */
  resolvedBefore?: string | null | undefined;
  /** Words to find in title and description; all must occur. */
  search?: string | null | undefined;
  /** How bad. */
  severity?: Array<Severity> | null | undefined;
  /** Whether a silence covers it now. */
  silenced?: boolean | null | undefined;
  /** Whether any SLA time was missed. */
  slaBreached?: boolean | null | undefined;
  /** From these senders. */
  source?: Array<string> | null | undefined;
  /** Where they stand. */
  status?: Array<AlertStatus> | null | undefined;
  /** Triggered at or after. */
  triggeredAfter?: string | null | undefined;
  /** Triggered before. */
  triggeredBefore?: string | null | undefined;
  /** What people said of it. */
  verdict?: Array<AlertVerdict> | null | undefined;
};

/** Order of alerts. */
export type AlertOrder = {
  /** Which way. */
  direction?: OrderDirection;
  /** By what. */
  field?: AlertOrderField;
};

/** What alerts can be ordered by; equal ones by id. */
export type AlertOrderField =
  /** Predicted chance to need a person; none comes last. */
  | 'INCIDENT_PROBABILITY'
  /** When it fired last. */
  | 'LAST_SEEN_AT'
  /** How bad; DESC is worst first. */
  | 'SEVERITY'
  /** When it began. */
  | 'TRIGGERED_AT';

/** Where an alert stands. Firing again after it was resolved makes a new alert. */
export type AlertStatus =
  /** Open, somebody has it; it does not climb. */
  | 'ACKNOWLEDGED'
  /** Over. */
  | 'RESOLVED'
  /** Open, nobody has it; it climbs. */
  | 'TRIGGERED';

/** A person's judgement of an alert, which the model learns from. */
export type AlertVerdict =
  /** It needed somebody. */
  | 'ACTIONABLE'
  /** It needed nobody. */
  | 'NOISE';

/** A stable name for what went wrong. The first seven appear in payloads, the others as extensions.code of a GraphQL error. */
export type ErrorCode =
  /** The request is malformed. */
  | 'BAD_REQUEST'
  /** Its present state does not allow that. */
  | 'CONFLICT'
  /** The document would cost too much. */
  | 'COST_EXCEEDED'
  /** The log before this cursor is gone; load the list again. */
  | 'CURSOR_EXPIRED'
  /** The document is not registered. */
  | 'DOCUMENT_NOT_FOUND'
  /** The role or the key's scope does not allow it. */
  | 'FORBIDDEN'
  /** The key was used with other contents. */
  | 'IDEMPOTENCY_KEY_REUSED'
  /** Our fault; quote the request id. */
  | 'INTERNAL'
  /** A value is refused; path names it. */
  | 'INVALID_INPUT'
  /** Something else still uses it. */
  | 'IN_USE'
  /** A quota is used up. */
  | 'LIMIT_REACHED'
  /** No such thing for this caller. */
  | 'NOT_FOUND'
  /** The document cannot be parsed. */
  | 'PARSE_FAILED'
  /** Too much in too short a time; see retryAfter. */
  | 'RATE_LIMITED'
  /** The client reads too slowly; resume from the last cursor. */
  | 'SLOW_CONSUMER'
  /** No valid credentials. */
  | 'UNAUTHENTICATED'
  /** A store is away; try again. */
  | 'UNAVAILABLE'
  /** The document does not fit the schema. */
  | 'VALIDATION_FAILED'
  /** It changed since; see currentVersion. */
  | 'VERSION_CONFLICT';

/** What an event in the log says. Kinds from INCIDENT_ on are not about one alert. */
export type EventKind =
  /** Somebody took it. */
  | 'ACKNOWLEDGED'
  /** Given to a responder. */
  | 'ASSIGNED'
  /** Rule, channel, person, schedule, silence, key, setting … was created; see subject. */
  | 'CONFIG_CREATED'
  /** One was deleted, expired or revoked. */
  | 'CONFIG_DELETED'
  /** One was changed; see changes. */
  | 'CONFIG_UPDATED'
  /** A delivery was given up. */
  | 'DELIVERY_FAILED'
  /** The fallback channel took over. */
  | 'DELIVERY_FELL_BACK'
  /** A delivery arrived. */
  | 'DELIVERY_SENT'
  /** A delivery was no longer wanted. */
  | 'DELIVERY_SKIPPED'
  /** It reached a level; see detail. */
  | 'ESCALATED'
  /** Somebody said noise or actionable. */
  | 'FEEDBACK_GIVEN'
  /** It joined an incident. */
  | 'GROUPED'
  /** Nothing will be sent for now; see holdReason. */
  | 'HELD'
  /** All its open alerts were acknowledged. */
  | 'INCIDENT_ACKNOWLEDGED'
  /** Others were merged into it. */
  | 'INCIDENT_MERGED'
  /** An incident was opened. */
  | 'INCIDENT_OPENED'
  /** Its last alert ended. */
  | 'INCIDENT_RESOLVED'
  /** Alerts were split off it. */
  | 'INCIDENT_SPLIT'
  /** Its title, root or severity changed. */
  | 'INCIDENT_UPDATED'
  /** A bigger alert covers it. */
  | 'INHIBITED'
  /** A model version became active; see reason in detail. */
  | 'MODEL_PROMOTED'
  /** The version before was put back. */
  | 'MODEL_ROLLED_BACK'
  /** Somebody wrote a note. */
  | 'NOTED'
  /** Personal data was read. */
  | 'PERSONAL_DATA_READ'
  /** The model judged it. */
  | 'PREDICTED'
  /** Triggered again by hand, from a resolved one. */
  | 'REOPENED'
  /** An open alert fired again. */
  | 'REPEATED'
  /** It ended. */
  | 'RESOLVED'
  /** A silence covers it. */
  | 'SILENCED'
  /** Three quarters of an SLA time have passed. */
  | 'SLA_AT_RISK'
  /** An SLA time has passed. */
  | 'SLA_BREACHED'
  /** A new alert is open. */
  | 'TRIGGERED'
  /** Given back, or the acknowledgement ran out; it climbs again. */
  | 'UNACKNOWLEDGED'
  /** It left an incident. */
  | 'UNGROUPED'
  /** No bigger alert covers it any more. */
  | 'UNINHIBITED'
  /** No silence covers it any more. */
  | 'UNSILENCED'
  /** A field changed, such as the severity; see changes. */
  | 'UPDATED';

/** Why an open alert has no next escalation. */
export type HoldReason =
  /** Somebody has it. */
  | 'ACKNOWLEDGED'
  /** A bigger alert covers it. */
  | 'INHIBITED'
  /** Every level and every repeat was climbed. */
  | 'LADDER_EXHAUSTED'
  /** The rule's targets come to nobody. */
  | 'NOBODY_ON_CALL'
  /** No rule matches and the tenant has no default rule. */
  | 'NO_MATCHING_RULE'
  /** Held as likely noise, within the tenant's bound. */
  | 'PREDICTED_NOISE'
  /** A silence covers it. */
  | 'SILENCED';

/** Where an incident stands. */
export type IncidentStatus =
  /** Open alerts are all acknowledged. */
  | 'ACKNOWLEDGED'
  /** At least one alert is triggered. */
  | 'OPEN'
  /** Every alert is resolved. It never takes in a new alert. */
  | 'RESOLVED';

/** What a label must be. */
export type LabelMatcherInput = {
  /** Name of a label, or a built-in: @title, @severity, @source, @service, @dedup_key. */
  label: string;
  /** How it is compared. */
  operator?: MatchOperator;
  /** With what; a regular expression is RE2. */
  value: string;
};

/** How a label is compared; regular expressions are RE2 and match the whole value. */
export type MatchOperator =
  /** Is this text. */
  | 'EQUAL'
  /** Is not this text, or is absent. */
  | 'NOT_EQUAL'
  /** Does not match, or is absent. */
  | 'NOT_REGEX'
  /** Matches. */
  | 'REGEX';

/** Which alerts the figures are of; only what counters are kept by. */
export type MetricsFilter = {
  /** Of these things watched. */
  monitoredService?: Array<string> | null | undefined;
  /** How bad. */
  severity?: Array<Severity> | null | undefined;
};

/** Direction of an order. */
export type OrderDirection =
  /** Smallest or oldest first. */
  | 'ASC'
  /** Largest or newest first. */
  | 'DESC';

/** Whether predictions are to be had. */
export type PredictionState =
  /** In use. */
  | 'ACTIVE'
  /** Too few own labels; base rates are shown. */
  | 'LEARNING'
  /** Switched off. */
  | 'OFF'
  /** The predicting process is not up yet or is away. */
  | 'UNAVAILABLE';

/** What a caller may do; each includes those before it. */
export type Role =
  /** Change configuration and keys. */
  | 'ADMIN'
  /** Send alerts and beats. */
  | 'INGEST'
  /** Act on alerts, incidents, silences and shifts. */
  | 'RESPONDER'
  /** Read. */
  | 'VIEWER';

/** How bad it is, worst first. Maps to Opsgenie P1 to P5 and to PagerDuty critical, error, warning, info. */
export type Severity =
  /** People are hurt now; never held back by a prediction. */
  | 'CRITICAL'
  /** Will hurt soon. */
  | 'HIGH'
  /** For information. */
  | 'INFO'
  /** Needs work some day. */
  | 'LOW'
  /** Needs work today. */
  | 'MEDIUM';

export type ProblemFragment = { code: ErrorCode, message: string, path: Array<string> | null, currentVersion: number | null };

export type AlertRowFragment = { id: string, version: number, dedupKey: string, title: string, severity: Severity, status: AlertStatus, source: string, monitoredService: string | null, labels: unknown, occurrenceCount: number, triggeredAt: string, lastSeenAt: string, acknowledgedAt: string | null, acknowledgedUntil: string | null, resolvedAt: string | null, escalationLevel: number, nextEscalationAt: string | null, holdReason: HoldReason | null, verdict: AlertVerdict | null, acknowledgedBy: { kind: ActorKind, name: string, responder: { id: string } | null } | null, sla: { acknowledgeBy: string, resolveBy: string, acknowledgeBreached: boolean, resolveBreached: boolean }, assignee: { id: string, name: string } | null, silencedBy: Array<{ id: string, endsAt: string }>, incident: { id: string, title: string, status: IncidentStatus, severity: Severity, alertCount: number, openAlertCount: number } | null, prediction: { incidentProbability: number, selfResolveProbability: number, abstained: boolean } | null };

export type ViewerQueryVariables = Exact<{ [key: string]: never; }>;


export type ViewerQuery = { viewer: { role: Role, subject: string, tenant: { id: string, name: string, slug: string }, responder: { id: string, name: string } | null } };

export type LogEndQueryVariables = Exact<{ [key: string]: never; }>;


export type LogEndQuery = { events: { asOf: string } };

export type LiveSubscriptionVariables = Exact<{
  after: string;
}>;


export type LiveSubscription = { alertEventBatches: { cursor: string, live: boolean, events: Array<{ number: number, kind: EventKind, occurredAt: string, subjectType: string | null, subjectId: string | null, alert: AlertRowFragment | null, incident: { id: string } | null }> } };

export type AlertsQueryVariables = Exact<{
  filter: AlertFilter;
  order: AlertOrder;
  first: number;
  after?: string | null | undefined;
}>;


export type AlertsQuery = { alerts: { totalCount: number | null, asOf: string, nodes: Array<AlertRowFragment>, pageInfo: { endCursor: string | null, hasNextPage: boolean } } };

export type MetricsFiguresFragment = { since: string, until: string, createdCount: number, acknowledgedCount: number, resolvedCount: number, escalatedCount: number, openCount: number, mtta: string | null, mttr: string | null, acknowledgeP50: string | null, acknowledgeP95: string | null, resolveP50: string | null, resolveP95: string | null, slaCompliance: number | null, noiseRatio: number | null };

export type MetricsQueryVariables = Exact<{
  since: string;
  until: string;
  beforeSince: string;
  bucket: string;
  filter?: MetricsFilter | null | undefined;
}>;


export type MetricsQuery = { now: (
    { openBySeverity: Array<{ severity: Severity, count: number }>, series: Array<{ startsAt: string, createdCount: number, acknowledgedCount: number, resolvedCount: number, escalatedCount: number, mtta: string | null, mttr: string | null, slaCompliance: number | null, noiseRatio: number | null }>, groups: Array<{ key: string, createdCount: number, openCount: number, escalatedCount: number, mtta: string | null, mttr: string | null, slaCompliance: number | null, noiseRatio: number | null }> }
    & MetricsFiguresFragment
  ), before: { createdCount: number, escalatedCount: number, mtta: string | null, mttr: string | null, slaCompliance: number | null, noiseRatio: number | null } };

export type MetricsNoiseQueryVariables = Exact<{ [key: string]: never; }>;


export type MetricsNoiseQuery = { predictionStatus: { state: PredictionState, reason: string, noiseHoldingArmed: boolean, heldCount: number, regretCount: number, regret: string } };

export type MetricsLiveSubscriptionVariables = Exact<{
  filter?: MetricsFilter | null | undefined;
}>;


export type MetricsLiveSubscription = { alertMetrics: MetricsFiguresFragment };

export const Metrics = document<MetricsQuery, MetricsQueryVariables>(
  '226deb9d6a377e109020db1fb59eebeee4f1970cecc7dea6ff8e8d8d807939a9',
  import.meta.env.DEV ? "query Metrics($since: DateTime!, $until: DateTime!, $beforeSince: DateTime!, $bucket: Duration!, $filter: MetricsFilter) {\n  now: alertMetrics(since: $since, until: $until, filter: $filter) {\n    ...MetricsFigures\n    openBySeverity {\n      severity\n      count\n    }\n    series(bucket: $bucket) {\n      startsAt\n      createdCount\n      acknowledgedCount\n      resolvedCount\n      escalatedCount\n      mtta\n      mttr\n      slaCompliance\n      noiseRatio\n    }\n    groups(by: MONITORED_SERVICE, first: 50) {\n      key\n      createdCount\n      openCount\n      escalatedCount\n      mtta\n      mttr\n      slaCompliance\n      noiseRatio\n    }\n  }\n  before: alertMetrics(since: $beforeSince, until: $since, filter: $filter) {\n    createdCount\n    escalatedCount\n    mtta\n    mttr\n    slaCompliance\n    noiseRatio\n  }\n}\n\nfragment MetricsFigures on AlertMetrics {\n  since\n  until\n  createdCount\n  acknowledgedCount\n  resolvedCount\n  escalatedCount\n  openCount\n  mtta\n  mttr\n  acknowledgeP50\n  acknowledgeP95\n  resolveP50\n  resolveP95\n  slaCompliance\n  noiseRatio\n}" : undefined,
);

export const MetricsNoise = document<MetricsNoiseQuery, MetricsNoiseQueryVariables>(
  'e1ffd43fafc0e08b4feffc4300830b578907e7515219b6b51f435b7aceaa1aaa',
  import.meta.env.DEV ? "query MetricsNoise {\n  predictionStatus {\n    state\n    reason\n    noiseHoldingArmed\n    heldCount\n    regretCount\n    regret\n  }\n}" : undefined,
);

export const MetricsLive = document<MetricsLiveSubscription, MetricsLiveSubscriptionVariables>(
  '5ae4b1e78e1c1b580395adaad36a51f052ce9e7641aa0516ba90a0188414f7b6',
  import.meta.env.DEV ? "subscription MetricsLive($filter: MetricsFilter) {\n  alertMetrics(window: \"PT1H\", every: \"PT5S\", filter: $filter) {\n    ...MetricsFigures\n  }\n}\n\nfragment MetricsFigures on AlertMetrics {\n  since\n  until\n  createdCount\n  acknowledgedCount\n  resolvedCount\n  escalatedCount\n  openCount\n  mtta\n  mttr\n  acknowledgeP50\n  acknowledgeP95\n  resolveP50\n  resolveP95\n  slaCompliance\n  noiseRatio\n}" : undefined,
);
