/** Who would be paged: of an alert like this, then, as a time line. */
import { useState } from 'preact/hooks';
import { useQuery } from '../../api/hooks';
import { now } from '../../clock';
import type { LiveEvent } from '../../live';
import { Field } from '../../parts/field';
import { Missing } from '../../parts/state';
import { navigate, query } from '../../router';
import type { Severity } from '../../store/alert';
import { common } from '../../words/common';
import { count, dayAndTime, inWords } from '../../words/time';
import { OnCallForecast, type OnCallForecastQuery, OnCallServices } from './documents';
import { distanceOf, rungsOf } from './forecast';
import { fieldInstant, fieldText, HERE, MINUTE } from './wall-clock';
import { onCallWords } from './words';

const SEVERITIES: readonly Severity[] = ['CRITICAL', 'HIGH', 'MEDIUM', 'LOW', 'INFO'];
/** What changes who would be told. */
const TOUCHING = new Set([
  'OnCallSchedule',
  'ShiftOverride',
  'Responder',
  'EscalationRule',
  'NotificationChannel',
  'Silence',
  'InhibitionRule',
  'TenantSettings',
]);

export function Forecast({ tintOf }: { tintOf: (responderId: string) => number }) {
  const w = onCallWords();
  const asked = query.value;
  const severity = SEVERITIES.find(each => each === asked.get('severity')) ?? 'CRITICAL';
  const service = asked.get('service') ?? '';
  const labels = asked.get('labels') ?? '';
  const at = asked.get('at') ?? '';
  // Where no time is asked for, it is the minute at which the page was opened or asked anew.
  const [opened, setOpened] = useState(() => Math.floor(now.value / MINUTE) * MINUTE);
  const begins = fieldInstant(at, HERE) ?? opened;
  const { data, error, isLoading, reload } = useQuery(
    OnCallForecast,
    {
      draft: {
        title: 'forecast',
        severity,
        monitoredService: service || null,
        labels: labelsOf(labels),
      },
      at: new Date(begins).toISOString(),
    },
    (event: LiveEvent) => TOUCHING.has(event.subjectType ?? ''),
  );

  const services = useQuery(OnCallServices, {});

  const submit = (event: Event): void => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const params = new URLSearchParams(query.value);
    for (const name of ['severity', 'service', 'labels', 'at']) {
      const value = String(form.get(name) ?? '').trim();
      if (value) params.set(name, value);
      else params.delete(name);
    }
    setOpened(Math.floor(now.value / MINUTE) * MINUTE);
    navigate('on-call', { params, replace: true });
  };

  return (
    <section class="sheet stack" aria-labelledby="oncall-forecast">
      <h2 id="oncall-forecast">{w.forecast}</h2>
      <p class="small soft">{w.forecastOf}</p>
      <form class="oncall-draft" onSubmit={submit}>
        <Field label={w.severity}>
          <select class="input" name="severity" defaultValue={severity}>
            {SEVERITIES.map(each => (
              <option key={each} value={each} selected={each === severity}>
                {common().severity[each]}
              </option>
            ))}
          </select>
        </Field>
        <Field label={w.service}>
          <input
            class="input"
            name="service"
            defaultValue={service}
            autocomplete="off"
            list="oncall-services"
          />
        </Field>
        <datalist id="oncall-services">
          {services.data?.monitoredServices.nodes.map(each => (
            <option key={each.name} value={each.name} />
          ))}
        </datalist>
        <Field label={w.labels} hint={w.labelsHint}>
          <input class="input" name="labels" defaultValue={labels} autocomplete="off" />
        </Field>
        <Field label={w.when} hint={w.whenHint}>
          <input
            class="input"
            name="at"
            type="datetime-local"
            defaultValue={at}
            min={fieldText(now.value, HERE)}
          />
        </Field>
        <button type="submit" class="button">
          {w.ask}
        </button>
      </form>
      <div aria-live="polite" aria-busy={isLoading} class="stack">
        {error ? <Missing error={error} onRetry={reload} /> : null}
        {data && !error ? (
          <TimeLine forecast={data.escalationForecast} begins={begins} tintOf={tintOf} />
        ) : null}
      </div>
    </section>
  );
}

function TimeLine({
  forecast,
  begins,
  tintOf,
}: {
  forecast: OnCallForecastQuery['escalationForecast'];
  begins: number;
  tintOf: (responderId: string) => number;
}) {
  const w = onCallWords();
  const rungs = rungsOf(forecast.steps, begins);
  const { holdReason } = forecast;
  return (
    <>
      <p class="small">{forecast.rule ? w.rule(forecast.rule.name) : w.noRule}</p>
      {rungs.length === 0 ? (
        <p class="row">
          <span class="tag warn">{w.nobodyTold}</span>
          <span class="small">{holdReason ? (w.hold[holdReason] ?? w.heldOtherwise) : ''}</span>
        </p>
      ) : null}
      <ol class="oncall-line">
        {rungs.map((rung, index) => (
          <li key={`${rung.at} ${rung.level}`} class={`oncall-rung after-${distanceOf(rung.waited)}`}>
            <p class="oncall-rung-time">
              <span class="small faint">
                {index === 0
                  ? rung.waited < 1_000
                    ? w.atOnce
                    : w.after(inWords(rung.waited / 1_000))
                  : w.laterBy(inWords(rung.waited / 1_000))}
              </span>
              <strong class="row">
                <time dateTime={new Date(rung.at).toISOString()}>{dayAndTime(new Date(rung.at))}</time>
                <span class="tag">{w.level(count(rung.level))}</span>
              </strong>
            </p>
            <ul class="oncall-told-people">
              {rung.told.map(told => (
                <li key={told.key}>
                  {told.person !== null ? (
                    <span class={`oncall-dot tint-${tintOf(told.person.id)}`} aria-hidden="true" />
                  ) : null}
                  <span>
                    {told.person !== null ? <strong>{told.person.name}</strong> : null}
                    {told.schedule !== null ? <span class="soft"> {w.onCallOn(told.schedule)}</span> : null}
                    {told.ways.map(way => (
                      <span class="tag oncall-way" key={`${way.channel} ${way.reason}`} title={way.reason}>
                        {way.channel}
                      </span>
                    ))}
                  </span>
                </li>
              ))}
            </ul>
          </li>
        ))}
      </ol>
    </>
  );
}

/** Return labels as a person writes them: `team=db, zone=eu`. */
function labelsOf(text: string): Record<string, string> {
  const pairs = text
    .split(',')
    .map(pair => pair.trim())
    .filter(pair => pair.includes('='))
    .map(pair => [pair.slice(0, pair.indexOf('=')).trim(), pair.slice(pair.indexOf('=') + 1).trim()] as const)
    .filter(([name]) => name !== '');
  return Object.fromEntries(pairs);
}
