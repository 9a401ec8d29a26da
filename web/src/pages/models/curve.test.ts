import { describe, expect, it } from 'vitest';
import { dotsOf, figure, gapOf, wayThrough } from './curve';

const bins = [
  { predicted: 0.8, observed: 0.6, count: 100 },
  { predicted: 0.1, observed: 0.1, count: 400 },
];

describe('a calibration curve', () => {
  it('goes from left to right, with what came true upwards', () => {
    const dots = dotsOf(bins);
    expect(dots.map(dot => [dot.x, dot.y])).toEqual([
      [0.1, 0.9],
      [0.8, 0.4],
    ]);
    expect(dots[0]!.radius).toBeGreaterThan(dots[1]!.radius);
    expect(wayThrough(dots, 100)).toBe('M10.0 90.0L80.0 40.0');
  });

  it('stays within its square', () => {
    const [dot] = dotsOf([{ predicted: 1.2, observed: -0.1, count: 1 }]);
    expect([dot!.x, dot!.y]).toEqual([1, 1]);
  });

  it('is off by what each alert is off, on average', () => {
    expect(gapOf(bins)).toBeCloseTo(0.04);
    expect(gapOf([])).toBeNull();
    expect(gapOf([{ predicted: 0.5, observed: 0.1, count: 0 }])).toBeNull();
  });
});

describe('figures', () => {
  it.each([
    [0.91234, '0.912'],
    [1234, '1234'],
    [1234.5, '1235'],
    [1, '1.000'],
    [Number.NaN, '–'],
  ])('%s is told as %s', (value, told) => {
    expect(figure(value)).toBe(told);
  });
});
