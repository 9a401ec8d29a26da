import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import { common } from '../words/common';
import './dialog.css';

/** Something to answer before going on. It is open while it is rendered; Escape and the ground around it close it. */
export function Dialog({
  title,
  onClose,
  children,
  actions,
  isWide = false,
}: {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  /** Buttons at its end. */
  actions?: ComponentChildren;
  isWide?: boolean;
}) {
  const element = useRef<HTMLDialogElement>(null);
  const name = useId();
  useEffect(() => {
    const dialog = element.current!;
    const before = document.activeElement as HTMLElement | null;
    dialog.showModal();
    const first =
      dialog.querySelector<HTMLElement>('[data-first]') ??
      dialog.querySelector<HTMLElement>('input, select, textarea');
    first?.focus();
    return () => before?.focus?.();
  }, []);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape closes a dialog by itself
    <dialog
      ref={element}
      class={`dialog${isWide ? ' wide' : ''}`}
      aria-labelledby={name}
      onCancel={event => {
        event.preventDefault();
        onClose();
      }}
      onClick={event => {
        if (event.target === element.current) onClose();
      }}
    >
      <div class="dialog-sheet">
        <header class="row">
          <h2 id={name} class="grow">
            {title}
          </h2>
          <button type="button" class="button plain" onClick={onClose} aria-label={common().close}>
            ✕
          </button>
        </header>
        <div class="dialog-body stack">{children}</div>
        {actions ? <footer class="row">{actions}</footer> : null}
      </div>
    </dialog>
  );
}
