import { type ComponentChildren, cloneElement, type VNode } from 'preact';
import { useId } from 'preact/hooks';
import type { Form } from '../api/hooks';
import { common } from '../words/common';
import './field.css';

/** A label, a control, and what the server said of its value. The control is one element, such as an input. */
export function Field({
  label,
  hint,
  error = null,
  children,
}: {
  label: string;
  hint?: string;
  /** As `form.errorAt(…)` gives it. */
  error?: string | null;
  children: VNode<Record<string, unknown>>;
}) {
  const id = useId();
  const described = [hint ? `${id}-hint` : null, error ? `${id}-error` : null].filter(Boolean).join(' ');
  return (
    <div class={`field${error ? ' wrong' : ''}`}>
      <label for={id}>{label}</label>
      {cloneElement(children, {
        id,
        'aria-invalid': error ? 'true' : undefined,
        'aria-describedby': described || undefined,
      })}
      {hint ? (
        <p class="field-hint" id={`${id}-hint`}>
          {hint}
        </p>
      ) : null}
      {error ? (
        <p class="field-error" id={`${id}-error`}>
          {error}
        </p>
      ) : null}
    </div>
  );
}

/** A box to tick, with its words beside it. */
export function Tick({
  label,
  checked,
  onChange,
  disabled = false,
}: {
  label: ComponentChildren;
  checked: boolean;
  onChange: (checked: boolean) => void;
  disabled?: boolean;
}) {
  return (
    <label class="tick">
      <input
        type="checkbox"
        checked={checked}
        disabled={disabled}
        onChange={event => onChange(event.currentTarget.checked)}
      />
      <span>{label}</span>
    </label>
  );
}

/** What the server said of a form as a whole, or of values that have no field: all that `shown` does not name. */
export function Problems<T>({ form, shown = [] }: { form: Form<T>; shown?: readonly string[] }) {
  const left = form.problems.filter(problem => {
    const path = problem.path?.[0] === 'input' ? problem.path.slice(1) : (problem.path ?? []);
    return path.length === 0 || !shown.includes(path[0]!);
  });
  if (left.length === 0) return null;
  return (
    <div class="problems" role="alert">
      {left.map(problem => (
        <p key={problem.message}>
          {problem.code === 'VERSION_CONFLICT' ? common().changedMeanwhile : problem.message}
          {problem.path && problem.path.length > 1 ? <code> {problem.path.slice(1).join('.')}</code> : null}
        </p>
      ))}
    </div>
  );
}
