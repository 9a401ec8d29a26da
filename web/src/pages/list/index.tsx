import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { acknowledge, escalate, resolve, unacknowledge } from '../../actions';
import { SilenceDialog } from '../../actions/silence-dialog';
import { w as actionWords } from '../../actions/words';
import { type Command, useCommands } from '../../keys';
import { listsChanged, onEvents, store } from '../../live';
import { Missing } from '../../parts/state';
import { href, navigate, query } from '../../router';
import { mayAct } from '../../session';
import { filterOf, orderOf } from '../../store/address';
import type { Alert } from '../../store/alert';
import { count } from '../../words/time';
import { Filters } from './filters';
import { type Item, itemsOf, shiftOf } from './items';
import './list.css';
import { AlertLine, GroupLine } from './row';
import { useView } from './use-view';
import { w } from './words';

/** Lines that are rendered beyond what is in sight. */
const MARGIN = 10;
/** Where fewer lines than this are left to scroll to, more are read. */
const AHEAD = 150;
const LINE_PX = 48;
const LINE_PX_NARROW = 72;
/** New alerts are told to screen readers at most this often. */
const ANNOUNCE_MS = 5_000;
const NARROW = '(max-width: 640px)';

/** The live list. */
export default function AlertsPage() {
  const params = query.value;
  const name = params.toString();
  const [filter, order] = useMemo(() => [filterOf(params), orderOf(params)] as const, [name]);
  const isGrouped = params.get('grouped') !== 'no' && order.field === 'TRIGGERED_AT';
  const { view, total, error, more } = useView(filter, order);
  const [toggled, setToggled] = useState<ReadonlyMap<string, boolean>>(new Map());
  const [cursor, setCursor] = useState<string | null>(null);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [silencing, setSilencing] = useState<readonly Alert[] | null>(null);
  const [span, setSpan] = useState({ from: 0, to: 40 });
  const [above, setAbove] = useState(0);
  const scroller = useRef<HTMLDivElement>(null);
  const linePx = useLinePx();
  const lastChosen = useRef<string | null>(null);
  const pointed = useRef<number | null>(null);
  const before = useRef<{ items: readonly Item[]; view: unknown }>({ items: [], view: null });

  // One reading of the list for all lines; rows that show something else change by themselves.
  const turn = listsChanged.value;
  const items = useMemo(
    () => itemsOf(view.ids, id => store.get(id), toggled, isGrouped),
    [view, view.revision, isGrouped ? turn : 0, toggled, isGrouped],
  );
  const places = useMemo(() => new Map(items.map((item, index) => [item.key, index])), [items]);

  // What is under the pointer, or at the top of what is in sight, stays where it is.
  const element = scroller.current;
  if (before.current.items !== items) {
    const { items: old, view: oldView } = before.current;
    before.current = { items, view };
    if (element && oldView === view && old.length > 0) {
      const top = element.scrollTop;
      const at = pointed.current ?? (top > 0 ? Math.floor(top / linePx) : null);
      const shift = at === null ? 0 : shiftOf(old, places, at);
      if (shift !== 0) {
        // Once the lines stand where they belong now, and before anybody has seen them there.
        queueMicrotask(() => {
          element.scrollTop = Math.max(0, top + shift * linePx);
        });
        if (pointed.current !== null) pointed.current += shift;
        if (shift > 0 && view.ids.length > old.length - 1) setAbove(value => value + shift);
      }
    }
  }

  const look = (): void => {
    const node = scroller.current;
    if (!node) return;
    const from = Math.max(0, Math.floor(node.scrollTop / linePx) - MARGIN);
    const to = Math.ceil((node.scrollTop + node.clientHeight) / linePx) + MARGIN;
    if (from !== span.from || to !== span.to) setSpan({ from, to });
    if (node.scrollTop < linePx / 2 && above > 0) setAbove(0);
  };
  useEffect(look);
  useEffect(() => {
    if (!view.isComplete && items.length - span.to < AHEAD) more();
  });
  useEffect(() => {
    const node = scroller.current!;
    const observer = new ResizeObserver(look);
    observer.observe(node);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    setCursor(null);
    setChosen(new Set());
    setAbove(0);
    if (scroller.current) scroller.current.scrollTop = 0;
  }, [name]);
  useAnnouncements();

  const at = cursor === null ? -1 : (places.get(cursor) ?? -1);
  const current = items[at];
  const targets = (): readonly string[] => {
    if (chosen.size > 0) return view.ids.filter(id => chosen.has(id));
    if (!current) return [];
    return current.kind === 'alert' ? [current.id] : current.ids;
  };
  const act = (what: (ids: readonly string[]) => Promise<void>) => () => {
    const ids = targets();
    if (ids.length === 0 || !mayAct.value) return;
    setChosen(new Set());
    void what(ids);
  };
  const move = (to: number): void => {
    const next = items[Math.max(0, Math.min(items.length - 1, to))];
    const node = scroller.current;
    if (!next || !node) return;
    setCursor(next.key);
    const top = places.get(next.key)! * linePx;
    if (top < node.scrollTop) node.scrollTop = top;
    else if (top + linePx > node.scrollTop + node.clientHeight)
      node.scrollTop = top + linePx - node.clientHeight;
  };
  const choose = (id: string, isRange: boolean): void => {
    const next = new Set(chosen);
    const from = lastChosen.current;
    if (isRange && from !== null && view.has(from)) {
      const [a, b] = [view.ids.indexOf(from), view.ids.indexOf(id)].sort((x, y) => x - y) as [number, number];
      for (const each of view.ids.slice(a, b + 1)) next.add(each);
    } else if (!next.delete(id)) next.add(id);
    lastChosen.current = id;
    setChosen(next);
  };
  const chooseAll = (ids: readonly string[], isOn: boolean): void => {
    const next = new Set(chosen);
    for (const id of ids) {
      if (isOn) next.add(id);
      else next.delete(id);
    }
    setChosen(next);
  };
  const toggle = (incidentId: string, isOpen: boolean): void => {
    setToggled(new Map(toggled).set(incidentId, isOpen));
  };
  const open = (): void => {
    if (current?.kind === 'group') toggle(current.incidentId, !current.isOpen);
    else if (current) navigate(`alerts/${current.id}`);
  };
  const silence = (): void => {
    const alerts = targets().flatMap(id => store.get(id) ?? []);
    if (alerts.length > 0 && mayAct.value) setSilencing(alerts);
  };

  const group = actionWords().group;
  const list = w().keys;
  const acting: Command[] = mayAct.value
    ? [
        { name: 'acknowledge', label: actionWords().acknowledge, keys: ['a'], group, run: act(acknowledge) },
        {
          name: 'unacknowledge',
          label: actionWords().unacknowledge,
          keys: ['b'],
          group,
          run: act(unacknowledge),
        },
        { name: 'resolve', label: actionWords().resolve, keys: ['r'], group, run: act(resolve) },
        { name: 'escalate', label: actionWords().escalate, keys: ['e'], group, run: act(escalate) },
        { name: 'silence', label: actionWords().silence, keys: ['s'], group, run: silence },
      ]
    : [];
  useCommands([
    ...acting,
    {
      name: 'down',
      label: w().down,
      keys: ['j', 'ArrowDown'],
      group: list,
      isHidden: true,
      run: () => move(at + 1),
    },
    {
      name: 'up',
      label: w().up,
      keys: ['k', 'ArrowUp'],
      group: list,
      isHidden: true,
      run: () => move(Math.max(0, at - 1)),
    },
    { name: 'start', label: w().start, keys: ['Home', '.'], group: list, isHidden: true, run: () => move(0) },
    {
      name: 'end',
      label: w().end,
      keys: ['End', 'G'],
      group: list,
      isHidden: true,
      run: () => move(items.length - 1),
    },
    { name: 'open', label: w().openIt, keys: ['o', 'Enter'], group: list, isHidden: true, run: open },
    {
      name: 'select',
      label: w().selectIt,
      keys: ['x'],
      group: list,
      isHidden: true,
      run: () => {
        if (current?.kind === 'alert') choose(current.id, false);
        else if (current) chooseAll(current.ids, !current.ids.every(id => chosen.has(id)));
      },
    },
    {
      name: 'range',
      label: w().range,
      keys: ['X'],
      group: list,
      isHidden: true,
      run: () => {
        if (current?.kind === 'alert') choose(current.id, true);
      },
    },
    {
      name: 'fold',
      label: w().fold,
      keys: ['z'],
      group: list,
      isHidden: true,
      run: () => {
        const incident =
          current?.kind === 'alert' ? store.get(current.id)?.incident?.id : current?.incidentId;
        const heading = items.find(item => item.kind === 'group' && item.incidentId === incident);
        if (heading?.kind !== 'group') return;
        toggle(heading.incidentId, !heading.isOpen);
        setCursor(heading.key);
      },
    },
    {
      name: 'filter',
      label: w().focusFilter,
      keys: ['/', 'f'],
      group: list,
      run: () => document.getElementById('filter')?.focus(),
    },
    {
      name: 'select-all',
      label: w().selectAll,
      keys: [],
      group: list,
      run: () => setChosen(new Set(view.ids)),
    },
    {
      name: 'clear',
      label: w().clearSelection,
      keys: ['Escape'],
      group: list,
      isHidden: true,
      run: () => setChosen(new Set()),
    },
  ]);

  const shown = items.slice(span.from, span.to);
  const loaded = view.ids.length;
  const counted = view.isComplete
    ? count(loaded)
    : total === null
      ? ''
      : `${count(Math.max(total, loaded))}${total >= 10_000 ? '+' : ''}`;
  const isFiltered = name.replace(/(^|&)grouped=no/, '') !== '';
  return (
    <div class="list">
      <header class="list-head">
        <h1>{w().title}</h1>
        <span class="soft small number" data-count={loaded}>
          {counted === '1' ? w().one : counted ? w().counted(counted) : ''}
        </span>
      </header>
      <Filters filter={filter} order={order} isGrouped={isGrouped} />
      {chosen.size > 0 ? (
        <div class="bulk" role="toolbar" aria-label={w().chosen(count(chosen.size))}>
          <strong class="number">{w().chosen(count(chosen.size))}</strong>
          {mayAct.value ? (
            <>
              <button type="button" class="button first" onClick={act(acknowledge)}>
                {actionWords().acknowledge}
              </button>
              <button type="button" class="button" onClick={act(resolve)}>
                {actionWords().resolve}
              </button>
              <button type="button" class="button" onClick={act(escalate)}>
                {actionWords().escalate}
              </button>
              <button type="button" class="button" onClick={silence}>
                {actionWords().silence}
              </button>
            </>
          ) : null}
          <button type="button" class="button plain" onClick={() => setChosen(new Set())}>
            {w().clear}
          </button>
        </div>
      ) : null}
      {above > 0 ? (
        <button
          type="button"
          class="button list-above"
          onClick={() => {
            pointed.current = null;
            scroller.current!.scrollTop = 0;
            setAbove(0);
          }}
        >
          ↑ {w().above(count(above))}
        </button>
      ) : null}
      <div
        class="list-scroll"
        ref={scroller}
        role="grid"
        tabIndex={0}
        aria-label={w().list}
        aria-rowcount={view.isComplete ? items.length : -1}
        aria-multiselectable="true"
        aria-activedescendant={current && at >= span.from && at < span.to ? `line-${current.key}` : undefined}
        onScroll={look}
        onPointerMove={event => {
          if (event.pointerType !== 'mouse') return;
          const box = event.currentTarget.getBoundingClientRect();
          pointed.current = Math.floor((event.clientY - box.top + event.currentTarget.scrollTop) / linePx);
        }}
        onPointerLeave={() => {
          pointed.current = null;
        }}
      >
        <div class="list-lines" role="rowgroup" style={{ height: `${items.length * linePx}px` }}>
          {shown.map((item, offset) => {
            const index = span.from + offset;
            const top = index * linePx;
            return item.kind === 'alert' ? (
              <AlertLine
                key={item.key}
                id={item.id}
                index={index + 1}
                top={top}
                isMember={item.isMember}
                isCurrent={index === at}
                isChosen={chosen.has(item.id)}
                onChoose={choose}
                onPoint={setCursor}
              />
            ) : (
              <GroupLine
                key={`group-${item.key}`}
                item={item}
                index={index + 1}
                top={top}
                get={id => store.get(id)}
                isCurrent={index === at}
                chosenCount={chosen.size === 0 ? 0 : item.ids.filter(id => chosen.has(id)).length}
                onChoose={chooseAll}
                onToggle={toggle}
                onPoint={setCursor}
              />
            );
          })}
        </div>
        {items.length === 0 ? (
          view.isComplete && !view.isStale ? (
            <div class="missing soft">
              <p>{isFiltered ? w().none : w().quiet}</p>
              {isFiltered ? (
                <a class="button" href={href('')}>
                  {w().clearAll}
                </a>
              ) : null}
            </div>
          ) : (
            <Missing error={error} isLoading onRetry={more} />
          )
        ) : null}
      </div>
      {silencing ? (
        <SilenceDialog
          alerts={silencing}
          onClose={() => {
            setSilencing(null);
            setChosen(new Set());
          }}
        />
      ) : null}
    </div>
  );
}

function useLinePx(): number {
  const [isNarrow, setNarrow] = useState(() => matchMedia(NARROW).matches);
  useEffect(() => {
    const media = matchMedia(NARROW);
    const change = (): void => setNarrow(media.matches);
    media.addEventListener('change', change);
    return () => media.removeEventListener('change', change);
  }, []);
  return isNarrow ? LINE_PX_NARROW : LINE_PX;
}

/** Tell screen readers of new alerts: politely and bundled, at once where one is critical. */
function useAnnouncements(): void {
  useEffect(() => {
    const polite = document.getElementById('announce-polite')!;
    const assertive = document.getElementById('announce-assertive')!;
    let waiting: string[] = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = onEvents(events => {
      for (const { kind, alert } of events) {
        if ((kind !== 'TRIGGERED' && kind !== 'REOPENED') || !alert) continue;
        if (alert.severity === 'CRITICAL') assertive.textContent = w().announced(1, alert.title);
        else waiting.push(alert.title);
      }
      if (waiting.length === 0 || timer !== undefined) return;
      timer = setTimeout(() => {
        timer = undefined;
        polite.textContent = w().announced(waiting.length, waiting[0]!);
        waiting = [];
      }, ANNOUNCE_MS);
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, []);
}
