/** Instants and lengths of time as people say them. */
import { language } from './index';

const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['m', 60],
  ['s', 1],
] as const;
const GERMAN = { d: 'T', h: 'Std', m: 'Min', s: 'Sek' } as const;

/** Return the seconds of an ISO 8601 length such as PT5M or P1DT2H; NaN where it is none. */
export function secondsOf(duration: string): number {
  const match =
    /^P(?:(\d+(?:\.\d+)?)D)?(?:T(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?$/.exec(
      duration,
    );
  if (!match) return Number.NaN;
  const [days, hours, minutes, seconds] = match.slice(1).map(part => Number(part ?? 0));
  return days! * 86_400 + hours! * 3_600 + minutes! * 60 + seconds!;
}

/** Return the ISO 8601 length of so many seconds. */
export function durationOf(seconds: number): string {
  return `PT${Math.round(seconds)}S`;
}

/** Return a length in at most two units: `4m 10s`, `3h`, `2d 4h`. */
export function inWords(seconds: number): string {
  let left = Math.max(0, Math.round(seconds));
  const parts: string[] = [];
  for (const [unit, size] of UNITS) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count > 0) parts.push(language.value === 'de' ? `${count} ${GERMAN[unit]}` : `${count}${unit}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.length > 0 ? parts.join(' ') : language.value === 'de' ? '0 Sek' : '0s';
}

/** Return a length in its largest unit alone: `4m`, `3h`, `2d`. */
export function briefly(seconds: number): string {
  const left = Math.max(0, seconds);
  const [unit, size] = UNITS.find(each => left >= each[1]) ?? UNITS[3];
  const count = Math.floor(left / size);
  return language.value === 'de' ? `${count} ${GERMAN[unit]}` : `${count}${unit}`;
}

/** Return what a clock that counts down shows: `4:09`, `1:02:33`. */
export function countdown(seconds: number): string {
  const left = Math.max(0, Math.ceil(seconds));
  const parts = [Math.floor(left / 3_600), Math.floor((left % 3_600) / 60), left % 60];
  const shown = parts[0] === 0 ? parts.slice(1) : parts;
  return shown.map((part, index) => (index === 0 ? String(part) : String(part).padStart(2, '0'))).join(':');
}

const formats = new Map<string, Intl.DateTimeFormat>();

function formatted(instant: string | Date, options: Intl.DateTimeFormatOptions): string {
  const locale = language.value === 'de' ? 'de-DE' : 'en-GB';
  const name = locale + JSON.stringify(options);
  let format = formats.get(name);
  if (!format) {
    format = new Intl.DateTimeFormat(locale, options);
    formats.set(name, format);
  }
  return format.format(typeof instant === 'string' ? new Date(instant) : instant);
}

/** Return the wall-clock time here, to the second. */
export function clock(instant: string | Date): string {
  return formatted(instant, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
}

/** Return day and time here. */
export function dayAndTime(instant: string | Date): string {
  return formatted(instant, {
    weekday: 'short',
    day: 'numeric',
    month: 'short',
    hour: '2-digit',
    minute: '2-digit',
  });
}

/** Return the whole of an instant, with the zone, for a tooltip. */
export function exactly(instant: string | Date): string {
  return formatted(instant, { dateStyle: 'full', timeStyle: 'long' });
}

/** Return the day here. */
export function day(instant: string | Date): string {
  return formatted(instant, { weekday: 'short', day: 'numeric', month: 'short' });
}

/** Return a number with the language's separators. */
export function count(value: number): string {
  return value.toLocaleString(language.value === 'de' ? 'de-DE' : 'en-GB');
}

/** Return a share of one as a percentage. */
export function percent(share: number, digits = 0): string {
  return new Intl.NumberFormat(language.value === 'de' ? 'de-DE' : 'en-GB', {
    style: 'percent',
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  }).format(share);
}
