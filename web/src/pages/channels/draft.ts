/** What the form of a channel holds, and what is sent of it: of what is secret only what was written anew. */

export type Kind = 'SLACK' | 'TEAMS' | 'PAGERDUTY' | 'WEBHOOK' | 'EMAIL';

export interface Spec {
  /** Name in the input of its kind. */
  readonly name: string;
  /** Kept where it is left empty on a change, and never shown. */
  readonly isSecret?: boolean;
  readonly placeholder?: string;
  readonly choices?: readonly string[];
  /** Addresses, parted by commas or blanks. */
  readonly isList?: boolean;
}

/** The input's field of a kind, and what is in it. */
export const KINDS: Readonly<Record<Kind, { readonly field: string; readonly specs: readonly Spec[] }>> = {
  SLACK: {
    field: 'slack',
    specs: [
      { name: 'channel', placeholder: 'C0123456789' },
      { name: 'botToken', isSecret: true, placeholder: 'xoxb-…' },
      { name: 'signingSecret', isSecret: true },
      { name: 'apiUrl', placeholder: 'https://slack.com/api' },
    ],
  },
  TEAMS: { field: 'teams', specs: [{ name: 'workflowUrl', isSecret: true, placeholder: 'https://…' }] },
  PAGERDUTY: {
    field: 'pagerduty',
    specs: [
      { name: 'routingKey', isSecret: true },
      { name: 'eventsUrl', placeholder: 'https://events.pagerduty.com' },
    ],
  },
  WEBHOOK: {
    field: 'webhook',
    specs: [
      { name: 'url', placeholder: 'https://hooks.example.com/alertgraph' },
      { name: 'secret', isSecret: true, placeholder: 'whsec_…' },
      { name: 'preset', choices: ['TWILIO_SMS', 'TWILIO_CALL', 'NTFY', 'PUSHOVER'] },
    ],
  },
  EMAIL: { field: 'email', specs: [{ name: 'to', isList: true, placeholder: 'on-call@example.com' }] },
};

export interface Draft {
  readonly name: string;
  readonly kind: Kind;
  readonly enabled: boolean;
  /** Empty for none. */
  readonly fallbackId: string;
  /** Empty for the built-in text. */
  readonly template: string;
  /** By the names of the kind's specs. */
  readonly config: Readonly<Record<string, string>>;
}

export interface Known {
  readonly id: string;
  readonly version: number;
  readonly name: string;
  readonly kind: Kind;
  readonly enabled: boolean;
  readonly template?: string | null;
  readonly fallback?: { readonly id: string } | null;
  readonly config: { readonly __typename: string };
}

export const NEW_DRAFT: Draft = {
  name: '',
  kind: 'WEBHOOK',
  enabled: true,
  fallbackId: '',
  template: '',
  config: {},
};

/** Return what the form begins with; what is secret is empty. */
export function draftOf(known: Known): Draft {
  const shown = known.config as unknown as Record<string, unknown>;
  return {
    name: known.name,
    kind: known.kind,
    enabled: known.enabled,
    fallbackId: known.fallback?.id ?? '',
    template: known.template ?? '',
    config: Object.fromEntries(
      KINDS[known.kind].specs.map(spec => {
        const value = spec.isSecret ? '' : shown[spec.name];
        return [spec.name, Array.isArray(value) ? value.join(', ') : String(value ?? '')];
      }),
    ),
  };
}

/**
 * Return a channel's set-up as it is sent: of what was there already only what differs, null where it was cleared.
 *
 * @param known What was there; null on creation.
 */
export function configOf(draft: Draft, known: Known | null): Record<string, Record<string, unknown>> {
  const before = known ? draftOf(known).config : {};
  const { field, specs } = KINDS[draft.kind];
  const parts = specs.flatMap((spec): [string, unknown][] => {
    const value = (draft.config[spec.name] ?? '').trim();
    if (value === (before[spec.name] ?? '')) return [];
    if (spec.isList) return [[spec.name, value.split(/[\s,;]+/).filter(Boolean)]];
    return [[spec.name, value === '' ? null : value]];
  });
  return { [field]: Object.fromEntries(parts) };
}

/** Return what is sent of a draft, beside id and version. */
export function inputOf(draft: Draft, known: Known | null) {
  const config = configOf(draft, known);
  const isChanged = Object.keys(Object.values(config)[0]!).length > 0;
  return {
    name: draft.name,
    enabled: draft.enabled,
    fallbackId: draft.fallbackId || null,
    template: draft.template || null,
    ...(known === null || isChanged ? { config } : {}),
  };
}
