/** Shifts and overrides of the weeks shown, as lists: the calendar for those who read it aloud. */
import { say } from '../../parts/toast';
import { mayAct } from '../../session';
import type { OnCallCalendarQuery } from './documents';
import { stretch } from './moments';
import { attempted, deleteOverride, makeOverride } from './override-changes';
import type { Turn } from './schedules';
import { onCallWords } from './words';

type Schedule = NonNullable<OnCallCalendarQuery['onCallSchedule']>;
type Override = Schedule['overrides'][number];

export function Overrides({
  schedule,
  zone,
  turns,
  onChanged,
}: {
  schedule: Schedule;
  zone: string;
  turns: readonly Turn[];
  onChanged: () => void;
}) {
  const w = onCallWords();
  return (
    <>
      <div class="stack">
        <h3>{w.overrides}</h3>
        {schedule.overrides.length === 0 ? <p class="small faint">{w.noOverrides}</p> : null}
        <ul class="rows oncall-overrides">
          {schedule.overrides.map(override => {
            const when = stretch(Date.parse(override.startsAt), Date.parse(override.endsAt), zone);
            return (
              <li key={override.id}>
                <strong class="cut">{override.responder.name}</strong>
                <span class="small">
                  {when} <span class="faint">{w.saidBy(override.createdBy.name)}</span>
                </span>
                {mayAct.value ? (
                  <button
                    type="button"
                    class="button danger"
                    aria-label={w.takeBackOf(override.responder.name, when)}
                    onClick={() => void takeBack(schedule.id, override, onChanged)}
                  >
                    {w.takeBack}
                  </button>
                ) : (
                  <span />
                )}
              </li>
            );
          })}
        </ul>
      </div>
      <details>
        <summary class="small">{w.list}</summary>
        <ol class="oncall-list small">
          {turns.map(turn => (
            <li key={`${turn.startsAt}`}>
              <span class="number">{stretch(turn.startsAt, turn.endsAt, zone)}</span>{' '}
              <strong>{turn.name}</strong>{' '}
              {turn.isOverride ? <span class="tag accent">{w.standsIn}</span> : null}
            </li>
          ))}
        </ol>
      </details>
    </>
  );
}

/** Take an override back; for a while it can be made again. */
async function takeBack(scheduleId: string, override: Override, onChanged: () => void): Promise<void> {
  const { responder, startsAt, endsAt } = override;
  if (!(await attempted(() => deleteOverride(override.id)))) return;
  onChanged();
  say(onCallWords().takenBack(responder.name), async () => {
    const again = { scheduleId, responderId: responder.id, startsAt, endsAt };
    await attempted(async () => (await makeOverride(again)).problems);
    onChanged();
  });
}
