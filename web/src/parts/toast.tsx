import { signal } from '@preact/signals';
import { common } from '../words/common';
import './toast.css';

/** How long something can be taken back by one click or key. */
export const UNDO_MS = 5_000;
const ERROR_MS = 8_000;

interface Toast {
  readonly id: number;
  readonly text: string;
  readonly isBad: boolean;
  readonly undo: (() => void) | null;
  readonly until: number;
}

const toasts = signal<readonly Toast[]>([]);
let last = 0;

function show(text: string, isBad: boolean, undo: (() => void) | null, lifetime: number): void {
  last += 1;
  const id = last;
  toasts.value = [...toasts.value.slice(-2), { id, text, isBad, undo, until: Date.now() + lifetime }];
  setTimeout(() => drop(id), lifetime);
}

function drop(id: number): void {
  toasts.value = toasts.value.filter(toast => toast.id !== id);
}

/** Say what was done; with `undo` it can be taken back for 5 s. */
export function say(text: string, undo: (() => void) | null = null): void {
  show(text, false, undo, UNDO_MS);
}

/** Say what went wrong. */
export function complain(text: string): void {
  show(text, true, null, ERROR_MS);
}

/** Take back what was done last, while that is possible; return whether there was anything. */
export function undoLast(): boolean {
  const toast = toasts.value.findLast(each => each.undo !== null && each.until > Date.now());
  if (!toast) return false;
  drop(toast.id);
  toast.undo?.();
  return true;
}

/** Where they appear; once in the shell. */
export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map(toast => (
        <div key={toast.id} class={`toast${toast.isBad ? ' wrong' : ''}`}>
          <span class="grow">{toast.text}</span>
          {toast.undo ? (
            <button
              type="button"
              class="button plain"
              onClick={() => {
                drop(toast.id);
                toast.undo?.();
              }}
            >
              {common().undo} <kbd>u</kbd>
            </button>
          ) : null}
        </div>
      ))}
    </div>
  );
}
