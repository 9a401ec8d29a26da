/** What is going on, as one stream: followed from where the first reading stood, through every cut, with nothing missing. */
import { type Signal, signal } from '@preact/signals';
import { Live, type LiveSubscription, LogEnd } from './api/documents';
import { connection, follow, PASSING } from './api/socket';
import { ask } from './api/transport';
import type { Alert } from './store/alert';
import { AlertStore } from './store/alerts';

export type LiveEvent = LiveSubscription['alertEventBatches']['events'][number];

/**
 * Is told what has happened.
 *
 * @param events In order; empty after a gap.
 * @param isWhole False after a gap: then anything may have changed.
 */
type Listener = (events: readonly LiveEvent[], isWhole: boolean) => void;

const listeners = new Set<Listener>();
const shown = new Map<string, { row: Signal<Alert | undefined>; uses: number }>();
/** Raised whenever any list may show something else, at most once a frame. */
export const listsChanged = signal(0);
/** Alerts that came a moment ago, and when: they slide in. */
export const arrivals = new Map<string, number>();
export const ARRIVAL_MS = 1_500;

function forgetArrivals(): void {
  const before = Date.now() - ARRIVAL_MS;
  for (const [id, at] of arrivals) {
    if (at > before) break;
    arrivals.delete(id);
  }
}

/** Newest thing heard of the service, in milliseconds. */
export const heardAt = signal(0);

export const store = new AlertStore(ids => {
  for (const id of ids) {
    const found = shown.get(id);
    if (found) found.row.value = store.get(id);
  }
  scheduleLists();
});

let isScheduled = false;
let toldAt = 0;
/** In a storm lists are laid out anew this often: more would be work that nobody can follow. */
const LISTS_EVERY_MS = 100;

function scheduleLists(): void {
  if (isScheduled) return;
  isScheduled = true;
  const tell = (): void => {
    isScheduled = false;
    toldAt = performance.now();
    listsChanged.value += 1;
  };
  const wait = toldAt + LISTS_EVERY_MS - performance.now();
  // Frames do not come while nobody looks, and a list has to be right all the same.
  if (document.hidden) setTimeout(tell, 200);
  else if (wait > 0) setTimeout(() => requestAnimationFrame(tell), wait);
  else requestAnimationFrame(tell);
}

/** Tell lists that something about them has changed beside alerts. */
export { scheduleLists as touchLists };

/** Return an alert as something that changes with it. Each call is paired with one of `dropAlert`. */
export function alertSignal(id: string): Signal<Alert | undefined> {
  const found = shown.get(id) ?? { row: signal(store.get(id)), uses: 0 };
  found.uses += 1;
  shown.set(id, found);
  return found.row;
}

export function dropAlert(id: string): void {
  const found = shown.get(id);
  if (!found) return;
  found.uses -= 1;
  if (found.uses === 0) shown.delete(id);
}

/** Hear of everything that happens, until the function returned is called. */
export function onEvents(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell(events: readonly LiveEvent[], isWhole: boolean): void {
  for (const listener of listeners) listener(events, isWhole);
}

let cursor: string | null = null;
let highest = 0;
let session: { begin: (asOf: string, isFirst: boolean) => void; stop: () => void } | null = null;

/** A list that is being read says where the log stands: it is asked for separately only where none does within this. */
const LIST_WITHIN_MS = 2_000;

/** Begin to follow from where a first reading stood; nothing where it has begun already. */
export function beginAt(asOf: string): void {
  if (cursor === null) session?.begin(asOf, true);
}

/** Begin to follow; what is read from now on is kept up to date. */
export function startLive(): void {
  if (session) return;
  let ended = false;
  let unfollow = (): void => {};
  let timer: ReturnType<typeof setTimeout> | undefined;
  connection.value = 'connecting';

  const gone = (): void => {
    if (!ended) connection.value = 'offline';
  };
  const begin = (asOf: string, isFirst: boolean): void => {
    clearTimeout(timer);
    unfollow();
    cursor = asOf;
    highest = 0;
    if (!isFirst) {
      store.restart();
      tell([], false);
      scheduleLists();
    }
    unfollow = follow(Live, () => ({ after: cursor! }), {
      next: ({ alertEventBatches: batch }) => take(batch),
      refused: error => {
        if (PASSING.has(error.code)) return true;
        // The log before our cursor is gone, or an older one was put back: everything is read anew.
        connection.value = error.code === 'CURSOR_EXPIRED' ? 'catching-up' : 'offline';
        timer = setTimeout(find, error.code === 'CURSOR_EXPIRED' ? 0 : 1_000, 500);
        return false;
      },
      cut: gone,
      quiet: () => {
        connection.value = 'live';
      },
    });
  };
  const find = (wait: number): void => {
    ask(LogEnd, {}).then(
      // What was read before the stream begins may be older than it.
      ({ events }) => (ended ? undefined : begin(events.asOf, false)),
      () => {
        if (ended) return;
        gone();
        timer = setTimeout(find, wait, Math.min(wait * 2, 8_000));
      },
    );
  };
  addEventListener('offline', gone);
  timer = setTimeout(find, store.views.size > 0 ? LIST_WITHIN_MS : 0, 250);
  session = {
    begin,
    stop: () => {
      ended = true;
      removeEventListener('offline', gone);
      clearTimeout(timer);
      unfollow();
      cursor = null;
    },
  };
}

export function stopLive(): void {
  session?.stop();
  session = null;
}

function take(batch: LiveSubscription['alertEventBatches']): void {
  heardAt.value = Date.now();
  connection.value = batch.live ? 'live' : 'catching-up';
  cursor = batch.cursor;
  const events = batch.events.filter(event => event.number > highest);
  if (events.length === 0) return;
  highest = events.at(-1)!.number;
  store.apply(events.flatMap(event => (event.alert ? [event.alert] : [])));
  const arrived = events.filter(event => event.kind === 'TRIGGERED' || event.kind === 'REOPENED');
  if (batch.live) for (const event of arrived) if (event.alert) arrivals.set(event.alert.id, Date.now());
  forgetArrivals();
  tell(events, true);
}
