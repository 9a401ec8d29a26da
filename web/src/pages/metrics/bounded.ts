/** Something that is done again when there is reason to, but not more often than it may be. */
export interface Bounded {
  /** There is reason to do it: it is done now, or as soon as it may be. */
  readonly want: () => void;
  readonly stop: () => void;
}

/**
 * Return what does something at most once in so many milliseconds, however often it is wanted.
 *
 * The first time that it may be done is that long from now: it has just been done.
 */
export function bounded(run: () => void, ageMs: number): Bounded {
  let doneAt = Date.now();
  let timer: ReturnType<typeof setTimeout> | undefined;
  return {
    want: () => {
      if (timer !== undefined) return;
      const wait = Math.max(0, Math.min(doneAt + ageMs - Date.now(), ageMs));
      timer = setTimeout(() => {
        timer = undefined;
        doneAt = Date.now();
        run();
      }, wait);
    },
    stop: () => {
      clearTimeout(timer);
      timer = undefined;
    },
  };
}
