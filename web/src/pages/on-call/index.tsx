/** Who is on call, who stands in, and who would be paged. */
import { computed } from '@preact/signals';
import { useState } from 'preact/hooks';
import { useQuery } from '../../api/hooks';
import { now } from '../../clock';
import { useCommands } from '../../keys';
import type { LiveEvent } from '../../live';
import { Missing } from '../../parts/state';
import { href, navigate, query } from '../../router';
import { mayAct } from '../../session';
import { common } from '../../words/common';
import { count, inWords, percent } from '../../words/time';
import { Calendar } from './calendar';
import { gapsIn, type Span, weeksAway, weeksFrom } from './calendar-time';
import { OnCallCalendar, OnCallSchedules, type OnCallSchedulesQuery } from './documents';
import { Feed } from './feed';
import { Forecast } from './forecast-view';
import { dateLabel, moment } from './moments';
import { Overrides } from './overrides';
import { standingAt, type Turn, tintsOf, turnsOf } from './schedules';
import { StandIn } from './stand-in';
import { DAY, HERE, HOUR, instantOf, isZone, MINUTE, shownAt } from './wall-clock';
import { onCallWords } from './words';
import './on-call.css';

const WEEK_COUNT = 4;
const AHEAD = 8 * DAY;
const TOUCHING = new Set(['OnCallSchedule', 'ShiftOverride', 'Responder']);

/** Now, to the minute: finer than that nothing here changes. */
const minute = computed(() => Math.floor(now.value / MINUTE) * MINUTE);
const hour = computed(() => Math.floor(now.value / HOUR) * HOUR);

type TintOf = (responderId: string) => number;
type Schedule = OnCallSchedulesQuery['onCallSchedules']['nodes'][number];

const isTouching = (event: LiveEvent): boolean => TOUCHING.has(event.subjectType ?? '');

export default function OnCallPage() {
  const w = onCallWords();
  const time = { since: isoOf(hour.value), until: isoOf(hour.value + AHEAD) };
  const { data, error, reload } = useQuery(OnCallSchedules, time, isTouching);
  const schedules = data?.onCallSchedules.nodes ?? [];
  const wanted = query.value.get('schedule');
  const chosen = schedules.find(each => each.id === wanted) ?? schedules[0];
  const turns = schedules.map(schedule => turnsOf(schedule.shifts));
  const tintOf = tintsOf(turns.flat().map(turn => turn.responderId));
  const left = (data?.onCallSchedules.totalCount ?? 0) - schedules.length;

  return (
    <div class="page">
      <header>
        <h1>{w.title}</h1>
      </header>
      <section class="stack" aria-labelledby="oncall-now">
        <h2 id="oncall-now">{w.now}</h2>
        {data ? null : <Missing error={error} isLoading={!error} onRetry={reload} />}
        {data && schedules.length === 0 ? <p class="sheet soft">{w.noSchedules}</p> : null}
        {schedules.length > 0 ? (
          <ul class="oncall-cards">
            {schedules.map((schedule, index) => (
              <Card
                key={schedule.id}
                schedule={schedule}
                turns={turns[index]!}
                tintOf={tintOf}
                isChosen={schedule === chosen}
              />
            ))}
          </ul>
        ) : null}
        {left > 0 ? <p class="faint small">{w.moreSchedules(count(left))}</p> : null}
      </section>
      {chosen ? (
        <Weeks key={chosen.id} id={chosen.id} name={chosen.name} home={chosen.timeZone} tintOf={tintOf} />
      ) : null}
      <Forecast tintOf={tintOf} />
    </div>
  );
}

/** Who is on call on one schedule now, and who is next, in the time of whoever looks. */
function Card({
  schedule,
  turns,
  tintOf,
  isChosen,
}: {
  schedule: Schedule;
  turns: readonly Turn[];
  tintOf: TintOf;
  isChosen: boolean;
}) {
  const w = onCallWords();
  const { current, next } = standingAt(turns, minute.value);
  const params = new URLSearchParams(query.value);
  params.set('schedule', schedule.id);
  for (const name of ['from', 'zone']) params.delete(name);
  const ends = current && current.endsAt < hour.value + AHEAD ? current.endsAt : null;
  return (
    <li class={`sheet oncall-card${isChosen ? ' is-chosen' : ''}`}>
      <h3 class="cut">
        <a href={href('on-call', params)} aria-current={isChosen ? 'true' : undefined}>
          {schedule.name}
        </a>
      </h3>
      <p class="row oncall-person">
        {current ? (
          <>
            <span class={`oncall-dot tint-${tintOf(current.responderId)}`} aria-hidden="true" />
            <strong class="cut">{current.name}</strong>
            {current.isOverride ? <span class="tag accent">{w.standsIn}</span> : null}
          </>
        ) : (
          <span class="tag warn">{w.nobody}</span>
        )}
      </p>
      {ends !== null ? (
        <p class="small soft" title={inWords((ends - minute.value) / 1_000)}>
          {w.until(moment(ends, HERE))}
        </p>
      ) : null}
      {next ? (
        <p class="small soft">
          {next.startsAt === ends ? w.nextAtOnce(next.name) : w.next(next.name, moment(next.startsAt, HERE))}
        </p>
      ) : null}
      {!next && ends !== null ? <p class="small soft">{w.nextNobody}</p> : null}
      {!current && !next ? <p class="small soft">{w.nobodySoon}</p> : null}
    </li>
  );
}

/** The calendar of one schedule, with what can be done about it. */
function Weeks({ id, name, home, tintOf }: { id: string; name: string; home: string; tintOf: TintOf }) {
  const w = onCallWords();
  const isHere = query.value.get('zone') === 'here' && home !== HERE;
  const zone = isHere ? HERE : isZone(home) ? home : 'UTC';
  const asked = query.value.get('from');
  const isDate = asked !== null && /^\d{4}-\d\d-\d\d$/.test(asked) && !Number.isNaN(Date.parse(asked));
  const begins = isDate ? instantOf(Date.parse(asked), zone) : minute.value;
  const weeks = weeksFrom(begins, WEEK_COUNT, zone);
  const time: Span = { startsAt: weeks[0]!.startsAt, endsAt: weeks.at(-1)!.endsAt };
  const { data, error, isLoading, reload } = useQuery(
    OnCallCalendar,
    { id, since: isoOf(time.startsAt), until: isoOf(time.endsAt) },
    isTouching,
  );
  const [isFeedOpen, setFeedOpen] = useState(false);
  const [wanted, setWanted] = useState<Span | null>(null);
  const schedule = data?.onCallSchedule;
  const turns = schedule ? turnsOf(schedule.shifts) : [];
  const open = gapsIn(turns, { startsAt: Math.max(time.startsAt, minute.value), endsAt: time.endsAt });
  const openShare =
    open.reduce((sum, gap) => sum + gap.endsAt - gap.startsAt, 0) / (time.endsAt - time.startsAt);

  const go = (count: number): void => {
    const target = weeksAway(weeks[0]!.startsAt, count, zone);
    show('from', count === 0 ? null : new Date(shownAt(target, zone)).toISOString().slice(0, 10));
  };
  const show = (what: string, value: string | null): void => {
    const params = new URLSearchParams(query.value);
    params.set('schedule', id);
    if (value === null) params.delete(what);
    else params.set(what, value);
    navigate('on-call', { params, replace: true });
  };

  const standIn = (): void => setWanted({ startsAt: hour.value + HOUR, endsAt: hour.value + 9 * HOUR });
  useCommands([
    ...(mayAct.value
      ? [{ name: 'on-call.stand-in', label: w.standIn, keys: ['n'], group: w.title, run: standIn }]
      : []),
    { name: 'on-call.earlier', label: w.earlier, keys: ['['], group: w.title, run: () => go(-2) },
    { name: 'on-call.later', label: w.later, keys: [']'], group: w.title, run: () => go(2) },
    { name: 'on-call.today', label: w.today, keys: ['t'], group: w.title, run: () => go(0) },
  ]);

  return (
    <section class="sheet stack" aria-labelledby="oncall-weeks">
      <div class="row oncall-header">
        <h2 id="oncall-weeks" class="grow">
          {w.calendar(name)}
        </h2>
        <div class="row" role="group" aria-label={w.calendar(name)}>
          <button type="button" class="button" onClick={() => go(-2)}>
            <span aria-hidden="true">‹</span> {w.earlier}
          </button>
          <button type="button" class="button" onClick={() => go(0)} disabled={!isDate}>
            {w.today}
          </button>
          <button type="button" class="button" onClick={() => go(2)}>
            {w.later} <span aria-hidden="true">›</span>
          </button>
        </div>
        {schedule?.calendarUrl ? (
          <button type="button" class="button" onClick={() => setFeedOpen(true)}>
            {w.feed}
          </button>
        ) : null}
        {mayAct.value ? (
          <button type="button" class="button first" onClick={standIn}>
            {w.standIn}
          </button>
        ) : null}
      </div>
      <p class="small faint row">
        {!isZone(home) ? (
          <span>{w.unknownZone(home)}</span>
        ) : home === HERE ? (
          <span>{w.timesOf(home)}</span>
        ) : (
          <select
            class="input oncall-zone"
            aria-label={w.times}
            value={isHere ? 'here' : ''}
            onChange={event => show('zone', event.currentTarget.value || null)}
          >
            <option value="">{w.timesOf(home)}</option>
            <option value="here">{w.timesHere(HERE)}</option>
          </select>
        )}
        <span>{w.fromTo(dateLabel(weeks[0]!.days[0]!.date), dateLabel(weeks.at(-1)!.days[6]!.date))}</span>
        {openShare > 0.0005 && schedule ? (
          <span class="tag warn">{w.gaps(percent(openShare, openShare < 0.1 ? 1 : 0))}</span>
        ) : null}
        {isLoading && !data ? <span>{common().loading}</span> : null}
      </p>
      {error ? <Missing error={error} onRetry={reload} /> : null}
      <Calendar
        label={w.cursor}
        zone={zone}
        weeks={weeks}
        turns={turns}
        tintOf={tintOf}
        isKnown={schedule !== undefined && schedule !== null}
        present={minute.value}
        onChoose={mayAct.value ? setWanted : null}
      />
      {schedule ? <Overrides schedule={schedule} zone={zone} turns={turns} onChanged={reload} /> : null}
      {isFeedOpen && schedule?.calendarUrl ? (
        <Feed name={name} url={schedule.calendarUrl} onClose={() => setFeedOpen(false)} />
      ) : null}
      {wanted && schedule ? (
        <StandIn
          scheduleId={id}
          scheduleName={name}
          zone={zone}
          time={wanted}
          onDone={() => {
            setWanted(null);
            reload();
          }}
          onClose={() => setWanted(null)}
        />
      ) : null}
    </section>
  );
}

function isoOf(instant: number): string {
  return new Date(instant).toISOString();
}
