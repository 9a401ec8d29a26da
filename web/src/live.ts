/** What is going on, as one stream: followed from where the first reading stood, through every cut, with nothing missing. */
import { type Signal, signal } from '@preact/signals';
import { Live, type LiveSubscription, LogEnd } from './api/documents';
import { connection, follow, PASSING } from './api/socket';
import { type ApiError, ask } from './api/transport';
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
const shown = new Map<string, Signal<Alert | undefined>>();
/** Raised whenever any list may show something else, at most once a frame. */
export const listsChanged = signal(0);
/** Newest thing heard of the service, in milliseconds. */
export const heardAt = signal(0);

export const store = new AlertStore(ids => {
  for (const id of ids) {
    const row = shown.get(id);
    if (row) row.value = store.get(id);
  }
  scheduleLists();
});

let isScheduled = false;

function scheduleLists(): void {
  if (isScheduled) return;
  isScheduled = true;
  const tell = (): void => {
    isScheduled = false;
    listsChanged.value += 1;
  };
  // Frames do not come while nobody looks, and a list has to be right all the same.
  if (document.hidden) setTimeout(tell, 200);
  else requestAnimationFrame(tell);
}

/** Tell lists that something about them has changed beside alerts. */
export { scheduleLists as touchLists };

/** Return an alert as something that changes with it. Give it back with `dropAlert`. */
export function alertSignal(id: string): Signal<Alert | undefined> {
  let found = shown.get(id);
  if (!found) {
    found = signal(store.get(id));
    shown.set(id, found);
  }
  return found;
}

export function dropAlert(id: string): void {
  shown.delete(id);
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
let stop: (() => void) | null = null;

/** Begin to follow; what is read from now on is kept up to date. */
export function startLive(): void {
  if (stop) return;
  let ended = false;
  let unfollow = (): void => {};
  let timer: ReturnType<typeof setTimeout> | undefined;
  connection.value = 'connecting';

  const gone = (): void => {
    connection.value = 'offline';
  };
  const begin = (wait: number): void => {
    unfollow();
    ask(LogEnd, {}).then(
      ({ events }) => {
        if (ended) return;
        // What was read before the stream began may be older than it.
        const isFirst = cursor === null;
        cursor = events.asOf;
        highest = 0;
        store.restart();
        if (!isFirst) tell([], false);
        scheduleLists();
        unfollow = follow(Live, () => ({ after: cursor! }), {
          next: ({ alertEventBatches: batch }) => take(batch),
          refused: error => {
            if (PASSING.has(error.code)) return true;
            restartAfter(error);
            return false;
          },
          cut: gone,
        });
      },
      () => {
        if (ended) return;
        gone();
        timer = setTimeout(begin, wait, Math.min(wait * 2, 8_000));
      },
    );
  };
  const restartAfter = (error: ApiError): void => {
    // The log before our cursor is gone, or whoever keeps it has put an older one back: read everything anew.
    connection.value = error.code === 'CURSOR_EXPIRED' ? 'catching-up' : 'offline';
    timer = setTimeout(begin, error.code === 'CURSOR_EXPIRED' ? 0 : 1_000, 500);
  };
  addEventListener('offline', gone);
  begin(250);
  stop = () => {
    ended = true;
    removeEventListener('offline', gone);
    clearTimeout(timer);
    unfollow();
    cursor = null;
    highest = 0;
  };
}

export function stopLive(): void {
  stop?.();
  stop = null;
}

function take(batch: LiveSubscription['alertEventBatches']): void {
  heardAt.value = Date.now();
  connection.value = batch.live ? 'live' : 'catching-up';
  cursor = batch.cursor;
  const events = batch.events.filter(event => event.number > highest);
  if (events.length === 0) return;
  highest = events.at(-1)!.number;
  store.apply(events.flatMap(event => (event.alert ? [event.alert] : [])));
  tell(events, true);
}
