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

/** One rung. */
export type EscalationLevelInput = {
  /** Until the next rung, PT0S or more. */
  delay: string;
  /** At least one. */
  targets: Array<EscalationTargetInput>;
};

/** A new escalation rule. */
export type EscalationRuleInput = {
  /** Whether it is tried. */
  enabled?: boolean;
  /** A level up when an SLA time is at risk or missed. */
  escalateOnSla?: boolean;
  /** See the rules at the top. */
  idempotencyKey?: string | null | undefined;
  /** Only alerts predicted at this chance or more, 0 to 1. */
  incidentProbabilityMin?: number | null | undefined;
  /** At least one, at most MAX_ESCALATION_LEVELS. */
  levels: Array<EscalationLevelInput>;
  /** All must hold. */
  matchers?: Array<LabelMatcherInput>;
  /** Unique in the tenant. */
  name: string;
  /** Rules at or behind it move back by one; last where left out. */
  position?: number | null | undefined;
  /** How often the ladder is climbed again, 0 to 100. */
  repeatCount?: number;
  /** Empty for any. */
  severities?: Array<Severity>;
};

/** Exactly one target. */
export type EscalationTargetInput =
  {   /** A channel. */
  channelId: string; responderId?: never; scheduleId?: never; }
  |  { channelId?: never;   /** A person. */
  responderId: string; scheduleId?: never; }
  |  { channelId?: never; responderId?: never;   /** Whoever is on call. */
  scheduleId: string; };

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

/** A new inhibition rule. */
export type InhibitionRuleInput = {
  /** Whether it is applied. */
  enabled?: boolean;
  /** May be empty. */
  equalLabels?: Array<string>;
  /** See the rules at the top. */
  idempotencyKey?: string | null | undefined;
  /** Unique in the tenant. */
  name: string;
  /** At least one. */
  sourceMatchers: Array<LabelMatcherInput>;
  /** At least one. */
  targetMatchers: Array<LabelMatcherInput>;
};

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

/** A patch. Alerts under way keep the ladder they began with. */
export type UpdateEscalationRuleInput = {
  /** Whether it is tried. */
  enabled?: boolean | null | undefined;
  /** See EscalationRule. */
  escalateOnSla?: boolean | null | undefined;
  /** Refuse where it changed since. */
  expectedVersion?: number | null | undefined;
  /** Which. */
  id: string;
  /** Null for all. */
  incidentProbabilityMin?: number | null | undefined;
  /** Replaces. */
  levels?: Array<EscalationLevelInput> | null | undefined;
  /** Replaces. */
  matchers?: Array<LabelMatcherInput> | null | undefined;
  /** Unique. */
  name?: string | null | undefined;
  /** Others move. */
  position?: number | null | undefined;
  /** Repeats. */
  repeatCount?: number | null | undefined;
  /** Replaces. */
  severities?: Array<Severity> | null | undefined;
};

/** A patch. */
export type UpdateInhibitionRuleInput = {
  /** Whether it is applied. */
  enabled?: boolean | null | undefined;
  /** Replaces. */
  equalLabels?: Array<string> | null | undefined;
  /** Refuse where it changed since. */
  expectedVersion?: number | null | undefined;
  /** Which. */
  id: string;
  /** Unique. */
  name?: string | null | undefined;
  /** Replaces. */
  sourceMatchers?: Array<LabelMatcherInput> | null | undefined;
  /** Replaces. */
  targetMatchers?: Array<LabelMatcherInput> | null | undefined;
};

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

export type RuleRowFragment = { id: string, version: number, name: string, enabled: boolean, position: number, severities: Array<Severity>, incidentProbabilityMin: number | null, repeatCount: number, escalateOnSla: boolean, matchers: Array<{ label: string, operator: MatchOperator, value: string }>, levels: Array<{ number: number, delay: string, targets: Array<
      | { __typename: 'NotificationChannel', id: string, name: string }
      | { __typename: 'OnCallSchedule', id: string, name: string }
      | { __typename: 'Responder', id: string, name: string }
    > }> };

export type EscalationRulesQueryVariables = Exact<{ [key: string]: never; }>;


export type EscalationRulesQuery = { escalationRules: { totalCount: number, nodes: Array<RuleRowFragment> } };

export type InhibitionRulesQueryVariables = Exact<{ [key: string]: never; }>;


export type InhibitionRulesQuery = { inhibitionRules: { totalCount: number, nodes: Array<{ id: string, version: number, name: string, enabled: boolean, equalLabels: Array<string>, sourceMatchers: Array<{ label: string, operator: MatchOperator, value: string }>, targetMatchers: Array<{ label: string, operator: MatchOperator, value: string }> }> } };

export type RuleTargetsQueryVariables = Exact<{ [key: string]: never; }>;


export type RuleTargetsQuery = { responders: { nodes: Array<{ id: string, name: string }> }, onCallSchedules: { nodes: Array<{ id: string, name: string }> }, notificationChannels: { nodes: Array<{ id: string, name: string }> } };

export type CreateEscalationRuleMutationVariables = Exact<{
  input: EscalationRuleInput;
}>;


export type CreateEscalationRuleMutation = { createEscalationRule: { escalationRule: { id: string } | null, errors: Array<ProblemFragment> } };

export type UpdateEscalationRuleMutationVariables = Exact<{
  input: UpdateEscalationRuleInput;
}>;


export type UpdateEscalationRuleMutation = { updateEscalationRule: { escalationRule: { id: string } | null, errors: Array<ProblemFragment> } };

export type DeleteEscalationRuleMutationVariables = Exact<{
  input: DeleteInput;
}>;


export type DeleteEscalationRuleMutation = { deleteEscalationRule: { deletedId: string | null, errors: Array<ProblemFragment> } };

export type CreateInhibitionRuleMutationVariables = Exact<{
  input: InhibitionRuleInput;
}>;


export type CreateInhibitionRuleMutation = { createInhibitionRule: { inhibitionRule: { id: string } | null, errors: Array<ProblemFragment> } };

export type UpdateInhibitionRuleMutationVariables = Exact<{
  input: UpdateInhibitionRuleInput;
}>;


export type UpdateInhibitionRuleMutation = { updateInhibitionRule: { inhibitionRule: { id: string } | null, errors: Array<ProblemFragment> } };

export type DeleteInhibitionRuleMutationVariables = Exact<{
  input: DeleteInput;
}>;


export type DeleteInhibitionRuleMutation = { deleteInhibitionRule: { deletedId: string | null, errors: Array<ProblemFragment> } };

export const EscalationRules = document<EscalationRulesQuery, EscalationRulesQueryVariables>(
  '1634d808d91f7a62f8a8d022b2954f0d9c37a08a1c5ec5e80dacf996c8948b98',
  import.meta.env.DEV ? "query EscalationRules {\n  escalationRules(first: 100) {\n    nodes {\n      ...RuleRow\n    }\n    totalCount\n  }\n}\n\nfragment RuleRow on EscalationRule {\n  id\n  version\n  name\n  enabled\n  position\n  matchers {\n    label\n    operator\n    value\n  }\n  severities\n  incidentProbabilityMin\n  repeatCount\n  escalateOnSla\n  levels {\n    number\n    delay\n    targets {\n      __typename\n      ... on Responder {\n        id\n        name\n      }\n      ... on OnCallSchedule {\n        id\n        name\n      }\n      ... on NotificationChannel {\n        id\n        name\n      }\n    }\n  }\n}" : undefined,
);

export const InhibitionRules = document<InhibitionRulesQuery, InhibitionRulesQueryVariables>(
  '15c28302eb801fad5c81c4b045c764598072411524c0031447066327a1ad8654',
  import.meta.env.DEV ? "query InhibitionRules {\n  inhibitionRules(first: 100) {\n    nodes {\n      id\n      version\n      name\n      enabled\n      sourceMatchers {\n        label\n        operator\n        value\n      }\n      targetMatchers {\n        label\n        operator\n        value\n      }\n      equalLabels\n    }\n    totalCount\n  }\n}" : undefined,
);

export const RuleTargets = document<RuleTargetsQuery, RuleTargetsQueryVariables>(
  'c8ee8c25aaebdb2b81f5258c8944a72b573daa67a28bd7754f6345095f054d95',
  import.meta.env.DEV ? "query RuleTargets {\n  responders(first: 100) {\n    nodes {\n      id\n      name\n    }\n  }\n  onCallSchedules(first: 100) {\n    nodes {\n      id\n      name\n    }\n  }\n  notificationChannels(first: 100) {\n    nodes {\n      id\n      name\n    }\n  }\n}" : undefined,
);

export const CreateEscalationRule = document<CreateEscalationRuleMutation, CreateEscalationRuleMutationVariables>(
  '0e1d466334de75f4b965644071249a1a6e63ac9b702b33d0dadfc582e54e38a2',
  import.meta.env.DEV ? "mutation CreateEscalationRule($input: EscalationRuleInput!) {\n  createEscalationRule(input: $input) {\n    escalationRule {\n      id\n    }\n    errors {\n      ...Problem\n    }\n  }\n}\n\nfragment Problem on MutationError {\n  code\n  message\n  path\n  currentVersion\n}" : undefined,
);

export const UpdateEscalationRule = document<UpdateEscalationRuleMutation, UpdateEscalationRuleMutationVariables>(
  '1e13dbd0d7faac9139a440d7e8a8c9f2da965cccefa8bb1b3193294d35896330',
  import.meta.env.DEV ? "mutation UpdateEscalationRule($input: UpdateEscalationRuleInput!) {\n  updateEscalationRule(input: $input) {\n    escalationRule {\n      id\n    }\n    errors {\n      ...Problem\n    }\n  }\n}\n\nfragment Problem on MutationError {\n  code\n  message\n  path\n  currentVersion\n}" : undefined,
);

export const DeleteEscalationRule = document<DeleteEscalationRuleMutation, DeleteEscalationRuleMutationVariables>(
  'bd2ffa5ebfe42b86e543dc75f979ac362214cac3cf113e9f72e6262645c165d2',
  import.meta.env.DEV ? "mutation DeleteEscalationRule($input: DeleteInput!) {\n  deleteEscalationRule(input: $input) {\n    deletedId\n    errors {\n      ...Problem\n    }\n  }\n}\n\nfragment Problem on MutationError {\n  code\n  message\n  path\n  currentVersion\n}" : undefined,
);

export const CreateInhibitionRule = document<CreateInhibitionRuleMutation, CreateInhibitionRuleMutationVariables>(
  '3bd8c172d15cdd9a4af90215ad43be2ecdc25be7a6ec9ef8d0f3e7f4648a38c2',
  import.meta.env.DEV ? "mutation CreateInhibitionRule($input: InhibitionRuleInput!) {\n  createInhibitionRule(input: $input) {\n    inhibitionRule {\n      id\n    }\n    errors {\n      ...Problem\n    }\n  }\n}\n\nfragment Problem on MutationError {\n  code\n  message\n  path\n  currentVersion\n}" : undefined,
);

export const UpdateInhibitionRule = document<UpdateInhibitionRuleMutation, UpdateInhibitionRuleMutationVariables>(
  'c721f87633a5fd80545d6e09cb28ab5099f5cf40208d193fb4cac3d8e8ee0104',
  import.meta.env.DEV ? "mutation UpdateInhibitionRule($input: UpdateInhibitionRuleInput!) {\n  updateInhibitionRule(input: $input) {\n    inhibitionRule {\n      id\n    }\n    errors {\n      ...Problem\n    }\n  }\n}\n\nfragment Problem on MutationError {\n  code\n  message\n  path\n  currentVersion\n}" : undefined,
);

export const DeleteInhibitionRule = document<DeleteInhibitionRuleMutation, DeleteInhibitionRuleMutationVariables>(
  '2712561c2e5b50ec5a1810275f45892301aa67cf40ac4431058747444caa41a0',
  import.meta.env.DEV ? "mutation DeleteInhibitionRule($input: DeleteInput!) {\n  deleteInhibitionRule(input: $input) {\n    deletedId\n    errors {\n      ...Problem\n    }\n  }\n}\n\nfragment Problem on MutationError {\n  code\n  message\n  path\n  currentVersion\n}" : undefined,
);
