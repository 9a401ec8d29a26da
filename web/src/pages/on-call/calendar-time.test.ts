import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  chosen,
  floored,
  gapsIn,
  instantAt,
  movedBy,
  piecesIn,
  placeOf,
  spanAt,
  stepFor,
  weeksAway,
  weeksFrom,
} from './calendar-time';
import { DAY, dayOf, fieldInstant, fieldText, HOUR, instantOf, isZone, MINUTE, shownAt } from './wall-clock';

const BERLIN = 'Europe/Berlin';
const ZONES = ['UTC', BERLIN, 'America/New_York', 'Asia/Kolkata', 'Australia/Lord_Howe', 'Pacific/Apia'];
const at = (text: string) => Date.parse(text);
const zones = fc.constantFrom(...ZONES);
const instants = fc.integer({ min: at('2000-01-01T00:00Z'), max: at('2037-12-31T00:00Z') });

describe('the wall clock', () => {
  it('shows what is shown there', () => {
    expect(new Date(shownAt(at('2026-07-01T10:00Z'), BERLIN)).toISOString()).toBe('2026-07-01T12:00:00.000Z');
    expect(new Date(shownAt(at('2026-12-01T23:30Z'), BERLIN)).toISOString()).toBe('2026-12-02T00:30:00.000Z');
  });

  it('takes a time that is skipped as the end of the gap', () => {
    expect(instantOf(at('2026-03-29T02:30Z'), BERLIN)).toBe(at('2026-03-29T01:00Z'));
    // Apia left the whole day out.
    expect(instantOf(at('2011-12-30T15:00Z'), 'Pacific/Apia')).toBe(at('2011-12-30T10:00Z'));
  });

  it('takes a time that is shown twice as the first of the two', () => {
    expect(instantOf(at('2026-10-25T02:30Z'), BERLIN)).toBe(at('2026-10-25T00:30Z'));
  });

  it('comes back to what was shown', () => {
    fc.assert(
      fc.property(instants, zones, (instant, zone) => {
        const shown = shownAt(instant, zone);
        const back = instantOf(shown, zone);
        expect(back).toBeLessThanOrEqual(instant);
        expect(shownAt(back, zone)).toBe(shown);
      }),
    );
  });

  it('fills fields and reads them', () => {
    expect(fieldText(at('2026-11-23T20:30Z'), BERLIN)).toBe('2026-11-23T21:30');
    expect(fieldInstant('2026-11-23T21:30', BERLIN)).toBe(at('2026-11-23T20:30Z'));
    expect(fieldInstant('', BERLIN)).toBeNull();
    expect(fieldInstant('2026-13-41T99:99', BERLIN)).toBeNull();
  });

  it('knows zones from words', () => {
    expect(isZone(BERLIN)).toBe(true);
    expect(isZone('Middle/Earth')).toBe(false);
  });
});

describe('weeks', () => {
  it('begin on Monday, where the schedule is', () => {
    const [week] = weeksFrom(at('2026-11-23T23:30Z'), 1, BERLIN);
    expect(new Date(week!.startsAt).toISOString()).toBe('2026-11-22T23:00:00.000Z');
    expect(new Date(week!.days[1]!.date).toISOString()).toBe('2026-11-24T00:00:00.000Z');
    expect(weeksFrom(at('2026-11-29T22:59Z'), 1, BERLIN)[0]).toEqual(week);
    expect(weeksFrom(at('2026-11-29T23:00Z'), 1, BERLIN)[0]).not.toEqual(week);
  });

  it('are an hour shorter or longer where clocks are changed', () => {
    expect(lengths('2026-03-25T12:00Z')).toEqual([24, 24, 24, 24, 24, 24, 23]);
    expect(lengths('2026-10-20T12:00Z')).toEqual([24, 24, 24, 24, 24, 24, 25]);
  });

  it('follow one another without a gap', () => {
    fc.assert(
      fc.property(instants, zones, (instant, zone) => {
        const weeks = weeksFrom(instant, 3, zone);
        expect(weeks[0]!.startsAt).toBeLessThanOrEqual(instant);
        expect(weeks[0]!.endsAt).toBeGreaterThan(instant);
        const days = weeks.flatMap(week => week.days);
        for (const [index, day] of days.slice(1).entries()) expect(day.startsAt).toBe(days[index]!.endsAt);
        expect(weeks[1]!.startsAt).toBe(weeksAway(weeks[0]!.startsAt, 1, zone));
      }),
    );
  });

  it('say where an instant lies, and back', () => {
    fc.assert(
      fc.property(instants, zones, (instant, zone) => {
        const [week] = weeksFrom(instant, 1, zone);
        const place = placeOf(instant, week!);
        expect(place).toBeGreaterThanOrEqual(0);
        expect(place).toBeLessThan(1);
        expect(Math.abs(instantAt(place, week!) - instant)).toBeLessThanOrEqual(1);
      }),
    );
    const [week] = weeksFrom(at('2026-11-25T12:00Z'), 1, 'UTC');
    expect(placeOf(at('2026-11-25T12:00Z'), week!)).toBeCloseTo(2.5 / 7);
    expect(placeOf(week!.endsAt, week!)).toBe(1);
    expect(instantAt(-3, week!)).toBe(week!.startsAt);
    expect(instantAt(7, week!)).toBe(week!.endsAt);
  });
});

describe('pieces', () => {
  const [first, second] = weeksFrom(at('2026-11-25T12:00Z'), 2, 'UTC');
  const shift = { startsAt: at('2026-11-29T12:00Z'), endsAt: at('2026-12-01T00:00Z'), who: 'Ada' };

  it('are cut where a week ends', () => {
    expect(piecesIn([shift], first!)).toEqual([
      { of: shift, left: 6.5 / 7, width: expect.closeTo(0.5 / 7), isFirst: true, isLast: false },
    ]);
    expect(piecesIn([shift], second!)).toEqual([
      { of: shift, left: 0, width: expect.closeTo(1 / 7), isFirst: false, isLast: true },
    ]);
  });

  it('leave out what lies elsewhere', () => {
    expect(piecesIn([{ startsAt: first!.startsAt - DAY, endsAt: first!.startsAt }], first!)).toEqual([]);
  });
});

describe('gaps', () => {
  const hour = (from: number, to: number) => ({ startsAt: from * HOUR, endsAt: to * HOUR });

  it('are what nobody covers', () => {
    expect(gapsIn([hour(2, 4), hour(4, 6), hour(8, 9)], hour(0, 10))).toEqual([
      hour(0, 2),
      hour(6, 8),
      hour(9, 10),
    ]);
    expect(gapsIn([], hour(0, 10))).toEqual([hour(0, 10)]);
    expect(gapsIn([hour(-5, 20)], hour(0, 10))).toEqual([]);
    expect(gapsIn([hour(5, 7), hour(1, 6)], hour(0, 7))).toEqual([hour(0, 1)]);
  });

  it('and spans share every instant between them', () => {
    const spans = fc.array(
      fc.tuple(fc.nat(50), fc.integer({ min: 1, max: 9 })).map(([a, n]) => hour(a, a + n)),
    );
    fc.assert(
      fc.property(spans, fc.nat(59), (covered, probe) => {
        const gaps = gapsIn(covered, hour(0, 60));
        const instant = probe * HOUR + MINUTE;
        expect(spanAt(gaps, instant) === undefined).toBe(spanAt(covered, instant) !== undefined);
      }),
    );
  });
});

describe('choosing a time', () => {
  it('takes steps that a pointer can hit', () => {
    expect(stepFor(400)).toBe(30 * MINUTE);
    expect(stepFor(140)).toBe(HOUR);
    expect(stepFor(48)).toBe(3 * HOUR);
    expect(stepFor(0)).toBe(12 * HOUR);
  });

  it('takes the steps of the wall clock', () => {
    expect(floored(at('2026-11-23T10:40Z'), 30 * MINUTE, 'Asia/Kolkata')).toBe(at('2026-11-23T10:30Z'));
    expect(floored(at('2026-11-23T10:40Z'), HOUR, 'Asia/Kolkata')).toBe(at('2026-11-23T10:30Z'));
    // The hour that comes twice: the second one stays the second.
    expect(floored(at('2026-10-25T01:40Z'), HOUR, BERLIN)).toBe(at('2026-10-25T01:00Z'));
  });

  it('is at least one step, from either end', () => {
    expect(chosen(5 * HOUR, 5 * HOUR, HOUR)).toEqual({ startsAt: 5 * HOUR, endsAt: 6 * HOUR });
    expect(chosen(7 * HOUR, 5 * HOUR, HOUR)).toEqual({ startsAt: 5 * HOUR, endsAt: 8 * HOUR });
  });

  it('moves by keys', () => {
    const now = at('2026-11-25T12:00Z');
    const [week] = weeksFrom(now, 1, 'UTC');
    const bounds = { startsAt: week!.startsAt - 7 * DAY, endsAt: week!.endsAt + 7 * DAY };
    const moved = (key: string) => movedBy(key, now, HOUR, bounds, 'UTC');
    expect(moved('ArrowRight')).toBe(now + HOUR);
    expect(moved('ArrowLeft')).toBe(now - HOUR);
    expect(moved('ArrowDown')).toBe(now + 7 * DAY);
    expect(moved('ArrowUp')).toBe(now - 7 * DAY);
    expect(moved('PageDown')).toBe(now + DAY);
    expect(moved('PageUp')).toBe(now - DAY);
    expect(moved('Home')).toBe(at('2026-11-25T00:00Z'));
    expect(moved('End')).toBe(at('2026-11-25T23:00Z'));
    expect(moved('a')).toBeNull();
  });

  it('never moves out of what is shown, and always comes on', () => {
    const keys = fc.constantFrom('ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown', 'Home', 'End', 'PageUp');
    fc.assert(
      fc.property(instants, zones, fc.array(keys, { maxLength: 40 }), (instant, zone, pressed) => {
        const weeks = weeksFrom(instant, 2, zone);
        const bounds = { startsAt: weeks[0]!.startsAt, endsAt: weeks[1]!.endsAt };
        let head = floored(instant, HOUR, zone);
        for (const key of pressed) {
          const next = movedBy(key, head, HOUR, bounds, zone)!;
          expect(next).toBeGreaterThanOrEqual(bounds.startsAt);
          expect(next).toBeLessThan(bounds.endsAt);
          if (key === 'ArrowRight' && head < bounds.endsAt - 3 * HOUR) expect(next).toBeGreaterThan(head);
          if (key === 'ArrowLeft' && head > bounds.startsAt) expect(next).toBeLessThan(head);
          head = next;
        }
      }),
    );
  });
});

function lengths(text: string): number[] {
  const [week] = weeksFrom(at(text), 1, BERLIN);
  expect(dayOf(week!.days[0]!.date)).toBe(week!.days[0]!.date);
  return week!.days.map(day => (day.endsAt - day.startsAt) / HOUR);
}
