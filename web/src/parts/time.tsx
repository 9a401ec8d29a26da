import { now, since, until } from '../clock';
import { briefly, clock, countdown, dayAndTime, exactly, inWords } from '../words/time';

/** How long ago something was; it ticks. */
export function Ago({ at }: { at: string }) {
  const seconds = since(at);
  return (
    <time dateTime={at} title={exactly(at)}>
      {briefly(seconds)}
    </time>
  );
}

/** How long something still takes, counting down; once it is over, for how long it has been. */
export function Countdown({ to }: { to: string }) {
  const seconds = until(to);
  return (
    <time dateTime={to} title={exactly(to)} class="number">
      {seconds > 0 ? countdown(seconds) : `−${countdown(-seconds)}`}
    </time>
  );
}

/** When something was: the time alone where it was today. */
export function When({ at }: { at: string }) {
  const isToday = new Date(at).toDateString() === new Date(now.value).toDateString();
  return (
    <time dateTime={at} title={exactly(at)}>
      {isToday ? clock(at) : dayAndTime(at)}
    </time>
  );
}

/** A length of time. */
export function Length({ seconds }: { seconds: number }) {
  return <span class="number">{inWords(seconds)}</span>;
}
