/** Rules: which alerts are told to whom, and when; and which alerts cover others. */
import { useState } from 'preact/hooks';
import { useQuery } from '../../api/hooks';
import { ask } from '../../api/transport';
import { useCommands } from '../../keys';
import { MatcherList } from '../../parts/matchers';
import { removed } from '../../parts/removal';
import { SeverityMark } from '../../parts/severity';
import { Missing } from '../../parts/state';
import { complain } from '../../parts/toast';
import { may } from '../../session';
import { common } from '../../words/common';
import { inWords, secondsOf } from '../../words/time';
import {
  DeleteEscalationRule,
  EscalationRules,
  type EscalationRulesQuery,
  UpdateEscalationRule,
} from './documents';
import { RuleForm } from './form';
import { Inhibitions } from './inhibitions';
import './rules.css';
import { ruleWords } from './words';

type Rule = EscalationRulesQuery['escalationRules']['nodes'][number];

const TOUCHING = new Set(['EscalationRule', 'Responder', 'OnCallSchedule', 'NotificationChannel']);

export default function RulesPage() {
  const w = ruleWords();
  const { data, error, reload } = useQuery(EscalationRules, {}, event =>
    TOUCHING.has(event.subjectType ?? ''),
  );
  const [opened, setOpened] = useState<Rule | 'new' | null>(null);
  const isAdmin = may('ADMIN');
  const rules = data?.escalationRules.nodes ?? [];
  useCommands(
    isAdmin
      ? [{ name: 'rule.new', label: w.make, keys: ['n'], group: w.title, run: () => setOpened('new') }]
      : [],
  );
  return (
    <div class="page">
      <header>
        <h1 class="grow">{w.title}</h1>
        {isAdmin ? (
          <button type="button" class="button first" onClick={() => setOpened('new')}>
            {w.make}
          </button>
        ) : (
          <span class="small faint">{common().needs('ADMIN')}</span>
        )}
      </header>
      <p class="soft">{w.what}</p>
      {data ? null : <Missing error={error} isLoading={!error} onRetry={reload} />}
      {data && rules.length === 0 ? <Missing>{w.none}</Missing> : null}
      {rules.length > 0 ? (
        <ol class="rows tall">
          {rules.map((rule, index) => (
            <Row
              key={rule.id}
              rule={rule}
              before={rules[index - 1] ?? null}
              after={rules[index + 1] ?? null}
              onEdit={() => setOpened(rule)}
              onChanged={reload}
            />
          ))}
        </ol>
      ) : null}
      <Inhibitions />
      {opened ? (
        <RuleForm
          known={opened === 'new' ? null : opened}
          onDone={() => {
            setOpened(null);
            reload();
          }}
          onClose={() => setOpened(null)}
        />
      ) : null}
    </div>
  );
}

function Row({
  rule,
  before,
  after,
  onEdit,
  onChanged,
}: {
  rule: Rule;
  before: Rule | null;
  after: Rule | null;
  onEdit: () => void;
  onChanged: () => void;
}) {
  const w = ruleWords();
  const remove = (): void => {
    void removed(w.sure(rule.name), w.removed(rule.name), async () => {
      const { deleteEscalationRule } = await ask(DeleteEscalationRule, { input: { id: rule.id } });
      return deleteEscalationRule.errors;
    }).then(onChanged);
  };
  return (
    <li>
      <div class="rule-what">
        <p class="row">
          <strong>{rule.name}</strong>
          {rule.enabled ? null : <span class="tag warn">{w.off}</span>}
        </p>
        <p class="row small">
          {rule.severities.map(severity => (
            <SeverityMark key={severity} severity={severity} />
          ))}
          {rule.matchers.length > 0 || rule.severities.length === 0 ? (
            <MatcherList matchers={rule.matchers} />
          ) : null}
          {rule.incidentProbabilityMin !== null && rule.incidentProbabilityMin !== undefined ? (
            <span class="soft">{w.chance(rule.incidentProbabilityMin)}</span>
          ) : null}
        </p>
        <ol class="rule-ladder small">
          {rule.levels.map((level, index) => (
            <li key={level.number}>
              <span class="soft">
                {index === 0 ? w.atOnce : w.after(inWords(secondsOf(rule.levels[index - 1]!.delay)))}
              </span>
              {level.targets.map(target => (
                <span key={target.id} class="tag accent">
                  {target.name}
                </span>
              ))}
            </li>
          ))}
          {rule.repeatCount > 0 ? <li class="soft">{w.again(rule.repeatCount)}</li> : null}
          {rule.escalateOnSla ? <li class="soft">· {w.onSla}</li> : null}
        </ol>
      </div>
      {may('ADMIN') ? (
        <div class="row">
          <button
            type="button"
            class="button plain"
            aria-label={w.up(rule.name)}
            disabled={!before}
            onClick={() => before && void move(rule, before.position, onChanged)}
          >
            ↑
          </button>
          <button
            type="button"
            class="button plain"
            aria-label={w.down(rule.name)}
            disabled={!after}
            onClick={() => after && void move(rule, after.position, onChanged)}
          >
            ↓
          </button>
          <button type="button" class="button" aria-label={`${common().edit}: ${rule.name}`} onClick={onEdit}>
            {common().edit}
          </button>
          <button
            type="button"
            class="button danger"
            aria-label={`${common().remove}: ${rule.name}`}
            onClick={remove}
          >
            {common().remove}
          </button>
        </div>
      ) : (
        <span />
      )}
    </li>
  );
}

async function move(rule: Rule, position: number, onChanged: () => void): Promise<void> {
  try {
    const { updateEscalationRule } = await ask(UpdateEscalationRule, { input: { id: rule.id, position } });
    const [problem] = updateEscalationRule.errors;
    if (problem) complain(problem.message);
    onChanged();
  } catch (error) {
    complain(error instanceof Error ? error.message : String(error));
  }
}
