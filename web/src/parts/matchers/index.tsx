/** Conditions on labels: to read, and to write with what is in use as suggestions. */
import { useId } from 'preact/hooks';
import { type Form, useQuery } from '../../api/hooks';
import { LabelNames, LabelValues } from './documents';
import { brief, EMPTY, type Matcher, OPERATORS, type Operator, shownIndex } from './matcher';
import './matchers.css';
import { matcherWords } from './words';

/** Conditions as tags; all must hold. */
export function MatcherList({ matchers }: { matchers: readonly Matcher[] }) {
  if (matchers.length === 0) return <span class="soft small">{matcherWords().any}</span>;
  return (
    <span class="matcher-list">
      {matchers.map(matcher => (
        <code key={brief(matcher)}>{brief(matcher)}</code>
      ))}
    </span>
  );
}

/** Conditions to fill in, with the server's errors beside the one that they are about. */
export function MatcherFields<T extends object>({
  legend,
  form,
  name,
  matchers,
  onChange,
}: {
  legend: string;
  form: Form<T>;
  /** The input's field, such as `matchers`. */
  name: string;
  matchers: readonly Matcher[];
  onChange: (matchers: readonly Matcher[]) => void;
}) {
  const w = matcherWords();
  const names = useQuery(LabelNames, {});
  const id = useId();
  const change = (index: number, patch: Partial<Matcher>): void =>
    onChange(matchers.map((each, at) => (at === index ? { ...each, ...patch } : each)));
  const problems = form.problems.flatMap(problem => {
    const path = problem.path?.[0] === 'input' ? problem.path.slice(1) : (problem.path ?? []);
    if (path[0] !== name) return [];
    const at = path[1] === undefined ? -1 : shownIndex(matchers, Number(path[1]));
    return [{ at, part: path[2] ?? 'value', message: problem.message }];
  });
  const whole = problems.filter(problem => problem.at < 0);
  return (
    <fieldset class="matchers" aria-describedby={whole.length > 0 ? `${id}-error` : `${id}-hint`}>
      <legend>{legend}</legend>
      {matchers.map((matcher, index) => {
        const own = problems.filter(problem => problem.at === index);
        return (
          <div key={index}>
            <div class="matcher">
              <input
                class="input"
                aria-label={w.label}
                value={matcher.label}
                list={`${id}-names`}
                autocomplete="off"
                spellcheck={false}
                placeholder={w.label}
                aria-invalid={own.some(problem => problem.part === 'label') ? 'true' : undefined}
                aria-describedby={own.length > 0 ? `${id}-${index}` : undefined}
                onInput={event => change(index, { label: event.currentTarget.value })}
              />
              <select
                class="input"
                aria-label={w.operator}
                value={matcher.operator}
                onChange={event => change(index, { operator: event.currentTarget.value as Operator })}
              >
                {OPERATORS.map(each => (
                  <option key={each} value={each}>
                    {w.operators[each]}
                  </option>
                ))}
              </select>
              <Value
                matcher={matcher}
                list={`${id}-values-${index}`}
                isWrong={own.some(problem => problem.part !== 'label')}
                describedBy={own.length > 0 ? `${id}-${index}` : undefined}
                onChange={value => change(index, { value })}
              />
              <button
                type="button"
                class="button plain"
                aria-label={w.remove(matcher.label)}
                onClick={() => onChange(matchers.filter((_, at) => at !== index))}
              >
                ✕
              </button>
            </div>
            {own.length > 0 ? (
              <p class="field-error" id={`${id}-${index}`}>
                {own.map(problem => problem.message).join(' ')}
              </p>
            ) : null}
          </div>
        );
      })}
      <datalist id={`${id}-names`}>
        {names.data?.labelSuggestions.map(each => (
          <option key={each} value={each} />
        ))}
        {['@service', '@severity', '@source', '@title', '@dedup_key'].map(each => (
          <option key={each} value={each} />
        ))}
      </datalist>
      <div class="row">
        <button type="button" class="button" onClick={() => onChange([...matchers, EMPTY])}>
          + {w.add}
        </button>
      </div>
      <p class="field-hint" id={`${id}-hint`}>
        {w.builtIns}
      </p>
      {whole.length > 0 ? (
        <p class="field-error" id={`${id}-error`}>
          {whole.map(problem => problem.message).join(' ')}
        </p>
      ) : null}
    </fieldset>
  );
}

function Value({
  matcher,
  list,
  isWrong,
  describedBy,
  onChange,
}: {
  matcher: Matcher;
  list: string;
  isWrong: boolean;
  describedBy: string | undefined;
  onChange: (value: string) => void;
}) {
  const label = matcher.label.trim();
  const values = useQuery(LabelValues, label && !label.startsWith('@') ? { label } : null);
  return (
    <>
      <input
        class="input"
        aria-label={matcherWords().value}
        value={matcher.value}
        list={list}
        autocomplete="off"
        spellcheck={false}
        placeholder={matcherWords().value}
        aria-invalid={isWrong ? 'true' : undefined}
        aria-describedby={describedBy}
        onInput={event => onChange(event.currentTarget.value)}
      />
      <datalist id={list}>
        {values.data?.labelSuggestions.map(each => (
          <option key={each} value={each} />
        ))}
      </datalist>
    </>
  );
}
