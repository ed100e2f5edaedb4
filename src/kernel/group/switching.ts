import type { KernelGroupSettings } from '../../config/model/kernel.ts';
import { KomError } from '../../domain/errors.ts';
import { nextReign, type Reign } from '../../domain/reign.ts';
import type { Archive } from '../../world/archive.ts';
import type { Clock } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';
import type { LaneGate } from '../lane-gate.ts';
import { wrongClock } from './clock-offset.ts';
import type { GroupStatus } from './group-status.ts';
import { checkMayHandOver, type HandOverOptions, handOver, whatMayLack } from './hand-over.ts';
import { isSaidToTwin } from './identities.ts';
import { followerOf, type Others } from './others.ts';

export interface SwitchingOptions
  extends Pick<HandOverOptions, 'ingest' | 'reign' | 'rule' | 'over' | 'isStuck'> {
  readonly settings: KernelGroupSettings;
  readonly others: Others;
  readonly status: () => GroupStatus;
  /** It has everything that was ever acknowledged. */
  readonly isMember: (name: string) => boolean;
  readonly lanes: Pick<LaneGate, 'close' | 'open'>;
  /** The highest epoch that an agent said to have seen. */
  readonly claimedEpoch: () => number;
  readonly archive: Pick<Archive, 'kernelEpoch'>;
  readonly clock: Clock;
  readonly log: Log;
}

/** What an operator does with who is hot. */
export class Switching {
  readonly #options: SwitchingOptions;
  #handsTo: string | null = null;
  /** Of a switch of which nothing has happened yet. */
  #cancel: AbortController | null = null;

  constructor(options: SwitchingOptions) {
    this.#options = options;
  }

  /**
   * Who is to be hot in a moment. What agents send is held up meanwhile, and none is welcome that has no
   * session; nothing is acknowledged that this one does not have, should the archive here come to itself.
   */
  get handsTo(): string | null {
    return this.#handsTo;
  }

  /**
   * `isForced`: whatever the clock of the other one says.
   * @throws KomError KOM_SWITCH_REFUSED, and why, KOM_SWITCH_UNCONFIRMED, KOM_USAGE
   */
  async handOver(to: string, isForced: boolean): Promise<void> {
    const { settings, others, status, reign, rule, over, lanes, isStuck, isMember } = this.#options;
    const other = others.get(to);
    if (to === settings.name && status().role === 'hot') return;
    if (other === undefined && to !== settings.name) {
      throw new KomError('KOM_USAGE', `there is no Kernel ${to}`, {
        expected: [settings.name, ...others.names()].join(', '),
      });
    }
    if (isForced && status().role !== 'hot') {
      throw new KomError('KOM_USAGE', `--force is given at ${to} itself`, { got: settings.name });
    }
    const isInSync = (): boolean =>
      other?.link.isConnected === true && other.giver.isUpToDate && isMember(to);
    checkMayHandOver(status(), to, isStuck() && isInSync());
    if (other === undefined) return;
    if (!isForced) checkClock(to, other.clockOffset.offsetMs);
    const cancel = new AbortController();
    this.#cancel = cancel;
    await handOver(to, {
      ...{ ...this.#options, giver: followerOf(other), self: settings.name, signal: cancel.signal },
      isInSync,
      rule: async (next) => {
        this.#cancel = null;
        await rule(next);
      },
      holdAgents: () => {
        this.#handsTo = to;
        lanes.close();
      },
      over: () => {
        this.#handsTo = null;
        lanes.open();
        if (this.#cancel === cancel) this.#cancel = null;
        over();
      },
      isAnswered: () => other.word?.reign.epoch === reign().epoch && other.word.takesSessions,
    });
  }

  /** True: a switch is given up of which nothing has happened yet. */
  cancel(): boolean {
    const cancel = this.#cancel;
    this.#cancel = null;
    cancel?.abort();
    return cancel !== null;
  }

  /**
   * Above everything that this Kernel, its archive and its agents know of. Returns what it may lack.
   * @throws KomError KOM_ARCHIVE_UNAVAILABLE, KOM_STORE_…, KOM_SWITCH_REFUSED where others take another
   * machine for this Kernel
   */
  async force(): Promise<string[]> {
    const { settings, others, status, log, clock, rule, archive, claimedEpoch } = this.#options;
    if (status().role === 'hot') return [];
    checkNoTwin(status());
    const archived = await archive.kernelEpoch();
    const before: Reign = this.#options.reign();
    const above = Math.max(before.epoch, archived, claimedEpoch());
    const heardMs = others.get(before.hot || (before.former?.hot ?? ''))?.heardMs ?? null;
    const silentMs = heardMs === null ? null : clock.monotonicMs() - heardMs;
    const lacks = whatMayLack(before, settings.name, silentMs);
    log.warn({ epoch: above + 1, lacks }, 'an operator forces this Kernel to be hot');
    await rule(nextReign(above, { hot: settings.name, inSync: [settings.name] }));
    return lacks;
  }
}

/**
 * Nobody knows what a machine has that is let in nowhere, and it would be hot beside the others.
 * @throws KomError KOM_SWITCH_REFUSED
 */
function checkNoTwin({ name, kernels }: GroupStatus): void {
  const says = kernels.filter(({ isConnected, lastError }) => !isConnected && isSaidToTwin(lastError));
  if (says.length === 0) return;
  const who = says.map((each) => each.name).join(', ');
  throw new KomError('KOM_SWITCH_REFUSED', `${who} says that another machine is ${name}`, {
    hint:
      `kom kernel status at ${who} tells where: stop that one, or give one of the two another name; ` +
      'this one is let in a few seconds later, and tells then what it may lack',
  });
}

/** @throws KomError KOM_SWITCH_REFUSED where values would get another time from then on */
function checkClock(to: string, offsetMs: number | null): void {
  const how = wrongClock(offsetMs);
  if (how === null) return;
  throw new KomError('KOM_SWITCH_REFUSED', `the clock of ${to} is ${how}`, {
    hint: 'set the clocks; --force, given here, hands over all the same',
  });
}
