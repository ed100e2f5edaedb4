import type { KernelGroupSettings } from '../../config/model/kernel.ts';
import { KomError } from '../../domain/errors.ts';
import { nextReign, type Reign } from '../../domain/reign.ts';
import type { Clock } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';
import type { Giver } from './giver.ts';
import type { GroupStatus } from './group-status.ts';
import { unconfirmed, waitFor } from './wait-for.ts';

/** The other one has so long to get everything, the last values, and to say that it is hot. */
const DRAIN_MAX_MS = 30_000;
const FAREWELL_MAX_MS = 10_000;
const ANSWER_MAX_MS = 10_000;
/** With no more than this missing the agents are held up. */
const BEHIND_MAX_MS = 1000;

export interface HandOverOptions {
  readonly self: string;
  readonly settings: Pick<KernelGroupSettings, 'ackPolicy'>;
  readonly giver: Pick<Giver, 'behindMs' | 'hasAllBefore'>;
  readonly ingest: { readonly isIdle: boolean };
  readonly reign: () => Reign;
  /** Aborted: it is given up, if nothing has changed yet. */
  readonly signal: AbortSignal;
  /** The archive of this Kernel takes nothing now. */
  readonly isStuck: () => boolean;
  /** The other one has everything that was ever acknowledged, whatever else there is here. */
  readonly isInSync: () => boolean;
  /** Takes no more from agents, which keep their sessions. */
  readonly holdAgents: () => void;
  /** Durable here, and said. @throws KomError KOM_STORE_… */
  readonly rule: (reign: Reign) => Promise<void>;
  /** Done, or given up: what agents send is taken again if this Kernel is still hot. */
  readonly over: () => void;
  /** The other one said that it is hot. */
  readonly isAnswered: () => boolean;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * An orderly switch: the other Kernel gets everything, then what agents have brought last, which are held up
 * meanwhile, and then the reign changes and sends them away. What an archive that takes nothing has not
 * stored was not acknowledged: agents still hold it, and it is not waited for.
 * @throws KomError KOM_SWITCH_REFUSED that says why not, KOM_SWITCH_UNCONFIRMED
 */
export async function handOver(to: string, options: HandOverOptions): Promise<void> {
  const { self, settings, giver, ingest, reign, signal, clock, log, isStuck, isInSync } = options;
  const wait = (maxMs: number, isThere: () => boolean, otherwise: () => string): Promise<void> =>
    waitFor({
      ...{ clock, maxMs },
      isThere: () => {
        checkNotCancelled(signal);
        return isThere();
      },
      otherwise: () => new KomError('KOM_SWITCH_REFUSED', otherwise(), isStuck() ? FORCE(to) : {}),
    });
  const isSafe = (): boolean => isStuck() && isInSync();
  const isNear = (): boolean => isSafe() || giver.behindMs < BEHIND_MAX_MS;
  await wait(DRAIN_MAX_MS, isNear, () => `${to} does not have everything`);
  try {
    options.holdAgents();
    const isQuiet = (): boolean => ingest.isIdle || isStuck();
    const isDrained = (): boolean => isSafe() || (isQuiet() && giver.hasAllBefore(clock.monotonicMs()));
    await wait(FAREWELL_MAX_MS, isDrained, () =>
      isQuiet() ? `${to} did not get the last values` : 'the archive here does not take the last values',
    );
    // An archive that takes nothing would only be waited for.
    const former = isStuck() ? [] : [self];
    const others = reign().inSync.filter((name) => name !== to && name !== self);
    const inSync = settings.ackPolicy === 'hot' ? [to] : [to, ...former, ...others];
    const next = nextReign(reign().epoch, { hot: to, inSync });
    log.warn({ to, epoch: next.epoch }, 'an operator hands over to another Kernel');
    await options.rule(next);
  } finally {
    options.over();
  }
  const otherwise = () =>
    unconfirmed(
      `${to} is to be hot, and has not said yet that it is`,
      `kom kernel status at ${to} tells; if that one is gone, --force makes another one hot`,
    );
  await waitFor({ clock, maxMs: ANSWER_MAX_MS, isThere: options.isAnswered, otherwise });
}

/** Where this Kernel cannot find out what the other one lacks. */
const FORCE = (to: string) => ({
  hint:
    'the archive here takes nothing: if it stays so, ' +
    `kom kernel switch kernel.json --to ${to} --force at ${to} makes that one hot; ` +
    'what was not acknowledged agents send again',
});

/** @throws KomError KOM_SWITCH_REFUSED */
export function checkNotCancelled(signal: AbortSignal): void {
  if (signal.aborted) throw new KomError('KOM_SWITCH_REFUSED', 'the operator cancelled it');
}

/**
 * `isSafe`: the other one has all that was acknowledged, and this one takes nothing.
 * @throws KomError KOM_SWITCH_REFUSED where this Kernel has nothing to hand over, with what to do instead
 */
export function checkMayHandOver(
  { name, role, takesSessions, hot, kernels }: GroupStatus,
  to: string,
  isSafe: boolean,
): void {
  if (role === 'hot' && (takesSessions || isSafe)) return;
  if (role === 'hot')
    throw new KomError('KOM_SWITCH_REFUSED', `${name} is hot, and takes no sessions yet itself`);
  const isReached = kernels.some((each) => each.name === hot && each.isConnected);
  throw new KomError('KOM_SWITCH_REFUSED', `${name} is not hot`, {
    hint: isReached
      ? `${hot} is: give the command there`
      : `${hot || 'the hot Kernel'} does not answer, so nobody knows what it acknowledged last; if it is ` +
        `gone, --force at ${to} makes that one hot and says what it may lack`,
  });
}

/**
 * What a Kernel may lack that is forced to be hot; empty where no other one was. `silentMs`: since when the
 * one was not heard that is hot, or was last; `null`: it was not since this Kernel started.
 */
export function whatMayLack(before: Reign, self: string, silentMs: number | null): string[] {
  const { hot, epoch, inSync, former } = before;
  const last = hot === '' ? (former ?? { hot: '', epoch: 0 }) : { hot, epoch };
  if (hot === self) return [];
  if (epoch === 0) {
    return [
      `${self} has never heard of a reign: since its disk was empty it was not connected to another ` +
        'Kernel of its file, and lacks all that was acknowledged before, if anything was',
    ];
  }
  const heard =
    silentMs === null
      ? 'not heard since this Kernel started'
      : `last heard ${Math.round(silentMs / 1000)} s ago`;
  const lacks: string[] = [];
  if (hot === '' && former === undefined)
    lacks.push(
      `${self} knew of no reign, or of an older one, when it heard of epoch ${epoch}: its disk was new`,
    );
  else if (hot === '') lacks.push(`nobody is hot in epoch ${epoch}, as far as is known here`);
  if (last.hot === self) {
    return [
      ...lacks,
      `${self} was hot until then, in epoch ${last.epoch}: it lacks what came in later epochs`,
    ];
  }
  const who = last.hot === '' ? 'the former hot Kernel' : last.hot;
  const tense = hot === '' ? 'was' : 'is';
  if (last.hot !== '') {
    lacks.push(`${who} ${tense} hot in epoch ${last.epoch} as far as is known here; ${heard}`);
  }
  lacks.push(
    inSync.includes(self)
      ? `${self} was in the last in-sync set that it knows of: it lacks at most what ${who} ` +
          'acknowledged after removing it from the set'
      : `${self} was not in the last in-sync set that it knows of: it lacks what was acknowledged ` +
          'without it, until the former hot Kernel is back',
  );
  return lacks;
}
