/**
 * What clocks on the wall show, where: the same two rules as the service's schedules.
 *
 * A time of day that clocks skip is the instant at which the gap is over; one that they show twice is the first of
 * the two. A wall clock's time is kept as the milliseconds that it would be in UTC, so that it can be counted with.
 */

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** The zone of whoever looks. */
export const HERE = Intl.DateTimeFormat().resolvedOptions().timeZone;

const formats = new Map<string, Intl.DateTimeFormat>();

/** Whether this browser knows a zone. */
export function isZone(zone: string): boolean {
  try {
    formatOf(zone);
    return true;
  } catch {
    return false;
  }
}

/** Return what clocks in a zone show at an instant. */
export function shownAt(instant: number, zone: string): number {
  const part: Record<string, number> = {};
  for (const { type, value } of formatOf(zone).formatToParts(instant)) part[type] = Number(value);
  const milliseconds = ((instant % 1000) + 1000) % 1000;
  return (
    Date.UTC(
      part['year']!,
      part['month']! - 1,
      part['day']!,
      part['hour']!,
      part['minute']!,
      part['second']!,
    ) + milliseconds
  );
}

/** Return the instant at which clocks in a zone show a time. */
export function instantOf(shown: number, zone: string): number {
  // No zone is more than a day off, so that these lie before and after any change that matters.
  const before = shown - offsetAt(shown - DAY, zone);
  const after = shown - offsetAt(shown + DAY, zone);
  const [first, second] = before <= after ? [before, after] : [after, before];
  if (shownAt(first, zone) === shown) return first;
  if (shownAt(second, zone) === shown) return second;
  // Skipped: the change lies between the two, where the offset of afterwards begins.
  let [low, high] = [first, second];
  const offset = offsetAt(high, zone);
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (offsetAt(middle, zone) === offset) high = middle;
    else low = middle;
  }
  return high;
}

/** Return the midnight that a wall clock's day begins with. */
export function dayOf(shown: number): number {
  return Math.floor(shown / DAY) * DAY;
}

/** Return a wall clock's time as a field of the kind `datetime-local` holds it: 2026-11-23T21:30. */
export function fieldText(instant: number, zone: string): string {
  return new Date(shownAt(instant, zone)).toISOString().slice(0, 16);
}

/** Return the instant that such a field holds; null where it holds none. */
export function fieldInstant(text: string, zone: string): number | null {
  const shown = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?$/.test(text) ? Date.parse(`${text}Z`) : Number.NaN;
  return Number.isNaN(shown) ? null : instantOf(shown, zone);
}

function offsetAt(instant: number, zone: string): number {
  return shownAt(instant, zone) - instant;
}

function formatOf(zone: string): Intl.DateTimeFormat {
  let format = formats.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      calendar: 'gregory',
      numberingSystem: 'latn',
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    formats.set(zone, format);
  }
  return format;
}
