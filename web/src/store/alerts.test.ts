import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Alert, type AlertFilter, compare, type Order, placeOf, type Severity, tieOf } from './alert';
import { AlertStore, type Page, type PageRequest, type Question, type View } from './alerts';
import { anAlert, anId } from './factory';
import { matches } from './filter';

const NEWEST: Order = { field: 'TRIGGERED_AT', direction: 'DESC' };
const OPEN: AlertFilter = { status: ['TRIGGERED', 'ACKNOWLEDGED'] };

function page(alerts: readonly Alert[], hasNextPage = false): Page {
  return { alerts, hasNextPage, endCursor: alerts.at(-1)?.id ?? null };
}

function filled(store: AlertStore, alerts: readonly Alert[], filter = OPEN): View {
  const view = store.open(filter, NEWEST);
  view.arrived(view.next()!, page(alerts));
  return view;
}

describe('of two states of an alert', () => {
  test('the newer one is kept, whichever comes last', () => {
    const store = new AlertStore();
    store.apply([anAlert({ version: 5, title: 'new' }), anAlert({ version: 3, title: 'old' })]);
    expect(store.get(anAlert().id)?.title).toBe('new');
  });

  test('a page that was read before an event does not bring back what is over', () => {
    const store = new AlertStore();
    const view = store.open(OPEN, NEWEST);
    const request = view.next()!;
    store.apply([anAlert({ version: 9, status: 'RESOLVED' })]);
    view.arrived(request, page([anAlert({ version: 2 })]));
    expect(view.ids).toEqual([]);
  });
});

describe('a list', () => {
  test('shows what came while its page was under way', () => {
    const store = new AlertStore();
    const view = store.open(OPEN, NEWEST);
    const request = view.next()!;
    store.apply([anAlert({ id: anId(2), version: 7 })]);
    view.arrived(request, page([anAlert({ id: anId(1) })]));
    expect(new Set(view.ids)).toEqual(new Set([anId(1), anId(2)]));
  });

  test('leaves what stands behind its last page to the next', () => {
    const store = new AlertStore();
    const view = store.open(OPEN, NEWEST);
    const at = (minute: number) => `2026-11-23T03:0${minute}:00Z`;
    view.arrived(view.next()!, page([anAlert({ id: anId(5), triggeredAt: at(5) })], true));
    store.apply([
      anAlert({ id: anId(9), triggeredAt: at(9), version: 2 }),
      anAlert({ id: anId(1), triggeredAt: at(1), version: 3 }),
    ]);
    expect(view.ids).toEqual([anId(9), anId(5)]);
    expect(view.next()).toMatchObject({ after: anId(5) });
  });

  test('that is read anew shows what it had until its first page is there', () => {
    const store = new AlertStore();
    const view = filled(store, [anAlert()]);
    store.restart();
    expect(view.isStale).toBe(true);
    expect(view.ids).toHaveLength(1);
    view.arrived(view.next()!, page([]));
    expect(view.ids).toEqual([]);
  });

  test('drops a page that was asked for before it was begun anew', () => {
    const store = new AlertStore();
    const view = store.open(OPEN, NEWEST);
    const late = view.next()!;
    store.restart();
    view.arrived(view.next()!, page([]));
    view.arrived(late, page([anAlert()]));
    expect(view.ids).toEqual([]);
  });

  test('asks about what only the server can decide', () => {
    const store = new AlertStore();
    const view = filled(store, [], { ...OPEN, search: 'disk' });
    store.apply([anAlert({ id: anId(1), version: 2 }), anAlert({ id: anId(2), version: 3 })]);
    expect(view.ids).toEqual([]);
    const question = view.question()!;
    expect(question.alerts).toHaveLength(2);
    view.answered(question, [anAlert({ id: anId(2), version: 3 })]);
    expect(view.ids).toEqual([anId(2)]);
  });
});

describe('what is done here', () => {
  test('is shown at once and stays where the server confirms it', () => {
    const store = new AlertStore();
    const view = filled(store, [anAlert()], { status: ['TRIGGERED'] });
    const token = store.begin([anAlert().id], alert => ({ ...alert, status: 'ACKNOWLEDGED' }));
    expect(view.ids).toEqual([]);
    store.settle(token, [anAlert({ version: 2 })]);
    expect(store.get(anAlert().id)?.status).toBe('ACKNOWLEDGED');
    expect(view.ids).toEqual([]);
    store.apply([anAlert({ version: 2, status: 'ACKNOWLEDGED', title: 'as the server has it' })]);
    expect(store.get(anAlert().id)).toMatchObject({ status: 'ACKNOWLEDGED', title: 'as the server has it' });
    store.apply([anAlert({ version: 3 })]);
    expect(view.ids).toHaveLength(1);
  });

  test('brings nothing back that is gone since a gap, however late the answer comes', () => {
    const store = new AlertStore();
    const view = filled(store, [anAlert()]);
    const token = store.begin([anAlert().id], alert => ({ ...alert, status: 'ACKNOWLEDGED' }));
    store.restart();
    view.arrived(view.next()!, page([]));
    store.settle(token, [anAlert({ version: 2 })]);
    expect(view.ids).toEqual([]);
  });

  test('is taken back where the server refuses it, and what has happened meanwhile is not', () => {
    const store = new AlertStore();
    const view = filled(store, [anAlert()], { status: ['TRIGGERED'] });
    const token = store.begin([anAlert().id], alert => ({ ...alert, status: 'ACKNOWLEDGED' }));
    store.apply([anAlert({ version: 4, title: 'Worse' })]);
    store.settle(token);
    expect(store.get(anAlert().id)).toMatchObject({ status: 'TRIGGERED', title: 'Worse' });
    expect(view.ids).toHaveLength(1);
  });
});

test('what no list shows is forgotten once there is much of it', () => {
  const store = new AlertStore();
  const view = filled(store, [anAlert({ id: anId(0) })]);
  for (let number = 1; number < 5_000; number += 1)
    store.apply([anAlert({ id: anId(number), version: number, status: 'RESOLVED' })]);
  expect(store.get(anId(1))).toBeUndefined();
  expect(store.get(anId(4_999))).toBeDefined();
  expect(view.ids).toEqual([anId(0)]);
});

test('ids sort as their bytes do', () => {
  const numbers = Array.from({ length: 500 }, (_, index) => index * 7_919);
  const bytes = (id: string) => Buffer.from(id.slice(4), 'base64url');
  const wanted = numbers.map(anId).sort((a, b) => Buffer.compare(bytes(a), bytes(b)));
  const found = numbers.map(anId).sort((a, b) => (tieOf(a) < tieOf(b) ? -1 : 1));
  expect(found).toEqual(wanted);
});

// --------------------------------------------------------------------------------------------- the law

/** A server: alerts that change, a log of what changed, and pages that are read from it. */
class Server {
  readonly alerts = new Map<string, Alert>();
  readonly log: Alert[] = [];
  number = 0;

  change(slot: number, patch: Partial<Alert>): void {
    const id = anId(slot);
    this.number += 1;
    const known = this.alerts.get(id);
    const born = `2026-11-23T03:00:${String(slot % 7).padStart(2, '0')}.${String(slot).padStart(6, '0')}Z`;
    const changed = {
      ...(known ?? anAlert({ id, dedupKey: id, triggeredAt: born })),
      ...patch,
      version: this.number,
    };
    this.alerts.set(id, changed);
    this.log.push(changed);
  }

  list(filter: AlertFilter, order: Order): Alert[] {
    const { search, ...decidable } = filter;
    return [...this.alerts.values()]
      .filter(alert => matches(decidable, alert) && (search == null || alert.title.includes(search)))
      .sort((a, b) => compare(placeOf(a, order.field), placeOf(b, order.field), order.direction));
  }

  read(filter: AlertFilter, order: Order, after: string | null, size: number): Page {
    const all = this.list(filter, order);
    // A cursor is a place, which stays when what stood there moves.
    const from =
      after === null
        ? 0
        : all.findIndex(alert => compare(placeOf(alert, order.field), placeAt(after), order.direction) > 0);
    const alerts = from === -1 ? [] : all.slice(from, from + size);
    const last = alerts.at(-1);
    const endCursor = last ? JSON.stringify(placeOf(last, order.field)) : after;
    return { alerts, endCursor, hasNextPage: from !== -1 && from + size < all.length };
  }
}

function placeAt(cursor: string): { value: number; tie: string } {
  const { value, tie } = JSON.parse(cursor) as { value: number | null; tie: string };
  return { value: value ?? Number.NaN, tie };
}

type Step =
  | { do: 'change'; slot: number; patch: Partial<Alert> }
  | { do: 'ask' }
  | { do: 'answer'; isLost: boolean; isLatest: boolean }
  | { do: 'deliver'; count: number; again: number }
  | { do: 'gap' }
  | { do: 'act'; slots: number[] }
  | { do: 'settle'; isRefused: boolean }
  | { do: 'confirm' }
  | { do: 'wonder' }
  | { do: 'told'; isLost: boolean };

const severities: Severity[] = ['CRITICAL', 'HIGH', 'MEDIUM', 'LOW', 'INFO'];
const slot = fc.integer({ min: 0, max: 11 });
const patch = fc.oneof(
  fc.record({ status: fc.constantFrom<Alert['status']>('TRIGGERED', 'ACKNOWLEDGED', 'RESOLVED') }),
  fc.record({ severity: fc.constantFrom(...severities) }),
  fc.record({ title: fc.constantFrom('disk full', 'cpu busy') }),
  fc.record({
    prediction: fc.constantFrom(
      null,
      { incidentProbability: 0.9, selfResolveProbability: 0, abstained: false },
      { incidentProbability: 0.2, selfResolveProbability: 0, abstained: false },
    ),
  }),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('change' as const), slot, patch }) },
  { weight: 3, arbitrary: fc.constant<Step>({ do: 'ask' }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('answer' as const),
      isLost: fc.boolean(),
      isLatest: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('deliver' as const),
      count: fc.integer({ min: 1, max: 4 }),
      again: fc.integer({ min: 0, max: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant<Step>({ do: 'gap' }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('act' as const), slots: fc.array(slot, { maxLength: 3 }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('settle' as const), isRefused: fc.boolean() }) },
  { weight: 2, arbitrary: fc.constant<Step>({ do: 'confirm' }) },
  { weight: 2, arbitrary: fc.constant<Step>({ do: 'wonder' }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('told' as const), isLost: fc.boolean() }) },
);
const filters: fc.Arbitrary<AlertFilter> = fc.constantFrom<AlertFilter>(
  OPEN,
  { status: ['TRIGGERED'] },
  { severity: ['CRITICAL', 'HIGH'], status: ['TRIGGERED', 'ACKNOWLEDGED'] },
  { incidentProbabilityMin: 0.5 },
  { ...OPEN, search: 'disk' },
);
const orders: fc.Arbitrary<Order> = fc.record({
  field: fc.constantFrom<Order['field']>('TRIGGERED_AT', 'SEVERITY', 'INCIDENT_PROBABILITY'),
  direction: fc.constantFrom<Order['direction']>('ASC', 'DESC'),
});

test('any interleaving of pages, events, doubles, gaps and actions ends in the state of the server', () => {
  fc.assert(
    fc.property(filters, orders, fc.array(step, { maxLength: 60 }), (filter, order, steps) => {
      const server = new Server();
      const store = new AlertStore();
      const view = store.open(filter, order);
      let heard = 0;
      const asked: { request: PageRequest; page: Page }[] = [];
      const wondered: { question: Question; shown: Alert[] }[] = [];
      const acted: { token: number; ids: string[] }[] = [];
      const done: { token: number; alerts: Alert[] }[] = [];

      const run = (each: Step): void => {
        switch (each.do) {
          case 'change':
            server.change(each.slot, each.patch);
            break;
          case 'ask': {
            const request = view.next();
            // What the server reads is read now, and arrives later.
            if (request) asked.push({ request, page: server.read(filter, order, request.after, 3) });
            break;
          }
          case 'answer': {
            const answer = each.isLatest ? asked.pop() : asked.shift();
            if (answer && each.isLost) view.failed(answer.request);
            else if (answer) view.arrived(answer.request, answer.page);
            break;
          }
          case 'deliver': {
            const from = Math.max(0, heard - each.again);
            heard = Math.min(server.log.length, heard + each.count);
            // As they are now, which may be later than what is told.
            store.apply(server.log.slice(from, heard).map(alert => server.alerts.get(alert.id)!));
            break;
          }
          case 'gap':
            heard = server.log.length;
            // Answers to what was asked before are still under way.
            store.restart();
            break;
          case 'act': {
            const ids = each.slots.map(anId).filter(id => server.alerts.has(id));
            acted.push({ token: store.begin(ids, alert => ({ ...alert, status: 'ACKNOWLEDGED' })), ids });
            break;
          }
          case 'settle': {
            const action = acted.shift();
            if (!action) break;
            if (!each.isRefused)
              for (const id of action.ids) server.change(slotOf(id), { status: 'ACKNOWLEDGED' });
            done.push({
              token: action.token,
              alerts: each.isRefused ? [] : action.ids.map(id => server.alerts.get(id)!),
            });
            break;
          }
          case 'confirm': {
            const answer = done.shift();
            if (answer) store.settle(answer.token, answer.alerts);
            break;
          }
          case 'wonder': {
            const question = view.question(2);
            if (!question) break;
            const ids = new Set(question.alerts.map(alert => alert.id));
            wondered.push({ question, shown: server.list(filter, order).filter(alert => ids.has(alert.id)) });
            break;
          }
          case 'told': {
            const answer = wondered.shift();
            if (answer) view.answered(answer.question, each.isLost ? null : answer.shown);
            break;
          }
        }
      };

      for (const each of steps) run(each);
      while (acted.length > 0) run({ do: 'settle', isRefused: true });
      while (done.length > 0) run({ do: 'confirm' });
      run({ do: 'deliver', count: server.log.length + 1, again: 0 });
      for (let turn = 0; turn < 200; turn += 1) {
        run({ do: 'answer', isLost: false, isLatest: false });
        run({ do: 'told', isLost: false });
        run({ do: 'ask' });
        run({ do: 'wonder' });
        if (asked.length === 0 && wondered.length === 0 && !view.isBusy && view.isComplete && !view.isStale)
          break;
      }

      const wanted = server.list(filter, order);
      expect(view.ids.map(id => store.get(id))).toEqual(wanted);
      expect(view.isComplete).toBe(true);
    }),
    { numRuns: Number(process.env['RUNS'] ?? 1_500) },
  );
});

function slotOf(id: string): number {
  for (let number = 0; number < 12; number += 1) if (anId(number) === id) return number;
  throw new Error(`not one of ours: ${id}`);
}
