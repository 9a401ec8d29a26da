/** How alerts are dealt with: times, promises and noise, by day and by service. */
import { computed } from '@preact/signals';
import type { ComponentChildren, ComponentProps, ComponentType } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { useQuery } from '../../api/hooks';
import { follow } from '../../api/socket';
import type { ApiError } from '../../api/transport';
import { now } from '../../clock';
import { useCommands } from '../../keys';
import { onEvents } from '../../live';
import { SeverityMark } from '../../parts/severity';
import { Missing } from '../../parts/state';
import { navigate, query } from '../../router';
import type { Severity } from '../../store/alert';
import { language } from '../../words';
import { common } from '../../words/common';
import { clock, count, inWords, percent } from '../../words/time';
import { bounded } from './bounded';
import type { default as ChartView, Line } from './chart';
import {
  Metrics,
  MetricsLive,
  type MetricsLiveSubscription,
  MetricsNoise,
  type MetricsQuery,
} from './documents';
import {
  type ColumnName,
  changeOf,
  countColumns,
  DURATION_STEPS,
  durationColumns,
  SHARE_STEPS,
  secondsOf,
  shareColumns,
  sorted,
} from './figures';
import { ageMax, type MetricsWindow, WINDOW_NAMES, windowAt, windowNamed } from './windows';
import { metricsWords } from './words';
import './metrics.css';

const SEVERITIES: readonly Severity[] = ['CRITICAL', 'HIGH', 'MEDIUM', 'LOW', 'INFO'];
const hour = computed(() => Math.floor(now.value / 3_600_000) * 3_600_000);

type Figures = MetricsQuery['now'];
type Filter = { severity?: Severity[]; monitoredService?: string[] } | null;

export default function MetricsPage() {
  const w = metricsWords();
  const name = windowNamed(query.value.get('window'));
  const severity = SEVERITIES.find(each => each === query.value.get('severity')) ?? null;
  const service = query.value.get('service');
  const window = windowAt(name, hour.value);
  const filter: Filter = {
    ...(severity ? { severity: [severity] } : {}),
    ...(service !== null ? { monitoredService: [service] } : {}),
  };
  const { data, error, reload } = useQuery(Metrics, {
    since: isoOf(window.since),
    until: isoOf(window.until),
    beforeSince: isoOf(window.beforeSince),
    bucket: window.bucket,
    filter,
  });

  // Whichever `reload` it is asks for the same.
  useEffect(() => {
    const { want, stop } = bounded(reload, ageMax(name));
    const unhear = onEvents((events, isWhole) => {
      if (!isWhole || events.some(event => event.alert)) want();
    });
    return () => {
      unhear();
      stop();
    };
  }, [name]);

  const choose = (changes: Record<string, string | null>): void => {
    const params = new URLSearchParams(query.value);
    for (const [key, value] of Object.entries(changes)) {
      if (value === null) params.delete(key);
      else params.set(key, value);
    }
    navigate('figures', { params, replace: true });
  };

  const step = (by: number): void => {
    const next = WINDOW_NAMES[WINDOW_NAMES.indexOf(name) + by];
    if (next) choose({ window: next });
  };
  useCommands([
    { name: 'figures.shorter', label: w.shorter, keys: ['['], group: w.title, run: () => step(-1) },
    { name: 'figures.longer', label: w.longer, keys: [']'], group: w.title, run: () => step(1) },
  ]);

  return (
    <div class="page">
      <header>
        <h1 class="grow">{w.title}</h1>
        {service !== null ? (
          <button
            type="button"
            class="button"
            aria-label={w.clearService(service || w.noService)}
            onClick={() => choose({ service: null })}
          >
            {service || w.noService} <span aria-hidden="true">✕</span>
          </button>
        ) : null}
        <label class="row small">
          <span class="soft">{w.severity}</span>
          <select
            class="input metrics-select"
            value={severity ?? ''}
            onChange={event => choose({ severity: event.currentTarget.value || null })}
          >
            <option value="">{w.all}</option>
            {SEVERITIES.map(each => (
              <option key={each} value={each}>
                {common().severity[each]}
              </option>
            ))}
          </select>
        </label>
        <div class="metrics-windows" role="group" aria-label={w.window}>
          {WINDOW_NAMES.map(each => (
            <button
              type="button"
              key={each}
              class={`button${each === name ? ' is-chosen' : ''}`}
              aria-pressed={each === name}
              onClick={() => choose({ window: each })}
            >
              {w.windows[each]}
            </button>
          ))}
        </div>
      </header>
      <LastHour filter={filter} />
      {data ? (
        <>
          {error ? <Missing error={error} onRetry={reload} /> : null}
          <Headlines figures={data.now} before={data.before} />
          <Charts figures={data.now} window={window} />
          <Services groups={data.now.groups} onChoose={chosen => choose({ service: chosen })} />
        </>
      ) : (
        <Missing error={error} isLoading={!error} onRetry={reload} />
      )}
      <Noise />
    </div>
  );
}

/** The last hour, as it happens. */
function LastHour({ filter }: { filter: Filter }) {
  const w = metricsWords();
  const [figures, setFigures] = useState<MetricsLiveSubscription['alertMetrics'] | null>(null);
  const [refused, setRefused] = useState<ApiError | null>(null);
  const name = JSON.stringify(filter);
  // The filter is compared by its text.
  useEffect(
    () =>
      follow(MetricsLive, () => ({ filter }), {
        next: ({ alertMetrics }) => setFigures(alertMetrics),
        refused: error => {
          setRefused(error);
          return false;
        },
      }),
    [name],
  );
  if (refused) return null;
  return (
    <section class="sheet metrics-hour" aria-labelledby="metrics-hour">
      <h2 id="metrics-hour">
        {w.live}{' '}
        <span class="small faint metrics-note">
          {figures ? w.updatedAt(clock(figures.until)) : w.liveNote}
        </span>
      </h2>
      <dl class="metrics-brief">
        <Brief name={w.created} value={figures ? count(figures.createdCount) : null} />
        <Brief name={w.acknowledged} value={figures ? count(figures.acknowledgedCount) : null} />
        <Brief name={w.resolved} value={figures ? count(figures.resolvedCount) : null} />
        <Brief name={w.escalated} value={figures ? count(figures.escalatedCount) : null} />
        <Brief name={w.open} value={figures ? count(figures.openCount) : null} />
        <Brief name={w.mttaBrief} value={lengthOf(figures?.mtta)} />
        <Brief name={w.mttrBrief} value={lengthOf(figures?.mttr)} />
      </dl>
    </section>
  );
}

function Brief({ name, value }: { name: string; value: string | null }) {
  return (
    <div>
      <dt class="small soft">{name}</dt>
      <dd class="number">{value ?? '–'}</dd>
    </div>
  );
}

function Headlines({ figures, before }: { figures: Figures; before: MetricsQuery['before'] }) {
  const w = metricsWords();
  return (
    <ul class="metrics-cards">
      <Headline
        name={w.created}
        value={count(figures.createdCount)}
        change={changeOf(figures.createdCount, before.createdCount)}
      >
        <span class="metrics-open">
          {w.open}: <span class="number">{count(figures.openCount)}</span>
          {figures.openBySeverity
            .filter(each => each.count > 0)
            .map(each => (
              <span key={each.severity} class="row metrics-severity">
                <SeverityMark severity={each.severity} isBrief />
                <span class="number">{count(each.count)}</span>
              </span>
            ))}
        </span>
      </Headline>
      <Headline
        name={w.mtta}
        value={lengthOf(figures.mtta)}
        change={changeOf(secondsOf(figures.mtta), secondsOf(before.mtta))}
      >
        {spreadOf(figures.acknowledgeP50, figures.acknowledgeP95)}
      </Headline>
      <Headline
        name={w.mttr}
        value={lengthOf(figures.mttr)}
        change={changeOf(secondsOf(figures.mttr), secondsOf(before.mttr))}
      >
        {spreadOf(figures.resolveP50, figures.resolveP95)}
      </Headline>
      <Headline
        name={w.sla}
        value={shareOf(figures.slaCompliance)}
        change={changeOf(figures.slaCompliance, before.slaCompliance)}
      />
      <Headline
        name={w.noise}
        value={shareOf(figures.noiseRatio)}
        change={changeOf(figures.noiseRatio, before.noiseRatio)}
      >
        {w.noiseNote}
      </Headline>
      <Headline
        name={w.escalated}
        value={count(figures.escalatedCount)}
        change={changeOf(figures.escalatedCount, before.escalatedCount)}
      />
    </ul>
  );
}

function Headline({
  name,
  value,
  change,
  children,
}: {
  name: string;
  value: string | null;
  change: number | null;
  children?: ComponentChildren;
}) {
  const w = metricsWords();
  const rounded = change === null ? null : Math.round(change * 100) / 100;
  return (
    <li class="sheet metrics-card">
      <h3>{name}</h3>
      <p class="row">
        {value === null ? (
          <span class="faint">{w.notMeasured}</span>
        ) : (
          <span class="metrics-value number">{value}</span>
        )}
        {rounded === null ? null : (
          <span class="tag" title={rounded === 0 ? w.unchanged : w.change(signed(rounded))}>
            <span aria-hidden="true">
              {rounded === 0 ? '=' : `${rounded > 0 ? '▲' : '▼'} ${percent(Math.abs(rounded))}`}
            </span>
            <span class="hidden-visually">{rounded === 0 ? w.unchanged : w.change(signed(rounded))}</span>
          </span>
        )}
      </p>
      {children ? <p class="small faint">{children}</p> : null}
    </li>
  );
}

function Charts({ figures, window }: { figures: Figures; window: MetricsWindow }) {
  const w = metricsWords();
  const Chart = useChart();
  const isHours = window.bucket === 'PT1H';
  const { series } = figures;
  const counts = useMemo(
    () => countColumns(series, ['createdCount', 'resolvedCount', 'escalatedCount']),
    [series],
  );
  const times = useMemo(() => durationColumns(series, ['mtta', 'mttr']), [series]);
  const shares = useMemo(() => shareColumns(series, ['slaCompliance', 'noiseRatio']), [series]);
  const countLines: Line[] = [
    { label: w.created, colour: 'accent', form: 'bars' },
    { label: w.resolved, colour: 'good', form: 'line' },
    { label: w.escalated, colour: 'bad', form: 'dashes' },
  ];
  const timeLines: Line[] = [
    { label: w.mttaBrief, colour: 'accent', form: 'line' },
    { label: w.mttrBrief, colour: 'warn', form: 'dashes' },
  ];
  const shareLines: Line[] = [
    { label: w.sla, colour: 'good', form: 'line' },
    { label: w.noise, colour: 'warn', form: 'dashes' },
  ];
  const at = { at: momentIn(isHours, false), axisAt: momentIn(isHours, true) };
  const drawn = (props: ComponentProps<typeof ChartView>) =>
    props.columns.slice(1).every(values => values.every(value => value === null)) ? (
      <div class="chart-place">{w.notMeasured}</div>
    ) : Chart ? (
      <Chart {...props} />
    ) : (
      <div class="chart-place">{common().loading}</div>
    );
  return (
    <div class="metrics-charts">
      <section class="sheet stack" aria-labelledby="metrics-counts">
        <h2 id="metrics-counts" class="row">
          <span class="grow">{isHours ? w.byHour : w.byDay}</span>
          {isHours ? null : <span class="small faint metrics-note">{w.inUtc}</span>}
        </h2>
        {drawn({
          label: isHours ? w.byHour : w.byDay,
          columns: counts,
          lines: countLines,
          shown: whole,
          ...at,
        })}
      </section>
      <section class="sheet stack" aria-labelledby="metrics-times">
        <h2 id="metrics-times">{isHours ? w.timesByHour : w.timesByDay}</h2>
        {drawn({
          label: isHours ? w.timesByHour : w.timesByDay,
          columns: times,
          lines: timeLines,
          shown: inWords,
          steps: DURATION_STEPS,
          ...at,
        })}
      </section>
      <section class="sheet stack metrics-wide" aria-labelledby="metrics-shares">
        <h2 id="metrics-shares">{isHours ? w.sharesByHour : w.sharesByDay}</h2>
        {drawn({
          label: isHours ? w.sharesByHour : w.sharesByDay,
          columns: shares,
          lines: shareLines,
          shown: percent,
          steps: SHARE_STEPS,
          top: 1,
          ...at,
        })}
      </section>
      <details class="metrics-table">
        <summary class="small">{w.asTable}</summary>
        <Sideways label={isHours ? w.byHour : w.byDay}>
          <table>
            <thead>
              <tr>
                <th scope="col">{isHours ? w.hour : w.day}</th>
                <th scope="col">{w.created}</th>
                <th scope="col">{w.acknowledged}</th>
                <th scope="col">{w.resolved}</th>
                <th scope="col">{w.escalated}</th>
                <th scope="col">{w.mttaBrief}</th>
                <th scope="col">{w.mttrBrief}</th>
                <th scope="col">{w.sla}</th>
                <th scope="col">{w.noise}</th>
              </tr>
            </thead>
            <tbody>
              {series.map(bucket => (
                <tr key={bucket.startsAt}>
                  <th scope="row">{at.at(Date.parse(bucket.startsAt) / 1_000)}</th>
                  <td>{count(bucket.createdCount)}</td>
                  <td>{count(bucket.acknowledgedCount)}</td>
                  <td>{count(bucket.resolvedCount)}</td>
                  <td>{count(bucket.escalatedCount)}</td>
                  <td>{lengthOf(bucket.mtta) ?? '–'}</td>
                  <td>{lengthOf(bucket.mttr) ?? '–'}</td>
                  <td>{shareOf(bucket.slaCompliance) ?? '–'}</td>
                  <td>{shareOf(bucket.noiseRatio) ?? '–'}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Sideways>
      </details>
    </div>
  );
}

function Services({ groups, onChoose }: { groups: Figures['groups']; onChoose: (service: string) => void }) {
  const w = metricsWords();
  const [order, setOrder] = useState<{ by: ColumnName; isDescending: boolean }>({
    by: 'createdCount',
    isDescending: true,
  });
  const columns: readonly (readonly [ColumnName, string])[] = [
    ['key', w.service],
    ['createdCount', w.created],
    ['openCount', w.open],
    ['escalatedCount', w.escalated],
    ['mtta', w.mttaBrief],
    ['mttr', w.mttrBrief],
    ['slaCompliance', w.sla],
    ['noiseRatio', w.noise],
  ];
  const most = Math.max(1, ...groups.map(group => group.createdCount));
  return (
    <section class="sheet stack" aria-labelledby="metrics-services">
      <h2 id="metrics-services">{w.byService}</h2>
      {groups.length === 0 ? (
        <p class="small faint">{w.nothing}</p>
      ) : (
        <Sideways label={w.byService}>
          <table>
            <thead>
              <tr>
                {columns.map(([by, label]) => (
                  <th
                    key={by}
                    scope="col"
                    aria-sort={order.by !== by ? 'none' : order.isDescending ? 'descending' : 'ascending'}
                  >
                    <button
                      type="button"
                      class="metrics-sort"
                      title={w.sortBy(label)}
                      onClick={() =>
                        setOrder(before => ({
                          by,
                          isDescending: before.by === by ? !before.isDescending : by !== 'key',
                        }))
                      }
                    >
                      {label}
                      <span aria-hidden="true">
                        {order.by !== by ? '' : order.isDescending ? ' ↓' : ' ↑'}
                      </span>
                    </button>
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {sorted(groups, order.by, order.isDescending).map(group => (
                <tr key={group.key}>
                  <th scope="row">
                    <button
                      type="button"
                      class="metrics-service"
                      title={w.ofService(group.key || w.noService)}
                      onClick={() => onChoose(group.key)}
                    >
                      {group.key || <span class="faint">{w.noService}</span>}
                    </button>
                  </th>
                  <td>
                    <span class="metrics-bar" style={{ '--share': group.createdCount / most }}>
                      {count(group.createdCount)}
                    </span>
                  </td>
                  <td>{count(group.openCount)}</td>
                  <td>{count(group.escalatedCount)}</td>
                  <td>{lengthOf(group.mtta) ?? '–'}</td>
                  <td>{lengthOf(group.mttr) ?? '–'}</td>
                  <td>{shareOf(group.slaCompliance) ?? '–'}</td>
                  <td>{shareOf(group.noiseRatio) ?? '–'}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Sideways>
      )}
    </section>
  );
}

/** What may be wider than a phone: scrolled by touch, and by keys once it has the focus. */
function Sideways({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: else keys can't scroll it
    <div class="metrics-scroll" tabIndex={0} role="group" aria-label={label}>
      {children}
    </div>
  );
}

/** What holding likely noise has come to. */
function Noise() {
  const w = metricsWords();
  const { data } = useQuery(MetricsNoise, {}, event => event.subjectType === 'TenantSettings');
  if (!data) return null;
  const status = data.predictionStatus;
  return (
    <section class="sheet stack" aria-labelledby="metrics-noise">
      <h2 id="metrics-noise" class="row">
        {w.held}
        <span class={`tag${status.noiseHoldingArmed ? ' good' : ''}`}>
          {status.noiseHoldingArmed ? w.armed : w.disarmed}
        </span>
      </h2>
      <dl class="metrics-brief">
        <Brief name={w.heldPages} value={count(status.heldCount)} />
        <Brief name={w.heldWrongly} value={count(status.regretCount)} />
        <Brief name={w.lost} value={lengthOf(status.regret)} />
      </dl>
      <p class="small faint">{status.reason}</p>
    </section>
  );
}

/** What draws charts, once it is there. */
function useChart(): ComponentType<ComponentProps<typeof ChartView>> | null {
  const [Chart, setChart] = useState<typeof ChartView | null>(null);
  useEffect(() => {
    let ended = false;
    import('./chart').then(
      module => {
        if (!ended) setChart(() => module.default);
      },
      // The tables tell the same.
      () => {},
    );
    return () => {
      ended = true;
    };
  }, []);
  return Chart;
}

/** What puts a moment into words: an hour as it is here, or a day of UTC. */
function momentIn(isHours: boolean, isBrief: boolean): (seconds: number) => string {
  const format = new Intl.DateTimeFormat(
    language.value === 'de' ? 'de-DE' : 'en-GB',
    isHours
      ? { ...(isBrief ? {} : { weekday: 'short' }), hour: '2-digit', minute: '2-digit' }
      : { ...(isBrief ? {} : { weekday: 'short' }), day: 'numeric', month: 'short', timeZone: 'UTC' },
  );
  return seconds => format.format(seconds * 1_000);
}

function lengthOf(duration: string | null | undefined): string | null {
  const seconds = secondsOf(duration);
  return seconds === null ? null : inWords(seconds);
}

function shareOf(share: number | null | undefined): string | null {
  return share === null || share === undefined ? null : percent(share, share > 0.99 && share < 1 ? 1 : 0);
}

function spreadOf(half: string | null | undefined, most: string | null | undefined): string | null {
  const [within, nearly] = [lengthOf(half), lengthOf(most)];
  return within === null || nearly === null ? null : metricsWords().halfAnd95(within, nearly);
}

function whole(value: number): string {
  return count(value);
}

function signed(change: number): string {
  return `${change > 0 ? '+' : '−'}${percent(Math.abs(change))}`;
}

function isoOf(instant: number): string {
  return new Date(instant).toISOString();
}
