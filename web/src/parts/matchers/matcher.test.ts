import { describe, expect, it } from 'vitest';
import { brief, EMPTY, filledIn, type Matcher, shownIndex } from './matcher';

const media: Matcher = { label: 'service', operator: 'EQUAL', value: 'media' };
const names: Matcher = { label: 'alertname', operator: 'REGEX', value: 'Node.*' };

describe('conditions', () => {
  it('are told briefly', () => {
    expect(brief(media)).toBe('service = media');
    expect(brief(names)).toBe('alertname ~ Node.*');
    expect(brief({ label: 'env', operator: 'NOT_EQUAL', value: '' })).toBe('env ≠ “”');
  });

  it('are sent without those that are empty, and without blanks around a label', () => {
    expect(filledIn([EMPTY, { ...media, label: ' service ' }, EMPTY, names])).toEqual([media, names]);
  });

  it('keep a value that is empty on purpose', () => {
    const absent: Matcher = { label: 'env', operator: 'EQUAL', value: '' };
    expect(filledIn([absent])).toEqual([absent]);
  });

  it('find what the server speaks of among empty ones', () => {
    const shown = [EMPTY, media, EMPTY, names];
    expect(shownIndex(shown, 0)).toBe(1);
    expect(shownIndex(shown, 1)).toBe(3);
    expect(shownIndex(shown, 2)).toBe(-1);
  });
});
