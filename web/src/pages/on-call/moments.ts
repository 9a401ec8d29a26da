/** Moments as a schedule's wall clock shows them, in the language spoken. */
import { language } from '../../words';
import { shownAt } from './wall-clock';

const formats = new Map<string, Intl.DateTimeFormat>();

function formatted(shown: number, options: Intl.DateTimeFormatOptions): string {
  const locale = language.value === 'de' ? 'de-DE' : 'en-GB';
  const name = locale + JSON.stringify(options);
  let format = formats.get(name);
  if (!format) {
    // What the wall clock shows is counted as if it were in UTC.
    format = new Intl.DateTimeFormat(locale, { ...options, timeZone: 'UTC' });
    formats.set(name, format);
  }
  return format.format(shown);
}

/** Return day and time of day: `Mon 23 Nov, 09:00`. */
export function moment(instant: number, zone: string): string {
  return formatted(shownAt(instant, zone), {
    weekday: 'short',
    day: 'numeric',
    month: 'short',
    hour: '2-digit',
    minute: '2-digit',
  });
}

/** Return the time of day. */
export function timeOfDay(instant: number, zone: string): string {
  return formatted(shownAt(instant, zone), { hour: '2-digit', minute: '2-digit' });
}

/** Return a wall clock's date: `23`, with the month where one begins. */
export function dayLabel(date: number): string {
  const isFirst = new Date(date).getUTCDate() === 1;
  return formatted(date, isFirst ? { day: 'numeric', month: 'short' } : { day: 'numeric' });
}

/** Return a wall clock's date: `23 Nov`. */
export function dateLabel(date: number): string {
  return formatted(date, { day: 'numeric', month: 'short' });
}

/** Return a weekday, short or in full. */
export function weekday(date: number, length: 'short' | 'long' = 'short'): string {
  return formatted(date, { weekday: length });
}

/** Return begin and end, the end's day left out where it is the same. */
export function stretch(from: number, to: number, zone: string): string {
  const end = sameDay(from, to, zone) ? timeOfDay(to, zone) : moment(to, zone);
  return `${moment(from, zone)} – ${end}`;
}

function sameDay(from: number, to: number, zone: string): boolean {
  return Math.floor(shownAt(from, zone) / 86_400_000) === Math.floor(shownAt(to, zone) / 86_400_000);
}
