import { describe, expect, it } from 'vitest';
import { namesOf, standingAt, TINT_COUNT, tintsOf, turnsOf } from './schedules';

const at = (hour: number) => Date.parse('2026-11-23T00:00:00Z') + hour * 3_600_000;
const shift = (from: number, to: number, name: string, isOverride = false) => ({
  startsAt: new Date(at(from)).toISOString(),
  endsAt: new Date(at(to)).toISOString(),
  responder: { id: `re_${name}`, name },
  override: isOverride ? { id: 'ov_1' } : null,
});

describe('who is on call', () => {
  const turns = turnsOf([shift(0, 8, 'Ada'), shift(8, 16, 'Grace', true), shift(20, 24, 'Ada')]);

  it('is told with who comes next', () => {
    const { current, next } = standingAt(turns, at(3));
    expect([current?.name, current?.endsAt, current?.isOverride]).toEqual(['Ada', at(8), false]);
    expect([next?.name, next?.startsAt, next?.isOverride]).toEqual(['Grace', at(8), true]);
  });

  it('is nobody in a gap, and somebody after it', () => {
    const { current, next } = standingAt(turns, at(17));
    expect(current).toBeNull();
    expect([next?.name, next?.startsAt]).toEqual(['Ada', at(20)]);
  });

  it('hands over at the very moment', () => {
    expect(standingAt(turns, at(8)).current?.name).toBe('Grace');
    expect(standingAt(turns, at(16)).current).toBeNull();
  });

  it('is one turn where the same person goes on', () => {
    const twice = turnsOf([shift(0, 8, 'Ada'), shift(8, 16, 'Ada'), shift(16, 24, 'Grace')]);
    const { current, next } = standingAt(twice, at(1));
    expect([current?.startsAt, current?.endsAt, next?.name]).toEqual([at(0), at(16), 'Grace']);
  });

  it('knows no end of what is not known', () => {
    expect(standingAt(turns, at(30))).toEqual({ current: null, next: null });
    expect(standingAt([], at(0))).toEqual({ current: null, next: null });
  });
});

describe('colours', () => {
  const ids = Array.from({ length: TINT_COUNT }, (_, index) => `re_${index}`);

  it('are different for as many as there are colours, in whatever order people are named', () => {
    const tintOf = tintsOf(ids);
    expect(new Set(ids.map(tintOf)).size).toBe(TINT_COUNT);
    const again = tintsOf([...ids, ...ids].reverse());
    expect(ids.map(again)).toEqual(ids.map(tintOf));
  });

  it('are there for everybody', () => {
    const tintOf = tintsOf([]);
    const tints = Array.from({ length: 200 }, (_, index) => tintOf(`re_${index}`));
    expect(new Set(tints).size).toBe(TINT_COUNT);
  });
});

describe('names', () => {
  it.each([
    ['Ada Lovelace', 'Ada', 'AL'],
    ['Grace  Brewster Murray Hopper', 'Grace', 'GB'],
    ['madonna', 'madonna', 'M'],
    ['', '', ''],
  ])('of %s are brief where there is no room', (name, first, initials) => {
    expect(namesOf(name)).toEqual([name, first, initials]);
  });
});
