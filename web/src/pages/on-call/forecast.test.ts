import { describe, expect, it } from 'vitest';
import { distanceOf, rungsOf, type Step } from './forecast';

const BEGINS = Date.parse('2026-11-23T12:00:00Z');
const ADA = { id: 're_1', name: 'Ada' };
const PRIMARY = { id: 'sc_1', name: 'Primary' };
const SLACK = { id: 'ch_1', name: 'ops', kind: 'SLACK' };
const MAIL = { id: 'ch_2', name: 'mail', kind: 'EMAIL' };

const step = (minutes: number, fields: Partial<Step>): Step => ({
  at: new Date(BEGINS + minutes * 60_000).toISOString(),
  level: 1,
  reason: 'Level 1',
  responder: ADA,
  schedule: PRIMARY,
  channel: SLACK,
  ...fields,
});

describe('rungs', () => {
  it('gather the ways by which one person is told', () => {
    const [rung, ...others] = rungsOf([step(0, {}), step(0, { channel: MAIL, reason: 'Also' })], BEGINS);
    expect(others).toEqual([]);
    expect(rung!.told).toHaveLength(1);
    expect(rung!.told[0]).toMatchObject({ person: ADA, schedule: 'Primary' });
    expect(rung!.told[0]!.ways.map(way => way.channel)).toEqual(['ops', 'mail']);
  });

  it('keep apart what comes later, or is of another level', () => {
    const rungs = rungsOf([step(0, {}), step(0, { level: 2 }), step(15, { level: 2 })], BEGINS);
    expect(rungs.map(rung => [rung.level, rung.waited / 60_000])).toEqual([
      [1, 0],
      [2, 0],
      [2, 15],
    ]);
  });

  it('say how long the first one takes', () => {
    expect(rungsOf([step(5, {})], BEGINS)[0]!.waited).toBe(300_000);
  });

  it('know channels that are nobody’s', () => {
    const [rung] = rungsOf(
      [
        step(0, { responder: null, schedule: null }),
        step(0, { responder: null, channel: MAIL, schedule: null }),
      ],
      BEGINS,
    );
    expect(rung!.told.map(told => [told.person, told.ways[0]!.channel])).toEqual([
      [null, 'ops'],
      [null, 'mail'],
    ]);
  });
});

describe('distances', () => {
  it('grow with the wait, and end', () => {
    const minutes = [0, 1, 5, 15, 60, 1_440, 100_000];
    const distances = minutes.map(each => distanceOf(each * 60_000));
    expect(distances[0]).toBe(0);
    expect(distances).toEqual([...distances].sort((a, b) => a - b));
    expect(distances.at(-1)).toBe(6);
    expect(distanceOf(-5)).toBe(0);
  });
});
