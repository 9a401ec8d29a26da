/** What is done with alerts: shown at once, taken back where the server refuses it. */
import { ApiError, ask, idempotencyKey, type ProblemAt } from '../api/transport';
import { store, touchLists } from '../live';
import { complain, say } from '../parts/toast';
import { viewer } from '../session';
import type { Patch } from '../store/alerts';
import { common } from '../words/common';
import { Acknowledge, EndSilence, Escalate, Resolve, SilenceAlerts, Unacknowledge } from './documents';
import { w } from './words';

interface Outcome {
  readonly key: string;
  readonly changed: boolean;
  readonly alert: { readonly id: string; readonly version: number } | null;
  readonly error: ProblemAt | null;
}

const CHUNK = 1_000;
/** After these the same may be sent again; the server does it once. */
const UNCERTAIN = new Set(['OFFLINE', 'UNAVAILABLE']);
const RETRIES = 3;

/** Take alerts. */
export async function acknowledge(ids: readonly string[]): Promise<void> {
  const at = new Date().toISOString();
  const name = viewer.value?.responder?.name ?? w().me;
  const patch: Patch = alert =>
    alert.status !== 'TRIGGERED'
      ? alert
      : {
          ...alert,
          status: 'ACKNOWLEDGED',
          acknowledgedAt: at,
          acknowledgedUntil: null,
          acknowledgedBy: { kind: 'PERSON', name, responder: null },
          nextEscalationAt: null,
          holdReason: 'ACKNOWLEDGED',
        };
  const changed = await carryOut(ids, patch, async (some, key) => {
    const { acknowledgeAlerts } = await ask(Acknowledge, {
      input: { select: { ids: some }, idempotencyKey: key },
    });
    return acknowledgeAlerts;
  });
  if (changed.length > 0) say(w().acknowledged(changed.length), () => void unacknowledge(changed));
}

/** Give alerts back. */
export async function unacknowledge(ids: readonly string[]): Promise<void> {
  const patch: Patch = alert =>
    alert.status !== 'ACKNOWLEDGED'
      ? alert
      : {
          ...alert,
          status: 'TRIGGERED',
          acknowledgedAt: null,
          acknowledgedBy: null,
          acknowledgedUntil: null,
          holdReason: null,
        };
  const changed = await carryOut(ids, patch, async (some, key) => {
    const { unacknowledgeAlerts } = await ask(Unacknowledge, {
      input: { select: { ids: some }, idempotencyKey: key },
    });
    return unacknowledgeAlerts;
  });
  if (changed.length > 0) say(w().unacknowledged(changed.length));
}

/** End alerts. */
export async function resolve(ids: readonly string[]): Promise<void> {
  const at = new Date().toISOString();
  const patch: Patch = alert =>
    alert.status === 'RESOLVED'
      ? alert
      : { ...alert, status: 'RESOLVED', resolvedAt: at, nextEscalationAt: null, holdReason: null };
  const changed = await carryOut(ids, patch, async (some, key) => {
    const { resolveAlerts } = await ask(Resolve, { input: { select: { ids: some }, idempotencyKey: key } });
    return resolveAlerts;
  });
  if (changed.length > 0) say(w().resolved(changed.length));
}

/** Have alerts climb a level now. */
export async function escalate(ids: readonly string[]): Promise<void> {
  const refused: ProblemAt[] = [];
  let count = 0;
  for (const alertId of ids) {
    try {
      const { escalateAlert } = await ask(Escalate, { input: { alertId, idempotencyKey: idempotencyKey() } });
      if (escalateAlert.alert) store.apply([escalateAlert.alert]);
      if (escalateAlert.errors.length === 0) count += 1;
      refused.push(...escalateAlert.errors);
    } catch (error) {
      tellFailure(error);
      break;
    }
  }
  if (count > 0) say(w().escalated(count));
  if (refused[0]) complain(w().partly(refused.length, refused[0].message));
}

type Matcher = { label: string; operator: 'EQUAL' | 'REGEX'; value: string };

/** Silence what matches; return what the server refuses. */
export async function silence(
  matchers: readonly Matcher[],
  seconds: number,
  comment: string,
): Promise<readonly ProblemAt[]> {
  const endsAt = new Date(Date.now() + seconds * 1_000).toISOString();
  const { createSilence } = await ask(SilenceAlerts, {
    input: { matchers: [...matchers], endsAt, comment, idempotencyKey: idempotencyKey() },
  });
  const made = createSilence.silence;
  if (made) {
    say(w().silenced(made.matchedCount), () => {
      ask(EndSilence, { input: { id: made.id } }).then(({ expireSilence }) => {
        if (expireSilence.errors[0]) complain(expireSilence.errors[0].message);
      }, tellFailure);
    });
  }
  return createSilence.errors;
}

async function carryOut(
  ids: readonly string[],
  patch: Patch,
  send: (
    ids: string[],
    key: string,
  ) => Promise<{ outcomes: readonly Outcome[]; errors: readonly ProblemAt[] }>,
): Promise<readonly string[]> {
  const changed: string[] = [];
  const refused: ProblemAt[] = [];
  for (let from = 0; from < ids.length; from += CHUNK) {
    const some = ids.slice(from, from + CHUNK);
    const token = store.begin(some, patch);
    try {
      const { outcomes, errors } = await resent(send, [...some]);
      store.settle(
        token,
        outcomes.flatMap(outcome => (outcome.alert ? [outcome.alert] : [])),
      );
      for (const outcome of outcomes) {
        if (outcome.changed) changed.push(outcome.key);
        if (outcome.error) refused.push(outcome.error);
      }
      refused.push(...errors);
    } catch (error) {
      store.settle(token);
      tellFailure(error);
      break;
    } finally {
      touchLists();
    }
  }
  if (refused[0]) complain(w().partly(refused.length, refused[0].message));
  return changed;
}

async function resent<T>(send: (ids: string[], key: string) => Promise<T>, ids: string[]): Promise<T> {
  const key = idempotencyKey();
  for (let turn = 0; ; turn += 1) {
    try {
      return await send(ids, key);
    } catch (error) {
      if (turn === RETRIES || !(error instanceof ApiError && UNCERTAIN.has(error.code))) throw error;
      await new Promise(wake => setTimeout(wake, 400 * 2 ** turn));
    }
  }
}

function tellFailure(error: unknown): void {
  const code = error instanceof ApiError ? error.code : '';
  complain(
    code === 'OFFLINE'
      ? common().offline
      : code === 'FORBIDDEN'
        ? common().forbidden
        : `${common().failed} ${(error as Error).message}`,
  );
}
