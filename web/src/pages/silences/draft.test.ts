import { describe, expect, it } from 'vitest';
import {
  badTimes,
  draftOf,
  fieldOf,
  inputOf,
  instantOf,
  type Known,
  lasting,
  newDraft,
  patchOf,
} from './draft';

const NOW = Date.parse('2026-11-23T10:00:30.000Z');
const media = { label: 'service', operator: 'EQUAL', value: 'media' } as const;
const known: Known = {
  id: 'sil_1',
  version: 7,
  matchers: [media],
  startsAt: '2026-11-23T09:00:12.000Z',
  endsAt: '2026-11-23T11:00:47.000Z',
  recurrence: null,
  timeZone: 'Europe/Berlin',
  endOnResolve: false,
  comment: 'Kernels',
};

describe('times in fields', () => {
  it('come back as the minute that they showed', () => {
    expect(instantOf(fieldOf(NOW))).toBe(Date.parse('2026-11-23T10:00:00.000Z'));
  });

  it('are none where nobody has written one', () => {
    expect(['', 'soon', '2026-13-45T99:99', '2026-11-23'].map(instantOf)).toEqual([null, null, null, null]);
  });
});

describe('a draft', () => {
  it('lasts an hour, from now', () => {
    const draft = newDraft(NOW, 'UTC', [media]);
    const input = inputOf({ ...draft, comment: 'Why' });
    expect(input).not.toHaveProperty('startsAt');
    expect(Date.parse(input.endsAt) - NOW).toBeLessThanOrEqual(3_600_000);
    expect(Date.parse(input.endsAt) - NOW).toBeGreaterThan(3_540_000);
  });

  it('lasts as long as is chosen, from its own begin', () => {
    const draft = { ...newDraft(NOW, 'UTC', [media]), startsAt: fieldOf(NOW + 86_400_000) };
    const longer = lasting(draft, '4h', NOW);
    expect(instantOf(longer.endsAt)! - instantOf(longer.startsAt)!).toBe(4 * 3_600_000);
  });

  it('says which times are none', () => {
    const draft = newDraft(NOW, 'UTC', []);
    expect(badTimes(draft)).toEqual([]);
    expect(badTimes({ ...draft, startsAt: 'soon', endsAt: '' })).toEqual(['startsAt', 'endsAt']);
  });

  it('leaves out conditions that were never filled in', () => {
    const draft = newDraft(NOW, 'UTC', [media, { label: '', operator: 'EQUAL', value: '' }]);
    expect(inputOf(draft).matchers).toEqual([media]);
  });
});

describe('a change', () => {
  it('keeps times to the second where they were not touched', () => {
    const patch = patchOf({ ...draftOf(known), comment: 'New kernels' }, known);
    expect(patch).not.toHaveProperty('startsAt');
    expect(patch).not.toHaveProperty('endsAt');
    expect(patch).toMatchObject({
      id: 'sil_1',
      expectedVersion: 7,
      comment: 'New kernels',
      recurrence: null,
    });
  });

  it('sends the time that was touched', () => {
    const patch = patchOf(lasting(draftOf(known), '1d', NOW), known);
    expect(patch).not.toHaveProperty('startsAt');
    expect(patch.endsAt).toBe('2026-11-24T09:00:00.000Z');
  });
});
