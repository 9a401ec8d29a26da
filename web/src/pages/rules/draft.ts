/** What the form of a rule holds, and what is sent of it. */
import { filledIn, type Matcher } from '../../parts/matchers/matcher';
import type { Severity } from '../../store/alert';

export type TargetKind = 'responderId' | 'scheduleId' | 'channelId';

/** Whom a level notifies: `responderId:rsp_…`, as the choices of a list have it; empty while nobody is chosen. */
export type TargetText = string;

export interface Level {
  readonly amount: string;
  readonly unit: Unit;
  readonly targets: readonly TargetText[];
}

export interface Draft {
  readonly name: string;
  readonly enabled: boolean;
  readonly matchers: readonly Matcher[];
  readonly severities: readonly Severity[];
  /** In percent; empty for any alert. */
  readonly chanceMin: string;
  readonly levels: readonly Level[];
  readonly repeatCount: string;
  readonly escalateOnSla: boolean;
}

interface KnownTarget {
  readonly __typename: 'Responder' | 'OnCallSchedule' | 'NotificationChannel';
  readonly id: string;
  readonly name: string;
}

export interface Known {
  readonly id: string;
  readonly version: number;
  readonly name: string;
  readonly enabled: boolean;
  readonly matchers: readonly Matcher[];
  readonly severities: readonly Severity[];
  readonly incidentProbabilityMin?: number | null;
  readonly repeatCount: number;
  readonly escalateOnSla: boolean;
  readonly levels: readonly { readonly delay: string; readonly targets: readonly KnownTarget[] }[];
}

export const UNITS = { s: 1, m: 60, h: 3_600 } as const;
export type Unit = keyof typeof UNITS;

const KINDS: Readonly<Record<KnownTarget['__typename'], TargetKind>> = {
  Responder: 'responderId',
  OnCallSchedule: 'scheduleId',
  NotificationChannel: 'channelId',
};

export const NEW_LEVEL: Level = { amount: '5', unit: 'm', targets: [''] };

export const NEW_DRAFT: Draft = {
  name: '',
  enabled: true,
  matchers: [],
  severities: [],
  chanceMin: '',
  levels: [NEW_LEVEL],
  repeatCount: '0',
  escalateOnSla: false,
};

/** Return a length of time in the largest unit that shows all of it. */
export function lengthOf(seconds: number): Pick<Level, 'amount' | 'unit'> {
  if (Number.isNaN(seconds)) return { amount: '', unit: 'm' };
  const unit = (['h', 'm'] as const).find(each => seconds > 0 && seconds % UNITS[each] === 0) ?? 's';
  return { amount: String(seconds / UNITS[unit]), unit };
}

function numberOf(amount: string): number {
  return amount.trim() === '' ? Number.NaN : Number(amount.trim().replace(',', '.'));
}

/** Return which levels have a delay that is no length of time, by their index. */
export function badDelays(draft: Draft): number[] {
  return draft.levels.flatMap((level, index) => (numberOf(level.amount) >= 0 ? [] : [index]));
}

/** Return a length as the API has it; it must be one. */
export function durationOf({ amount, unit }: Pick<Level, 'amount' | 'unit'>): string {
  return `PT${numberOf(amount) * UNITS[unit]}S`;
}

export function targetText(target: KnownTarget): TargetText {
  return `${KINDS[target.__typename]}:${target.id}`;
}

/** @param secondsOf Reads a length of time. */
export function draftOf(known: Known, secondsOf: (duration: string) => number): Draft {
  const { incidentProbabilityMin: chance } = known;
  return {
    name: known.name,
    enabled: known.enabled,
    matchers: known.matchers.map(({ label, operator, value }) => ({ label, operator, value })),
    severities: known.severities,
    chanceMin: chance === null || chance === undefined ? '' : String(Math.round(chance * 1_000) / 10),
    levels: known.levels.map(level => ({
      ...lengthOf(secondsOf(level.delay)),
      targets: level.targets.map(targetText),
    })),
    repeatCount: String(known.repeatCount),
    escalateOnSla: known.escalateOnSla,
  };
}

function targetOf(text: TargetText) {
  const [kind, id] = text.split(':') as [TargetKind, string];
  if (kind === 'responderId') return { responderId: id };
  return kind === 'scheduleId' ? { scheduleId: id } : { channelId: id };
}

/** Return what is sent of a draft. */
export function inputOf(draft: Draft) {
  return {
    name: draft.name,
    enabled: draft.enabled,
    matchers: filledIn(draft.matchers),
    severities: [...draft.severities],
    incidentProbabilityMin:
      draft.chanceMin.trim() === '' ? null : Number(draft.chanceMin.replace(',', '.')) / 100,
    levels: draft.levels.map(level => ({
      delay: durationOf(level),
      targets: level.targets.filter(text => text !== '').map(targetOf),
    })),
    repeatCount: Number(draft.repeatCount) || 0,
    escalateOnSla: draft.escalateOnSla,
  };
}

/**
 * Return where the server's index of a target stands in the form, which shows those that nobody has chosen, too.
 *
 * @returns The index in the form; -1 where there is none.
 */
export function shownTarget(targets: readonly TargetText[], sent: number): number {
  let seen = -1;
  return targets.findIndex(text => {
    if (text !== '') seen += 1;
    return seen === sent;
  });
}
