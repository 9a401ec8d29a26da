/**
 * The alerts that are known here, and the lists of them: pages, what happens since, and what was done here and is not
 * confirmed yet, in one state. It ends in the server's, whatever comes in whichever order, twice or late:
 *
 * - Of two states of an alert the one with the higher version is kept, wherever it comes from.
 * - A list knows how far down it was read. What happens above that is put in its place; what happens below is read with
 *   the pages to come. What has changed while a page was under way is looked at again when it arrives.
 * - What was done here lies over an alert until the server refuses it, or until the state that came of it arrives.
 * - Where something may have been missed, a new epoch begins: lists are read anew, and stay as they are until then. What was
 *   learned in an earlier epoch, or was asked for in one, may not be so any more: no list takes in an alert because of it.
 *
 * It knows nothing of the network or the page: both are told what to do by what it returns.
 */
import { type Alert, type AlertFilter, compare, type Order, type Place, placeOf } from './alert';
import { isDecidable, matches } from './filter';

/** How many alerts that no list shows are remembered. */
const STRAYS_MAX = 2_000;

export type Patch = (alert: Alert) => Alert;

export interface Page {
  readonly alerts: readonly Alert[];
  readonly endCursor: string | null;
  readonly hasNextPage: boolean;
}

/** A page to ask for. It is given back with the answer. */
export interface PageRequest {
  readonly after: string | null;
  readonly epoch: number;
}

/** Alerts of which only the server knows whether a list shows them. */
export interface Question {
  readonly alerts: readonly Alert[];
  readonly epoch: number;
}

/** A list of alerts: a part of all that match, from the first on. */
export class View {
  /** What is shown, in order; `revision` tells whether it is still the same. */
  readonly ids: string[] = [];
  /** Whether there is nothing more to read. */
  isComplete = false;
  /** Whether nothing was read yet. */
  isFresh = true;
  /** Whether it may show what is not so any more, and is being read anew. */
  isStale = false;
  /** Raised with each change of `ids`. */
  revision = 0;

  #isAsking = false;
  #endCursor: string | null = null;
  #boundary: Place | null = null;
  #touched = new Set<string>();
  #members = new Set<string>();
  #unsure = new Set<string>();
  #isQuestioned = false;
  #isDecidable: boolean;

  constructor(
    readonly store: AlertStore,
    readonly filter: AlertFilter,
    readonly order: Order,
  ) {
    this.#isDecidable = isDecidable(filter);
  }

  has(id: string): boolean {
    return this.#members.has(id);
  }

  /** Whether something is under way that may need alerts which no list shows. */
  get isBusy(): boolean {
    return this.#isAsking || this.#isQuestioned || this.#unsure.size > 0;
  }

  /** Return the next page to ask for; null while one is under way or where there is none. */
  next(): PageRequest | null {
    if (this.#isAsking || (this.isComplete && !this.isStale)) return null;
    this.#isAsking = true;
    this.#touched.clear();
    return { after: this.isStale || this.isFresh ? null : this.#endCursor, epoch: this.store.epoch };
  }

  /** Take an answer to `next`. What was asked before the list was begun anew is dropped. */
  arrived(request: PageRequest, page: Page): void {
    if (request.epoch !== this.store.epoch) return;
    for (const alert of page.alerts) this.store.learn(alert);
    this.#isAsking = false;
    if (request.after === null) {
      this.isFresh = false;
      this.isStale = false;
      this.#members.clear();
      this.ids.length = 0;
    }
    const last = page.alerts.at(-1);
    // As it was read: the place of the cursor, wherever the alert stands by now.
    if (last) this.#boundary = placeOf(last, this.order.field);
    this.#endCursor = page.endCursor;
    this.isComplete = !page.hasNextPage;
    const touched = [...this.#touched];
    this.#touched.clear();
    const added: string[] = [];
    for (const { id, version } of page.alerts) {
      const known = this.store.get(id);
      // What the server has listed belongs there, unless it has changed since.
      const isListed = known?.version === version && !this.store.isPatched(id);
      if (known && !this.#members.has(id) && (isListed || this.#shows(known))) {
        this.#members.add(id);
        added.push(id);
      } else if (known && !isListed) this.look(id);
    }
    this.#merge(added);
    for (const id of touched) this.look(id);
    this.revision += 1;
    this.store.prune();
  }

  /** The answer to `next` does not come; it may be asked for again. */
  failed(request: PageRequest): void {
    if (request.epoch === this.store.epoch) this.#isAsking = false;
  }

  /** A new epoch has begun: read it from the beginning; what is shown stays until the first page arrives. */
  restart(): void {
    this.#isAsking = false;
    this.#unsure.clear();
    this.#isQuestioned = false;
    this.isComplete = false;
    if (!this.isFresh) this.isStale = true;
  }

  /** Return what to ask the server about; null where there is nothing, or an answer is under way. */
  question(limit = 100): Question | null {
    if (this.#isQuestioned || this.#unsure.size === 0) return null;
    const alerts: Alert[] = [];
    for (const id of this.#unsure) {
      if (alerts.length === limit) break;
      this.#unsure.delete(id);
      const known = this.store.get(id);
      if (known) alerts.push(known);
    }
    if (alerts.length === 0) return null;
    this.#isQuestioned = true;
    return { alerts, epoch: this.store.epoch };
  }

  /** Take an answer to `question`: those that the list shows; null where there is none and it is asked again. */
  answered(question: Question, shown: readonly Alert[] | null): void {
    if (question.epoch !== this.store.epoch) return;
    for (const alert of shown ?? []) this.store.learn(alert);
    this.#isQuestioned = false;
    const yes = new Set(shown?.map(alert => alert.id));
    for (const { id } of question.alerts) {
      // It has changed meanwhile, and is asked about again.
      if (this.#unsure.has(id)) continue;
      if (shown === null) this.#unsure.add(id);
      else if (yes.has(id)) this.#put(id);
      else this.#drop(id);
    }
  }

  /** Look again at whether, and where, an alert is shown. */
  look(id: string): void {
    if (this.#isAsking) this.#touched.add(id);
    const alert = this.store.get(id);
    if (!alert) return;
    if (!matches(this.filter, alert)) this.#drop(id);
    else if (!this.store.isFresh(id) && !this.#members.has(id)) return;
    else if (this.#isDecidable || this.#members.has(id)) {
      this.#put(id);
      if (!this.#isDecidable) this.#unsure.add(id);
    } else this.#unsure.add(id);
  }

  #shows(alert: Alert): boolean {
    return matches(this.filter, alert) && this.#isRead(alert);
  }

  /** Whether the list was read as far down as an alert stands. */
  #isRead(alert: Alert): boolean {
    if (this.isFresh) return false;
    if (this.isComplete) return true;
    if (!this.#boundary) return false;
    return compare(placeOf(alert, this.order.field), this.#boundary, this.order.direction) <= 0;
  }

  #put(id: string): void {
    const alert = this.store.get(id);
    if (!alert) return;
    if (!this.#isRead(alert)) {
      this.#drop(id);
      return;
    }
    const ids = this.ids;
    const place = placeOf(alert, this.order.field);
    if (this.#members.has(id)) {
      const at = ids.indexOf(id);
      if (this.#fits(ids, at, place)) return;
      ids.splice(at, 1);
    }
    ids.splice(this.#search(ids, place), 0, id);
    this.#members.add(id);
    this.revision += 1;
  }

  #drop(id: string): void {
    if (!this.#members.delete(id)) return;
    this.ids.splice(this.ids.indexOf(id), 1);
    this.revision += 1;
  }

  #place(id: string): Place {
    return placeOf(this.store.get(id)!, this.order.field);
  }

  #fits(ids: readonly string[], at: number, place: Place): boolean {
    const before = ids[at - 1];
    const after = ids[at + 1];
    return (
      (before === undefined || compare(this.#place(before), place, this.order.direction) <= 0) &&
      (after === undefined || compare(place, this.#place(after), this.order.direction) <= 0)
    );
  }

  #search(ids: readonly string[], place: Place): number {
    let low = 0;
    let high = ids.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compare(this.#place(ids[middle]!), place, this.order.direction) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Put many in their places at once. */
  #merge(added: readonly string[]): void {
    if (added.length === 0) return;
    const places = new Map([...this.ids, ...added].map(id => [id, this.#place(id)]));
    const order = (a: string, b: string) => compare(places.get(a)!, places.get(b)!, this.order.direction);
    const merged = [...this.ids, ...added].sort(order);
    this.ids.length = 0;
    for (const id of merged) this.ids.push(id);
  }
}

/** What is known of alerts. `changed` is told the ids of what looks different, once for all that comes together. */
export class AlertStore {
  readonly views = new Set<View>();
  /** Raised where something may have been missed. */
  epoch = 0;
  #known = new Map<string, { alert: Alert; epoch: number }>();
  #patches = new Map<string, Map<number, { patch: Patch; until: number | null }>>();
  #patched = new Map<string, Alert>();
  #tokens = new Map<number, readonly string[]>();
  #token = 0;
  #depth = 0;
  #dirty = new Set<string>();

  constructor(readonly changed: (ids: ReadonlySet<string>) => void = () => {}) {}

  /** Return an alert as it is shown: with what was done here lying over what is known. */
  get(id: string): Alert | undefined {
    return this.#patched.get(id) ?? this.#known.get(id)?.alert;
  }

  /** Whether what is known of an alert is kept up to date by what happens. */
  isFresh(id: string): boolean {
    return this.#known.get(id)?.epoch === this.epoch;
  }

  isPatched(id: string): boolean {
    return this.#patched.has(id);
  }

  /** Begin a list. */
  open(filter: AlertFilter, order: Order): View {
    const view = new View(this, filter, order);
    this.views.add(view);
    return view;
  }

  close(view: View): void {
    this.views.delete(view);
    this.prune();
  }

  /** Do several things, and tell of them together. */
  together<T>(work: () => T): T {
    this.#depth += 1;
    try {
      return work();
    } finally {
      this.#depth -= 1;
      if (this.#depth === 0 && this.#dirty.size > 0) {
        const dirty = this.#dirty;
        this.#dirty = new Set();
        this.changed(dirty);
      }
    }
  }

  /** Take a state of an alert, from wherever; what is older than what is known is no news. */
  learn(alert: Alert): void {
    const known = this.#known.get(alert.id);
    if (known && known.alert.version > alert.version) return;
    if (known?.alert.version === alert.version && known.epoch === this.epoch) return;
    this.#known.set(alert.id, { alert, epoch: this.epoch });
    this.#show(alert.id);
  }

  /** Take what has happened, in order. */
  apply(alerts: Iterable<Alert>): void {
    this.together(() => {
      for (const alert of alerts) this.learn(alert);
    });
    this.prune();
  }

  /** Something may have been missed: have all lists read anew. */
  restart(): void {
    this.epoch += 1;
    for (const view of this.views) view.restart();
  }

  /** Show what was done before the server has confirmed it; return what to settle it with. */
  begin(ids: readonly string[], patch: Patch): number {
    this.#token += 1;
    const token = this.#token;
    this.#tokens.set(token, ids);
    this.together(() => {
      for (const id of ids) {
        const patches = this.#patches.get(id) ?? new Map();
        patches.set(token, { patch, until: null });
        this.#patches.set(id, patches);
        this.#show(id);
      }
    });
    return token;
  }

  /**
   * The server has answered, or never will.
   *
   * @param done What it has done: it stays shown until that state of the alert arrives. The rest is taken back.
   */
  settle(token: number, done: readonly { readonly id: string; readonly version: number }[] = []): void {
    const ids = this.#tokens.get(token);
    if (!ids) return;
    this.#tokens.delete(token);
    const versions = new Map(done.map(({ id, version }) => [id, version]));
    this.together(() => {
      for (const id of ids) {
        const patches = this.#patches.get(id);
        const lying = patches?.get(token);
        const version = versions.get(id);
        if (lying && version !== undefined) lying.until = version;
        else patches?.delete(token);
        this.#show(id);
      }
    });
  }

  /** Forget alerts that no list shows, the oldest news first, once there are many. */
  prune(): void {
    let strays = this.#known.size;
    for (const view of this.views) {
      if (view.isBusy) return;
      strays -= view.ids.length;
    }
    if (strays <= STRAYS_MAX) return;
    for (const id of this.#known.keys()) {
      if (strays <= STRAYS_MAX / 2) return;
      if (this.#patches.has(id) || [...this.views].some(view => view.has(id))) continue;
      this.#known.delete(id);
      strays -= 1;
    }
  }

  #show(id: string): void {
    const known = this.#known.get(id)?.alert;
    const patches = this.#patches.get(id);
    for (const [token, { until }] of patches ?? [])
      if (until !== null && known && known.version >= until) patches?.delete(token);
    if (patches?.size === 0) this.#patches.delete(id);
    if (known && patches && patches.size > 0) {
      let shown = known;
      for (const { patch } of patches.values()) shown = patch(shown);
      this.#patched.set(id, shown);
    } else this.#patched.delete(id);
    this.together(() => {
      this.#dirty.add(id);
      for (const view of this.views) view.look(id);
    });
  }
}
