/** A calibration curve as places in a square, and what it says in one figure. */

export interface Bin {
  readonly predicted: number;
  readonly observed: number;
  readonly count: number;
}

export interface Dot {
  /** From the left and from the top, 0 to 1. */
  readonly x: number;
  readonly y: number;
  /** Grows with the area, so that twice as many look twice as large. */
  readonly radius: number;
  readonly bin: Bin;
}

const RADIUS_MIN = 0.012;
const RADIUS_MAX = 0.045;

/** Return where the bins stand, by predicted chance. */
export function dotsOf(bins: readonly Bin[]): Dot[] {
  const most = Math.max(1, ...bins.map(bin => bin.count));
  return [...bins]
    .sort((a, b) => a.predicted - b.predicted)
    .map(bin => ({
      x: within(bin.predicted),
      y: 1 - within(bin.observed),
      radius: RADIUS_MIN + (RADIUS_MAX - RADIUS_MIN) * Math.sqrt(bin.count / most),
      bin,
    }));
}

/** Return how far prediction and outcome lie apart on average, each alert counted once; null where there is none. */
export function gapOf(bins: readonly Bin[]): number | null {
  const total = bins.reduce((sum, bin) => sum + bin.count, 0);
  if (total === 0) return null;
  return bins.reduce((sum, bin) => sum + bin.count * Math.abs(bin.predicted - bin.observed), 0) / total;
}

/** Return the way through the dots, for a path. */
export function wayThrough(dots: readonly Dot[], size: number): string {
  return dots
    .map(
      (dot, index) => `${index === 0 ? 'M' : 'L'}${(dot.x * size).toFixed(1)} ${(dot.y * size).toFixed(1)}`,
    )
    .join('');
}

/** Return a figure with as many digits as tell something. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '–';
  if (Number.isInteger(value) && Math.abs(value) >= 10) return String(value);
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(3);
}

function within(share: number): number {
  return Math.min(1, Math.max(0, share));
}
