/** Weeks of one schedule: who is on call when. Drag over it, or move through it by keys, to choose a time. */

import type { TargetedKeyboardEvent, TargetedPointerEvent } from 'preact';
import { useId, useLayoutEffect, useRef, useState } from 'preact/hooks';
import {
  chosen,
  floored,
  gapsIn,
  instantAt,
  movedBy,
  piecesIn,
  placeOf,
  type Span,
  spanAt,
  stepFor,
  type Week,
} from './calendar-time';
import { dayLabel, moment, stretch, timeOfDay, weekday } from './moments';
import { namesOf, type Turn } from './schedules';
import { HOUR } from './wall-clock';
import { onCallWords } from './words';

const KEY_STEP = HOUR;

export function Calendar({
  label,
  zone,
  weeks,
  turns,
  tintOf,
  isKnown,
  present,
  onChoose,
}: {
  label: string;
  zone: string;
  weeks: readonly Week[];
  turns: readonly Turn[];
  tintOf: (responderId: string) => number;
  /** False while nothing was read yet: then nothing is a gap. */
  isKnown: boolean;
  /** Now. */
  present: number;
  /** Called with what was chosen; null where the viewer may not change anything. */
  onChoose: ((span: Span) => void) | null;
}) {
  const w = onCallWords();
  const help = useId();
  const strips = useRef<(HTMLElement | null)[]>([]);
  const [step, setStep] = useState(KEY_STEP);
  // Where the cursor stands, and where a choice began that it ends.
  const [head, setHead] = useState<number | null>(null);
  const [anchor, setAnchor] = useState<number | null>(null);
  const [isDragging, setDragging] = useState(false);
  const bounds = { startsAt: weeks[0]!.startsAt, endsAt: weeks.at(-1)!.endsAt };

  useLayoutEffect(() => {
    const measure = (): void => setStep(stepFor((strips.current[0]?.clientWidth ?? 0) / 7));
    measure();
    const observer = new ResizeObserver(measure);
    if (strips.current[0]) observer.observe(strips.current[0]);
    return () => observer.disconnect();
  }, []);

  const inside = head !== null && head >= bounds.startsAt && head < bounds.endsAt ? head : null;
  const cursor =
    inside ?? Math.max(bounds.startsAt, Math.min(floored(present, KEY_STEP, zone), bounds.endsAt - HOUR));
  const stepNow = isDragging ? step : KEY_STEP;
  const choice = anchor === null ? null : chosen(anchor, cursor, stepNow);
  const people = [...new Map(turns.map(each => [each.responderId, each.name]))].sort((a, b) =>
    a[1].localeCompare(b[1]),
  );
  const gaps = isKnown ? gapsIn(turns, bounds) : [];

  const pointed = (event: PointerEvent): number | null => {
    let nearest: { away: number; instant: number } | null = null;
    for (const [index, strip] of strips.current.entries()) {
      const week = weeks[index];
      if (!strip || !week) continue;
      const box = strip.getBoundingClientRect();
      const away = Math.max(box.top - event.clientY, event.clientY - box.bottom, 0);
      if (nearest && nearest.away <= away) continue;
      // The last step of a week ends with it.
      const place = Math.min((event.clientX - box.left) / box.width, 1 - 1e-9);
      nearest = { away, instant: floored(instantAt(place, week), step, zone) };
    }
    return nearest ? Math.min(Math.max(nearest.instant, bounds.startsAt), bounds.endsAt - step) : null;
  };

  const down = (event: TargetedPointerEvent<HTMLElement>): void => {
    if (event.button !== 0) return;
    const instant = pointed(event);
    if (instant === null) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    setHead(instant);
    setAnchor(onChoose ? instant : null);
    setDragging(onChoose !== null);
  };
  const move = (event: TargetedPointerEvent<HTMLElement>): void => {
    if (!isDragging) return;
    const instant = pointed(event);
    if (instant !== null) setHead(instant);
  };
  const up = (event: TargetedPointerEvent<HTMLElement>): void => {
    if (!isDragging) return;
    setDragging(false);
    setAnchor(null);
    const instant = pointed(event);
    // A click alone only moves the cursor.
    if (instant !== null && anchor !== null && instant !== anchor) onChoose?.(chosen(anchor, instant, step));
  };
  const cancel = (): void => {
    setDragging(false);
    setAnchor(null);
  };
  const press = (event: TargetedKeyboardEvent<HTMLElement>): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === 'Escape' && anchor !== null) {
      event.stopPropagation();
      cancel();
    } else if (event.key === 'Enter' && onChoose) {
      onChoose(choice ?? spanAt(turns, cursor) ?? chosen(cursor, cursor, KEY_STEP));
      setAnchor(null);
    } else {
      const target = movedBy(event.key, cursor, KEY_STEP, bounds, zone);
      if (target === null) return;
      if (!event.shiftKey) setAnchor(null);
      else if (anchor === null && onChoose) setAnchor(cursor);
      setHead(target);
    }
    event.preventDefault();
  };

  const turn = spanAt(turns, cursor);
  const who = !turn ? w.isNobody : turn.isOverride ? w.isStandingIn(turn.name) : w.isOn(turn.name);
  const told = choice
    ? w.chosen(moment(choice.startsAt, zone), moment(choice.endsAt, zone))
    : w.at(moment(cursor, zone), who);

  return (
    <div class="oncall-calendar">
      <div class="oncall-weekdays" aria-hidden="true">
        {weeks[0]!.days.map(day => (
          <span key={day.date}>{weekday(day.date)}</span>
        ))}
      </div>
      <div
        class="oncall-weeks"
        role="slider"
        tabIndex={0}
        aria-label={label}
        {...(onChoose ? { 'aria-describedby': help } : {})}
        aria-valuemin={0}
        aria-valuemax={Math.round((bounds.endsAt - bounds.startsAt) / HOUR)}
        aria-valuenow={Math.round((cursor - bounds.startsAt) / HOUR)}
        aria-valuetext={told}
        onPointerDown={down}
        onPointerMove={move}
        onPointerUp={up}
        onPointerCancel={cancel}
        onKeyDown={press}
      >
        {weeks.map((week, index) => (
          <div class="oncall-week" key={week.startsAt}>
            <div class="oncall-days">
              {week.days.map(day => (
                <span
                  key={day.date}
                  class={
                    present >= day.startsAt && present < day.endsAt ? 'oncall-day is-today' : 'oncall-day'
                  }
                >
                  {dayLabel(day.date)}
                </span>
              ))}
            </div>
            <div
              class="oncall-strip"
              ref={element => {
                strips.current[index] = element;
              }}
            >
              {piecesIn(gaps, week).map(piece => (
                <span
                  key={piece.of.startsAt}
                  class="oncall-gap"
                  style={{ left: percent(piece.left), width: percent(piece.width) }}
                  title={`${w.nobody}, ${stretch(piece.of.startsAt, piece.of.endsAt, zone)}`}
                />
              ))}
              {piecesIn(turns, week).map(piece => (
                <span
                  key={`${piece.of.startsAt} ${piece.of.name}`}
                  class={`oncall-turn tint-${tintOf(piece.of.responderId)}${piece.isFirst ? ' is-first' : ''}${piece.isLast ? ' is-last' : ''}${piece.of.isOverride ? ' is-override' : ''}`}
                  style={{ left: percent(piece.left), width: percent(piece.width) }}
                  title={`${piece.of.name}, ${stretch(piece.of.startsAt, piece.of.endsAt, zone)}${piece.of.isOverride ? ` (${w.standsIn})` : ''}`}
                >
                  {namesOf(piece.of.name).map((name, size) => (
                    <span key={size} class={`oncall-name size-${size}`}>
                      {piece.of.isOverride ? '⇄ ' : ''}
                      {name}
                    </span>
                  ))}
                </span>
              ))}
              {choice &&
                piecesIn([choice], week).map(piece => (
                  <span
                    key="choice"
                    class="oncall-choice"
                    style={{ left: percent(piece.left), width: percent(piece.width) }}
                  />
                ))}
              {present >= week.startsAt && present < week.endsAt && (
                <span
                  class="oncall-now"
                  style={{ left: percent(placeOf(present, week)) }}
                  title={timeOfDay(present, zone)}
                />
              )}
              {cursor >= week.startsAt && cursor < week.endsAt && (
                <span class="oncall-cursor" style={{ left: percent(placeOf(cursor, week)) }} />
              )}
            </div>
          </div>
        ))}
      </div>
      <ul class="row small oncall-people">
        {people.map(([id, name]) => (
          <li key={id} class="row">
            <span class={`oncall-dot tint-${tintOf(id)}`} aria-hidden="true" />
            {name}
          </li>
        ))}
      </ul>
      <p class="oncall-told">
        <strong aria-hidden="true">{told}</strong>
        {onChoose && <span id={help}>{w.howTo}</span>}
      </p>
    </div>
  );
}

function percent(share: number): string {
  return `${(share * 100).toFixed(4)}%`;
}
