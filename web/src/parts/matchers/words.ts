import { words } from '../../words';

export const matcherWords = words({
  en: {
    label: 'Label',
    operator: 'Compared by',
    value: 'Value',
    operators: { EQUAL: 'is', NOT_EQUAL: 'is not', REGEX: 'matches', NOT_REGEX: 'does not match' },
    add: 'Add a condition',
    remove: (label: string) => `Remove the condition on ${label || 'no label'}`,
    any: 'any alert',
    nothing: '“”',
    builtIns: 'Beside labels: @title, @severity, @source, @service, @dedup_key. Expressions are RE2.',
  },
  de: {
    label: 'Label',
    operator: 'Vergleich',
    value: 'Wert',
    operators: { EQUAL: 'ist', NOT_EQUAL: 'ist nicht', REGEX: 'passt auf', NOT_REGEX: 'passt nicht auf' },
    add: 'Bedingung hinzufügen',
    remove: (label: string) => `Die Bedingung zu ${label || 'keinem Label'} entfernen`,
    any: 'jeder Alarm',
    nothing: '„“',
    builtIns: 'Neben Labels: @title, @severity, @source, @service, @dedup_key. Ausdrücke sind RE2.',
  },
});
