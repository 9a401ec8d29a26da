/** What single keys do. Whoever shows something registers its keys for as long as it is shown. */
import { signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { keep, kept } from '../kept';

export interface Command {
  /** Stable, such as `alert.acknowledge`. */
  readonly name: string;
  /** What it does, in the language spoken. */
  readonly label: string;
  /** Such as `a`, `?`, `Enter` or, one after the other, `g i`. None where only the palette has it. */
  readonly keys: readonly string[];
  readonly run: () => void;
  /** Under which heading it stands in the help. */
  readonly group: string;
  /** Left out of the palette, such as moving up and down. */
  readonly isHidden?: boolean;
}

const SEQUENCE_MS = 1_200;

/** Whether single letters do anything: whoever speaks to the machine, or types past a field, may switch them off. */
export const areKeysOn = signal(kept('keys', ['off']) !== 'off');
export const isPaletteOpen = signal(false);
export const isHelpOpen = signal(false);

const layers: (readonly Command[])[] = [];
/** Raised when commands come or go. */
export const commandsChanged = signal(0);

export function switchKeys(on: boolean): void {
  areKeysOn.value = on;
  keep('keys', on ? null : 'off');
}

/** All commands of what is shown now; where two have a key, the later one has it. */
export function commands(): readonly Command[] {
  return layers.flat();
}

/** Give commands for as long as the component is shown. They may be made anew with each rendering. */
export function useCommands(made: readonly Command[]): void {
  const holder = useHolder();
  holder.splice(0, holder.length, ...made);
}

function useHolder(): Command[] {
  const holder = useRefOnce<Command[]>(() => []);
  useEffect(() => {
    layers.push(holder);
    commandsChanged.value += 1;
    return () => {
      layers.splice(layers.indexOf(holder), 1);
      commandsChanged.value += 1;
    };
  }, []);
  return holder;
}

function useRefOnce<T>(make: () => T): T {
  const ref = useRef<T | null>(null);
  if (ref.current === null) ref.current = make();
  return ref.current;
}

let begun = '';
let begunAt = 0;

function isTyping(target: EventTarget | null): boolean {
  const element = target as HTMLElement | null;
  if (!element?.closest) return false;
  return (
    element.isContentEditable || element.closest('input:not([type="checkbox"]), textarea, select') !== null
  );
}

function onKey(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.isComposing) return;
  if ((event.metaKey || event.ctrlKey) && !event.altKey && event.key.toLowerCase() === 'k') {
    event.preventDefault();
    isPaletteOpen.value = !isPaletteOpen.value;
    return;
  }
  if (event.metaKey || event.ctrlKey || event.altKey || isTyping(event.target)) return;
  // An open dialog has the keys to itself.
  if (document.querySelector('dialog[open]')) return;
  const isLetter = event.key.length === 1;
  if (isLetter && !areKeysOn.value) return;
  // A button is pressed by these.
  if (
    (event.key === 'Enter' || event.key === ' ') &&
    (event.target as Element)?.closest?.('button, a[href], summary')
  )
    return;
  const pressed = event.shiftKey && !isLetter ? `Shift+${event.key}` : event.key;
  const sequence = Date.now() - begunAt < SEQUENCE_MS && begun ? `${begun} ${pressed}` : pressed;
  const all = commands();
  const found =
    all.findLast(command => command.keys.includes(sequence)) ??
    all.findLast(command => command.keys.includes(pressed));
  begun = '';
  if (found) {
    event.preventDefault();
    found.run();
  } else if (all.some(command => command.keys.some(keys => keys.startsWith(`${pressed} `)))) {
    begun = pressed;
    begunAt = Date.now();
  }
}

export function startKeys(): void {
  addEventListener('keydown', onKey);
}
