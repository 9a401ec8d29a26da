/** Makes or changes a silence, and shows meanwhile what it would cover. */
import { useEffect, useMemo, useState } from 'preact/hooks';
import { type Form, useForm, useQuery } from '../../api/hooks';
import { ask, idempotencyKey, type ProblemAt } from '../../api/transport';
import { now } from '../../clock';
import { Dialog } from '../../parts/dialog';
import { Field, Problems, Tick } from '../../parts/field';
import { MatcherFields } from '../../parts/matchers';
import { EMPTY, filledIn, type Matcher } from '../../parts/matchers/matcher';
import { SeverityMark } from '../../parts/severity';
import { say } from '../../parts/toast';
import { href } from '../../router';
import { common } from '../../words/common';
import { CreateSilence, SilencePreview, UpdateSilence } from './documents';
import {
  badTimes,
  type Draft,
  draftOf,
  inputOf,
  type Known,
  LENGTHS,
  type Length,
  lasting,
  newDraft,
  patchOf,
  SIMPLE,
} from './draft';
import { silenceWords } from './words';

const HERE = Intl.DateTimeFormat().resolvedOptions().timeZone;
const PREVIEW_AFTER_MS = 300;
const SHOWN = ['matchers', 'startsAt', 'endsAt', 'recurrence', 'timeZone', 'comment'];

export function SilenceForm({
  known,
  matchers = [EMPTY],
  onDone,
  onClose,
}: {
  /** What is changed; null to make a new one. */
  known: Known | null;
  /** What a new one begins with. */
  matchers?: readonly Matcher[];
  onDone: () => void;
  onClose: () => void;
}) {
  const w = silenceWords();
  const form = useForm<Draft>(known ? draftOf(known) : newDraft(now.value, HERE, matchers));
  const { values } = form;
  // What was changed since it was refused is another wish.
  const key = useMemo(idempotencyKey, [values]);
  const [isOwnRule, setOwnRule] = useState(!SIMPLE.some(each => each === values.recurrence));

  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    let covered = 0;
    const isDone = await form.submit(async draft => {
      const bad = badTimes(draft);
      if (bad.length > 0) return bad.map(field => wrong(w.notATime, field));
      if (known) {
        const { updateSilence } = await ask(UpdateSilence, { input: patchOf(draft, known) });
        return updateSilence.errors;
      }
      const input = inputOf(draft);
      const { createSilence } = await ask(CreateSilence, { input: { ...input, idempotencyKey: key } });
      covered = createSilence.silence?.matchedCount ?? 0;
      return createSilence.errors;
    });
    if (!isDone) return;
    say(known ? w.changed : w.made(covered));
    onDone();
  };

  return (
    <Dialog
      title={known ? w.change : w.make}
      onClose={onClose}
      isWide
      actions={
        <>
          <button type="button" class="button" onClick={onClose}>
            {common().cancel}
          </button>
          <button type="submit" form="silence-form" class="button first" disabled={form.isSending}>
            {known ? common().save : common().create}
          </button>
        </>
      }
    >
      <form id="silence-form" class="stack" onSubmit={event => void submit(event)} noValidate>
        <MatcherFields
          legend={w.matchers}
          form={form}
          name="matchers"
          matchers={values.matchers}
          onChange={changed => form.set({ matchers: changed })}
        />
        <Preview matchers={values.matchers} />
        <div class="silence-times">
          <Field label={w.startsAt} hint={w.startsHint} error={form.errorAt('startsAt')}>
            <input
              class="input"
              type="datetime-local"
              value={values.startsAt}
              onInput={event => form.set({ startsAt: event.currentTarget.value })}
            />
          </Field>
          <Field label={w.endsAt} error={form.errorAt('endsAt')}>
            <input
              class="input"
              type="datetime-local"
              value={values.endsAt}
              onInput={event => form.set({ endsAt: event.currentTarget.value })}
            />
          </Field>
          <Lengths form={form} />
        </div>
        <div class="silence-times">
          <Field label={w.recurrence} error={isOwnRule ? null : form.errorAt('recurrence')}>
            <select
              class="input"
              value={isOwnRule ? 'own' : values.recurrence}
              onChange={event => {
                const chosen = event.currentTarget.value;
                setOwnRule(chosen === 'own');
                if (chosen !== 'own') form.set({ recurrence: chosen });
              }}
            >
              {([...SIMPLE, 'own'] as const).map(each => (
                <option key={each} value={each}>
                  {w.recurrences[each]}
                </option>
              ))}
            </select>
          </Field>
          {isOwnRule ? (
            <Field label={w.rule} error={form.errorAt('recurrence')}>
              <input
                class="input mono"
                value={values.recurrence}
                placeholder="FREQ=WEEKLY;BYDAY=SU"
                spellcheck={false}
                onInput={event => form.set({ recurrence: event.currentTarget.value })}
              />
            </Field>
          ) : null}
          {values.recurrence || isOwnRule ? (
            <Field label={w.timeZone} error={form.errorAt('timeZone')}>
              <input
                class="input"
                value={values.timeZone}
                spellcheck={false}
                onInput={event => form.set({ timeZone: event.currentTarget.value })}
              />
            </Field>
          ) : null}
        </div>
        <Tick
          label={w.endOnResolve}
          checked={values.endOnResolve}
          onChange={endOnResolve => form.set({ endOnResolve })}
        />
        <Field label={w.comment} hint={w.commentHint} error={form.errorAt('comment')}>
          <input
            class="input"
            value={values.comment}
            onInput={event => form.set({ comment: event.currentTarget.value })}
          />
        </Field>
        <Problems form={form} shown={SHOWN} />
      </form>
    </Dialog>
  );
}

function Lengths({ form }: { form: Form<Draft> }) {
  const w = silenceWords();
  return (
    <fieldset class="silence-lengths">
      <legend>{w.forHow}</legend>
      <div class="row">
        {(Object.keys(LENGTHS) as Length[]).map(each => (
          <button
            key={each}
            type="button"
            class="button"
            onClick={() => form.set(lasting(form.values, each, now.value))}
          >
            {w.lengths[each]}
          </button>
        ))}
      </div>
    </fieldset>
  );
}

function Preview({ matchers }: { matchers: readonly Matcher[] }) {
  const w = silenceWords();
  const wanted = JSON.stringify(filledIn(matchers));
  const [settled, setSettled] = useState(wanted);
  useEffect(() => {
    // While somebody types, what they have typed so far covers anything.
    const timer = setTimeout(() => setSettled(wanted), PREVIEW_AFTER_MS);
    return () => clearTimeout(timer);
  }, [wanted]);
  const asked = JSON.parse(settled) as Matcher[];
  const { data, error } = useQuery(SilencePreview, asked.length > 0 ? { matchers: asked } : null);
  const preview = asked.length > 0 ? data?.silencePreview : undefined;
  return (
    <section class="silence-preview" aria-live="polite" aria-label={w.preview}>
      <h3>{w.preview}</h3>
      {asked.length === 0 ? <p class="small soft">{w.previewEmpty}</p> : null}
      {asked.length > 0 && error ? <p class="small bad">{error.message}</p> : null}
      {preview && !error ? (
        <>
          <p class="row small">
            <strong>{w.openNow(preview.openCount)}</strong>
            <span class="soft">{w.lastWeek(preview.lastWeekCount)}</span>
          </p>
          <ul>
            {preview.alerts.map(alert => (
              <li key={alert.id} class="row small">
                <SeverityMark severity={alert.severity} isBrief />
                <a class="cut grow" href={href(`alerts/${alert.id}`)} target="_blank" rel="noreferrer">
                  {alert.title}
                </a>
              </li>
            ))}
          </ul>
          {preview.openCount > preview.alerts.length ? (
            <p class="small faint">{w.andMore(preview.openCount - preview.alerts.length)}</p>
          ) : null}
        </>
      ) : null}
    </section>
  );
}

function wrong(message: string, field: string): ProblemAt {
  return { code: 'INVALID_INPUT', message, path: ['input', field] };
}
