import { describe, expect, test } from 'vitest';
import { filterOf, matcherOf, orderOf, paramsOf, withTyped } from './address';
import type { AlertFilter } from './alert';
import { anAlert } from './factory';
import { isDecidable, matches } from './filter';

const alert = anAlert({ labels: { team: 'db', host: 'web-17' }, monitoredService: 'orders' });

describe('a matcher', () => {
  test.each([
    ['team=db', true],
    ['team=core', false],
    ['team!=core', true],
    ['host=~web-\\d+', true],
    // It has to be the whole value.
    ['host=~web', false],
    ['host!~web-.*', false],
    ['host=~(?i)WEB-.*', true],
    ['missing=', true],
    ['missing!=x', true],
    ['@service=orders', true],
    ['@severity=HIGH', true],
    ['@source=grafana', false],
  ])('%s is %s', (text, wanted) => {
    expect(matches({ matchers: [matcherOf(text)!] }, alert)).toBe(wanted);
  });
});

test.each<[AlertFilter, boolean]>([
  [{ status: ['ACKNOWLEDGED'] }, false],
  [{ silenced: false }, true],
  [{ silenced: true }, false],
  [{ incidentProbabilityMin: 0.1 }, false],
  [{ triggeredAfter: '2026-11-23T03:00:00Z' }, true],
  [{ triggeredAfter: '2026-11-23T03:00:00.000001Z' }, false],
  [{ triggeredBefore: '2026-11-23T03:00:00Z' }, false],
  [{ resolvedAfter: '2026-01-01T00:00:00Z' }, false],
  [{}, true],
])('of %j the alert is one: %s', (filter, wanted) => {
  expect(matches(filter, alert)).toBe(wanted);
});

test('what only the server knows is not decided here', () => {
  expect(isDecidable({ severity: ['HIGH'], search: null })).toBe(true);
  expect(isDecidable({ search: 'disk' })).toBe(false);
  expect(isDecidable({ inhibited: true })).toBe(false);
  // An expression that means something else in a browser, or nothing.
  expect(isDecidable({ matchers: [matcherOf('host=~\\pN+')!] })).toBe(false);
  expect(isDecidable({ matchers: [matcherOf('host=~(')!] })).toBe(false);
});

test('an address keeps all of a filter and of an order', () => {
  const filter: AlertFilter = {
    status: ['RESOLVED'],
    severity: ['CRITICAL', 'LOW'],
    monitoredService: ['a b', 'c'],
    matchers: [matcherOf('team=~d.*')!, matcherOf('env!=test')!],
    search: 'disk full',
    silenced: true,
    incidentProbabilityMin: 0.7,
    slaBreached: true,
  };
  const params = new URLSearchParams(paramsOf(filter, { field: 'SEVERITY', direction: 'ASC' }).toString());
  expect(filterOf(params)).toEqual(filter);
  expect(orderOf(params)).toEqual({ field: 'SEVERITY', direction: 'ASC' });
});

test('an address of nothing is of what is open, newest first', () => {
  expect(filterOf(new URLSearchParams())).toEqual({ status: ['TRIGGERED', 'ACKNOWLEDGED'] });
  expect(orderOf(new URLSearchParams('order=nonsense'))).toEqual({
    field: 'TRIGGERED_AT',
    direction: 'DESC',
  });
  expect(filterOf(new URLSearchParams('status=nonsense&more=%7B'))).toEqual({
    status: ['TRIGGERED', 'ACKNOWLEDGED'],
  });
});

test('what is typed becomes a filter', () => {
  expect(withTyped({}, 'service:orders team=db severity:high "disk full" now')).toEqual({
    monitoredService: ['orders'],
    matchers: [{ label: 'team', operator: 'EQUAL', value: 'db' }],
    severity: ['HIGH'],
    search: 'disk full now',
  });
});
