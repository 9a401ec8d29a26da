/** What pages read and change with. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { type LiveEvent, onEvents } from '../live';
import type { Document } from './document';
import { ApiError, ask, type ProblemAt } from './transport';

export interface Loaded<R> {
  /** The newest answer; undefined before the first. It stays while it is asked for anew. */
  readonly data: R | undefined;
  readonly error: ApiError | null;
  readonly isLoading: boolean;
  /** Ask anew. */
  readonly reload: () => void;
}

const RELOAD_AFTER_MS = 150;

/**
 * Read something, and again whenever the variables change or an event says that it may be different.
 *
 * @param variables null to read nothing yet.
 * @param isTouchedBy Whether to read anew because of an event, such as
 *   `event => event.subjectType === 'EscalationRule'`. A storm of them is one more reading, not many.
 */
export function useQuery<R, V>(
  asked: Document<R, V>,
  variables: V | null,
  isTouchedBy?: (event: LiveEvent) => boolean,
): Loaded<R> {
  const [state, setState] = useState<{ data?: R; error: ApiError | null; isLoading: boolean }>({
    error: null,
    isLoading: variables !== null,
  });
  const [turn, setTurn] = useState(0);
  const name = variables === null ? null : JSON.stringify(variables);
  const touched = useRef(isTouchedBy);
  touched.current = isTouchedBy;

  useEffect(() => {
    if (variables === null) return;
    const abort = new AbortController();
    setState(before => ({ ...before, isLoading: true }));
    ask(asked, variables, abort.signal).then(
      data => setState({ data, error: null, isLoading: false }),
      error => {
        if (abort.signal.aborted) return;
        const told = error instanceof ApiError ? error : new ApiError('INTERNAL', String(error));
        setState(before => ({ ...before, error: told, isLoading: false }));
      },
    );
    return () => abort.abort();
  }, [asked, name, turn]);

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = onEvents((events, isWhole) => {
      // After a gap nobody knows what has changed.
      if (timer !== undefined || !touched.current) return;
      if (isWhole && !events.some(event => touched.current?.(event))) return;
      timer = setTimeout(() => {
        timer = undefined;
        setTurn(before => before + 1);
      }, RELOAD_AFTER_MS);
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, []);

  return {
    data: state.data,
    error: state.error,
    isLoading: state.isLoading,
    reload: () => setTurn(before => before + 1),
  };
}

export interface Form<T> {
  readonly values: T;
  /** Change some of the values. */
  readonly set: (patch: Partial<T>) => void;
  /** What the server said of the value at this way below `input`, such as `levels, 0, delay`. */
  readonly errorAt: (...path: (string | number)[]) => string | null;
  /** What it said of the whole, and of values for which there is no field. */
  readonly problems: readonly ProblemAt[];
  readonly isSending: boolean;
  /** Whether anything was changed since it was opened or sent. */
  readonly isDirty: boolean;
  /**
   * Send it. `send` returns the payload's `errors`; where there are none, true is returned.
   * What fails for other reasons is among `problems`.
   */
  readonly submit: (send: (values: T) => Promise<readonly ProblemAt[]>) => Promise<boolean>;
}

/** The state of a form, with the server's errors at the fields that their paths name. */
export function useForm<T extends object>(initial: T): Form<T> {
  const [values, setValues] = useState(initial);
  const [problems, setProblems] = useState<readonly ProblemAt[]>([]);
  const [isSending, setSending] = useState(false);
  const [isDirty, setDirty] = useState(false);
  return {
    values,
    set: patch => {
      setValues(before => ({ ...before, ...patch }));
      setDirty(true);
    },
    errorAt: (...path) => {
      const wanted = path.map(String);
      const found = problems.find(problem => same(below(problem), wanted));
      return found ? found.message : null;
    },
    problems,
    isSending,
    isDirty,
    submit: async send => {
      setSending(true);
      try {
        const errors = await send(values);
        setProblems(errors);
        if (errors.length === 0) setDirty(false);
        return errors.length === 0;
      } catch (error) {
        const told = error instanceof ApiError ? error : new ApiError('INTERNAL', String(error));
        setProblems([{ code: told.code, message: told.message, path: null }]);
        return false;
      } finally {
        setSending(false);
      }
    },
  };
}

function below(problem: ProblemAt): readonly string[] {
  const path = problem.path ?? [];
  return path[0] === 'input' ? path.slice(1) : path;
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((part, index) => part === b[index]);
}
