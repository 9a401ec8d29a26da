/** Asks who stands in, and from when to when. */
import { useEffect, useState } from 'preact/hooks';
import { useForm } from '../../api/hooks';
import { ask, idempotencyKey } from '../../api/transport';
import { Dialog } from '../../parts/dialog';
import { Field, Problems } from '../../parts/field';
import { complain, say } from '../../parts/toast';
import { viewer } from '../../session';
import { common } from '../../words/common';
import type { Span } from './calendar-time';
import { OnCallResponders } from './documents';
import { moment } from './moments';
import { attempted, deleteOverride, makeOverride } from './override-changes';
import { fieldInstant, fieldText } from './wall-clock';
import { onCallWords } from './words';

interface Person {
  readonly id: string;
  readonly name: string;
}

/** People are asked for by the hundred; more than this nobody chooses from. */
const PAGE_COUNT_MAX = 20;

export function StandIn({
  scheduleId,
  scheduleName,
  zone,
  time,
  onDone,
  onClose,
}: {
  scheduleId: string;
  scheduleName: string;
  zone: string;
  /** What was chosen; it can be changed still. */
  time: Span;
  onDone: () => void;
  onClose: () => void;
}) {
  const w = onCallWords();
  const [people, setPeople] = useState<readonly Person[] | null>(null);
  const [key] = useState(idempotencyKey);
  const form = useForm({
    responderId: viewer.value?.responder?.id ?? '',
    from: fieldText(time.startsAt, zone),
    to: fieldText(time.endsAt, zone),
  });
  const { values } = form;

  useEffect(() => {
    const abort = new AbortController();
    allPeople(abort.signal).then(setPeople, error => {
      if (abort.signal.aborted) return;
      setPeople([]);
      complain(error instanceof Error ? error.message : String(error));
    });
    return () => abort.abort();
  }, []);

  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const [startsAt, endsAt] = [fieldInstant(values.from, zone), fieldInstant(values.to, zone)];
    let made: string | null = null;
    const isDone = await form.submit(async ({ responderId }) => {
      const missing = [
        ...(responderId ? [] : [problem(w.chooseSomebody, 'responderId')]),
        ...(startsAt === null ? [problem(w.notATime, 'startsAt')] : []),
        ...(endsAt === null ? [problem(w.notATime, 'endsAt')] : []),
      ];
      if (missing.length > 0 || startsAt === null || endsAt === null) return missing;
      const input = {
        scheduleId,
        responderId,
        startsAt: new Date(startsAt).toISOString(),
        endsAt: new Date(endsAt).toISOString(),
        // What was changed since it was refused is another wish.
        idempotencyKey: `${key} ${responderId} ${startsAt} ${endsAt}`,
      };
      const { id, problems } = await makeOverride(input);
      made = id;
      return problems;
    });
    if (!isDone || startsAt === null || endsAt === null) return;
    const name = people?.find(person => person.id === values.responderId)?.name ?? '';
    const id = made as string | null;
    say(
      w.isSet(name, moment(startsAt, zone), moment(endsAt, zone)),
      id === null
        ? null
        : async () => {
            await attempted(() => deleteOverride(id));
            onDone();
          },
    );
    onDone();
  };

  return (
    <Dialog
      title={w.standInTitle(scheduleName)}
      onClose={onClose}
      actions={
        <>
          <button type="button" class="button" onClick={onClose}>
            {common().cancel}
          </button>
          <button type="submit" form="oncall-stand-in" class="button first" disabled={form.isSending}>
            {w.putOnCall}
          </button>
        </>
      }
    >
      <form id="oncall-stand-in" class="stack" onSubmit={event => void submit(event)} noValidate>
        <Field label={w.who} error={form.errorAt('responderId')}>
          <select
            class="input"
            data-first
            value={values.responderId}
            onChange={event => form.set({ responderId: event.currentTarget.value })}
          >
            <option value="">{people === null ? common().loading : w.choose}</option>
            {people?.map(person => (
              <option key={person.id} value={person.id}>
                {person.name}
              </option>
            ))}
          </select>
        </Field>
        <div class="oncall-times">
          <Field label={w.from} error={form.errorAt('startsAt')}>
            <input
              class="input"
              type="datetime-local"
              value={values.from}
              onInput={event => form.set({ from: event.currentTarget.value })}
            />
          </Field>
          <Field label={w.to} error={form.errorAt('endsAt')}>
            <input
              class="input"
              type="datetime-local"
              value={values.to}
              onInput={event => form.set({ to: event.currentTarget.value })}
            />
          </Field>
        </div>
        <p class="small faint">{w.timesOf(zone)}</p>
        <Problems form={form} shown={['responderId', 'startsAt', 'endsAt']} />
      </form>
    </Dialog>
  );
}

function problem(message: string, field: string) {
  return { code: 'INVALID', message, path: ['input', field] };
}

async function allPeople(signal: AbortSignal): Promise<Person[]> {
  const people: Person[] = [];
  let after: string | null = null;
  for (let page = 0; page < PAGE_COUNT_MAX; page += 1) {
    const {
      responders,
    }: {
      responders: { nodes: readonly Person[]; pageInfo: { hasNextPage: boolean; endCursor?: string | null } };
    } = await ask(OnCallResponders, { after }, signal);
    people.push(...responders.nodes);
    after = responders.pageInfo.endCursor ?? null;
    if (!responders.pageInfo.hasNextPage || after === null) break;
  }
  return people.sort((a, b) => a.name.localeCompare(b.name));
}
