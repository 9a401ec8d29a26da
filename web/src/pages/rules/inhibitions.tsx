/** Which alerts cover which others while they are open. */
import { useMemo, useState } from 'preact/hooks';
import { useForm, useQuery } from '../../api/hooks';
import { ask, idempotencyKey } from '../../api/transport';
import { Dialog } from '../../parts/dialog';
import { Field, Problems, Tick } from '../../parts/field';
import { MatcherFields, MatcherList } from '../../parts/matchers';
import { EMPTY, filledIn, type Matcher } from '../../parts/matchers/matcher';
import { removed } from '../../parts/removal';
import { Missing } from '../../parts/state';
import { say } from '../../parts/toast';
import { may } from '../../session';
import { common } from '../../words/common';
import {
  CreateInhibitionRule,
  DeleteInhibitionRule,
  InhibitionRules,
  type InhibitionRulesQuery,
  UpdateInhibitionRule,
} from './documents';
import { ruleWords } from './words';

type Inhibition = InhibitionRulesQuery['inhibitionRules']['nodes'][number];

const SHOWN = ['name', 'sourceMatchers', 'targetMatchers', 'equalLabels'];

export function Inhibitions() {
  const w = ruleWords();
  const { data, error, reload } = useQuery(
    InhibitionRules,
    {},
    event => event.subjectType === 'InhibitionRule',
  );
  const [opened, setOpened] = useState<Inhibition | 'new' | null>(null);
  const isAdmin = may('ADMIN');
  const rules = data?.inhibitionRules.nodes ?? [];
  return (
    <section class="stack" aria-labelledby="rules-inhibition">
      <div class="row">
        <h2 id="rules-inhibition" class="grow">
          {w.inhibition}
        </h2>
        {isAdmin ? (
          <button type="button" class="button" onClick={() => setOpened('new')}>
            {w.makeInhibition}
          </button>
        ) : null}
      </div>
      <p class="soft">{w.inhibitionWhat}</p>
      {data ? null : <Missing error={error} isLoading={!error} onRetry={reload} />}
      {data && rules.length === 0 ? <p class="soft">{w.noInhibition}</p> : null}
      {rules.length > 0 ? (
        <ul class="rows tall">
          {rules.map(rule => (
            <li key={rule.id}>
              <div class="rule-what">
                <p class="row">
                  <strong>{rule.name}</strong>
                  {rule.enabled ? null : <span class="tag warn">{w.off}</span>}
                </p>
                <p class="row small">
                  <MatcherList matchers={rule.sourceMatchers} />
                  <span class="soft">{w.covers}</span>
                  <MatcherList matchers={rule.targetMatchers} />
                  {rule.equalLabels.length > 0 ? (
                    <span class="soft">{w.equalIn(rule.equalLabels.join(', '))}</span>
                  ) : null}
                </p>
              </div>
              {isAdmin ? (
                <div class="row">
                  <button
                    type="button"
                    class="button"
                    aria-label={`${common().edit}: ${rule.name}`}
                    onClick={() => setOpened(rule)}
                  >
                    {common().edit}
                  </button>
                  <button
                    type="button"
                    class="button danger"
                    aria-label={`${common().remove}: ${rule.name}`}
                    onClick={() =>
                      void removed(w.sure(rule.name), w.removed(rule.name), async () => {
                        const { deleteInhibitionRule } = await ask(DeleteInhibitionRule, {
                          input: { id: rule.id },
                        });
                        return deleteInhibitionRule.errors;
                      }).then(reload)
                    }
                  >
                    {common().remove}
                  </button>
                </div>
              ) : (
                <span />
              )}
            </li>
          ))}
        </ul>
      ) : null}
      {opened ? (
        <InhibitionForm
          known={opened === 'new' ? null : opened}
          onDone={() => {
            setOpened(null);
            reload();
          }}
          onClose={() => setOpened(null)}
        />
      ) : null}
    </section>
  );
}

function InhibitionForm({
  known,
  onDone,
  onClose,
}: {
  known: Inhibition | null;
  onDone: () => void;
  onClose: () => void;
}) {
  const w = ruleWords();
  const form = useForm({
    name: known?.name ?? '',
    enabled: known?.enabled ?? true,
    sourceMatchers: (known?.sourceMatchers ?? [EMPTY]) as readonly Matcher[],
    targetMatchers: (known?.targetMatchers ?? [EMPTY]) as readonly Matcher[],
    equalLabels: known?.equalLabels.join(', ') ?? '',
  });
  const { values } = form;
  const key = useMemo(idempotencyKey, [values]);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const isDone = await form.submit(async draft => {
      const input = {
        name: draft.name,
        enabled: draft.enabled,
        sourceMatchers: filledIn(draft.sourceMatchers),
        targetMatchers: filledIn(draft.targetMatchers),
        equalLabels: draft.equalLabels
          .split(',')
          .map(each => each.trim())
          .filter(Boolean),
      };
      if (known) {
        const { updateInhibitionRule } = await ask(UpdateInhibitionRule, {
          input: { id: known.id, expectedVersion: known.version, ...input },
        });
        return updateInhibitionRule.errors;
      }
      const { createInhibitionRule } = await ask(CreateInhibitionRule, {
        input: { ...input, idempotencyKey: key },
      });
      return createInhibitionRule.errors;
    });
    if (!isDone) return;
    say(w.saved);
    onDone();
  };
  return (
    <Dialog
      title={known ? w.changeInhibition : w.makeInhibition}
      onClose={onClose}
      isWide
      actions={
        <>
          <button type="button" class="button" onClick={onClose}>
            {common().cancel}
          </button>
          <button type="submit" form="inhibition-form" class="button first" disabled={form.isSending}>
            {common().save}
          </button>
        </>
      }
    >
      <form id="inhibition-form" class="stack" onSubmit={event => void submit(event)} noValidate>
        <Field label={w.name} error={form.errorAt('name')}>
          <input
            class="input"
            data-first
            value={values.name}
            onInput={event => form.set({ name: event.currentTarget.value })}
          />
        </Field>
        <MatcherFields
          legend={w.source}
          form={form}
          name="sourceMatchers"
          matchers={values.sourceMatchers}
          onChange={sourceMatchers => form.set({ sourceMatchers })}
        />
        <MatcherFields
          legend={w.target}
          form={form}
          name="targetMatchers"
          matchers={values.targetMatchers}
          onChange={targetMatchers => form.set({ targetMatchers })}
        />
        <Field label={w.equal} hint={w.equalHint} error={form.errorAt('equalLabels')}>
          <input
            class="input"
            value={values.equalLabels}
            spellcheck={false}
            onInput={event => form.set({ equalLabels: event.currentTarget.value })}
          />
        </Field>
        <Tick label={w.isOn} checked={values.enabled} onChange={enabled => form.set({ enabled })} />
        <Problems form={form} shown={SHOWN} />
      </form>
    </Dialog>
  );
}
