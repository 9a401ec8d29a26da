/** What a list shows, line by line: alerts, and those of one incident under a heading. */
import type { Alert } from '../../store/alert';

export interface AlertItem {
  readonly kind: 'alert';
  readonly key: string;
  readonly id: string;
  /** Whether it stands under a heading. */
  readonly isMember: boolean;
}

export interface GroupItem {
  readonly kind: 'group';
  readonly key: string;
  readonly incidentId: string;
  /** Its alerts in the list, in order. */
  readonly ids: readonly string[];
  readonly isOpen: boolean;
}

export type Item = AlertItem | GroupItem;

/** So many alerts of an incident are shown without asking. */
export const OPEN_COUNT_MAX = 4;

/**
 * Return the lines of a list.
 *
 * @param get Gives an alert by its id.
 * @param toggled Whether somebody has opened or closed an incident; what they have not touched is open while it is small.
 * @param isGrouped Whether alerts of one incident stand together, where the first of them stands.
 */
export function itemsOf(
  ids: readonly string[],
  get: (id: string) => Alert | undefined,
  toggled: ReadonlyMap<string, boolean>,
  isGrouped: boolean,
): readonly Item[] {
  if (!isGrouped) return ids.map(id => ({ kind: 'alert', key: id, id, isMember: false }));
  const members = new Map<string, string[]>();
  for (const id of ids) {
    const incident = get(id)?.incident?.id;
    if (incident === undefined) continue;
    const known = members.get(incident);
    if (known) known.push(id);
    else members.set(incident, [id]);
  }
  const items: Item[] = [];
  for (const id of ids) {
    const incident = get(id)?.incident?.id;
    const group = incident === undefined ? undefined : members.get(incident);
    if (incident === undefined || group === undefined || group.length === 1) {
      items.push({ kind: 'alert', key: id, id, isMember: false });
    } else if (group[0] === id) {
      const isOpen = toggled.get(incident) ?? group.length <= OPEN_COUNT_MAX;
      items.push({ kind: 'group', key: incident, incidentId: incident, ids: group, isOpen });
      if (isOpen)
        for (const member of group) items.push({ kind: 'alert', key: member, id: member, isMember: true });
    }
  }
  return items;
}

/**
 * Return by how many lines what is looked at has moved; where it is gone, what stood next to it counts.
 *
 * @param at Where it stood before.
 */
export function shiftOf(before: readonly Item[], after: ReadonlyMap<string, number>, at: number): number {
  for (let step = 0; step < 50; step += 1) {
    for (const index of step === 0 ? [at] : [at + step, at - step]) {
      const item = before[index];
      const now = item === undefined ? undefined : after.get(item.key);
      if (now !== undefined) return now - index;
    }
  }
  return 0;
}
