/** What is told of schedules, as the page needs it. */
import { type Span, spanAt } from './calendar-time';
import type { OnCallShiftFragment } from './documents';

/** One person's turn on a schedule. */
export interface Turn extends Span {
  readonly responderId: string;
  readonly name: string;
  readonly isOverride: boolean;
}

/** Who is on call at a moment, and who is next. */
export interface Standing {
  readonly current: Turn | null;
  /** Who comes next, right behind or after a gap; null where nobody does in the time that is known. */
  readonly next: Turn | null;
}

/** How many colours there are for people. */
export const TINT_COUNT = 8;

/** Return shifts as turns. */
export function turnsOf(shifts: readonly OnCallShiftFragment[]): Turn[] {
  return shifts.map(shift => ({
    startsAt: Date.parse(shift.startsAt),
    endsAt: Date.parse(shift.endsAt),
    responderId: shift.responder.id,
    name: shift.responder.name,
    isOverride: Boolean(shift.override),
  }));
}

/** Return who is on call at a moment, and who comes next. One person's turns in a row are one. */
export function standingAt(turns: readonly Turn[], instant: number): Standing {
  const found = spanAt(turns, instant);
  let current: Turn | null = found ?? null;
  for (const turn of turns) {
    if (current && turn.startsAt === current.endsAt && turn.responderId === current.responderId) {
      current = { ...current, endsAt: turn.endsAt };
    }
  }
  const from = current?.endsAt ?? instant;
  return { current, next: turns.find(turn => turn.startsAt >= from && turn.endsAt > from) ?? null };
}

/** What gives people their colours: as many different ones as there are, the same for somebody wherever they are. */
export function tintsOf(people: Iterable<string>): (id: string) => number {
  const known = new Map([...new Set(people)].sort().map((id, index) => [id, index % TINT_COUNT]));
  return id => known.get(id) ?? hashOf(id) % TINT_COUNT;
}

/** Return a name as it fits into a space: in full, the first of it, or its initials. */
export function namesOf(name: string): readonly [full: string, first: string, initials: string] {
  const words = name.split(/\s+/).filter(word => word !== '');
  const initials = words.map(word => [...word][0]!).slice(0, 2);
  return [name, words[0] ?? name, initials.join('').toUpperCase() || name];
}

function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return hash >>> 8;
}
