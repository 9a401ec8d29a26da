/** Figures as charts and tables need them. */

/** A part of the window, as the API tells it. */
export interface Bucket {
  readonly startsAt: string;
  readonly createdCount: number;
  readonly acknowledgedCount: number;
  readonly resolvedCount: number;
  readonly escalatedCount: number;
  readonly mtta?: string | null;
  readonly mttr?: string | null;
  readonly slaCompliance?: number | null;
  readonly noiseRatio?: number | null;
}

/** Figures of one thing watched, as the API tells them. */
export interface Group {
  readonly key: string;
  readonly createdCount: number;
  readonly openCount: number;
  readonly escalatedCount: number;
  readonly mtta?: string | null;
  readonly mttr?: string | null;
  readonly slaCompliance?: number | null;
  readonly noiseRatio?: number | null;
}

export type CountName = 'createdCount' | 'acknowledgedCount' | 'resolvedCount' | 'escalatedCount';
export type DurationName = 'mtta' | 'mttr';
export type ShareName = 'slaCompliance' | 'noiseRatio';
export type ColumnName = keyof Group;

/** Columns as uPlot takes them: seconds since 1970, then one list for each line, null where nothing was measured. */
export type Columns = [number[], ...(number | null)[][]];

const DURATION =
  /^(-)?P(?:(\d+(?:\.\d+)?)W)?(?:(\d+(?:\.\d+)?)D)?(?:T(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?$/;

/** Return the seconds of an ISO 8601 duration of weeks, days and less; null where there is none. */
export function secondsOf(duration: string | null | undefined): number | null {
  const found = duration ? DURATION.exec(duration) : null;
  if (!found) return null;
  const [weeks, days, hours, minutes, seconds] = found.slice(2).map(text => Number(text ?? 0));
  const total = (weeks! * 7 + days!) * 86_400 + hours! * 3_600 + minutes! * 60 + seconds!;
  return found[1] ? -total : total;
}

/** Return counts by bucket. */
export function countColumns(buckets: readonly Bucket[], names: readonly CountName[]): Columns {
  return [timesOf(buckets), ...names.map(name => buckets.map(bucket => bucket[name]))];
}

/** Return durations by bucket, in seconds. */
export function durationColumns(buckets: readonly Bucket[], names: readonly DurationName[]): Columns {
  return [timesOf(buckets), ...names.map(name => buckets.map(bucket => secondsOf(bucket[name])))];
}

/** Return shares by bucket, from 0 to 1. */
export function shareColumns(buckets: readonly Bucket[], names: readonly ShareName[]): Columns {
  return [timesOf(buckets), ...names.map(name => buckets.map(bucket => bucket[name] ?? null))];
}

function timesOf(buckets: readonly Bucket[]): number[] {
  return buckets.map(bucket => Date.parse(bucket.startsAt) / 1000);
}

/** Steps that an axis of seconds may have: 1, 2, 5, 10, 15, 30 of each unit. */
export const DURATION_STEPS: readonly number[] = [
  ...[1, 2, 5, 10, 15, 30],
  ...[1, 2, 5, 10, 15, 30].map(minutes => minutes * 60),
  ...[1, 2, 3, 6, 12].map(hours => hours * 3_600),
  ...[1, 2, 5, 10, 20, 50, 100].map(days => days * 86_400),
];

/** Steps that an axis of shares may have. */
export const SHARE_STEPS: readonly number[] = [0.1, 0.2, 0.25, 0.5, 1];

/** Return by which share something has changed; null where there was nothing to compare with. */
export function changeOf(now: number | null | undefined, before: number | null | undefined): number | null {
  return now == null || before == null || before === 0 ? null : now / before - 1;
}

/** Return groups in order of a column; what was not measured comes last, whichever way. */
export function sorted<T extends Group>(groups: readonly T[], by: ColumnName, isDescending: boolean): T[] {
  const sign = isDescending ? -1 : 1;
  return [...groups].sort((a, b) => {
    const [left, right] = [valueIn(a, by), valueIn(b, by)];
    if (left === null || right === null) return Number(left === null) - Number(right === null);
    if (typeof left === 'string' || typeof right === 'string')
      return sign * String(left).localeCompare(String(right));
    return sign * (left - right) || a.key.localeCompare(b.key);
  });
}

function valueIn(group: Group, by: ColumnName): number | string | null {
  const value = group[by];
  if (by === 'mtta' || by === 'mttr') return secondsOf(group[by]);
  return value ?? null;
}
