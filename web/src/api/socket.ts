/** One websocket for everything that is followed. It comes back by itself; who follows goes on where it was. */
import { signal } from '@preact/signals';
import { type Client, createClient } from 'graphql-ws';
import { key, signOut } from '../session';
import type { Document } from './document';
import { ApiError, addressOf, named } from './transport';

/** How it stands: `catching-up` until all that was missed has arrived. */
export type Connection = 'connecting' | 'live' | 'catching-up' | 'offline';

/** How the stream of events stands; always shown. */
export const connection = signal<Connection>('connecting');

const PING_MS = 10_000;
const PONG_WITHIN_MS = 5_000;
const QUIET_MS = 250;
const RETRY_MS_MIN = 250;
const RETRY_MS_MAX = 8_000;
/** Closed since the credentials are no good. */
const REFUSED = new Set([4401, 4403, 4411]);

/** What passes by itself. */
export const PASSING: ReadonlySet<string> = new Set([
  'UNAVAILABLE',
  'SLOW_CONSUMER',
  'RATE_LIMITED',
  'INTERNAL',
]);

export interface Sink<R> {
  next(result: R): void;
  /**
   * The server refuses to go on from there, such as with CURSOR_EXPIRED. It is asked again where true is returned, or
   * by itself where nobody is told and it is something that passes.
   */
  refused?(error: ApiError): boolean;
  /** The stream is cut; it is being connected anew. */
  cut?(): void;
  /** It is connected, and there is nothing to catch up with. */
  quiet?(): void;
}

let client: Client | null = null;
let isConnected = false;

function socket(): Client {
  if (client) return client;
  let pong: ReturnType<typeof setTimeout> | undefined;
  const address = addressOf('graphql');
  address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:';
  const made = createClient({
    url: address.href,
    lazy: true,
    lazyCloseTimeout: 2_000,
    // Coming back is ours to do: what is asked for then depends on how far we have come.
    retryAttempts: 0,
    keepAlive: PING_MS,
    // The library wants a text with each operation; ours are named by their hashes.
    jsonMessageReplacer: (name, value) => (name === 'query' && value === '' ? undefined : value),
    connectionParams: () => ({ authorization: `Bearer ${key.value ?? ''}` }),
    on: {
      ping: received => {
        if (received) return;
        // A socket through a dead network looks open for minutes.
        clearTimeout(pong);
        pong = setTimeout(() => made.terminate(), PONG_WITHIN_MS);
      },
      pong: received => {
        if (received) clearTimeout(pong);
      },
      connected: () => {
        isConnected = true;
      },
      closed: event => {
        isConnected = false;
        clearTimeout(pong);
        if (REFUSED.has((event as CloseEvent).code)) signOut('refused');
      },
    },
  });
  client = made;
  return made;
}

/** Close the socket; who follows still is connected anew. */
export function hangUp(): void {
  client?.terminate();
}

/**
 * Follow a subscription until the function returned is called.
 *
 * @param variables Asked for each time that it is connected, so that a cursor is the newest.
 */
export function follow<R, V>(asked: Document<R, V>, variables: () => V, sink: Sink<R>): () => void {
  let ended = false;
  let failures = 0;
  let stop = (): void => {};
  let timer: ReturnType<typeof setTimeout> | undefined;

  const again = (): void => {
    if (ended) return;
    sink.cut?.();
    const wait = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** failures) * (0.5 + Math.random() / 2);
    failures += 1;
    clearTimeout(timer);
    timer = setTimeout(start, wait);
  };
  const refuse = (error: ApiError): void => {
    if (sink.refused?.(error) ?? PASSING.has(error.code)) again();
  };
  function start(): void {
    if (ended) return;
    let over = false;
    let hasBegun = false;
    // What was missed comes at once; where nothing was, nothing is said before the first sign of life.
    const listen = (): void => {
      if (over || ended || hasBegun) return;
      if (isConnected && failures === 0) sink.quiet?.();
      else {
        failures = isConnected ? 0 : failures;
        setTimeout(listen, QUIET_MS);
      }
    };
    setTimeout(listen, QUIET_MS);
    stop = socket().subscribe<R>(
      { query: '', ...named(asked), variables: variables() as Record<string, unknown> },
      {
        next: result => {
          hasBegun = true;
          failures = 0;
          const first = result.errors?.[0];
          if (first) refuse(new ApiError(String(first.extensions?.['code'] ?? 'INTERNAL'), first.message));
          else if (result.data) sink.next(result.data);
        },
        error: error => {
          if (over) return;
          over = true;
          const first = Array.isArray(error) ? error[0] : null;
          if (first) refuse(new ApiError(String(first.extensions?.code ?? 'INTERNAL'), first.message));
          else again();
        },
        complete: () => {
          if (over) return;
          over = true;
          again();
        },
      },
    );
  }
  const now = (): void => {
    if (ended) return;
    failures = 0;
    if (timer !== undefined) {
      clearTimeout(timer);
      timer = undefined;
      start();
    }
  };
  addEventListener('online', now);
  start();
  return () => {
    ended = true;
    removeEventListener('online', now);
    clearTimeout(timer);
    stop();
  };
}
