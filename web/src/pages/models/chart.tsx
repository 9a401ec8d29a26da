/** Draws a calibration curve; the table beside it says the same in words. */
import { percent } from '../../words/time';
import { type Bin, dotsOf, wayThrough } from './curve';
import { modelWords } from './words';

const SIZE = 300;
const MARKS = [0, 0.25, 0.5, 0.75, 1];

export function Curve({ bins }: { bins: readonly Bin[] }) {
  const w = modelWords();
  const dots = dotsOf(bins);
  return (
    <svg
      class="model-curve"
      viewBox={`-34 -8 ${SIZE + 48} ${SIZE + 46}`}
      role="img"
      aria-label={w.calibrationHint}
    >
      <rect class="frame" width={SIZE} height={SIZE} />
      {MARKS.map(mark => (
        <g key={mark}>
          <line class="grid" x1={mark * SIZE} x2={mark * SIZE} y2={SIZE} />
          <line class="grid" y1={mark * SIZE} y2={mark * SIZE} x2={SIZE} />
          <text x={mark * SIZE} y={SIZE + 15} text-anchor="middle">
            {percent(mark)}
          </text>
          <text x={-6} y={(1 - mark) * SIZE + 4} text-anchor="end">
            {percent(mark)}
          </text>
        </g>
      ))}
      <line class="ideal" x1={0} y1={SIZE} x2={SIZE} y2={0} />
      <path class="way" d={wayThrough(dots, SIZE)} />
      {dots.map(({ x, y, radius, bin }) => (
        <circle key={`${bin.predicted}`} class="dot" cx={x * SIZE} cy={y * SIZE} r={radius * SIZE}>
          <title>{`${w.predicted} ${percent(bin.predicted, 1)}, ${w.observed} ${percent(bin.observed, 1)} (${bin.count})`}</title>
        </circle>
      ))}
      <text x={SIZE / 2} y={SIZE + 32} text-anchor="middle">
        {w.predicted} →
      </text>
      <text x={4} y={12}>
        ↑ {w.observed}
      </text>
    </svg>
  );
}
