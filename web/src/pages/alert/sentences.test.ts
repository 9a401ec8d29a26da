import { afterEach, beforeAll, expect, test, vi } from 'vitest';
import type { EventLineFragment } from './documents';

const event: EventLineFragment = {
  id: 'evt_1',
  number: 1,
  kind: 'ESCALATED',
  occurredAt: '2026-11-23T03:00:00Z',
  summary: 'Level 2 is reached: Maria is told over hook.',
  note: null,
  holdReason: null,
  detail: { detail: { notified: [{ channel: 'hook', responder: 'Maria' }] } },
  changes: [{ field: 'escalationLevel', after: 2 }],
  actor: { kind: 'ENGINE', name: 'engine' },
  delivery: null,
};

beforeAll(() => {
  vi.stubGlobal('document', { documentElement: { dataset: {} } });
});
afterEach(() => vi.resetModules());

test.each([
  ['en', event.summary],
  ['de', 'Stufe 2 ist erreicht: informiert wird Maria über hook.'],
] as const)('in %s it is told who is told', async (language, wanted) => {
  const { chosenLanguage } = await import('../../words');
  const { sentenceOf } = await import('./sentences');
  chosenLanguage.value = language;
  expect(sentenceOf(event)).toBe(wanted);
});

test('what has no German sentence is told in English', async () => {
  const { chosenLanguage } = await import('../../words');
  const { sentenceOf } = await import('./sentences');
  chosenLanguage.value = 'de';
  expect(sentenceOf({ ...event, kind: 'PREDICTED', summary: 'The model judged it.' })).toBe(
    'The model judged it.',
  );
});
