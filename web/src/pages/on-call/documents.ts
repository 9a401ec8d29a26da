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

/** What a channel speaks. */
export type ChannelKind =
  /** SMTP. */
  | 'EMAIL'
  /** PagerDuty Events v2. */
  | 'PAGERDUTY'
  /** Slack, chat.postMessage. */
  | 'SLACK'
  /** Microsoft Teams, Workflows webhook. */
  | 'TEAMS'
  /** Standard Webhooks. */
  | 'WEBHOOK';

/** A new alert, or a repeat of an open one. */
export type CreateAlertInput = {
  /** Object. */
  annotations?: unknown;
  /** Alerts with the same key are one alert while it is open; derived from the labels where left out. */
  dedupKey?: string | null | undefined;
  /** More text. */
  description?: string | null | undefined;
  /** See the rules at the top. */
  idempotencyKey?: string | null | undefined;
  /** Object of strings. */
  labels?: unknown;
  /** Runbooks, graphs. */
  links?: Array<LinkInput> | null | undefined;
  /** Name of the thing watched. */
  monitoredService?: string | null | undefined;
  /** How bad. */
  severity: Severity;
  /** What sends it; the key's name where left out. */
  source?: string | null | undefined;
  /** One line, 1 to 1,024 characters. */
  title: string;
  /** When it began; now where left out. */
  triggeredAt?: string | null | undefined;
};

/** To delete something. */
export type DeleteInput = {
  /** Refuse where it changed since. */
  expectedVersion?: number | null | undefined;
  /** Which. */
  id: string;
};

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

/** A link to look at. */
export type LinkInput = {
  /** Where to; http or https. */
  href: string;
  /** What to call it. */
  text: string;
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

/** Direction of an order. */
export type OrderDirection =
  /** Smallest or oldest first. */
  | 'ASC'
  /** Largest or newest first. */
  | 'DESC';

/** Somebody stands in. */
export type OverrideShiftInput = {
  /** End. */
  endsAt: string;
  /** See the rules at the top. */
  idempotencyKey?: string | null | undefined;
  /** Who. */
  responderId: string;
  /** On which schedule. */
  scheduleId: string;
  /** Begin. */
  startsAt: string;
};

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

export type OnCallShiftFragment = { startsAt: string, endsAt: string, responder: { id: string, name: string }, override: { id: string } | null };

export type OnCallSchedulesQueryVariables = Exact<{
  since: string;
  until: string;
}>;


export type OnCallSchedulesQuery = { onCallSchedules: { totalCount: number, nodes: Array<{ id: string, name: string, timeZone: string, shifts: Array<OnCallShiftFragment> }> } };

export type OnCallCalendarQueryVariables = Exact<{
  id: string;
  since: string;
  until: string;
}>;


export type OnCallCalendarQuery = { onCallSchedule: { id: string, name: string, timeZone: string, version: number, calendarUrl: string | null, shifts: Array<OnCallShiftFragment>, overrides: Array<{ id: string, startsAt: string, endsAt: string, responder: { id: string, name: string }, createdBy: { name: string } }> } | null };

export type OnCallRespondersQueryVariables = Exact<{
  after?: string | null | undefined;
}>;


export type OnCallRespondersQuery = { responders: { nodes: Array<{ id: string, name: string }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } };

export type OnCallServicesQueryVariables = Exact<{ [key: string]: never; }>;


export type OnCallServicesQuery = { monitoredServices: { nodes: Array<{ name: string }> } };

export type OnCallForecastQueryVariables = Exact<{
  draft: CreateAlertInput;
  at?: string | null | undefined;
}>;


export type OnCallForecastQuery = { escalationForecast: { holdReason: HoldReason | null, rule: { id: string, name: string } | null, steps: Array<{ at: string, level: number, reason: string, responder: { id: string, name: string } | null, schedule: { id: string, name: string } | null, channel: { id: string, name: string, kind: ChannelKind } }> } };

export type OverrideShiftMutationVariables = Exact<{
  input: OverrideShiftInput;
}>;


export type OverrideShiftMutation = { overrideShift: { override: { id: string } | null, errors: Array<ProblemFragment> } };

export type DeleteShiftOverrideMutationVariables = Exact<{
  input: DeleteInput;
}>;


export type DeleteShiftOverrideMutation = { deleteShiftOverride: { deletedId: string | null, errors: Array<ProblemFragment> } };

export const OnCallSchedules = document<OnCallSchedulesQuery, OnCallSchedulesQueryVariables>(
  '3cfb4e047c31fc76a1d160fde02f87c304e6e6217e6676944f4e4e2e0c572d59',
  import.meta.env.DEV ? "query OnCallSchedules($since: DateTime!, $until: DateTime!) {\n  onCallSchedules(first: 50) {\n    totalCount\n    nodes {\n      id\n      name\n      timeZone\n      shifts(since: $since, until: $until) {\n        ...OnCallShift\n      }\n    }\n  }\n}\n\nfragment OnCallShift on Shift {\n  startsAt\n  endsAt\n  responder {\n    id\n    name\n  }\n  override {\n    id\n  }\n}" : undefined,
);

export const OnCallCalendar = document<OnCallCalendarQuery, OnCallCalendarQueryVariables>(
  '4588242354af9bafec0281684af4f04ae521b1d8a051f814b6ebf50f9e45b53e',
  import.meta.env.DEV ? "query OnCallCalendar($id: ID!, $since: DateTime!, $until: DateTime!) {\n  onCallSchedule(id: $id) {\n    id\n    name\n    timeZone\n    version\n    calendarUrl\n    shifts(since: $since, until: $until) {\n      ...OnCallShift\n    }\n    overrides(since: $since, until: $until) {\n      id\n      startsAt\n      endsAt\n      responder {\n        id\n        name\n      }\n      createdBy {\n        name\n      }\n    }\n  }\n}\n\nfragment OnCallShift on Shift {\n  startsAt\n  endsAt\n  responder {\n    id\n    name\n  }\n  override {\n    id\n  }\n}" : undefined,
);

export const OnCallResponders = document<OnCallRespondersQuery, OnCallRespondersQueryVariables>(
  '9252e0649a8e3a89c21d3c91091fbb7e8d39748358812c0c2b3a0a6f92e0fe2f',
  import.meta.env.DEV ? "query OnCallResponders($after: String) {\n  responders(first: 100, after: $after) {\n    nodes {\n      id\n      name\n    }\n    pageInfo {\n      hasNextPage\n      endCursor\n    }\n  }\n}" : undefined,
);

export const OnCallServices = document<OnCallServicesQuery, OnCallServicesQueryVariables>(
  '9657c8e90ae3362c59838fa32b72088a1b9c2638e55f733c05a707bee904bd15',
  import.meta.env.DEV ? "query OnCallServices {\n  monitoredServices(first: 100) {\n    nodes {\n      name\n    }\n  }\n}" : undefined,
);

export const OnCallForecast = document<OnCallForecastQuery, OnCallForecastQueryVariables>(
  '8dd1921de891823c2465712fdd547bd8d1537403bd724e669f614c45a5106e96',
  import.meta.env.DEV ? "query OnCallForecast($draft: CreateAlertInput!, $at: DateTime) {\n  escalationForecast(draft: $draft, at: $at) {\n    rule {\n      id\n      name\n    }\n    holdReason\n    steps {\n      at\n      level\n      responder {\n        id\n        name\n      }\n      schedule {\n        id\n        name\n      }\n      channel {\n        id\n        name\n        kind\n      }\n      reason\n    }\n  }\n}" : undefined,
);

export const OverrideShift = document<OverrideShiftMutation, OverrideShiftMutationVariables>(
  'a5078c0d66f6681e664c056e26e73699cf64dac07865ad70aef67255b7275fc6',
  import.meta.env.DEV ? "mutation OverrideShift($input: OverrideShiftInput!) {\n  overrideShift(input: $input) {\n    override {\n      id\n    }\n    errors {\n      ...Problem\n    }\n  }\n}\n\nfragment Problem on MutationError {\n  code\n  message\n  path\n  currentVersion\n}" : undefined,
);

export const DeleteShiftOverride = document<DeleteShiftOverrideMutation, DeleteShiftOverrideMutationVariables>(
  '7e09341a44d3ee6b5d7394be950a85f7c5fbd91df518b7cbef05bf71ece03504',
  import.meta.env.DEV ? "mutation DeleteShiftOverride($input: DeleteInput!) {\n  deleteShiftOverride(input: $input) {\n    deletedId\n    errors {\n      ...Problem\n    }\n  }\n}\n\nfragment Problem on MutationError {\n  code\n  message\n  path\n  currentVersion\n}" : undefined,
);
