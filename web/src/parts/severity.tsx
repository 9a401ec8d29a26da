import type { Severity } from '../store/alert';
import { common } from '../words/common';
import './severity.css';

/** Each severity has a shape of its own, so that nothing depends on telling colours apart. */
const SHAPES: Record<Severity, string> = {
  CRITICAL: 'M8 1 15 8 8 15 1 8Z',
  HIGH: 'M8 1.5 15 14 1 14Z',
  MEDIUM: 'M2 2H14V14H2Z',
  LOW: 'M8 2A6 6 0 1 1 7.99 2Z',
  INFO: 'M8 3.5A4.5 4.5 0 1 1 7.99 3.5ZM8 6.2A1.8 1.8 0 1 0 8.01 6.2Z',
};

/** How bad something is: shape, colour and word; `isBrief` leaves the word to screen readers. */
export function SeverityMark({ severity, isBrief = false }: { severity: Severity; isBrief?: boolean }) {
  const word = common().severity[severity] ?? severity;
  return (
    <span class={`severity ${severity.toLowerCase()}`} title={isBrief ? word : undefined}>
      <svg viewBox="0 0 16 16" width="13" height="13" aria-hidden="true">
        <path d={SHAPES[severity] ?? SHAPES.INFO} fill-rule="evenodd" />
      </svg>
      <span class={isBrief ? 'hidden-visually' : ''}>{word}</span>
    </span>
  );
}
