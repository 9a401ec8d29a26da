import { useState } from 'preact/hooks';
import { useForm } from '../api/hooks';
import { Dialog } from '../parts/dialog';
import { Field, Problems, Tick } from '../parts/field';
import type { Alert } from '../store/alert';
import { common } from '../words/common';
import { silence } from './index';
import { w } from './words';

const LENGTHS = [1_800, 3_600, 14_400, 86_400] as const;

/** RE2 takes these as they are only behind a backslash. */
function literally(text: string): string {
  return text.replace(/[\\.+*?()|[\]{}^$]/g, '\\$&');
}

/** Ask for how long, why, and whether others like these are meant, too. */
export function SilenceDialog({ alerts, onClose }: { alerts: readonly Alert[]; onClose: () => void }) {
  const form = useForm({ seconds: 3_600, comment: w().whyDefault as string });
  const shared = sharedLabels(alerts);
  const [labels, setLabels] = useState<readonly string[]>([]);
  const names = [w().minutes30, w().hour, w().hours4, w().day];
  const submit = async (event: Event) => {
    event.preventDefault();
    const matchers =
      labels.length > 0
        ? labels.map(label => ({ label, operator: 'EQUAL' as const, value: shared[label]! }))
        : alerts.length === 1
          ? [{ label: '@dedup_key', operator: 'EQUAL' as const, value: alerts[0]!.dedupKey }]
          : [
              {
                label: '@dedup_key',
                operator: 'REGEX' as const,
                value: alerts.map(alert => literally(alert.dedupKey)).join('|'),
              },
            ];
    if (await form.submit(values => silence(matchers, values.seconds, values.comment))) onClose();
  };
  return (
    <form onSubmit={submit}>
      <Dialog
        title={w().silenceTitle}
        onClose={onClose}
        actions={
          <>
            <button type="button" class="button" onClick={onClose}>
              {common().cancel}
            </button>
            <button type="submit" class="button first" disabled={form.isSending}>
              {w().silenceTitle}
            </button>
          </>
        }
      >
        <Problems form={form} shown={['comment', 'endsAt']} />
        <Field label={w().forHow} error={form.errorAt('endsAt')}>
          <select
            class="input"
            value={form.values.seconds}
            onChange={event => form.set({ seconds: Number(event.currentTarget.value) })}
          >
            {LENGTHS.map((seconds, index) => (
              <option key={seconds} value={seconds}>
                {names[index]}
              </option>
            ))}
          </select>
        </Field>
        <fieldset class="silence-which">
          <legend>{w().which}</legend>
          <Tick label={w().these} checked={labels.length === 0} onChange={() => setLabels([])} />
          {Object.keys(shared).length > 0 ? <p class="faint small">{w().alike}</p> : null}
          {Object.entries(shared).map(([label, value]) => (
            <Tick
              key={label}
              label={
                <code>
                  {label}={value}
                </code>
              }
              checked={labels.includes(label)}
              onChange={checked =>
                setLabels(checked ? [...labels, label] : labels.filter(each => each !== label))
              }
            />
          ))}
        </fieldset>
        <Field label={w().why} error={form.errorAt('comment')}>
          <input
            class="input"
            data-first
            value={form.values.comment}
            onInput={event => form.set({ comment: event.currentTarget.value })}
          />
        </Field>
      </Dialog>
    </form>
  );
}

function sharedLabels(alerts: readonly Alert[]): Record<string, string> {
  const [first, ...others] = alerts;
  if (!first) return {};
  return Object.fromEntries(
    Object.entries(first.labels as Record<string, string>).filter(([label, value]) =>
      others.every(other => (other.labels as Record<string, string>)[label] === value),
    ),
  );
}
