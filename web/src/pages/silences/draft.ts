/** What the form of a silence holds, and what is sent of it. Times in fields are those of this browser's zone. */
import { filledIn, type Matcher } from '../../parts/matchers/matcher';

export interface Draft {
  readonly matchers: readonly Matcher[];
  /** As a field of date and time has it; empty for now. */
  readonly startsAt: string;
  readonly endsAt: string;
  /** A rule of RFC 5545; empty for once. */
  readonly recurrence: string;
  readonly timeZone: string;
  readonly endOnResolve: boolean;
  readonly comment: string;
}

export interface Known {
  readonly id: string;
  readonly version: number;
  readonly matchers: readonly Matcher[];
  readonly startsAt: string;
  readonly endsAt: string;
  readonly recurrence?: string | null;
  readonly timeZone: string;
  readonly endOnResolve: boolean;
  readonly comment: string;
}

const MINUTE_MS = 60_000;

export const LENGTHS = { '30m': 30, '1h': 60, '4h': 240, '1d': 1_440 } as const;
export type Length = keyof typeof LENGTHS;
/** Repetitions that need no rule to be written. */
export const SIMPLE = ['', 'FREQ=DAILY', 'FREQ=WEEKLY'] as const;

/** Return an instant as a field of date and time shows it. */
export function fieldOf(instant: number): string {
  const shifted = instant - new Date(instant).getTimezoneOffset() * MINUTE_MS;
  return new Date(shifted).toISOString().slice(0, 16);
}

/** Return the instant that a field shows; null where it shows none. */
export function instantOf(field: string): number | null {
  if (!/^\d{4,}-\d\d-\d\dT\d\d:\d\d/.test(field)) return null;
  const instant = new Date(field).getTime();
  return Number.isNaN(instant) ? null : instant;
}

/** Return a draft of an hour from now. */
export function newDraft(now: number, timeZone: string, matchers: readonly Matcher[]): Draft {
  return {
    matchers,
    startsAt: '',
    endsAt: fieldOf(now + LENGTHS['1h'] * MINUTE_MS),
    recurrence: '',
    timeZone,
    endOnResolve: false,
    comment: '',
  };
}

/** Return a draft of what there is already. */
export function draftOf(known: Known): Draft {
  return {
    matchers: known.matchers.map(({ label, operator, value }) => ({ label, operator, value })),
    startsAt: fieldOf(Date.parse(known.startsAt)),
    endsAt: fieldOf(Date.parse(known.endsAt)),
    recurrence: known.recurrence ?? '',
    timeZone: known.timeZone,
    endOnResolve: known.endOnResolve,
    comment: known.comment,
  };
}

/** Return a draft that lasts so long, from when it begins. */
export function lasting(draft: Draft, length: Length, now: number): Draft {
  const begin = instantOf(draft.startsAt) ?? now;
  return { ...draft, endsAt: fieldOf(begin + LENGTHS[length] * MINUTE_MS) };
}

/** Return which of the fields of time hold no time. */
export function badTimes(draft: Draft): ('startsAt' | 'endsAt')[] {
  const bad: ('startsAt' | 'endsAt')[] = [];
  if (draft.startsAt !== '' && instantOf(draft.startsAt) === null) bad.push('startsAt');
  if (instantOf(draft.endsAt) === null) bad.push('endsAt');
  return bad;
}

/** Return what is sent to make a silence; its times hold times. */
export function inputOf(draft: Draft) {
  const begin = instantOf(draft.startsAt);
  return {
    matchers: filledIn(draft.matchers),
    ...(begin === null ? {} : { startsAt: new Date(begin).toISOString() }),
    endsAt: new Date(instantOf(draft.endsAt)!).toISOString(),
    recurrence: draft.recurrence.trim() || null,
    timeZone: draft.timeZone,
    endOnResolve: draft.endOnResolve,
    comment: draft.comment,
  };
}

/**
 * Return what is sent to change one: a begin and an end that show what they showed stay as they are, to the second,
 * since a field shows only minutes.
 */
export function patchOf(draft: Draft, known: Known) {
  const { startsAt, endsAt, ...rest } = inputOf(draft);
  const before = draftOf(known);
  return {
    id: known.id,
    expectedVersion: known.version,
    ...rest,
    ...(draft.startsAt === before.startsAt || startsAt === undefined ? {} : { startsAt }),
    ...(draft.endsAt === before.endsAt ? {} : { endsAt }),
  };
}
