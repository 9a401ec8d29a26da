/** Who would be told when, put together as people read it: by the moment, not by the message. */

/** One notification to come, as the API tells it. */
export interface Step {
  readonly at: string;
  readonly level: number;
  readonly reason: string;
  readonly responder?: { readonly id: string; readonly name: string } | null | undefined;
  readonly schedule?: { readonly id: string; readonly name: string } | null | undefined;
  readonly channel: { readonly id: string; readonly name: string; readonly kind: string };
}

/** Everybody who is told at one moment because of one level. */
export interface Rung {
  readonly at: number;
  readonly level: number;
  /** Since the rung before, or since the alert began. */
  readonly waited: number;
  readonly told: readonly Told[];
}

/** One person, or a channel that is nobody's, and the ways that they are told by. */
export interface Told {
  readonly key: string;
  /** Null where a channel is told that belongs to nobody. */
  readonly person: { readonly id: string; readonly name: string } | null;
  /** Because they are on call there. */
  readonly schedule: string | null;
  readonly ways: readonly { readonly channel: string; readonly kind: string; readonly reason: string }[];
}

/** Return the steps by moment and level, in order of time. */
export function rungsOf(steps: readonly Step[], begins: number): Rung[] {
  const rungs: { at: number; level: number; told: Map<string, Told & { ways: Told['ways'][number][] }> }[] =
    [];
  for (const step of steps) {
    const at = Date.parse(step.at);
    let rung = rungs.at(-1);
    if (!rung || rung.at !== at || rung.level !== step.level) {
      rung = { at, level: step.level, told: new Map() };
      rungs.push(rung);
    }
    const key = step.responder
      ? `${step.responder.id} ${step.schedule?.id ?? ''}`
      : `${step.channel.id} ${step.schedule?.id ?? ''}`;
    let told = rung.told.get(key);
    if (!told) {
      told = { key, person: step.responder ?? null, schedule: step.schedule?.name ?? null, ways: [] };
      rung.told.set(key, told);
    }
    told.ways.push({ channel: step.channel.name, kind: step.channel.kind, reason: step.reason });
  }
  return rungs.map(({ at, level, told }, index) => ({
    at,
    level,
    waited: at - (rungs[index - 1]?.at ?? begins),
    told: [...told.values()],
  }));
}

/** Return how far apart two moments are drawn, in steps of one line: longer waits are longer, and none is endless. */
export function distanceOf(waited: number): number {
  const minutes = Math.max(0, waited) / 60_000;
  return Math.min(6, Math.round(Math.log2(minutes + 1)));
}
