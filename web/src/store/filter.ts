/** Which alerts a list shows, decided here where what an alert tells is enough. */
import { type Alert, type AlertFilter, instant } from './alert';

type Matcher = NonNullable<AlertFilter['matchers']>[number];

/** What can be decided here; what else a filter asks for, only the server knows. */
const DECIDED: readonly (keyof AlertFilter)[] = [
  'status',
  'severity',
  'monitoredService',
  'source',
  'dedupKey',
  'matchers',
  'triggeredAfter',
  'triggeredBefore',
  'resolvedAfter',
  'resolvedBefore',
  'incidentId',
  'escalationLevelMin',
  'acknowledgedById',
  'assigneeId',
  'silenced',
  'verdict',
  'incidentProbabilityMin',
];

/** Whether `matches` knows all that a filter asks for. */
export function isDecidable(filter: AlertFilter): boolean {
  return (
    Object.entries(filter).every(
      ([name, value]) => value == null || DECIDED.includes(name as keyof AlertFilter),
    ) && (filter.matchers ?? []).every(matcher => !isRegex(matcher) || compiled(matcher.value) !== null)
  );
}

/** Whether an alert is one of those that a filter asks for, as far as that can be decided here. */
export function matches(filter: AlertFilter, alert: Alert): boolean {
  return (
    oneOf(filter.status, alert.status) &&
    oneOf(filter.severity, alert.severity) &&
    oneOf(filter.monitoredService, alert.monitoredService) &&
    oneOf(filter.source, alert.source) &&
    oneOf(filter.dedupKey, alert.dedupKey) &&
    oneOf(filter.assigneeId, alert.assignee?.id) &&
    oneOf(filter.acknowledgedById, alert.acknowledgedBy?.responder?.id) &&
    oneOf(filter.verdict, alert.verdict) &&
    (filter.incidentId == null || alert.incident?.id === filter.incidentId) &&
    (filter.escalationLevelMin == null || alert.escalationLevel >= filter.escalationLevelMin) &&
    (filter.silenced == null || alert.silencedBy.length > 0 === filter.silenced) &&
    (filter.incidentProbabilityMin == null ||
      (alert.prediction !== null && alert.prediction.incidentProbability >= filter.incidentProbabilityMin)) &&
    within(alert.triggeredAt, filter.triggeredAfter, filter.triggeredBefore) &&
    within(alert.resolvedAt, filter.resolvedAfter, filter.resolvedBefore) &&
    (filter.matchers ?? []).every(matcher => holds(matcher, alert))
  );
}

function oneOf<T>(allowed: readonly T[] | null | undefined, value: T | null | undefined): boolean {
  return allowed == null || (value != null && allowed.includes(value));
}

function within(
  at: string | null,
  after: string | null | undefined,
  before: string | null | undefined,
): boolean {
  if (after == null && before == null) return true;
  if (at === null) return false;
  const moment = instant(at);
  return (after == null || moment >= instant(after)) && (before == null || moment < instant(before));
}

function isRegex(matcher: Matcher): boolean {
  return matcher.operator === 'REGEX' || matcher.operator === 'NOT_REGEX';
}

function holds(matcher: Matcher, alert: Alert): boolean {
  // What is absent is the empty text, as for Alertmanager.
  const value = labelOf(alert, matcher.label);
  switch (matcher.operator ?? 'EQUAL') {
    case 'EQUAL':
      return value === matcher.value;
    case 'NOT_EQUAL':
      return value !== matcher.value;
    case 'REGEX':
      return compiled(matcher.value)?.test(value) ?? true;
    case 'NOT_REGEX':
      return !(compiled(matcher.value)?.test(value) ?? false);
  }
}

function labelOf(alert: Alert, name: string): string {
  switch (name) {
    case '@title':
      return alert.title;
    case '@severity':
      return alert.severity;
    case '@source':
      return alert.source;
    case '@service':
      return alert.monitoredService ?? '';
    case '@dedup_key':
      return alert.dedupKey;
    default:
      return (alert.labels as Record<string, string>)[name] ?? '';
  }
}

const expressions = new Map<string, RegExp | null>();

/** Return RE2's expression as ours; null where it says something that ours can't. */
function compiled(text: string): RegExp | null {
  let found = expressions.get(text);
  if (found === undefined) {
    const flags = /^\(\?([ims]+)\)/.exec(text);
    const body = flags ? text.slice(flags[0].length) : text;
    try {
      // What RE2 has and we have not, or have with another meaning.
      found = /\(\?[^:]|\\[ABCEGHKNPQRXZzpa]|\[\[:/.test(body)
        ? null
        : new RegExp(`^(?:${body})$`, `${flags?.[1] ?? ''}u`);
    } catch {
      found = null;
    }
    if (expressions.size > 200) expressions.clear();
    expressions.set(text, found);
  }
  return found;
}
