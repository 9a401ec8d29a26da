/** A list of alerts that is read page by page, and stays right by itself. */
import { useEffect, useMemo, useState } from 'preact/hooks';
import { Alerts } from '../../api/documents';
import { ApiError, ask } from '../../api/transport';
import { beginAt, listsChanged, store, touchLists } from '../../live';
import type { AlertFilter, Order } from '../../store/alert';
import type { View } from '../../store/alerts';

const PAGE_SIZE = 100;
const RETRY_MS = 1_500;
const QUESTION_MS = 300;

export interface OpenView {
  readonly view: View;
  /** How many match; null where the server has not counted. */
  readonly total: number | null;
  readonly error: ApiError | null;
  /** Read on, where there is more. */
  readonly more: () => void;
}

export function useView(filter: AlertFilter, order: Order): OpenView {
  const name = JSON.stringify([filter, order]);
  const view = useMemo(() => store.open(filter, order), [name]);
  const [state, setState] = useState<{ total: number | null; error: ApiError | null }>({
    total: null,
    error: null,
  });

  const reader = useMemo(() => {
    let ended = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let questioner: ReturnType<typeof setTimeout> | undefined;
    const read = (): void => {
      if (ended) return;
      const request = view.next();
      if (!request) return;
      const variables = { filter: view.filter, order: view.order, first: PAGE_SIZE, after: request.after };
      ask(Alerts, variables).then(
        ({ alerts }) => {
          if (ended) return;
          const { endCursor, hasNextPage } = alerts.pageInfo;
          store.together(() => view.arrived(request, { alerts: alerts.nodes, endCursor, hasNextPage }));
          beginAt(alerts.asOf);
          setState({ total: alerts.totalCount, error: null });
          touchLists();
        },
        error => {
          if (ended) return;
          view.failed(request);
          const told = error instanceof ApiError ? error : new ApiError('INTERNAL', String(error));
          setState(before => ({ ...before, error: told }));
          if (told.code === 'OFFLINE' || told.code === 'UNAVAILABLE' || told.code === 'RATE_LIMITED')
            timer = setTimeout(read, RETRY_MS);
        },
      );
    };
    const wonder = (): void => {
      questioner = undefined;
      const question = ended ? null : view.question();
      if (!question) return;
      const keys = [...new Set(question.alerts.map(alert => alert.dedupKey))];
      const asked = view.filter.dedupKey ? keys.filter(key => view.filter.dedupKey!.includes(key)) : keys;
      const variables = {
        filter: { ...view.filter, dedupKey: asked },
        order: view.order,
        first: PAGE_SIZE,
        after: null,
      };
      ask(Alerts, variables).then(
        ({ alerts }) => store.together(() => view.answered(question, alerts.nodes)),
        () => view.answered(question, null),
      );
    };
    return {
      read,
      look(): void {
        if (view.isStale || view.isFresh) read();
        if (questioner === undefined) questioner = setTimeout(wonder, QUESTION_MS);
      },
      end(): void {
        ended = true;
        clearTimeout(timer);
        clearTimeout(questioner);
        store.close(view);
      },
    };
  }, [view]);

  useEffect(() => {
    store.views.add(view);
    reader.read();
    const stop = listsChanged.subscribe(() => reader.look());
    return () => {
      stop();
      reader.end();
    };
  }, [view, reader]);

  return { view, total: state.total, error: state.error, more: reader.read };
}
