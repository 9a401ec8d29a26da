/** The windows that figures are told of, as the service's counters can answer them. */

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** How far back, as it stands in the address. */
export type WindowName = '24h' | '7d' | '30d' | '90d';

export const WINDOW_NAMES: readonly WindowName[] = ['24h', '7d', '30d', '90d'];

/** What is asked for. */
export interface MetricsWindow {
  readonly name: WindowName;
  readonly since: number;
  readonly until: number;
  /** Begin of as long a time before, to compare with. */
  readonly beforeSince: number;
  readonly bucket: 'PT1H' | 'P1D';
}

const DAYS: Record<WindowName, number> = { '24h': 1, '7d': 7, '30d': 30, '90d': 90 };

/** Return the window of a name as it stands in an address; a week for any other text. */
export function windowNamed(text: string | null | undefined): WindowName {
  return WINDOW_NAMES.find(name => name === text) ?? '7d';
}

/**
 * Return a window that ends with the hour or day of `now`: only whole ones, so that buckets can be compared.
 *
 * Days are those of UTC, which is what the service counts by.
 */
export function windowAt(name: WindowName, now: number): MetricsWindow {
  const unit = name === '24h' ? HOUR : DAY;
  const until = Math.floor(now / unit) * unit + unit;
  const length = DAYS[name] * DAY;
  const since = until - length;
  return { name, since, until, beforeSince: since - length, bucket: unit === HOUR ? 'PT1H' : 'P1D' };
}

/** Return how long figures of a window may be old before new events have them asked for again. */
export function ageMax(name: WindowName): number {
  return name === '24h' ? 5_000 : name === '7d' ? 10_000 : 30_000;
}
