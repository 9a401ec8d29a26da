import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { bounded } from './bounded';

describe('what is bounded', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('is done once for a storm, and again for what came last', () => {
    let done = 0;
    const { want } = bounded(() => {
      done += 1;
    }, 5_000);
    for (let second = 0; second < 100; second += 1) {
      want();
      vi.advanceTimersByTime(100);
    }
    expect(done).toBe(2);
    vi.advanceTimersByTime(60_000);
    expect(done).toBe(2);
  });

  it('is done at once where it was long ago', () => {
    let done = 0;
    const { want } = bounded(() => {
      done += 1;
    }, 5_000);
    vi.advanceTimersByTime(60_000);
    want();
    vi.advanceTimersByTime(0);
    expect(done).toBe(1);
  });

  it('is not done without reason, nor once it was stopped', () => {
    let done = 0;
    const { want, stop } = bounded(() => {
      done += 1;
    }, 5_000);
    vi.advanceTimersByTime(60_000);
    expect(done).toBe(0);
    want();
    stop();
    vi.advanceTimersByTime(60_000);
    expect(done).toBe(0);
  });
});
