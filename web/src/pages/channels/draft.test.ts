import { describe, expect, it } from 'vitest';
import { configOf, draftOf, inputOf, type Known, NEW_DRAFT } from './draft';

function known(more: Partial<Known> & { config: Known['config'] }): Known {
  return { id: 'chn_1', version: 4, name: 'chat', kind: 'SLACK', enabled: true, ...more };
}

const slack = known({
  config: { __typename: 'SlackConfig', channel: 'C1', apiUrl: null } as Known['config'],
  fallback: { id: 'chn_2' },
});

describe('a new channel', () => {
  it('sends what was written, by its kind', () => {
    const draft = { ...NEW_DRAFT, name: 'hook', config: { url: ' https://h.example ', secret: '' } };
    expect(inputOf(draft, null)).toEqual({
      name: 'hook',
      enabled: true,
      fallbackId: null,
      template: null,
      config: { webhook: { url: 'https://h.example' } },
    });
  });

  it('names its kind even where nothing was written', () => {
    expect(inputOf({ ...NEW_DRAFT, kind: 'EMAIL' }, null).config).toEqual({ email: {} });
  });

  it('reads addresses however they are parted', () => {
    const draft = {
      ...NEW_DRAFT,
      kind: 'EMAIL' as const,
      config: { to: 'a@x.example, b@x.example;c@x.example' },
    };
    expect(configOf(draft, null)).toEqual({ email: { to: ['a@x.example', 'b@x.example', 'c@x.example'] } });
  });
});

describe('a change', () => {
  it('sends no set-up where none was touched, and so keeps secrets', () => {
    const input = inputOf({ ...draftOf(slack), name: 'new name' }, slack);
    expect(input).not.toHaveProperty('config');
    expect(input).toMatchObject({ name: 'new name', fallbackId: 'chn_2' });
  });

  it('shows nothing of what is secret', () => {
    expect(draftOf(slack).config).toEqual({ channel: 'C1', botToken: '', signingSecret: '', apiUrl: '' });
  });

  it('sends a secret that was written anew, and nothing else', () => {
    const draft = draftOf(slack);
    expect(configOf({ ...draft, config: { ...draft.config, botToken: 'xoxb-2' } }, slack)).toEqual({
      slack: { botToken: 'xoxb-2' },
    });
  });

  it('clears what was emptied', () => {
    const hook = known({
      kind: 'WEBHOOK',
      config: { __typename: 'WebhookConfig', url: 'https://h.example', preset: 'NTFY' } as Known['config'],
    });
    const draft = draftOf(hook);
    expect(configOf({ ...draft, config: { ...draft.config, preset: '' } }, hook)).toEqual({
      webhook: { preset: null },
    });
  });
});
