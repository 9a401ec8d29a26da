/** Conditions on labels, as the API has them, and as a person reads them. */

export type Operator = 'EQUAL' | 'NOT_EQUAL' | 'REGEX' | 'NOT_REGEX';

export interface Matcher {
  readonly label: string;
  readonly operator: Operator;
  readonly value: string;
}

export const OPERATORS: readonly Operator[] = ['EQUAL', 'NOT_EQUAL', 'REGEX', 'NOT_REGEX'];

export const EMPTY: Matcher = { label: '', operator: 'EQUAL', value: '' };

/** What is compared, in Prometheus' own short form: `service="media"`. */
const SIGNS: Readonly<Record<Operator, string>> = {
  EQUAL: '=',
  NOT_EQUAL: '≠',
  REGEX: '~',
  NOT_REGEX: '≁',
};

/** Return a condition as one short text. */
export function brief({ label, operator, value }: Matcher): string {
  return `${label} ${SIGNS[operator] ?? operator} ${value === '' ? '“”' : value}`;
}

/** Return the conditions without those that were never filled in. */
export function filledIn(matchers: readonly Matcher[]): Matcher[] {
  return matchers
    .map(({ label, operator, value }) => ({ label: label.trim(), operator, value }))
    .filter(({ label, value }) => label !== '' || value !== '');
}

/**
 * Return where the server's index of a condition stands in the form, which shows empty ones, too.
 *
 * @returns The index in the form; -1 where there is none.
 */
export function shownIndex(matchers: readonly Matcher[], sent: number): number {
  let seen = -1;
  return matchers.findIndex(({ label, value }) => {
    if (label.trim() !== '' || value !== '') seen += 1;
    return seen === sent;
  });
}
