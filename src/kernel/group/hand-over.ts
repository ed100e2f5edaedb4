import type { KernelGroupSettings } from '../../config/model/kernel.ts';
import { KomError } from '../../domain/errors.ts';
import { nextReign, type Reign } from '../../domain/reign.ts';
import type { Clock } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';
import type { Giver } from './giver.ts';
import type { GroupStatus } from './group-status.ts';

/** The other one has so long to get everything, the last values, and to say that it is hot. */
const DRAIN_MAX_MS = 30_000;
const FAREWELL_MAX_MS = 10_000;
const ANSWER_MAX_MS = 10_000;
const POLL_MS = 50;
/** With no more than this missing the agents are sent away. */
const BEHIND_MAX_MS = 1000;

export interface HandOverOptions {
  readonly self: string;
  readonly settings: Pick<KernelGroupSettings, 'ackPolicy'>;
  readonly giver: Pick<Giver, 'behindMs' | 'hasAllBefore'>;
  readonly ingest: { readonly isIdle: boolean };
  readonly reign: () => Reign;
  /** Takes no more from agents. */
  readonly sendAway: () => void;
  /** Durable here, and said. @throws KomError KOM_STORE_… */
  readonly rule: (reign: Reign) => Promise<void>;
  /** Done, or given up: agents are taken again if this Kernel is still hot. */
  readonly over: () => void;
  /** The other one said that it is hot. */
  readonly isAnswered: () => boolean;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * An orderly switch: the other Kernel gets everything, then the last values of agents that are sent away, and
 * then the reign changes. @throws KomError KOM_USAGE that says why not
 */
export async function handOver(to: string, options: HandOverOptions): Promise<void> {
  const { self, settings, giver, ingest, reign, clock, log } = options;
  const wait = (maxMs: number, isThere: () => boolean, otherwise: string): Promise<void> =>
    waitFor({ clock, maxMs, isThere, otherwise });
  await wait(DRAIN_MAX_MS, () => giver.behindMs < BEHIND_MAX_MS, `${to} does not have everything`);
  try {
    options.sendAway();
    const isDrained = (): boolean => ingest.isIdle && giver.hasAllBefore(clock.monotonicMs());
    await wait(FAREWELL_MAX_MS, isDrained, `${to} did not get the last values`);
    const others = reign().inSync.filter((name) => name !== to && name !== self);
    const inSync = settings.ackPolicy === 'hot' ? [to] : [to, self, ...others];
    const next = nextReign(reign().epoch, { hot: to, inSync });
    log.warn({ to, epoch: next.epoch }, 'an operator hands over to another Kernel');
    await options.rule(next);
  } finally {
    options.over();
  }
  await wait(ANSWER_MAX_MS, options.isAnswered, `${to} is to be hot, and has not said yet that it is`);
}

/** @throws KomError KOM_USAGE where this Kernel has nothing to hand over, with what to do instead */
export function checkMayHandOver({ name, role, takesSessions, hot, kernels }: GroupStatus, to: string): void {
  if (role === 'hot' && takesSessions) return;
  if (role === 'hot') throw new KomError('KOM_USAGE', `${name} is hot, and takes no sessions yet itself`);
  const isReached = kernels.some((each) => each.name === hot && each.isConnected);
  throw new KomError('KOM_USAGE', `${name} is not hot`, {
    hint: isReached
      ? `${hot} is: give the command there`
      : `${hot || 'the hot Kernel'} does not answer, so nobody knows what it acknowledged last; if it is ` +
        `gone, --force at ${to} makes that one hot and says what it may lack`,
  });
}

/** What a Kernel may lack that is forced to be hot; empty where no other one was. */
export function whatMayLack(before: Reign, self: string, silentMs: number): string[] {
  const { hot, epoch, inSync } = before;
  if (hot === self || epoch === 0) return [];
  const silentS = Math.round(silentMs / 1000);
  const who = hot === '' ? 'an unknown Kernel' : hot;
  return [
    `${who} is hot in epoch ${epoch} as far as is known here; last heard ${silentS} s ago`,
    inSync.includes(self)
      ? `${self} was in the last in-sync set that it knows of: it lacks at most what ${who} ` +
        'acknowledged after removing it from the set'
      : `${self} was not in the last in-sync set that it knows of: it lacks what was acknowledged ` +
        'without it, until the former hot Kernel is back',
  ];
}

async function waitFor(options: {
  readonly clock: Clock;
  readonly maxMs: number;
  readonly isThere: () => boolean;
  readonly otherwise: string;
}): Promise<void> {
  const { clock, maxMs, isThere, otherwise } = options;
  const endMs = clock.monotonicMs() + maxMs;
  while (!isThere()) {
    if (clock.monotonicMs() > endMs) throw new KomError('KOM_USAGE', otherwise);
    await clock.sleep(POLL_MS);
  }
}
