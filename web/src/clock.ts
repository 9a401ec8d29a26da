/** The time, as the service has it, ticking once a second for all who show it. */
import { signal } from '@preact/signals';

/** Now, in milliseconds, to the second. */
export const now = signal(Date.now());

function tick(): void {
  now.value = Date.now();
  // Together with the full second, so that countdowns step evenly; slower while nobody looks.
  setTimeout(tick, document.hidden ? 5_000 : 1_005 - (Date.now() % 1_000));
}

export function startClock(): void {
  tick();
  document.addEventListener('visibilitychange', () => {
    now.value = Date.now();
  });
}

/** Seconds since an instant. */
export function since(instant: string): number {
  return (now.value - Date.parse(instant)) / 1_000;
}

/** Seconds until an instant. */
export function until(instant: string): number {
  return -since(instant);
}
