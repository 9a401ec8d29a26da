import { useEffect, useMemo } from 'preact/hooks';
import { until } from '../../clock';
import { ARRIVAL_MS, alertSignal, arrivals, dropAlert } from '../../live';
import { Icon } from '../../parts/icon';
import { SeverityMark } from '../../parts/severity';
import { Ago } from '../../parts/time';
import { href } from '../../router';
import { type Alert, SEVERITIES } from '../../store/alert';
import { common } from '../../words/common';
import { count, countdown, percent } from '../../words/time';
import type { GroupItem } from './items';
import { w } from './words';

/** Labels that say least, since they are in the row already. */
const SAID = new Set(['service', 'severity', 'alertname']);

interface LineProps {
  id: string;
  /** Its place in the list, from 1. */
  index: number;
  top: number;
  isMember: boolean;
  isCurrent: boolean;
  isChosen: boolean;
  onChoose: (id: string, isRange: boolean) => void;
  onPoint: (key: string) => void;
}

/** One alert in the list; it changes with the alert and with nothing else. */
export function AlertLine({ id, index, top, isMember, isCurrent, isChosen, onChoose, onPoint }: LineProps) {
  const row = useMemo(() => alertSignal(id), [id]);
  useEffect(() => () => dropAlert(id), [id]);
  const alert = row.value;
  if (!alert) return null;
  const hasArrived = Date.now() - (arrivals.get(id) ?? 0) < ARRIVAL_MS;
  return (
    <div
      id={`line-${id}`}
      role="row"
      tabIndex={-1}
      aria-rowindex={index}
      aria-selected={isChosen}
      class={`line ${alert.status.toLowerCase()}${isMember ? ' member' : ''}${isCurrent ? ' current' : ''}${hasArrived ? ' arrived' : ''}`}
      style={{ top: `${top}px` }}
      data-alert={id}
      data-status={alert.status}
      onPointerDown={() => onPoint(id)}
    >
      <span role="gridcell" class="line-choose">
        <input
          type="checkbox"
          tabIndex={-1}
          checked={isChosen}
          aria-label={w().select(alert.title)}
          onClick={event => onChoose(id, event.shiftKey)}
        />
      </span>
      <span role="gridcell" class="line-severity">
        <SeverityMark severity={alert.severity} />
      </span>
      <span role="gridcell" class="line-alert">
        <a class="line-title cut" href={href(`alerts/${id}`)} tabIndex={-1}>
          {alert.title}
        </a>
        <span class="line-about cut">
          {alert.monitoredService ? <b>{alert.monitoredService}</b> : null}
          {labelsOf(alert).map(([name, value]) => (
            <span key={name} class="line-label">
              {name}={value}
            </span>
          ))}
          <span class="faint">{alert.source}</span>
        </span>
      </span>
      <span role="gridcell" class="line-hints">
        {alert.occurrenceCount > 1 ? (
          <span class="faint number">{w().times(count(alert.occurrenceCount))}</span>
        ) : null}
        {alert.sla.acknowledgeBreached || alert.sla.resolveBreached ? (
          <span class="tag bad">{w().sla}</span>
        ) : null}
        {alert.prediction && !alert.prediction.abstained ? (
          <Chance of={alert.prediction.incidentProbability} />
        ) : null}
      </span>
      <span role="gridcell" class="line-state">
        <StateWords alert={alert} />
      </span>
      <span role="gridcell" class="line-age number">
        <Ago at={alert.triggeredAt} />
      </span>
    </div>
  );
}

function labelsOf(alert: Alert): [string, string][] {
  return Object.entries(alert.labels as Record<string, string>)
    .filter(([name, value]) => !SAID.has(name) && value !== alert.monitoredService)
    .slice(0, 3);
}

/** Where an alert stands, and what comes next, in a few words. */
export function StateWords({ alert }: { alert: Alert }) {
  if (alert.status === 'RESOLVED') return <span class="state good">{common().status.RESOLVED}</span>;
  if (alert.status === 'ACKNOWLEDGED')
    return (
      <span class="state calm">
        <Icon name="check" size={14} />
        <span class="cut">{alert.acknowledgedBy?.name ?? common().status.ACKNOWLEDGED}</span>
        {alert.acknowledgedUntil ? (
          <span class="number">{countdown(until(alert.acknowledgedUntil))}</span>
        ) : null}
      </span>
    );
  if (alert.nextEscalationAt) {
    const seconds = until(alert.nextEscalationAt);
    return (
      <span class="state climbing">
        <span class="state-level">L{alert.escalationLevel}</span>
        {seconds > 0 ? (
          <>
            <span class="hidden-visually">{w().next}</span>
            <span aria-hidden="true">↑</span>
            <span class="number">{countdown(seconds)}</span>
          </>
        ) : (
          w().due
        )}
      </span>
    );
  }
  if (alert.holdReason)
    return <span class="state held cut">{w().hold[alert.holdReason] ?? alert.holdReason.toLowerCase()}</span>;
  return <span class="state">{common().status.TRIGGERED}</span>;
}

/** A chance as a bar and a number. */
function Chance({ of }: { of: number }) {
  const shown = percent(of);
  return (
    <span class="chance" title={w().chance(shown)}>
      <span class="chance-bar" aria-hidden="true">
        <span style={{ width: shown.replace(/\s/g, '') }} />
      </span>
      <span class="number">{shown}</span>
      <span class="hidden-visually">{w().chance('')}</span>
    </span>
  );
}

/** The heading of an incident's alerts. */
export function GroupLine({
  item,
  index,
  top,
  get,
  isCurrent,
  chosenCount,
  onChoose,
  onToggle,
  onPoint,
}: {
  item: GroupItem;
  index: number;
  top: number;
  get: (id: string) => Alert | undefined;
  isCurrent: boolean;
  chosenCount: number;
  onChoose: (ids: readonly string[], isOn: boolean) => void;
  onToggle: (incidentId: string, isOpen: boolean) => void;
  onPoint: (key: string) => void;
}) {
  const alerts = item.ids.flatMap(id => get(id) ?? []);
  const incident = alerts[0]?.incident;
  if (!incident) return null;
  const worst =
    SEVERITIES.find(severity => alerts.some(alert => alert.severity === severity)) ?? incident.severity;
  const services = new Set(alerts.map(alert => alert.monitoredService)).size;
  const isAll = chosenCount === item.ids.length;
  const waiting = alerts.filter(alert => alert.status === 'TRIGGERED').length;
  return (
    <div
      id={`line-${item.key}`}
      role="row"
      tabIndex={-1}
      aria-rowindex={index}
      aria-expanded={item.isOpen}
      class={`line group${isCurrent ? ' current' : ''}`}
      style={{ top: `${top}px` }}
      data-incident={item.incidentId}
      onPointerDown={() => onPoint(item.key)}
    >
      <span role="gridcell" class="line-choose">
        <input
          type="checkbox"
          tabIndex={-1}
          checked={isAll}
          indeterminate={chosenCount > 0 && !isAll}
          aria-label={w().select(incident.title)}
          onClick={() => onChoose(item.ids, !isAll)}
        />
      </span>
      <span role="gridcell" class="line-severity">
        <SeverityMark severity={worst} />
      </span>
      <span role="gridcell" class="line-alert">
        <button
          type="button"
          class="line-fold cut"
          tabIndex={-1}
          aria-label={`${w().fold}: ${incident.title}`}
          onClick={() => onToggle(item.incidentId, !item.isOpen)}
        >
          <span class="line-arrow" aria-hidden="true">
            {item.isOpen ? '▾' : '▸'}
          </span>
          {incident.title}
        </button>
        <span class="line-about cut">{w().incident(count(item.ids.length), services)}</span>
      </span>
      <span role="gridcell" class="line-hints" />
      <span role="gridcell" class="line-state">
        <span class={waiting > 0 ? 'state climbing' : 'state calm'}>
          {waiting > 0
            ? `${count(waiting)} ${common().status.TRIGGERED.toLowerCase()}`
            : common().status.ACKNOWLEDGED}
        </span>
      </span>
      <span role="gridcell" class="line-age number">
        <Ago at={alerts[0]!.triggeredAt} />
      </span>
    </div>
  );
}
