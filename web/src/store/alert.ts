/** An alert as lists know it, and the order of lists. */
import type { AlertRowFragment, AlertFilter as Filter } from '../api/documents';

export type Alert = AlertRowFragment;
export type AlertFilter = Filter;
export type Severity = Alert['severity'];
export type Status = Alert['status'];

export type OrderField = 'TRIGGERED_AT' | 'LAST_SEEN_AT' | 'SEVERITY' | 'INCIDENT_PROBABILITY';

export interface Order {
  readonly field: OrderField;
  readonly direction: 'ASC' | 'DESC';
}

export const SEVERITIES: readonly Severity[] = ['CRITICAL', 'HIGH', 'MEDIUM', 'LOW', 'INFO'];

/** The place of an alert in an order: by the value, equal ones by id. */
export interface Place {
  readonly value: number;
  readonly tie: string;
}

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const SORTED = [...BASE64URL].sort().join('');
const TRANSLATED = new Map([...BASE64URL].map((letter, index) => [letter, SORTED[index]!]));

/** Return a text that sorts as the server sorts ids, by their bytes: base64url does not. */
export function tieOf(id: string): string {
  let tie = '';
  for (const letter of id.slice(id.indexOf('_') + 1)) tie += TRANSLATED.get(letter) ?? letter;
  return tie;
}

/** Return where an alert stands. A larger value comes first where the direction is DESC. */
export function placeOf(alert: Alert, field: OrderField): Place {
  return { value: orderedBy(alert, field), tie: tieOf(alert.id) };
}

function orderedBy(alert: Alert, field: OrderField): number {
  switch (field) {
    case 'TRIGGERED_AT':
      return instant(alert.triggeredAt);
    case 'LAST_SEEN_AT':
      return instant(alert.lastSeenAt);
    case 'SEVERITY':
      return SEVERITIES.length - SEVERITIES.indexOf(alert.severity);
    case 'INCIDENT_PROBABILITY':
      return alert.prediction?.incidentProbability ?? Number.NaN;
  }
}

/** Return an instant in microseconds, which is as finely as the server tells them apart. */
export function instant(text: string): number {
  const fraction = /\.(\d{1,6})/.exec(text)?.[1] ?? '';
  return Math.floor(Date.parse(text) / 1_000) * 1_000_000 + Number(fraction.padEnd(6, '0') || 0);
}

/** Compare two places: negative where the first comes first. Of whom nothing was said comes last, whichever way. */
export function compare(a: Place, b: Place, direction: Order['direction']): number {
  const sign = direction === 'DESC' ? -1 : 1;
  const isUnsaid = Number.isNaN(a.value);
  if (isUnsaid !== Number.isNaN(b.value)) return isUnsaid ? 1 : -1;
  if (!isUnsaid && a.value !== b.value) return a.value < b.value ? -sign : sign;
  if (a.tie === b.tie) return 0;
  return a.tie < b.tie ? -sign : sign;
}
