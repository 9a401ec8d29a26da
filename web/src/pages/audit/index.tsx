/** Audit: the log of everything, and what proves that it is whole. */
import { useEffect, useState } from 'preact/hooks';
import { useQuery } from '../../api/hooks';
import { ApiError, ask } from '../../api/transport';
import { onEvents } from '../../live';
import { Field } from '../../parts/field';
import { Missing } from '../../parts/state';
import { When } from '../../parts/time';
import { href, navigate, query } from '../../router';
import { dayAndTime, exactly } from '../../words/time';
import './audit.css';
import {
  type ActorKind,
  AuditEvents,
  type AuditEventsQuery,
  AuditHead,
  type AuditHeadQuery,
} from './documents';
import { EventDetail } from './event';
import { GROUPS, type Group, groupOf } from './groups';
import { covers, type Head } from './proof';
import { auditWords } from './words';

type Event = AuditEventsQuery['events']['nodes'][number];

const ACTORS: readonly ActorKind[] = ['PERSON', 'API_KEY', 'SENDER', 'ENGINE', 'MODEL', 'OPERATOR'];
/** A head comes each minute. */
const HEAD_EVERY_MS = 20_000;

export default function AuditPage() {
  const w = auditWords();
  const group = groupOf(query.value.get('show'));
  const actor = ACTORS.find(each => each === query.value.get('by')) ?? null;
  const since = query.value.get('since') ?? '';
  const { data, reload } = useQuery(AuditHead, {});
  const head = data?.auditHead ?? null;
  useEffect(() => {
    const timer = setInterval(reload, HEAD_EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  const choose = (name: string, value: string): void => {
    const params = new URLSearchParams(query.value);
    if (value && value !== 'all') params.set(name, value);
    else params.delete(name);
    navigate('audit', { params, replace: true });
  };
  return (
    <div class="page">
      <header>
        <h1 class="grow">{w.title}</h1>
      </header>
      <p class="soft">{w.what}</p>
      {data ? <Sealed head={head} /> : null}
      <div class="audit-filters">
        <Field label={w.show}>
          <select class="input" value={group} onChange={event => choose('show', event.currentTarget.value)}>
            {(Object.keys(GROUPS) as Group[]).map(each => (
              <option key={each} value={each}>
                {w.groups[each]}
              </option>
            ))}
          </select>
        </Field>
        <Field label={w.by}>
          <select
            class="input"
            value={actor ?? 'all'}
            onChange={event => choose('by', event.currentTarget.value)}
          >
            {(['all', ...ACTORS] as const).map(each => (
              <option key={each} value={each}>
                {w.actors[each]}
              </option>
            ))}
          </select>
        </Field>
        <Field label={w.since}>
          <input
            class="input"
            type="date"
            value={since}
            onChange={event => choose('since', event.currentTarget.value)}
          />
        </Field>
      </div>
      <Events key={`${group} ${actor} ${since}`} group={group} actor={actor} since={since} head={head} />
    </div>
  );
}

function Sealed({ head }: { head: AuditHeadQuery['auditHead'] }) {
  const w = auditWords();
  if (!head) return <p class="sheet soft">{w.unsealed}</p>;
  return (
    <section class="sheet stack">
      <p class="row">
        <span class="tag good">✓</span>
        <strong title={exactly(head.signedAt)}>{w.sealed(head.treeSize, dayAndTime(head.signedAt))}</strong>
      </p>
      <details class="small">
        <summary>{w.root}</summary>
        <p class="mono audit-hash">{head.rootHash}</p>
        <p class="soft">{w.key}</p>
        <p class="mono audit-hash">{head.keyId}</p>
        <p class="faint">{w.keyHint}</p>
      </details>
    </section>
  );
}

function Events({
  group,
  actor,
  since,
  head,
}: {
  group: Group;
  actor: ActorKind | null;
  since: string;
  head: Head | null;
}) {
  const w = auditWords();
  const [events, setEvents] = useState<readonly Event[] | null>(null);
  const [older, setOlder] = useState<string | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [isLoading, setLoading] = useState(false);
  const [newCount, setNewCount] = useState(0);
  const sinceTime = Date.parse(since);
  const filter = {
    ...(group === 'all' ? {} : { kinds: [...GROUPS[group]] }),
    ...(actor === null ? {} : { actorKind: [actor] }),
    ...(Number.isNaN(sinceTime) ? {} : { occurredAfter: new Date(`${since}T00:00`).toISOString() }),
  };
  const load = (before: string | null): void => {
    setLoading(true);
    ask(AuditEvents, { filter, before }).then(
      ({ events: page }) => {
        // The newest stands first here, and last in the log.
        const found = [...page.nodes].reverse();
        setEvents(known => (before === null || known === null ? found : [...known, ...found]));
        setOlder(page.pageInfo.hasPreviousPage ? (page.pageInfo.startCursor ?? null) : null);
        setError(null);
        setLoading(false);
        if (before === null) setNewCount(0);
      },
      failure => {
        setError(failure instanceof ApiError ? failure : new ApiError('INTERNAL', String(failure)));
        setLoading(false);
      },
    );
  };
  useEffect(() => {
    load(null);
    // Not shown by themselves: what somebody reads shall not move away under them.
    return onEvents(happened => {
      const own = happened.filter(event => group === 'all' || GROUPS[group].includes(event.kind));
      setNewCount(known => known + own.length);
    });
  }, []);
  if (events === null) return <Missing error={error} isLoading={error === null} onRetry={() => load(null)} />;
  return (
    <>
      <div aria-live="polite">
        {newCount > 0 && actor === null ? (
          <button type="button" class="button" onClick={() => load(null)}>
            {w.newer(newCount)}
          </button>
        ) : null}
      </div>
      {events.length === 0 ? <Missing>{w.none}</Missing> : null}
      {events.length > 0 ? (
        <ol class="rows audit-list">
          {events.map(event => (
            <Row key={event.id} event={event} isSigned={covers(head, event.number)} />
          ))}
        </ol>
      ) : null}
      {error ? <Missing error={error} onRetry={() => load(older)} /> : null}
      {older !== null && !error ? (
        <div class="row">
          <button type="button" class="button" disabled={isLoading} onClick={() => load(older)}>
            {w.older}
          </button>
        </div>
      ) : null}
    </>
  );
}

function Row({ event, isSigned }: { event: Event; isSigned: boolean }) {
  const w = auditWords();
  const [isOpen, setOpen] = useState(false);
  return (
    <li>
      <details onToggle={toggled => setOpen(toggled.currentTarget.open)}>
        <summary>
          <span class="number faint small">{event.number}</span>
          <span class="small">
            <When at={event.occurredAt} />
          </span>
          <span class="audit-summary">{event.summary}</span>
          <span class="small soft cut">{event.actor.name}</span>
          <span class={`tag ${isSigned ? 'good' : ''}`}>{isSigned ? w.signed : w.pending}</span>
        </summary>
        {isOpen ? (
          <>
            {event.alert ? (
              <p class="audit-more">
                <a href={href(`alerts/${event.alert.id}`)}>{event.alert.title}</a>
              </p>
            ) : null}
            <EventDetail id={event.id} />
          </>
        ) : null}
      </details>
    </li>
  );
}
