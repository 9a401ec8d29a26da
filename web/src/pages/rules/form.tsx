/** Makes or changes an escalation rule: which alerts, and the ladder that they climb. */
import { useMemo } from 'preact/hooks';
import { type Form, useForm, useQuery } from '../../api/hooks';
import { ask, idempotencyKey } from '../../api/transport';
import { Dialog } from '../../parts/dialog';
import { Field, Problems, Tick } from '../../parts/field';
import { MatcherFields } from '../../parts/matchers';
import { SeverityMark } from '../../parts/severity';
import { say } from '../../parts/toast';
import type { Severity } from '../../store/alert';
import { common } from '../../words/common';
import { secondsOf } from '../../words/time';
import { CreateEscalationRule, RuleTargets, type RuleTargetsQuery, UpdateEscalationRule } from './documents';
import {
  badDelays,
  type Draft,
  draftOf,
  inputOf,
  type Known,
  type Level,
  NEW_DRAFT,
  NEW_LEVEL,
  shownTarget,
  UNITS,
  type Unit,
} from './draft';
import { ruleWords } from './words';

const SEVERITIES: readonly Severity[] = ['CRITICAL', 'HIGH', 'MEDIUM', 'LOW', 'INFO'];
const SHOWN = ['name', 'matchers', 'incidentProbabilityMin', 'repeatCount', 'levels'];

export function RuleForm({
  known,
  onDone,
  onClose,
}: {
  /** What is changed; null to make a new one. */
  known: Known | null;
  onDone: () => void;
  onClose: () => void;
}) {
  const w = ruleWords();
  const form = useForm<Draft>(known ? draftOf(known, secondsOf) : NEW_DRAFT);
  const { values } = form;
  // What was changed since it was refused is another wish.
  const key = useMemo(idempotencyKey, [values]);
  const targets = useQuery(RuleTargets, {});

  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const isDone = await form.submit(async draft => {
      const bad = badDelays(draft);
      if (bad.length > 0)
        return bad.map(index => ({
          code: 'INVALID_INPUT',
          message: w.notALength,
          path: ['input', 'levels', String(index), 'delay'],
        }));
      const input = inputOf(draft);
      if (known) {
        const { updateEscalationRule } = await ask(UpdateEscalationRule, {
          input: { id: known.id, expectedVersion: known.version, ...input },
        });
        return updateEscalationRule.errors;
      }
      const { createEscalationRule } = await ask(CreateEscalationRule, {
        input: { ...input, idempotencyKey: key },
      });
      return createEscalationRule.errors;
    });
    if (!isDone) return;
    say(w.saved);
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
          <button type="submit" form="rule-form" class="button first" disabled={form.isSending}>
            {common().save}
          </button>
        </>
      }
    >
      <form id="rule-form" class="stack" onSubmit={event => void submit(event)} noValidate>
        <Field label={w.name} error={form.errorAt('name')}>
          <input
            class="input"
            data-first
            value={values.name}
            onInput={event => form.set({ name: event.currentTarget.value })}
          />
        </Field>
        <fieldset class="rule-part">
          <legend>{w.severities}</legend>
          <div class="row">
            {SEVERITIES.map(severity => (
              <Tick
                key={severity}
                label={<SeverityMark severity={severity} />}
                checked={values.severities.includes(severity)}
                onChange={isChosen =>
                  form.set({
                    severities: SEVERITIES.filter(each =>
                      each === severity ? isChosen : values.severities.includes(each),
                    ),
                  })
                }
              />
            ))}
            {values.severities.length === 0 ? <span class="small soft">{w.anySeverity}</span> : null}
          </div>
        </fieldset>
        <MatcherFields
          legend={w.matchers}
          form={form}
          name="matchers"
          matchers={values.matchers}
          onChange={matchers => form.set({ matchers })}
        />
        <fieldset class="rule-part">
          <legend>{w.ladder}</legend>
          <ol class="stack">
            {values.levels.map((level, index) => (
              <LevelFields key={index} form={form} level={level} index={index} targets={targets.data} />
            ))}
          </ol>
          <div class="row">
            <button
              type="button"
              class="button"
              onClick={() => form.set({ levels: [...values.levels, NEW_LEVEL] })}
            >
              + {w.addLevel}
            </button>
          </div>
          {form.errorAt('levels') ? <p class="field-error">{form.errorAt('levels')}</p> : null}
        </fieldset>
        <div class="rule-numbers">
          <Field label={w.repeatCount} error={form.errorAt('repeatCount')}>
            <input
              class="input"
              type="number"
              min={0}
              max={100}
              value={values.repeatCount}
              onInput={event => form.set({ repeatCount: event.currentTarget.value })}
            />
          </Field>
          <Field label={w.chanceMin} hint={w.chanceHint} error={form.errorAt('incidentProbabilityMin')}>
            <input
              class="input"
              type="number"
              min={0}
              max={100}
              step="any"
              value={values.chanceMin}
              onInput={event => form.set({ chanceMin: event.currentTarget.value })}
            />
          </Field>
        </div>
        <Tick
          label={w.escalateOnSla}
          checked={values.escalateOnSla}
          onChange={escalateOnSla => form.set({ escalateOnSla })}
        />
        <Tick label={w.isOn} checked={values.enabled} onChange={enabled => form.set({ enabled })} />
        <Problems form={form} shown={SHOWN} />
      </form>
    </Dialog>
  );
}

function LevelFields({
  form,
  level,
  index,
  targets,
}: {
  form: Form<Draft>;
  level: Level;
  index: number;
  targets: RuleTargetsQuery | undefined;
}) {
  const w = ruleWords();
  const { levels } = form.values;
  const change = (patch: Partial<Level>): void =>
    form.set({ levels: levels.map((each, at) => (at === index ? { ...each, ...patch } : each)) });
  // The server counts those that were sent.
  const errorOf = (at: number): string | null =>
    level.targets.reduce<string | null>((found, _, sent) => {
      if (found !== null || shownTarget(level.targets, sent) !== at) return found;
      return (
        form.errorAt('levels', index, 'targets', sent) ??
        ['responderId', 'scheduleId', 'channelId'].reduce<string | null>(
          (told, kind) => told ?? form.errorAt('levels', index, 'targets', sent, kind),
          null,
        )
      );
    }, null);
  const whole = form.errorAt('levels', index, 'targets') ?? form.errorAt('levels', index);
  return (
    <li class="rule-level">
      <div class="row">
        <h3 class="grow">{w.level(index + 1)}</h3>
        {levels.length > 1 ? (
          <button
            type="button"
            class="button plain"
            aria-label={w.removeLevel(index + 1)}
            onClick={() => form.set({ levels: levels.filter((_, at) => at !== index) })}
          >
            ✕
          </button>
        ) : null}
      </div>
      {level.targets.map((target, at) => (
        <div class="rule-target" key={at}>
          <Field label={w.targets} error={errorOf(at)}>
            <select
              class="input"
              value={target}
              onChange={event =>
                change({
                  targets: level.targets.map((each, place) =>
                    place === at ? event.currentTarget.value : each,
                  ),
                })
              }
            >
              <option value="">{targets ? w.choose : common().loading}</option>
              <Choices label={w.schedules} kind="scheduleId" of={targets?.onCallSchedules.nodes} />
              <Choices label={w.people} kind="responderId" of={targets?.responders.nodes} />
              <Choices label={w.channels} kind="channelId" of={targets?.notificationChannels.nodes} />
            </select>
          </Field>
          {level.targets.length > 1 ? (
            <button
              type="button"
              class="button plain"
              aria-label={w.removeTarget}
              onClick={() => change({ targets: level.targets.filter((_, place) => place !== at) })}
            >
              ✕
            </button>
          ) : null}
        </div>
      ))}
      {whole ? <p class="field-error">{whole}</p> : null}
      <div class="row">
        <button type="button" class="button" onClick={() => change({ targets: [...level.targets, ''] })}>
          + {w.addTarget}
        </button>
      </div>
      <div class="rule-delay">
        <Field label={w.delay} error={form.errorAt('levels', index, 'delay')}>
          <input
            class="input"
            inputMode="decimal"
            value={level.amount}
            onInput={event => change({ amount: event.currentTarget.value })}
          />
        </Field>
        <Field label={w.unit}>
          <select
            class="input"
            value={level.unit}
            onChange={event => change({ unit: event.currentTarget.value as Unit })}
          >
            {(Object.keys(UNITS) as Unit[]).map(each => (
              <option key={each} value={each}>
                {w.units[each]}
              </option>
            ))}
          </select>
        </Field>
      </div>
    </li>
  );
}

function Choices({
  label,
  kind,
  of,
}: {
  label: string;
  kind: string;
  of: readonly { id: string; name: string }[] | undefined;
}) {
  if (!of || of.length === 0) return null;
  return (
    <optgroup label={label}>
      {of.map(each => (
        <option key={each.id} value={`${kind}:${each.id}`}>
          {each.name}
        </option>
      ))}
    </optgroup>
  );
}
