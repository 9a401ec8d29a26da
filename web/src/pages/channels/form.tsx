/** Makes or changes a channel; what its kind needs follows from the kind. */
import type { TargetedInputEvent, VNode } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { useForm } from '../../api/hooks';
import { ask, idempotencyKey } from '../../api/transport';
import { Dialog } from '../../parts/dialog';
import { Field, Problems, Tick } from '../../parts/field';
import { say } from '../../parts/toast';
import { common } from '../../words/common';
import {
  ChannelPreview,
  type ChannelPreviewQuery,
  type ChannelRowFragment,
  CreateChannel,
  type CreateChannelMutationVariables,
  UpdateChannel,
  type UpdateChannelMutationVariables,
} from './documents';
import { type Draft, draftOf, inputOf, KINDS, type Kind, NEW_DRAFT, type Spec } from './draft';
import { channelWords } from './words';

const SHOWN = ['name', 'fallbackId', 'template', 'config'];

export function ChannelForm({
  known,
  others,
  onDone,
  onClose,
}: {
  /** What is changed; null to make a new one. */
  known: ChannelRowFragment | null;
  /** What it may fall back to. */
  others: readonly ChannelRowFragment[];
  onDone: () => void;
  onClose: () => void;
}) {
  const w = channelWords();
  const form = useForm<Draft>(known ? draftOf(known) : NEW_DRAFT);
  const { values } = form;
  const { field, specs } = KINDS[values.kind];
  // What was changed since it was refused is another wish.
  const key = useMemo(idempotencyKey, [values]);
  const [secret, setSecret] = useState<string | null>(null);

  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    let made: string | null = null;
    const isDone = await form.submit(async draft => {
      // The kind's own field holds its own values: which they are follows from the kind, as the types can't know.
      const input = inputOf(draft, known);
      if (known) {
        const change = { id: known.id, expectedVersion: known.version, ...input };
        const { updateNotificationChannel } = await ask(UpdateChannel, {
          input: change as UpdateChannelMutationVariables['input'],
        });
        return updateNotificationChannel.errors;
      }
      const creation = { ...input, idempotencyKey: key };
      const { createNotificationChannel } = await ask(CreateChannel, {
        input: creation as CreateChannelMutationVariables['input'],
      });
      made = createNotificationChannel.webhookSecret ?? null;
      return createNotificationChannel.errors;
    });
    if (!isDone) return;
    say(w.saved);
    if (made === null) onDone();
    else setSecret(made);
  };

  if (secret !== null)
    return (
      <Dialog
        title={w.make}
        onClose={onDone}
        actions={
          <button type="button" class="button first" onClick={onDone}>
            {w.understood}
          </button>
        }
      >
        <Field label={w.secretOnce}>
          <input class="input mono" readOnly value={secret} onFocus={event => event.currentTarget.select()} />
        </Field>
      </Dialog>
    );
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
          <button type="submit" form="channel-form" class="button first" disabled={form.isSending}>
            {common().save}
          </button>
        </>
      }
    >
      <form
        id="channel-form"
        class="stack"
        onSubmit={event => void submit(event)}
        noValidate
        autocomplete="off"
      >
        <div class="channel-pair">
          <Field label={common().name} error={form.errorAt('name')}>
            <input
              class="input"
              data-first
              value={values.name}
              onInput={event => form.set({ name: event.currentTarget.value })}
            />
          </Field>
          <Field label={w.kind}>
            <select
              class="input"
              value={values.kind}
              disabled={known !== null}
              onChange={event => form.set({ kind: event.currentTarget.value as Kind, config: {} })}
            >
              {(Object.keys(KINDS) as Kind[]).map(each => (
                <option key={each} value={each}>
                  {w.kinds[each]}
                </option>
              ))}
            </select>
          </Field>
        </div>
        {specs.map(spec => (
          <Field
            key={`${field} ${spec.name}`}
            label={w.fields[spec.name as keyof typeof w.fields]}
            error={form.errorAt('config', field, spec.name) ?? listError(form.problems, field, spec)}
            {...(spec.isSecret && known ? { hint: w.keep } : spec.name === 'secret' ? { hint: w.made } : {})}
          >
            <Control
              spec={spec}
              value={values.config[spec.name] ?? ''}
              onChange={value => form.set({ config: { ...values.config, [spec.name]: value } })}
            />
          </Field>
        ))}
        {(form.errorAt('config') ?? form.errorAt('config', field)) ? (
          <p class="field-error">{form.errorAt('config') ?? form.errorAt('config', field)}</p>
        ) : null}
        <Field label={w.fallbackTo} error={form.errorAt('fallbackId')}>
          <select
            class="input"
            value={values.fallbackId}
            onChange={event => form.set({ fallbackId: event.currentTarget.value })}
          >
            <option value="">{w.noFallback}</option>
            {others.map(each => (
              <option key={each.id} value={each.id}>
                {each.name}
              </option>
            ))}
          </select>
        </Field>
        <Field label={w.template} hint={w.templateHint} error={form.errorAt('template')}>
          <textarea
            class="input mono"
            rows={4}
            spellcheck={false}
            value={values.template}
            onInput={event => form.set({ template: event.currentTarget.value })}
          />
        </Field>
        {known ? <Preview channelId={known.id} template={values.template} /> : null}
        <Tick label={w.isOn} checked={values.enabled} onChange={enabled => form.set({ enabled })} />
        <Problems form={form} shown={SHOWN} />
      </form>
    </Dialog>
  );
}

/** One value of a kind; what `Field` gives is passed on to the control itself. */
function Control({
  spec,
  value,
  onChange,
  ...given
}: {
  spec: Spec;
  value: string;
  onChange: (value: string) => void;
}): VNode<Record<string, unknown>> {
  const w = channelWords();
  if (spec.choices)
    return (
      <select {...given} class="input" value={value} onChange={event => onChange(event.currentTarget.value)}>
        {(['', ...spec.choices] as (keyof typeof w.presets)[]).map(each => (
          <option key={each} value={each}>
            {w.presets[each]}
          </option>
        ))}
      </select>
    );
  const common = {
    ...given,
    class: 'input',
    spellcheck: false,
    placeholder: spec.placeholder,
    value,
    onInput: (event: TargetedInputEvent<HTMLInputElement>) => onChange(event.currentTarget.value),
  };
  return spec.isSecret ? (
    <input {...common} type="password" autocomplete="new-password" />
  ) : (
    <input {...common} type="text" autocomplete="off" />
  );
}

function Preview({ channelId, template }: { channelId: string; template: string }) {
  const w = channelWords();
  const [preview, setPreview] = useState<ChannelPreviewQuery['notificationPreview'] | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const show = (): void => {
    ask(ChannelPreview, { channelId, template: template || null }).then(
      answer => {
        const found = answer.notificationPreview;
        setPreview(found);
        setProblem(found.errors.map(each => each.message).join(' ') || null);
      },
      error => setProblem(error instanceof Error ? error.message : String(error)),
    );
  };
  return (
    <section class="channel-preview" aria-label={w.preview}>
      <div class="row">
        <h3 class="grow">{w.preview}</h3>
        <button type="button" class="button" onClick={show}>
          {w.show}
        </button>
      </div>
      <div aria-live="polite">
        {problem ? <p class="field-error">{problem}</p> : null}
        {preview && !problem ? (
          <>
            {preview.subject ? <p class="small">{preview.subject}</p> : null}
            <pre class="small">{preview.text}</pre>
          </>
        ) : null}
      </div>
    </section>
  );
}

/** What was said of one of the values of a list. */
function listError(
  problems: readonly { readonly path: readonly string[] | null; readonly message: string }[],
  field: string,
  spec: Spec,
): string | null {
  if (!spec.isList) return null;
  const prefix = `input config ${field} ${spec.name} `;
  return problems.find(each => `${(each.path ?? []).join(' ')} `.startsWith(prefix))?.message ?? null;
}
