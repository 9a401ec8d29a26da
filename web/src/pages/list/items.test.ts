import { expect, test } from 'vitest';
import type { Alert } from '../../store/alert';
import { anAlert } from '../../store/factory';
import { itemsOf, shiftOf } from './items';

const incident = {
  id: 'inc_1',
  title: 'Database',
  status: 'OPEN',
  severity: 'HIGH',
  alertCount: 9,
  openAlertCount: 9,
} as const;

function known(...pairs: [string, boolean][]): (id: string) => Alert {
  const alerts = new Map(pairs.map(([id, isIn]) => [id, anAlert({ id, incident: isIn ? incident : null })]));
  return id => alerts.get(id)!;
}

test('alerts of an incident stand together, where the first of them stands', () => {
  const get = known(['a', false], ['b', true], ['c', false], ['d', true]);
  const items = itemsOf(['a', 'b', 'c', 'd'], get, new Map(), true);
  expect(items.map(item => item.key)).toEqual(['a', 'inc_1', 'b', 'd', 'c']);
});

test('an incident with one alert has no heading', () => {
  const items = itemsOf(['a', 'b'], known(['a', false], ['b', true]), new Map(), true);
  expect(items.map(item => item.kind)).toEqual(['alert', 'alert']);
});

test('a large incident is folded until somebody unfolds it', () => {
  const ids = ['a', 'b', 'c', 'd', 'e'];
  const get = known(...ids.map(id => [id, true] as [string, boolean]));
  expect(itemsOf(ids, get, new Map(), true)).toHaveLength(1);
  expect(itemsOf(ids, get, new Map([['inc_1', true]]), true)).toHaveLength(6);
});

test('what is looked at is followed, and where it is gone, what stood next to it', () => {
  const get = known(['a', false], ['b', false], ['c', false], ['n', false]);
  const before = itemsOf(['a', 'b', 'c'], get, new Map(), false);
  const places = (ids: string[]) => new Map(ids.map((id, index) => [id, index]));
  expect(shiftOf(before, places(['n', 'a', 'b', 'c']), 1)).toBe(1);
  expect(shiftOf(before, places(['b', 'c']), 1)).toBe(-1);
  expect(shiftOf(before, places(['n', 'a', 'c']), 1)).toBe(0);
});
