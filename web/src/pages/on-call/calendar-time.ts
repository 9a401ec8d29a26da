/** Weeks on a wall, and what of them is on call: pure arithmetic, in milliseconds since 1970. */

import { DAY, dayOf, HOUR, instantOf, MINUTE, shownAt } from './wall-clock';

/** From a begin to an end, the end not included. */
export interface Span {
  readonly startsAt: number;
  readonly endsAt: number;
}

/** One day of a zone: 23 to 25 hours, or none at all where a zone left it out. */
export interface Day extends Span {
  /** The wall clock's midnight. */
  readonly date: number;
}

/** Monday to Sunday. */
export interface Week extends Span {
  readonly days: readonly Day[];
}

/** The part of something that lies in one week. */
export interface Piece<T> {
  readonly of: T;
  /** From 0, where the week begins, to 1. */
  readonly left: number;
  readonly width: number;
  readonly isFirst: boolean;
  readonly isLast: boolean;
}

/** Return the week that an instant lies in, and those that follow. */
export function weeksFrom(instant: number, count: number, zone: string): Week[] {
  const today = dayOf(shownAt(instant, zone));
  const monday = today - ((new Date(today).getUTCDay() + 6) % 7) * DAY;
  return Array.from({ length: count }, (_, week) => {
    const dates = Array.from({ length: 8 }, (_, day) => monday + (7 * week + day) * DAY);
    const starts = dates.map(date => instantOf(date, zone));
    const days = dates
      .slice(0, 7)
      .map((date, day) => ({ date, startsAt: starts[day]!, endsAt: starts[day + 1]! }));
    return { startsAt: starts[0]!, endsAt: starts[7]!, days };
  });
}

/** Return the instant that is some weeks away, at the same time of day. */
export function weeksAway(instant: number, count: number, zone: string): number {
  return instantOf(shownAt(instant, zone) + 7 * count * DAY, zone);
}

/** Return where an instant lies in a week of seven columns of one width, from 0 to 1. */
export function placeOf(instant: number, week: Week): number {
  for (const [index, day] of week.days.entries()) {
    if (instant < day.endsAt) {
      const length = day.endsAt - day.startsAt;
      return (index + Math.max(0, instant - day.startsAt) / length) / 7;
    }
  }
  return 1;
}

/** Return the instant at a place from 0 to 1 of a week. */
export function instantAt(place: number, week: Week): number {
  const within = Math.min(Math.max(place, 0), 1) * 7;
  const day = week.days[Math.min(Math.floor(within), 6)]!;
  return day.startsAt + (within - Math.min(Math.floor(within), 6)) * (day.endsAt - day.startsAt);
}

/** Return the parts of spans that lie in a week, in their order. */
export function piecesIn<T extends Span>(spans: readonly T[], week: Week): Piece<T>[] {
  return spans
    .filter(span => span.startsAt < week.endsAt && span.endsAt > week.startsAt)
    .map(span => {
      const left = placeOf(Math.max(span.startsAt, week.startsAt), week);
      const right = placeOf(Math.min(span.endsAt, week.endsAt), week);
      return {
        of: span,
        left,
        width: right - left,
        isFirst: span.startsAt >= week.startsAt,
        isLast: span.endsAt <= week.endsAt,
      };
    });
}

/** Return the stretches of a time that no span covers. */
export function gapsIn(spans: readonly Span[], time: Span): Span[] {
  const gaps: Span[] = [];
  let reached = time.startsAt;
  for (const span of [...spans].sort((a, b) => a.startsAt - b.startsAt)) {
    if (span.startsAt >= time.endsAt) break;
    if (span.startsAt > reached) gaps.push({ startsAt: reached, endsAt: span.startsAt });
    reached = Math.max(reached, span.endsAt);
  }
  if (reached < time.endsAt) gaps.push({ startsAt: reached, endsAt: time.endsAt });
  return gaps;
}

/** Return the span that covers an instant, or the next one. */
export function spanAt<T extends Span>(spans: readonly T[], instant: number): T | undefined {
  return spans.find(span => span.startsAt <= instant && instant < span.endsAt);
}

/** The steps that a pointer may move by, finest first. */
const STEPS = [30 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR];
const STEP_PIXELS_MIN = 5;

/** Return the finest step that a pointer can hit where a day is so wide. */
export function stepFor(dayPixels: number): number {
  return STEPS.find(step => (dayPixels * step) / DAY >= STEP_PIXELS_MIN) ?? STEPS.at(-1)!;
}

/** Return the last of a wall clock's steps at or before an instant. */
export function floored(instant: number, step: number, zone: string): number {
  const shown = shownAt(instant, zone);
  // By what has passed of its own step, so that the hour that comes twice stays the one that was meant.
  return instant - ((shown - dayOf(shown)) % step);
}

/** Return what lies between two steps, both included: at least one step, whichever was first. */
export function chosen(anchor: number, head: number, step: number): Span {
  return { startsAt: Math.min(anchor, head), endsAt: Math.max(anchor, head) + step };
}

/** Return where a key moves a step to; null for keys that move nothing. Never out of `bounds`. */
export function movedBy(key: string, head: number, step: number, bounds: Span, zone: string): number | null {
  const shown = shownAt(head, zone);
  const ahead = (days: number) => instantOf(shown + days * DAY, zone);
  const targets: Record<string, () => number> = {
    ArrowLeft: () => floored(head - 1, step, zone),
    ArrowRight: () => head + step,
    ArrowUp: () => ahead(-7),
    ArrowDown: () => ahead(7),
    PageUp: () => ahead(-1),
    PageDown: () => ahead(1),
    Home: () => instantOf(dayOf(shown), zone),
    End: () => floored(instantOf(dayOf(shown) + DAY, zone) - 1, step, zone),
  };
  const target = targets[key];
  if (!target) return null;
  return Math.min(Math.max(target(), bounds.startsAt), floored(bounds.endsAt - 1, step, zone));
}
