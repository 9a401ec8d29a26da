/** Filters and orders as an address has them, and as somebody types them. */
import type { AlertFilter, Order, OrderField, Severity, Status } from './alert';
import { SEVERITIES } from './alert';

type Matcher = NonNullable<AlertFilter['matchers']>[number];

export const OPEN: readonly Status[] = ['TRIGGERED', 'ACKNOWLEDGED'];
export const STATUSES: readonly Status[] = ['TRIGGERED', 'ACKNOWLEDGED', 'RESOLVED'];
const ORDERS: readonly OrderField[] = ['TRIGGERED_AT', 'SEVERITY', 'INCIDENT_PROBABILITY', 'LAST_SEEN_AT'];
const OPERATORS = { EQUAL: '=', NOT_EQUAL: '!=', REGEX: '=~', NOT_REGEX: '!~' } as const;
const LISTS = {
  service: 'monitoredService',
  source: 'source',
  key: 'dedupKey',
  assignee: 'assigneeId',
  verdict: 'verdict',
} as const;

/** Return the filter that an address asks for; without a status it is of open alerts. */
export function filterOf(params: URLSearchParams): AlertFilter {
  const filter: AlertFilter = { ...readMore(params.get('more')) };
  const status = listed(params, 'status', STATUSES);
  filter.status = status.length > 0 ? status : [...OPEN];
  const severity = listed(params, 'severity', SEVERITIES);
  if (severity.length > 0) filter.severity = severity;
  for (const [name, field] of Object.entries(LISTS)) {
    const values = params.getAll(name);
    if (values.length > 0) Object.assign(filter, { [field]: values });
  }
  const matchers = params.getAll('label').flatMap(text => matcherOf(text) ?? []);
  if (matchers.length > 0) filter.matchers = matchers;
  if (params.get('q')) filter.search = params.get('q');
  if (params.get('incident')) filter.incidentId = params.get('incident');
  if (params.has('silenced')) filter.silenced = params.get('silenced') === 'yes';
  const chance = Number(params.get('chance'));
  if (chance > 0 && chance <= 1) filter.incidentProbabilityMin = chance;
  return filter;
}

/** Return the address of a filter; `filterOf` gives the filter again. */
export function paramsOf(filter: AlertFilter, order: Order): URLSearchParams {
  const params = new URLSearchParams();
  const more: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(filter) as [keyof AlertFilter, unknown][]) {
    if (value == null) continue;
    const list = Object.entries(LISTS).find(([, field]) => field === name);
    if (name === 'status') {
      const status = value as Status[];
      if (!(status.length === OPEN.length && OPEN.every(each => status.includes(each))))
        params.set('status', status.join(',').toLowerCase());
    } else if (name === 'severity') params.set('severity', (value as Severity[]).join(',').toLowerCase());
    else if (list) for (const each of value as string[]) params.append(list[0], each);
    else if (name === 'matchers') for (const each of value as Matcher[]) params.append('label', textOf(each));
    else if (name === 'search') params.set('q', value as string);
    else if (name === 'incidentId') params.set('incident', value as string);
    else if (name === 'silenced') params.set('silenced', value ? 'yes' : 'no');
    else if (name === 'incidentProbabilityMin') params.set('chance', String(value));
    else more[name] = value;
  }
  if (Object.keys(more).length > 0) params.set('more', JSON.stringify(more));
  // Equal filters have equal addresses, in whichever order they were put together.
  params.sort();
  if (order.field !== 'TRIGGERED_AT' || order.direction !== 'DESC')
    params.set('order', `${order.field.toLowerCase()}${order.direction === 'ASC' ? '.asc' : ''}`);
  return params;
}

/** Return the order that an address asks for; newest first without one. */
export function orderOf(params: URLSearchParams): Order {
  const [field = '', way] = (params.get('order') ?? '').toUpperCase().split('.');
  return {
    field: ORDERS.find(each => each === field) ?? 'TRIGGERED_AT',
    direction: way === 'ASC' ? 'ASC' : 'DESC',
  };
}

export function textOf(matcher: Matcher): string {
  return `${matcher.label}${OPERATORS[matcher.operator ?? 'EQUAL']}${matcher.value}`;
}

/** Return the matcher that a text such as `team=db`, `env!=test` or `host=~web.*` means; null where it means none. */
export function matcherOf(text: string): Matcher | null {
  const match = /^([^=!~\s]+)(=~|!~|!=|=)(.*)$/s.exec(text);
  if (!match) return null;
  const operator = (Object.keys(OPERATORS) as (keyof typeof OPERATORS)[]).find(
    each => OPERATORS[each] === match[2],
  )!;
  return { label: match[1]!, operator, value: match[3]! };
}

/**
 * Return a filter with what somebody has typed added: `team=db`, `service:checkout`, `severity:high`, `source:…`,
 * and words to search for.
 */
export function withTyped(filter: AlertFilter, typed: string): AlertFilter {
  const made: AlertFilter = { ...filter };
  const words: string[] = [];
  for (const part of typed.match(/(?:[^\s"]|"[^"]*")+/g) ?? []) {
    const plain = part.replaceAll('"', '');
    const [, name = '', value = ''] = /^(\w+):(.+)$/.exec(plain) ?? [];
    const matcher = matcherOf(plain);
    if (name === 'service' || name === 'source' || name === 'key') {
      const field = LISTS[name];
      made[field] = [...new Set([...(made[field] ?? []), value])];
    } else if (name === 'severity' && (SEVERITIES as readonly string[]).includes(value.toUpperCase()))
      made.severity = [...new Set([...(made.severity ?? []), value.toUpperCase() as Severity])];
    else if (name === 'status' && (STATUSES as readonly string[]).includes(value.toUpperCase()))
      made.status = [value.toUpperCase() as Status];
    else if (matcher) made.matchers = [...(made.matchers ?? []), matcher];
    else words.push(plain);
  }
  if (words.length > 0) made.search = words.join(' ');
  return made;
}

function listed<T extends string>(params: URLSearchParams, name: string, allowed: readonly T[]): T[] {
  const given = (params.get(name) ?? '').toUpperCase().split(',');
  return allowed.filter(each => given.includes(each));
}

function readMore(text: string | null): AlertFilter {
  if (text === null) return {};
  try {
    const read: unknown = JSON.parse(text);
    return read !== null && typeof read === 'object' && !Array.isArray(read) ? (read as AlertFilter) : {};
  } catch {
    return {};
  }
}
