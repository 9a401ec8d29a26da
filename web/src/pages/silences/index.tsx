/** Silences: what nobody is paged for, why, and until when. */
import { useState } from 'preact/hooks';
import { useQuery } from '../../api/hooks';
import { ask } from '../../api/transport';
import { useCommands } from '../../keys';
import type { LiveEvent } from '../../live';
import { Tick } from '../../parts/field';
import { MatcherList } from '../../parts/matchers';
import { Missing } from '../../parts/state';
import { complain, say } from '../../parts/toast';
import { navigate, query } from '../../router';
import { mayAct } from '../../session';
import { common } from '../../words/common';
import { count, dayAndTime } from '../../words/time';
import { ExpireSilence, Silences, type SilencesQuery } from './documents';
import { SilenceForm } from './form';
import './silences.css';
import { silenceWords } from './words';

type Silence = SilencesQuery['silences']['nodes'][number];

const MAKING = 'new';
/** What changes which silences there are, or how many alerts they cover. */
const TOUCHING = new Set(['TRIGGERED', 'RESOLVED', 'SILENCED', 'UNSILENCED']);
const isTouching = (event: LiveEvent): boolean => event.subjectType === 'Silence' || TOUCHING.has(event.kind);

export default function SilencesPage() {
  const w = silenceWords();
  const isOverShown = query.value.has('over');
  const { data, error, reload } = useQuery(
    Silences,
    { state: isOverShown ? ['ACTIVE', 'PENDING', 'EXPIRED'] : ['ACTIVE', 'PENDING'], after: null },
    isTouching,
  );
  const [opened, setOpened] = useState<Silence | typeof MAKING | null>(null);
  const silences = data?.silences.nodes ?? [];
  const done = (): void => {
    setOpened(null);
    reload();
  };
  useCommands(
    mayAct.value
      ? [{ name: 'silence.new', label: w.make, keys: ['n'], group: w.title, run: () => setOpened(MAKING) }]
      : [],
  );
  return (
    <div class="page">
      <header>
        <h1 class="grow">{w.title}</h1>
        {mayAct.value ? (
          <button type="button" class="button first" onClick={() => setOpened(MAKING)}>
            {w.make}
          </button>
        ) : null}
      </header>
      <p class="soft">{w.what}</p>
      <Tick
        label={w.showOver}
        checked={isOverShown}
        onChange={checked => navigate('silences', { params: checked ? { over: '1' } : {}, replace: true })}
      />
      {data ? null : <Missing error={error} isLoading={!error} onRetry={reload} />}
      {data && silences.length === 0 ? (
        <Missing>{isOverShown ? w.isEmpty.over : w.isEmpty.now}</Missing>
      ) : null}
      {silences.length > 0 ? (
        <ul class="rows tall">
          {silences.map(silence => (
            <Row key={silence.id} silence={silence} onEdit={() => setOpened(silence)} onChanged={reload} />
          ))}
        </ul>
      ) : null}
      {data && data.silences.totalCount > silences.length ? (
        <p class="faint small">
          {count(silences.length)} / {count(data.silences.totalCount)}
        </p>
      ) : null}
      {opened ? (
        <SilenceForm
          known={opened === MAKING ? null : opened}
          onDone={done}
          onClose={() => setOpened(null)}
        />
      ) : null}
    </div>
  );
}

function Row({
  silence,
  onEdit,
  onChanged,
}: {
  silence: Silence;
  onEdit: () => void;
  onChanged: () => void;
}) {
  const w = silenceWords();
  const isOver = silence.state === 'EXPIRED';
  return (
    <li>
      <div class="silence-what">
        <p class="row">
          <span
            class={`tag ${silence.state === 'ACTIVE' ? 'warn' : silence.state === 'PENDING' ? 'accent' : ''}`}
          >
            {w.states[silence.state]}
          </span>
          <MatcherList matchers={silence.matchers} />
        </p>
        <p>{silence.comment}</p>
        <p class="small soft row">
          <span>
            {silence.state === 'ACTIVE' && !silence.recurrence
              ? w.until(dayAndTime(silence.endsAt))
              : w.from(dayAndTime(silence.startsAt), dayAndTime(silence.endsAt))}
          </span>
          {silence.recurrence ? (
            <span title={silence.recurrence}>
              {w.again} ({silence.timeZone})
            </span>
          ) : null}
          {silence.endOnResolve ? <span>{w.endsEarly}</span> : null}
          {isOver ? null : <span>{w.covers(silence.matchedCount)}</span>}
          <span class="faint">{w.by(silence.createdBy.name)}</span>
        </p>
      </div>
      {mayAct.value && !isOver ? (
        <div class="row">
          <button
            type="button"
            class="button"
            aria-label={`${common().edit}: ${silence.comment}`}
            onClick={onEdit}
          >
            {common().edit}
          </button>
          <button
            type="button"
            class="button danger"
            aria-label={`${w.expire}: ${silence.comment}`}
            onClick={() => void expire(silence, onChanged)}
          >
            {w.expire}
          </button>
        </div>
      ) : (
        <span />
      )}
    </li>
  );
}

async function expire(silence: Silence, onChanged: () => void): Promise<void> {
  try {
    const { expireSilence } = await ask(ExpireSilence, { input: { id: silence.id } });
    const [problem] = expireSilence.errors;
    if (problem) return complain(problem.message);
    say(silenceWords().ended);
    onChanged();
  } catch (error) {
    complain(error instanceof Error ? error.message : String(error));
  }
}
