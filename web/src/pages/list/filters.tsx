import { useId, useState } from 'preact/hooks';
import { useForm, useQuery } from '../../api/hooks';
import { ask } from '../../api/transport';
import { Dialog } from '../../parts/dialog';
import { Field, Problems, Tick } from '../../parts/field';
import { say } from '../../parts/toast';
import { navigate, query } from '../../router';
import { may } from '../../session';
import { OPEN, paramsOf, textOf, withTyped } from '../../store/address';
import {
  type AlertFilter,
  type Order,
  type OrderField,
  SEVERITIES,
  type Severity,
  type Status,
} from '../../store/alert';
import { common } from '../../words/common';
import { percent } from '../../words/time';
import { DeleteView, SavedViews, SaveView, Suggestions } from './documents';
import { w } from './words';

const ORDERS: readonly OrderField[] = ['TRIGGERED_AT', 'SEVERITY', 'INCIDENT_PROBABILITY', 'LAST_SEEN_AT'];

/** What a list is narrowed to: quick switches, chips, a field for more, and saved views. It all lives in the address. */
export function Filters({
  filter,
  order,
  isGrouped,
}: {
  filter: AlertFilter;
  order: Order;
  isGrouped: boolean;
}) {
  const go = (next: AlertFilter, nextOrder: Order = order): void => {
    const params = paramsOf(next, nextOrder);
    if (query.value.get('grouped') === 'no') params.set('grouped', 'no');
    navigate('', { params });
  };
  const status = filter.status ?? [];
  const isStatus = (wanted: readonly Status[]): boolean =>
    status.length === wanted.length && wanted.every(each => status.includes(each));
  const statuses: readonly [string, readonly Status[]][] = [
    [w().open, OPEN],
    [w().triggered, ['TRIGGERED']],
    [w().acknowledged, ['ACKNOWLEDGED']],
    [w().resolved, ['RESOLVED']],
  ];
  const severities = filter.severity ?? [];
  const toggleSeverity = (severity: Severity): void => {
    const next = severities.includes(severity)
      ? severities.filter(each => each !== severity)
      : [...severities, severity];
    const { severity: _, ...rest } = filter;
    go(next.length > 0 ? { ...rest, severity: next } : rest);
  };
  return (
    <div class="filters">
      <div class="filters-row">
        <div class="switches" role="group" aria-label={w().status}>
          {statuses.map(([label, wanted]) => (
            <button
              key={label}
              type="button"
              class="switch"
              aria-pressed={isStatus(wanted)}
              onClick={() => go({ ...filter, status: [...wanted] })}
            >
              {label}
            </button>
          ))}
        </div>
        <div class="switches" role="group" aria-label={w().severity}>
          {SEVERITIES.map(severity => (
            <button
              key={severity}
              type="button"
              class="switch"
              aria-pressed={severities.includes(severity)}
              onClick={() => toggleSeverity(severity)}
            >
              {common().severity[severity]}
            </button>
          ))}
        </div>
        <FilterField onAdd={typed => go(withTyped(filter, typed))} />
        <select
          class="input filters-order"
          aria-label={w().order}
          value={order.field}
          onChange={event =>
            go(filter, { field: event.currentTarget.value as OrderField, direction: 'DESC' })
          }
        >
          {ORDERS.map(field => (
            <option key={field} value={field}>
              {w().orders[field]}
            </option>
          ))}
        </select>
        {order.field === 'TRIGGERED_AT' ? (
          <Tick
            label={w().grouped}
            checked={isGrouped}
            onChange={isOn => {
              const params = paramsOf(filter, order);
              if (!isOn) params.set('grouped', 'no');
              navigate('', { params, replace: true });
            }}
          />
        ) : null}
        <Views filter={filter} order={order} />
      </div>
      <Chips filter={filter} onChange={go} />
    </div>
  );
}

function FilterField({ onAdd }: { onAdd: (typed: string) => void }) {
  const [text, setText] = useState('');
  const id = useId();
  const last = text.split(/\s/).at(-1) ?? '';
  const [, label, begun = ''] = /^([^=!~:]+)[=:](.*)$/.exec(last) ?? [];
  const isService = label === 'service';
  const { data } = useQuery(
    Suggestions,
    text ? { label: label && !isService ? label : null, prefix: (label ? begun : last) || null } : null,
  );
  const names = label
    ? isService
      ? (data?.monitoredServices.nodes ?? []).map(({ name }) => `service:${name}`)
      : (data?.labelSuggestions ?? []).map(value => `${label}=${value}`)
    : (data?.labelSuggestions ?? []).map(name => `${name}=`);
  const head = text.slice(0, text.length - last.length);
  return (
    <form
      class="filters-field"
      role="search"
      onSubmit={event => {
        event.preventDefault();
        if (!text.trim()) return;
        onAdd(text.trim());
        setText('');
      }}
    >
      <input
        id="filter"
        class="input"
        type="search"
        autocomplete="off"
        list={id}
        aria-label={w().filterLabel}
        placeholder={w().filter}
        value={text}
        onInput={event => setText(event.currentTarget.value)}
        onKeyDown={event => {
          if (event.key !== 'Escape') return;
          setText('');
          event.currentTarget.blur();
        }}
      />
      <datalist id={id}>
        {names.map(name => (
          <option key={name} value={head + name} />
        ))}
      </datalist>
    </form>
  );
}

function Chips({ filter, onChange }: { filter: AlertFilter; onChange: (filter: AlertFilter) => void }) {
  const chips: { text: string; without: AlertFilter }[] = [];
  const names = w().chip;
  for (const [name, value] of Object.entries(filter) as [keyof AlertFilter, unknown][]) {
    if (value == null || name === 'status' || name === 'severity') continue;
    const { [name]: _, ...rest } = filter;
    const label = name in names ? names[name as keyof typeof names] : null;
    if (name === 'matchers') {
      for (const matcher of filter.matchers ?? []) {
        const left = (filter.matchers ?? []).filter(each => each !== matcher);
        chips.push({ text: textOf(matcher), without: left.length > 0 ? { ...rest, matchers: left } : rest });
      }
    } else if (Array.isArray(value) && label) {
      for (const each of value as string[]) {
        const left = (value as string[]).filter(other => other !== each);
        chips.push({
          text: `${label}: ${each}`,
          without: left.length > 0 ? { ...rest, [name]: left } : rest,
        });
      }
    } else if (name === 'silenced')
      chips.push({ text: `${names.silenced}: ${value ? common().yes : common().no}`, without: rest });
    else if (name === 'incidentProbabilityMin')
      chips.push({ text: `${label} ${percent(value as number)}`, without: rest });
    else chips.push({ text: label ? `${label}: ${value}` : `${names.other} ${name}`, without: rest });
  }
  if (chips.length === 0) return null;
  return (
    <ul class="chips">
      {chips.map(chip => (
        <li key={chip.text} class="chip">
          <span class="cut">{chip.text}</span>
          <button type="button" aria-label={w().removeChip(chip.text)} onClick={() => onChange(chip.without)}>
            ✕
          </button>
        </li>
      ))}
    </ul>
  );
}

function Views({ filter, order }: { filter: AlertFilter; order: Order }) {
  const [isSaving, setSaving] = useState(false);
  const { data, reload } = useQuery(SavedViews, {}, event => event.subjectType === 'SavedView');
  const views = data?.savedViews.nodes ?? [];
  const here = paramsOf(filter, order).toString();
  const addressOf = (view: (typeof views)[number]): URLSearchParams =>
    paramsOf(
      view.filter as AlertFilter,
      (view.orderBy as Order | null) ?? { field: 'TRIGGERED_AT', direction: 'DESC' },
    );
  const current = views.find(view => addressOf(view).toString() === here);
  return (
    <>
      <select
        class="input filters-views"
        aria-label={w().views}
        value={current?.id ?? ''}
        onChange={event => {
          const chosen = event.currentTarget.value;
          event.currentTarget.value = current?.id ?? '';
          if (chosen === '+') setSaving(true);
          else if (chosen === '-' && current)
            void ask(DeleteView, { input: { id: current.id } }).then(reload, () => reload());
          else {
            const view = views.find(each => each.id === chosen);
            navigate('', view ? { params: addressOf(view) } : {});
          }
        }}
      >
        <option value="">{w().views}</option>
        {views.map(view => (
          <option key={view.id} value={view.id}>
            {view.name}
          </option>
        ))}
        <option value="+">{w().saveView}</option>
        {current ? <option value="-">{w().removeView(current.name)}</option> : null}
      </select>
      {isSaving ? (
        <SaveViewDialog
          filter={filter}
          order={order}
          onClose={() => {
            setSaving(false);
            reload();
          }}
        />
      ) : null}
    </>
  );
}

function SaveViewDialog({
  filter,
  order,
  onClose,
}: {
  filter: AlertFilter;
  order: Order;
  onClose: () => void;
}) {
  const form = useForm({ name: '', shared: false });
  const submit = async (event: Event) => {
    event.preventDefault();
    const isDone = await form.submit(
      async values =>
        (await ask(SaveView, { input: { ...values, filter, orderBy: order } })).createSavedView.errors,
    );
    if (!isDone) return;
    say(w().saved);
    onClose();
  };
  return (
    <form onSubmit={submit}>
      <Dialog
        title={w().saveTitle}
        onClose={onClose}
        actions={
          <button type="submit" class="button first" disabled={form.isSending}>
            {common().save}
          </button>
        }
      >
        <Problems form={form} shown={['name']} />
        <Field label={common().name} error={form.errorAt('name')}>
          <input
            class="input"
            value={form.values.name}
            onInput={event => form.set({ name: event.currentTarget.value })}
          />
        </Field>
        {may('RESPONDER') ? (
          <Tick label={w().shared} checked={form.values.shared} onChange={shared => form.set({ shared })} />
        ) : null}
      </Dialog>
    </form>
  );
}
