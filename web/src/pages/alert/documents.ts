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

/** To write a note. */
export type AddAlertNoteInput = {
  /** Which. */
  alertId: string;
  /** See the rules at the top. */
  idempotencyKey?: string | null | undefined;
  /** 1 to 25,000 characters. */
  note: string;
};

/** To judge an alert. */
export type AlertFeedbackInput = {
  /** Which, open or closed. */
  alertId: string;
  /** Why. */
  note?: string | null | undefined;
  /** The judgement; null takes it back. */
  verdict?: AlertVerdict | null | undefined;
};

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

/** Where a delivery stands. */
export type DeliveryStatus =
  /** Given up. */
  | 'FAILED'
  /** Waiting for its turn. */
  | 'PENDING'
  /** Failed for now; tried again at nextAttemptAt. */
  | 'RETRYING'
  /** An attempt is under way. */
  | 'SENDING'
  /** The provider took it. */
  | 'SENT'
  /** No longer wanted, for instance acknowledged first. */
  | 'SKIPPED';

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

/** Direction of an order. */
export type OrderDirection =
  /** Smallest or oldest first. */
  | 'ASC'
  /** Largest or newest first. */
  | 'DESC';

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

export type EventLineFragment = { id: string, number: number, kind: EventKind, occurredAt: string, summary: string, note: string | null, holdReason: HoldReason | null, detail: unknown, changes: Array<{ field: string, after: unknown }>, actor: { kind: ActorKind, name: string }, delivery: { id: string, channelName: string, level: number, status: DeliveryStatus, lastError: string | null, responder: { name: string } | null, fellBackTo: { channelName: string } | null } | null };

export type AlertDetailQueryVariables = Exact<{
  id: string;
}>;


export type AlertDetailQuery = { alert: (
    { description: string, annotations: unknown, links: Array<{ href: string, text: string }>, resolvedBy: { name: string } | null, escalationRule: { id: string, name: string } | null, escalationLevels: Array<{ number: number, delay: string, targets: Array<
        | { __typename: 'NotificationChannel', id: string, name: string }
        | { __typename: 'OnCallSchedule', id: string, name: string }
        | { __typename: 'Responder', id: string, name: string }
      > }>, inhibitedBy: Array<{ id: string, title: string }>, events: { nodes: Array<EventLineFragment>, pageInfo: { hasPreviousPage: boolean } } }
    & AlertRowFragment
  ) | null };

export type AlertInsightQueryVariables = Exact<{
  id: string;
}>;


export type AlertInsightQuery = { alert: { id: string, prediction: { modelVersion: string, predictedAt: string, incidentProbability: number, slaBreachProbability: number, selfResolveProbability: number, abstained: boolean, timeToAcknowledge: { median: string, low: string, high: string } | null, timeToResolve: { median: string, low: string, high: string } | null, contributions: Array<{ feature: string, contribution: number, text: string }> | null } | null, relatedAlerts: Array<{ score: number, alert: { id: string, title: string, severity: Severity, status: AlertStatus, monitoredService: string | null }, evidence: Array<{ kind: string, weight: number, text: string }> }> | null } | null };

export type WhoWouldBeToldQueryVariables = Exact<{
  id: string;
}>;


export type WhoWouldBeToldQuery = { escalationForecast: { holdReason: HoldReason | null, steps: Array<{ at: string, level: number, reason: string, responder: { name: string } | null, schedule: { name: string } | null, channel: { name: string } }> } };

export type WriteNoteMutationVariables = Exact<{
  input: AddAlertNoteInput;
}>;


export type WriteNoteMutation = { addAlertNote: { errors: Array<ProblemFragment> } };

export type JudgeMutationVariables = Exact<{
  input: AlertFeedbackInput;
}>;


export type JudgeMutation = { giveAlertFeedback: { alert: AlertRowFragment | null, errors: Array<ProblemFragment> } };

export const AlertDetail = document<AlertDetailQuery, AlertDetailQueryVariables>(
  '3b6db725855cabb589b907646d336508ce69595e8746612a1b4bd766377b046f',
  import.meta.env.DEV ? "query AlertDetail($id: ID!) {\n  alert(id: $id) {\n    ...AlertRow\n    description\n    annotations\n    links {\n      href\n      text\n    }\n    resolvedBy {\n      name\n    }\n    escalationRule {\n      id\n      name\n    }\n    escalationLevels {\n      number\n      delay\n      targets {\n        __typename\n        ... on Responder {\n          id\n          name\n        }\n        ... on OnCallSchedule {\n          id\n          name\n        }\n        ... on NotificationChannel {\n          id\n          name\n        }\n      }\n    }\n    inhibitedBy(first: 5) {\n      id\n      title\n    }\n    events(last: 100) {\n      nodes {\n        ...EventLine\n      }\n      pageInfo {\n        hasPreviousPage\n      }\n    }\n  }\n}\n\nfragment AlertRow on CriticalAlert {\n  id\n  version\n  dedupKey\n  title\n  severity\n  status\n  source\n  monitoredService\n  labels\n  occurrenceCount\n  triggeredAt\n  lastSeenAt\n  acknowledgedAt\n  acknowledgedUntil\n  acknowledgedBy {\n    kind\n    name\n    responder {\n      id\n    }\n  }\n  resolvedAt\n  escalationLevel\n  nextEscalationAt\n  holdReason\n  verdict\n  sla {\n    acknowledgeBy\n    resolveBy\n    acknowledgeBreached\n    resolveBreached\n  }\n  assignee {\n    id\n    name\n  }\n  silencedBy {\n    id\n    endsAt\n  }\n  incident {\n    id\n    title\n    status\n    severity\n    alertCount\n    openAlertCount\n  }\n  prediction {\n    incidentProbability\n    selfResolveProbability\n    abstained\n  }\n}\n\nfragment EventLine on LogEvent {\n  id\n  number\n  kind\n  occurredAt\n  summary\n  note\n  holdReason\n  detail\n  changes {\n    field\n    after\n  }\n  actor {\n    kind\n    name\n  }\n  delivery {\n    id\n    channelName\n    level\n    status\n    lastError\n    responder {\n      name\n    }\n    fellBackTo {\n      channelName\n    }\n  }\n}" : undefined,
);

export const AlertInsight = document<AlertInsightQuery, AlertInsightQueryVariables>(
  'ebbf3ce2d19221b40ec59a2ebcb5810ac7d6af21ac48e7dbd6bfe5c147f6653f',
  import.meta.env.DEV ? "query AlertInsight($id: ID!) {\n  alert(id: $id) {\n    id\n    prediction {\n      modelVersion\n      predictedAt\n      incidentProbability\n      slaBreachProbability\n      selfResolveProbability\n      abstained\n      timeToAcknowledge {\n        median\n        low\n        high\n      }\n      timeToResolve {\n        median\n        low\n        high\n      }\n      contributions {\n        feature\n        contribution\n        text\n      }\n    }\n    relatedAlerts(first: 6) {\n      score\n      alert {\n        id\n        title\n        severity\n        status\n        monitoredService\n      }\n      evidence {\n        kind\n        weight\n        text\n      }\n    }\n  }\n}" : undefined,
);

export const WhoWouldBeTold = document<WhoWouldBeToldQuery, WhoWouldBeToldQueryVariables>(
  'f2eb79b74968d7e694fffcd2dd8d7145fdd393b3e631113c148a86c24b287422',
  import.meta.env.DEV ? "query WhoWouldBeTold($id: ID!) {\n  escalationForecast(alertId: $id) {\n    holdReason\n    steps {\n      at\n      level\n      reason\n      responder {\n        name\n      }\n      schedule {\n        name\n      }\n      channel {\n        name\n      }\n    }\n  }\n}" : undefined,
);

export const WriteNote = document<WriteNoteMutation, WriteNoteMutationVariables>(
  '99f3d05d6a9771953803b1149cd56538523995c7e36bf982323f099a2745130c',
  import.meta.env.DEV ? "mutation WriteNote($input: AddAlertNoteInput!) {\n  addAlertNote(input: $input) {\n    errors {\n      ...Problem\n    }\n  }\n}\n\nfragment Problem on MutationError {\n  code\n  message\n  path\n  currentVersion\n}" : undefined,
);

export const Judge = document<JudgeMutation, JudgeMutationVariables>(
  'a0ea811710f33cbd4406efff8471446329d732d33120f47d6dafb4a59673d146',
  import.meta.env.DEV ? "mutation Judge($input: AlertFeedbackInput!) {\n  giveAlertFeedback(input: $input) {\n    alert {\n      ...AlertRow\n    }\n    errors {\n      ...Problem\n    }\n  }\n}\n\nfragment AlertRow on CriticalAlert {\n  id\n  version\n  dedupKey\n  title\n  severity\n  status\n  source\n  monitoredService\n  labels\n  occurrenceCount\n  triggeredAt\n  lastSeenAt\n  acknowledgedAt\n  acknowledgedUntil\n  acknowledgedBy {\n    kind\n    name\n    responder {\n      id\n    }\n  }\n  resolvedAt\n  escalationLevel\n  nextEscalationAt\n  holdReason\n  verdict\n  sla {\n    acknowledgeBy\n    resolveBy\n    acknowledgeBreached\n    resolveBreached\n  }\n  assignee {\n    id\n    name\n  }\n  silencedBy {\n    id\n    endsAt\n  }\n  incident {\n    id\n    title\n    status\n    severity\n    alertCount\n    openAlertCount\n  }\n  prediction {\n    incidentProbability\n    selfResolveProbability\n    abstained\n  }\n}\n\nfragment Problem on MutationError {\n  code\n  message\n  path\n  currentVersion\n}" : undefined,
);
