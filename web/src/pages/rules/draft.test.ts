import { describe, expect, it } from 'vitest';
import {
  badDelays,
  draftOf,
  durationOf,
  inputOf,
  type Known,
  lengthOf,
  NEW_DRAFT,
  NEW_LEVEL,
  shownTarget,
} from './draft';

const known: Known = {
  id: 'rul_1',
  version: 3,
  name: 'Customers feel it',
  enabled: true,
  matchers: [{ label: 'env', operator: 'EQUAL', value: 'production' }],
  severities: ['CRITICAL', 'HIGH'],
  incidentProbabilityMin: 0.125,
  repeatCount: 2,
  escalateOnSla: true,
  levels: [
    { delay: 'PT5M', targets: [{ __typename: 'OnCallSchedule', id: 'sch_1', name: 'Primary' }] },
    {
      delay: 'PT0S',
      targets: [
        { __typename: 'Responder', id: 'rsp_1', name: 'Mira' },
        { __typename: 'NotificationChannel', id: 'chn_1', name: 'phone' },
      ],
    },
  ],
};

describe('lengths', () => {
  it.each([
    [300, '5', 'm'],
    [90, '90', 's'],
    [7_200, '2', 'h'],
    [0, '0', 's'],
    [86_400, '24', 'h'],
  ])('%s s are %s %s', (seconds, amount, unit) => {
    expect(lengthOf(seconds)).toEqual({ amount, unit });
  });

  it('come back as the same time', () => {
    expect(durationOf({ amount: '5', unit: 'm' })).toBe('PT300S');
    expect(durationOf({ amount: '1,5', unit: 'h' })).toBe('PT5400S');
  });

  it('that are none are found, by their level', () => {
    const levels = ['5', 'soon', ' ', '0', '-1', '1,5'].map(amount => ({ ...NEW_LEVEL, amount }));
    expect(badDelays({ ...NEW_DRAFT, levels })).toEqual([1, 2, 4]);
  });
});

describe('a draft', () => {
  it('sends what it was made of', () => {
    expect(inputOf(draftOf(known, duration => (duration === 'PT5M' ? 300 : 0)))).toEqual({
      name: 'Customers feel it',
      enabled: true,
      matchers: known.matchers,
      severities: ['CRITICAL', 'HIGH'],
      incidentProbabilityMin: 0.125,
      levels: [
        { delay: 'PT300S', targets: [{ scheduleId: 'sch_1' }] },
        { delay: 'PT0S', targets: [{ responderId: 'rsp_1' }, { channelId: 'chn_1' }] },
      ],
      repeatCount: 2,
      escalateOnSla: true,
    });
  });

  it('asks for no chance where none is written', () => {
    expect(inputOf(NEW_DRAFT).incidentProbabilityMin).toBeNull();
  });

  it('leaves out targets that nobody has chosen', () => {
    expect(inputOf(NEW_DRAFT).levels).toEqual([{ delay: 'PT300S', targets: [] }]);
  });
});

describe('places', () => {
  it('of targets are found among those not chosen', () => {
    expect(shownTarget(['', 'channelId:a', '', 'channelId:b'], 1)).toBe(3);
    expect(shownTarget([''], 0)).toBe(-1);
  });
});
