/** Alerts for tests: what a test is not about is filled in. */
import type { Alert } from './alert';

export function anAlert(patch: Partial<Alert> = {}): Alert {
  return {
    id: 'alt_AAAAAAAAAAAAAAAAAAAAAA',
    version: 1,
    dedupKey: 'a',
    title: 'High error rate',
    severity: 'HIGH',
    status: 'TRIGGERED',
    source: 'prometheus',
    monitoredService: 'checkout',
    labels: {},
    occurrenceCount: 1,
    triggeredAt: '2026-11-23T03:00:00Z',
    lastSeenAt: '2026-11-23T03:00:00Z',
    acknowledgedAt: null,
    acknowledgedUntil: null,
    acknowledgedBy: null,
    resolvedAt: null,
    escalationLevel: 0,
    nextEscalationAt: null,
    holdReason: null,
    verdict: null,
    sla: {
      acknowledgeBy: '2026-11-23T04:00:00Z',
      resolveBy: '2026-11-23T07:00:00Z',
      acknowledgeBreached: false,
      resolveBreached: false,
    },
    assignee: null,
    silencedBy: [],
    incident: null,
    prediction: null,
    ...patch,
  };
}

/** Return an id as the service writes them, of 16 bytes. */
export function anId(number: number): string {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt32BE(number, 12);
  // Every byte counts in the order of ids.
  bytes.writeUInt8((number * 37) % 256, 8);
  return `alt_${bytes.toString('base64url')}`;
}
