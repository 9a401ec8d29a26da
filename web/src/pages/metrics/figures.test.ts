import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  changeOf,
  countColumns,
  DURATION_STEPS,
  durationColumns,
  type Group,
  secondsOf,
  shareColumns,
  sorted,
} from './figures';
import { ageMax, WINDOW_NAMES, windowAt, windowNamed } from './windows';

const NOW = Date.parse('2026-11-23T21:40:12Z');
const BUCKETS = [
  {
    startsAt: '2026-11-22T00:00:00Z',
    createdCount: 4,
    acknowledgedCount: 3,
    resolvedCount: 2,
    escalatedCount: 1,
    mtta: 'PT1M30S',
    mttr: null,
    slaCompliance: 0.5,
    noiseRatio: 0,
  },
  {
    startsAt: '2026-11-23T00:00:00Z',
    createdCount: 0,
    acknowledgedCount: 0,
    resolvedCount: 1,
    escalatedCount: 0,
    mtta: null,
    mttr: 'P1DT2H',
    slaCompliance: null,
  },
];

describe('windows', () => {
  it('end with the hour or day that is under way', () => {
    expect(shown('24h')).toEqual(['2026-11-22T22:00', '2026-11-23T22:00', '2026-11-21T22:00', 'PT1H']);
    expect(shown('7d')).toEqual(['2026-11-17T00:00', '2026-11-24T00:00', '2026-11-10T00:00', 'P1D']);
  });

  it('can be answered by the counters that the service keeps', () => {
    fc.assert(
      fc.property(fc.constantFrom(...WINDOW_NAMES), fc.integer({ min: 0, max: 4e12 }), (name, now) => {
        const { since, until, beforeSince, bucket } = windowAt(name, now);
        expect(since).toBeLessThan(now);
        expect(until).toBeGreaterThan(now);
        expect(since - beforeSince).toBe(until - since);
        expect((until - since) / 86_400_000).toBeLessThanOrEqual(400);
        // Finer than a day only within the last 48 hours.
        if (bucket === 'PT1H') expect(now - since).toBeLessThanOrEqual(48 * 3_600_000);
      }),
    );
  });

  it('are read from addresses', () => {
    expect(windowNamed('30d')).toBe('30d');
    expect(windowNamed('1y')).toBe('7d');
    expect(windowNamed(null)).toBe('7d');
  });

  it('are asked for less often where they are long', () => {
    const ages = WINDOW_NAMES.map(ageMax);
    expect(ages).toEqual([...ages].sort((a, b) => a - b));
  });

  function shown(name: '24h' | '7d'): string[] {
    const { since, until, beforeSince, bucket } = windowAt(name, NOW);
    return [...[since, until, beforeSince].map(each => new Date(each).toISOString().slice(0, 16)), bucket];
  }
});

describe('durations', () => {
  it.each([
    ['PT0S', 0],
    ['PT1M30.5S', 90.5],
    ['P1DT2H', 93_600],
    ['P2W', 1_209_600],
    ['-PT5S', -5],
    ['P1M', null],
    ['', null],
    ['soon', null],
    [null, null],
    [undefined, null],
  ])('%s are %s seconds', (text, seconds) => {
    expect(secondsOf(text)).toBe(seconds);
  });
});

describe('columns', () => {
  it('hold counts, zeros included', () => {
    expect(countColumns(BUCKETS, ['createdCount', 'escalatedCount'])).toEqual([
      [1_795_305_600, 1_795_392_000],
      [4, 0],
      [1, 0],
    ]);
  });

  it('hold seconds, and nothing where nothing was measured', () => {
    expect(durationColumns(BUCKETS, ['mtta', 'mttr']).slice(1)).toEqual([
      [90, null],
      [null, 93_600],
    ]);
  });

  it('hold shares, and nothing where nothing was measured', () => {
    expect(shareColumns(BUCKETS, ['slaCompliance', 'noiseRatio']).slice(1)).toEqual([
      [0.5, null],
      [0, null],
    ]);
  });

  it('have steps in order', () => {
    expect(DURATION_STEPS).toEqual([...DURATION_STEPS].sort((a, b) => a - b));
    expect(new Set(DURATION_STEPS).size).toBe(DURATION_STEPS.length);
  });
});

describe('changes', () => {
  it('are shares of what was', () => {
    expect(changeOf(3, 2)).toBeCloseTo(0.5);
    expect(changeOf(0, 2)).toBe(-1);
    expect(changeOf(2, 0)).toBeNull();
    expect(changeOf(null, 2)).toBeNull();
    expect(changeOf(2, undefined)).toBeNull();
  });
});

describe('groups', () => {
  const group = (key: string, fields: Partial<Group>): Group => ({
    key,
    createdCount: 0,
    openCount: 0,
    escalatedCount: 0,
    mtta: null,
    mttr: null,
    slaCompliance: null,
    noiseRatio: null,
    ...fields,
  });
  const groups = [
    group('billing', { createdCount: 2, mtta: 'PT10M' }),
    group('checkout', { createdCount: 9, mtta: 'PT9S' }),
    group('auth', { createdCount: 2 }),
  ];
  const keys = (found: readonly Group[]) => found.map(each => each.key);

  it('are in the order of a column, equal ones by name', () => {
    expect(keys(sorted(groups, 'createdCount', true))).toEqual(['checkout', 'auth', 'billing']);
    expect(keys(sorted(groups, 'key', false))).toEqual(['auth', 'billing', 'checkout']);
  });

  it('have durations in order of their length, and what was not measured last', () => {
    expect(keys(sorted(groups, 'mtta', false))).toEqual(['checkout', 'billing', 'auth']);
    expect(keys(sorted(groups, 'mtta', true))).toEqual(['billing', 'checkout', 'auth']);
  });
});
