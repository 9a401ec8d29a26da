/** Which events are shown together, as the address names them. */
import type { EventKind } from './documents';

export type Group = 'all' | 'alerts' | 'deliveries' | 'incidents' | 'configuration' | 'personal' | 'models';

export const GROUPS: Readonly<Record<Group, readonly EventKind[]>> = {
  all: [],
  alerts: [
    'TRIGGERED',
    'REPEATED',
    'UPDATED',
    'ACKNOWLEDGED',
    'UNACKNOWLEDGED',
    'ASSIGNED',
    'ESCALATED',
    'RESOLVED',
    'REOPENED',
    'NOTED',
    'FEEDBACK_GIVEN',
    'SILENCED',
    'UNSILENCED',
    'INHIBITED',
    'UNINHIBITED',
    'HELD',
    'SLA_AT_RISK',
    'SLA_BREACHED',
  ],
  deliveries: ['DELIVERY_SENT', 'DELIVERY_FAILED', 'DELIVERY_FELL_BACK', 'DELIVERY_SKIPPED'],
  incidents: [
    'GROUPED',
    'UNGROUPED',
    'INCIDENT_OPENED',
    'INCIDENT_UPDATED',
    'INCIDENT_ACKNOWLEDGED',
    'INCIDENT_RESOLVED',
    'INCIDENT_MERGED',
    'INCIDENT_SPLIT',
  ],
  configuration: ['CONFIG_CREATED', 'CONFIG_UPDATED', 'CONFIG_DELETED'],
  personal: ['PERSONAL_DATA_READ'],
  models: ['PREDICTED', 'MODEL_PROMOTED', 'MODEL_ROLLED_BACK'],
};

/** Return the group that an address names; everything where it names none. */
export function groupOf(name: string | null): Group {
  return name !== null && Object.hasOwn(GROUPS, name) ? (name as Group) : 'all';
}
