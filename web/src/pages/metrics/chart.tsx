/** Lines and bars over time. In a chunk of its own: what draws is as large as everything else together. */
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { useEffect, useRef, useState } from 'preact/hooks';
import { theme } from '../../theme';
import type { Columns } from './figures';

export interface Line {
  readonly label: string;
  /** A colour of style/tokens.css. */
  readonly colour: (typeof LINE_COLOURS)[number];
  /** So that nothing depends on telling colours apart. */
  readonly form: 'bars' | 'line' | 'dashes';
}

const HEIGHT = 220;
/** Seconds between two words of the axis of time. */
const TIME_STEPS = [
  ...[1, 2, 3, 6, 12].map(hours => hours * 3_600),
  ...[1, 2, 7, 14, 28].map(days => days * 86_400),
];
const COUNT_STEPS = [1, 10, 100, 1e3, 1e4, 1e5, 1e6].flatMap(ten => [1, 2, 5].map(each => each * ten));
/** The least that an axis goes to, so that little looks like little. */
const AXIS_COUNT_MIN = 4;
const AXIS_SECONDS_MIN = 10;
const LINE_COLOURS = ['accent', 'good', 'bad', 'warn'] as const;
const TOKENS = ['ink-faint', 'line', 'sheet', ...LINE_COLOURS, ...LINE_COLOURS.map(name => `${name}-soft`)];

/**
 * Draw columns.
 *
 * @param label What a screen reader says of it; the figures themselves stand in a table beside it.
 * @param steps Where the axis of values may have its lines; left out for whole numbers.
 */
export default function Chart({
  label,
  columns,
  lines,
  at,
  axisAt,
  shown,
  steps,
  top,
}: {
  label: string;
  columns: Columns;
  lines: readonly Line[];
  /** A moment in words, in seconds since 1970. */
  at: (seconds: number) => string;
  /** The same, briefly. */
  axisAt: (seconds: number) => string;
  /** A value in words. */
  shown: (value: number) => string;
  steps?: readonly number[];
  /** Where that axis ends, whatever the values; left out for as far as they need. */
  top?: number;
}) {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const [pointed, setPointed] = useState<number | null>(null);
  const isDark = useIsDark();
  // What is drawn with is asked for while drawing, so that another language does not begin anew.
  const words = useRef({ axisAt, shown });
  words.current = { axisAt, shown };

  // The data alone is set below, without drawing anew.
  useEffect(() => {
    const element = place.current!;
    const token = colours(element);
    const font = `11px ${getComputedStyle(element).fontFamily}`;
    const axis: uPlot.Axis = {
      stroke: token('ink-faint'),
      font,
      grid: { stroke: token('line'), width: 1 },
      ticks: { stroke: token('line'), width: 1, size: 4 },
    };
    const made = new uPlot(
      {
        width: element.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        padding: [8, 8, 0, 0],
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
        scales: {
          x: { time: false, range: (_, min, max) => padded(min, max, columns[0]) },
          y: {
            range: (_, __, max) => [
              0,
              top ?? Math.max(max * 1.08, steps ? AXIS_SECONDS_MIN : AXIS_COUNT_MIN),
            ],
          },
        },
        axes: [
          {
            ...axis,
            grid: { show: false },
            // Never between two buckets, which would be named twice.
            incrs: TIME_STEPS.filter(step => step >= widthOf(columns[0])),
            space: 56,
            values: (_, splits) => splits.map(seconds => words.current.axisAt(seconds)),
          },
          {
            ...axis,
            incrs: [...(steps ?? COUNT_STEPS)],
            size: 62,
            values: (_, splits) => splits.map(value => (value === 0 ? '0' : words.current.shown(value))),
          },
        ],
        series: [
          {},
          ...lines.map<uPlot.Series>(line => ({
            label: line.label,
            stroke: token(line.colour),
            width: 2,
            ...(line.form === 'bars'
              ? {
                  fill: token(`${line.colour}-soft`),
                  width: 1,
                  paths: uPlot.paths.bars!({ size: [0.7, 40] }),
                  points: { show: false },
                }
              : { points: { size: 5, fill: token('sheet') }, spanGaps: false }),
            ...(line.form === 'dashes' ? { dash: [6, 4] } : {}),
          })),
        ],
        hooks: { setCursor: [drawn => setPointed(drawn.cursor.idx ?? null)] },
      },
      columns as uPlot.AlignedData,
      element,
    );
    chart.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      chart.current = null;
    };
  }, [
    isDark,
    lines.map(line => line.label + line.colour + line.form).join(),
    steps,
    columns[0].length,
    columns[0][0],
  ]);

  useEffect(() => {
    chart.current?.setData(columns as uPlot.AlignedData);
  }, [columns]);

  const index = pointed ?? columns[0].length - 1;
  const seconds = columns[0][index];
  return (
    <figure class="chart">
      <div ref={place} role="img" aria-label={label} />
      <figcaption class="row small soft" aria-hidden="true">
        <strong class="number">{seconds === undefined ? '' : at(seconds)}</strong>
        {lines.map((line, number) => {
          const value = columns[number + 1]?.[index];
          return (
            <span key={line.label} class="chart-key">
              <svg width="18" height="10" viewBox="0 0 18 10" aria-hidden="true">
                {line.form === 'bars' ? (
                  <rect
                    x="4"
                    y="1"
                    width="10"
                    height="8"
                    style={{ fill: `var(--${line.colour}-soft)`, stroke: `var(--${line.colour})` }}
                  />
                ) : (
                  <path
                    d="M0 5H18"
                    fill="none"
                    stroke-width="2"
                    stroke-dasharray={line.form === 'dashes' ? '5 3' : undefined}
                    style={{ stroke: `var(--${line.colour})` }}
                  />
                )}
              </svg>
              {line.label}{' '}
              <span class="number">{value === null || value === undefined ? '–' : shown(value)}</span>
            </span>
          );
        })}
      </figcaption>
    </figure>
  );
}

/** What gives the tokens' colours as a canvas takes them: what a token holds may be one for light and one for dark. */
function colours(element: HTMLElement): (name: string) => string {
  const probe = element.appendChild(document.createElement('span'));
  const found = new Map<string, string>();
  for (const name of TOKENS) {
    probe.style.color = `var(--${name})`;
    found.set(name, getComputedStyle(probe).color);
  }
  probe.remove();
  return name => found.get(name) ?? 'gray';
}

/** Room for half a bar at both ends. */
function padded(min: number, max: number, times: readonly number[]): [number, number] {
  return [min - widthOf(times) / 2, max + widthOf(times) / 2];
}

function widthOf(times: readonly number[]): number {
  return times.length > 1 ? times[1]! - times[0]! : 86_400;
}

function useIsDark(): boolean {
  const asked = matchMedia('(prefers-color-scheme: dark)');
  const [isSystemDark, setSystemDark] = useState(asked.matches);
  useEffect(() => {
    const changed = (): void => setSystemDark(asked.matches);
    asked.addEventListener('change', changed);
    return () => asked.removeEventListener('change', changed);
  }, []);
  return theme.value === 'system' ? isSystemDark : theme.value === 'dark';
}
