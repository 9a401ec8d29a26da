import type { ComponentChildren } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { acknowledge, escalate, resolve, unacknowledge } from '../../actions';
import { SilenceDialog } from '../../actions/silence-dialog';
import { w as actionWords } from '../../actions/words';
import { useQuery } from '../../api/hooks';
import { ask } from '../../api/transport';
import { useCommands } from '../../keys';
import { alertSignal, dropAlert, type LiveEvent, store } from '../../live';
import { Icon } from '../../parts/icon';
import { SeverityMark } from '../../parts/severity';
import { Missing } from '../../parts/state';
import { Ago, Countdown, When } from '../../parts/time';
import { complain, say } from '../../parts/toast';
import { href, navigate } from '../../router';
import { mayAct } from '../../session';
import type { Alert } from '../../store/alert';
import { common } from '../../words/common';
import { count, inWords, percent, secondsOf } from '../../words/time';
import type { PageProps } from '..';
import './alert.css';
import {
  AlertDetail,
  type AlertDetailQuery,
  AlertInsight,
  type EventLineFragment,
  Judge,
  WhoWouldBeTold,
  WriteNote,
} from './documents';
import { sentenceOf, toneOf } from './sentences';
import { w } from './words';

type Detail = NonNullable<AlertDetailQuery['alert']>;

/** One alert: where it stands, what happened, what comes next, and what the model thinks of it. */
export default function AlertPage({ rest }: PageProps) {
  const id = rest[0] ?? '';
  const isAbout = (event: LiveEvent): boolean => event.alert?.id === id;
  const { data, error, isLoading, reload } = useQuery(AlertDetail, { id }, isAbout);
  const detail = data?.alert;
  const row = useMemo(() => alertSignal(id), [id]);
  useEffect(() => () => dropAlert(id), [id]);
  useEffect(() => {
    if (detail) store.apply([detail]);
  }, [detail]);
  const [isSilencing, setSilencing] = useState(false);
  const alert: Alert | undefined = row.value ?? detail ?? undefined;
  const group = actionWords().group;
  useCommands([
    { name: 'back', label: w().back, keys: ['Escape'], group, isHidden: true, run: () => navigate('') },
    ...(mayAct.value && alert
      ? [
          {
            name: 'acknowledge',
            label: actionWords().acknowledge,
            keys: ['a'],
            group,
            run: () => void acknowledge([id]),
          },
          {
            name: 'unacknowledge',
            label: actionWords().unacknowledge,
            keys: ['b'],
            group,
            run: () => void unacknowledge([id]),
          },
          {
            name: 'resolve',
            label: actionWords().resolve,
            keys: ['r'],
            group,
            run: () => void resolve([id]),
          },
          {
            name: 'escalate',
            label: actionWords().escalate,
            keys: ['e'],
            group,
            run: () => void escalate([id]),
          },
          {
            name: 'silence',
            label: actionWords().silence,
            keys: ['s'],
            group,
            run: () => setSilencing(true),
          },
        ]
      : []),
  ]);
  useEffect(() => {
    if (alert) document.title = `${alert.title} · alertgraph`;
  });
  if (!data) return <Missing error={error} isLoading={isLoading} onRetry={reload} />;
  if (!detail || !alert) return <Missing>{w().missing}</Missing>;
  const isOpen = alert.status !== 'RESOLVED';
  return (
    <div class="page alert">
      <a class="alert-back small" href={href('')}>
        <Icon name="back" size={14} /> {w().back}
      </a>
      <header class="alert-head">
        <div class="row">
          <SeverityMark severity={alert.severity} />
          <span class={`tag ${alert.status === 'TRIGGERED' ? 'bad' : 'good'}`} data-status={alert.status}>
            {common().status[alert.status]}
          </span>
          <span class="soft small">
            <Ago at={alert.triggeredAt} /> · <When at={alert.triggeredAt} />
          </span>
        </div>
        <h1>{alert.title}</h1>
        {mayAct.value ? (
          <div class="row">
            {alert.status === 'TRIGGERED' ? (
              <button type="button" class="button first" onClick={() => void acknowledge([id])}>
                {actionWords().acknowledge} <kbd>a</kbd>
              </button>
            ) : null}
            {alert.status === 'ACKNOWLEDGED' ? (
              <button type="button" class="button" onClick={() => void unacknowledge([id])}>
                {actionWords().unacknowledge} <kbd>b</kbd>
              </button>
            ) : null}
            {isOpen ? (
              <>
                <button type="button" class="button" onClick={() => void resolve([id])}>
                  {actionWords().resolve} <kbd>r</kbd>
                </button>
                <button type="button" class="button" onClick={() => void escalate([id])}>
                  {actionWords().escalate} <kbd>e</kbd>
                </button>
                <button type="button" class="button" onClick={() => setSilencing(true)}>
                  {actionWords().silence} <kbd>s</kbd>
                </button>
              </>
            ) : null}
          </div>
        ) : null}
      </header>
      <div class="alert-columns">
        <div class="stack">
          {detail.description ? <p class="sheet alert-description">{detail.description}</p> : null}
          <Timeline events={detail.events.nodes} isCut={detail.events.pageInfo.hasPreviousPage} />
          {mayAct.value ? <NoteForm id={id} onDone={reload} /> : null}
        </div>
        <div class="stack">
          <Next alert={alert} detail={detail} isAbout={isAbout} />
          <Insight alert={alert} isAbout={isAbout} />
          <Facts alert={alert} detail={detail} />
          {mayAct.value ? <Judgement alert={alert} /> : null}
        </div>
      </div>
      {isSilencing ? <SilenceDialog alerts={[alert]} onClose={() => setSilencing(false)} /> : null}
    </div>
  );
}

function Timeline({ events, isCut }: { events: readonly EventLineFragment[]; isCut: boolean }) {
  return (
    <section class="sheet" aria-labelledby="timeline">
      <h2 id="timeline">{w().timeline}</h2>
      {isCut ? <p class="faint small">{w().earlier}</p> : null}
      <ol class="timeline">
        {events.toReversed().map(event => (
          <li key={event.id} class={toneOf(event)}>
            <span class="timeline-mark" aria-hidden="true" />
            <span class="timeline-text">
              {sentenceOf(event)}
              {event.note ? <q class="timeline-note">{event.note}</q> : null}
            </span>
            <span class="faint small number">
              <When at={event.occurredAt} />
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}

/** Who is told when, or why nobody is. */
function Next({
  alert,
  detail,
  isAbout,
}: {
  alert: Alert;
  detail: Detail;
  isAbout: (event: LiveEvent) => boolean;
}) {
  const isClimbing = alert.status === 'TRIGGERED' && alert.nextEscalationAt !== null;
  const { data } = useQuery(WhoWouldBeTold, alert.status === 'TRIGGERED' ? { id: alert.id } : null, isAbout);
  const steps = isClimbing ? (data?.escalationForecast.steps ?? []) : [];
  const reason = alert.holdReason;
  return (
    <section class="sheet stack" aria-labelledby="next">
      <div class="row">
        <h2 id="next" class="grow">
          {isClimbing || alert.status === 'RESOLVED' ? w().next : w().heldTitle}
        </h2>
        {isClimbing ? (
          <span class="alert-countdown bad">
            <span class="small">{w().climbsIn}</span> <Countdown to={alert.nextEscalationAt!} />
          </span>
        ) : null}
      </div>
      {reason && alert.status !== 'RESOLVED' ? <p>{w().hold[reason] ?? reason}</p> : null}
      {alert.status === 'RESOLVED' || (isClimbing && data && steps.length === 0) ? (
        <p class="soft">{w().nobody}</p>
      ) : null}
      {steps.length > 0 ? (
        <ol class="alert-steps">
          {steps.slice(0, 6).map(step => (
            <li key={`${step.at}${step.channel.name}${step.responder?.name}`}>
              <span class="number bad">
                <Countdown to={step.at} />
              </span>
              <span class="grow">
                {step.responder ? w().tells(step.responder.name, step.channel.name) : step.channel.name}
                {step.schedule ? <span class="faint small"> {w().onCallFor(step.schedule.name)}</span> : null}
              </span>
              <span class="tag">{w().level(step.level)}</span>
            </li>
          ))}
        </ol>
      ) : null}
      <dl class="facts">
        <Fact name={w().has}>
          {alert.acknowledgedBy?.name ?? alert.assignee?.name ?? w().nobodyYet}
          {alert.acknowledgedUntil ? (
            <>
              {' '}
              <Countdown to={alert.acknowledgedUntil} />
            </>
          ) : null}
        </Fact>
        <Fact name={w().rule}>{detail.escalationRule?.name ?? w().noRule}</Fact>
        <SlaFact
          name={w().acknowledgeBy}
          at={alert.sla.acknowledgeBy}
          isMissed={alert.sla.acknowledgeBreached}
          isMet={alert.acknowledgedAt !== null || alert.status === 'RESOLVED'}
        />
        <SlaFact
          name={w().resolveBy}
          at={alert.sla.resolveBy}
          isMissed={alert.sla.resolveBreached}
          isMet={alert.status === 'RESOLVED'}
        />
      </dl>
    </section>
  );
}

function SlaFact({
  name,
  at,
  isMissed,
  isMet,
}: {
  name: string;
  at: string;
  isMissed: boolean;
  isMet: boolean;
}) {
  return (
    <Fact name={name}>
      {isMissed ? (
        <span class="tag bad">{w().missed}</span>
      ) : isMet ? (
        <span class="tag good">{w().met}</span>
      ) : (
        <Countdown to={at} />
      )}{' '}
      <span class="faint small">
        <When at={at} />
      </span>
    </Fact>
  );
}

/** What the model expects and why, and what it takes to belong with this alert. */
function Insight({ alert, isAbout }: { alert: Alert; isAbout: (event: LiveEvent) => boolean }) {
  const { data } = useQuery(AlertInsight, { id: alert.id }, isAbout);
  const prediction = data?.alert?.prediction;
  const related = data?.alert?.relatedAlerts ?? [];
  const strongest = Math.max(
    0.01,
    ...(prediction?.contributions ?? []).map(each => Math.abs(each.contribution)),
  );
  return (
    <>
      {prediction ? (
        <section class="sheet stack" aria-labelledby="prediction">
          <h2 id="prediction">{w().prediction}</h2>
          {prediction.abstained ? <p class="soft small">{w().abstains}</p> : null}
          <div class="chances">
            <ChanceOf name={w().needsSomebody} of={prediction.incidentProbability} />
            <ChanceOf name={w().missesSla} of={prediction.slaBreachProbability} />
            <ChanceOf name={w().resolvesItself} of={prediction.selfResolveProbability} />
          </div>
          <dl class="facts">
            {prediction.timeToAcknowledge ? (
              <Fact name={w().acknowledgedAfter}>{estimate(prediction.timeToAcknowledge)}</Fact>
            ) : null}
            {prediction.timeToResolve ? (
              <Fact name={w().resolvedAfter}>{estimate(prediction.timeToResolve)}</Fact>
            ) : null}
          </dl>
          {prediction.contributions && prediction.contributions.length > 0 ? (
            <>
              <h3>{w().because}</h3>
              <ul class="contributions">
                {prediction.contributions.slice(0, 8).map(each => (
                  <li key={each.feature}>
                    <span class="grow">{each.text}</span>
                    <span class="contribution" aria-hidden="true">
                      <span
                        class={each.contribution > 0 ? 'for' : 'against'}
                        style={{ width: `${(Math.abs(each.contribution) / strongest) * 50}%` }}
                      />
                    </span>
                    <span class="hidden-visually">
                      {each.contribution > 0 ? w().speaksFor : w().speaksAgainst}
                    </span>
                  </li>
                ))}
              </ul>
            </>
          ) : null}
          <p class="faint small">{w().model(prediction.modelVersion)}</p>
        </section>
      ) : null}
      {related.length > 0 ? (
        <section class="sheet stack" aria-labelledby="related">
          <h2 id="related">{w().related}</h2>
          <ul class="related">
            {related.map(each => (
              <li key={each.alert.id}>
                <div class="row">
                  <SeverityMark severity={each.alert.severity} isBrief />
                  <a class="grow cut" href={href(`alerts/${each.alert.id}`)}>
                    {each.alert.title}
                  </a>
                  <span class="tag accent">{w().sure(percent(each.score))}</span>
                </div>
                <ul class="evidence soft small">
                  {each.evidence.slice(0, 3).map(reason => (
                    <li key={reason.text}>{reason.text}</li>
                  ))}
                </ul>
              </li>
            ))}
          </ul>
        </section>
      ) : null}
    </>
  );
}

function estimate(of: { median: string; low: string; high: string }): string {
  return w().usually(inWords(secondsOf(of.median)), inWords(secondsOf(of.low)), inWords(secondsOf(of.high)));
}

function ChanceOf({ name, of }: { name: string; of: number }) {
  return (
    <div>
      <span class="chance-value number">{percent(of)}</span>
      <span class="small soft">{name}</span>
    </div>
  );
}

function Facts({ alert, detail }: { alert: Alert; detail: Detail }) {
  const labels = Object.entries(alert.labels as Record<string, string>);
  const annotations = Object.entries(detail.annotations as Record<string, unknown>);
  return (
    <section class="sheet stack" aria-labelledby="facts">
      <h2 id="facts">{w().facts}</h2>
      <dl class="facts">
        {alert.monitoredService ? (
          <Fact name={w().service}>
            <a href={href('', { service: alert.monitoredService })}>{alert.monitoredService}</a>
          </Fact>
        ) : null}
        <Fact name={w().source}>{alert.source}</Fact>
        <Fact name={w().fired}>
          {alert.occurrenceCount === 1 ? w().once : w().times(count(alert.occurrenceCount))}
        </Fact>
        <Fact name={w().lastSeen}>
          <When at={alert.lastSeenAt} />
        </Fact>
        {alert.incident ? (
          <Fact name={w().incident}>
            <a href={href('', { incident: alert.incident.id })}>{alert.incident.title}</a>{' '}
            <span class="faint small">
              {w().incidentCount(count(alert.incident.openAlertCount), count(alert.incident.alertCount))}
            </span>
          </Fact>
        ) : null}
        {detail.inhibitedBy.length > 0 ? (
          <Fact name={w().coveredBy}>
            {detail.inhibitedBy.map(each => (
              <a key={each.id} href={href(`alerts/${each.id}`)}>
                {each.title}
              </a>
            ))}
          </Fact>
        ) : null}
        <Fact name={w().key}>
          <code class="alert-key">{alert.dedupKey}</code>
        </Fact>
        {annotations.map(([name, value]) => (
          <Fact key={name} name={name}>
            {typeof value === 'string' ? value : JSON.stringify(value)}
          </Fact>
        ))}
      </dl>
      {labels.length > 0 ? (
        <ul class="chips" aria-label={w().labels}>
          {labels.map(([name, value]) => (
            <li key={name}>
              <a
                class="alert-label"
                href={href('', { label: `${name}=${value}` })}
                title={w().narrow(`${name}=${value}`)}
              >
                {name}={value}
              </a>
            </li>
          ))}
        </ul>
      ) : null}
      {detail.links.length > 0 ? (
        <ul class="row" aria-label={w().links}>
          {detail.links.map(link => (
            <li key={link.href}>
              <a class="button" href={link.href} target="_blank" rel="noreferrer noopener">
                {link.text} ↗
              </a>
            </li>
          ))}
        </ul>
      ) : null}
    </section>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function NoteForm({ id, onDone }: { id: string; onDone: () => void }) {
  const [text, setText] = useState('');
  const submit = async (event: Event) => {
    event.preventDefault();
    if (!text.trim()) return;
    try {
      const { addAlertNote } = await ask(WriteNote, { input: { alertId: id, note: text.trim() } });
      if (addAlertNote.errors[0]) return complain(addAlertNote.errors[0].message);
      setText('');
      onDone();
    } catch (error) {
      complain((error as Error).message);
    }
  };
  return (
    <form class="sheet row alert-note" onSubmit={submit}>
      <input
        class="input grow"
        aria-label={w().note}
        placeholder={w().note}
        value={text}
        onInput={event => setText(event.currentTarget.value)}
      />
      <button type="submit" class="button" disabled={!text.trim()}>
        {w().writeNote}
      </button>
    </form>
  );
}

function Judgement({ alert }: { alert: Alert }) {
  const give = async (verdict: 'ACTIONABLE' | 'NOISE') => {
    const next = alert.verdict === verdict ? null : verdict;
    try {
      const { giveAlertFeedback } = await ask(Judge, { input: { alertId: alert.id, verdict: next } });
      if (giveAlertFeedback.alert) store.apply([giveAlertFeedback.alert]);
      if (giveAlertFeedback.errors[0]) complain(giveAlertFeedback.errors[0].message);
      else if (next) say(w().thanks);
    } catch (error) {
      complain((error as Error).message);
    }
  };
  return (
    <section class="sheet row">
      <h3 class="grow">{w().judge}</h3>
      <div class="switches">
        <button
          type="button"
          class="switch"
          aria-pressed={alert.verdict === 'ACTIONABLE'}
          onClick={() => void give('ACTIONABLE')}
        >
          {w().actionable}
        </button>
        <button
          type="button"
          class="switch"
          aria-pressed={alert.verdict === 'NOISE'}
          onClick={() => void give('NOISE')}
        >
          {w().noise}
        </button>
      </div>
    </section>
  );
}
