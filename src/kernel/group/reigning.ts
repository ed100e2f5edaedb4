import type { KernelGroupSettings } from '../../config/model/kernel.ts';
import { reasonOf } from '../../domain/errors.ts';
import {
  isHandedOver,
  isNewerReign,
  nextReign,
  type Reign,
  withoutHot,
  withUnknownHot,
} from '../../domain/reign.ts';
import type { Archive } from '../../world/archive.ts';
import type { Clock } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';
import type { ArchiveRefusal } from '../archive-refusal.ts';
import type { GroupStatus, Overtaken } from './group-status.ts';
import type { ReignKeeper } from './reign-keeper.ts';

export interface ReigningOptions {
  readonly settings: Pick<KernelGroupSettings, 'name' | 'firstRole'>;
  readonly keeper: Pick<ReignKeeper, 'reign' | 'keep'>;
  readonly archive: Pick<Archive, 'kernelEpoch' | 'raiseKernelEpoch'>;
  /** This Kernel is hot now, and was not before. */
  readonly began: () => void;
  /** This Kernel is a standby now, and why agents have to go. */
  readonly ended: (why: string) => void;
  /** Why the archive does not take the epoch of its reign, and since when; `null`: it is not so any more. */
  readonly epochRefused: (refused: ArchiveRefusal | null) => void;
  /** `isOther`: who is hot, or in which epoch, is not what it was. */
  readonly changed: (isOther: boolean) => void;
  readonly clock: Clock;
  readonly log: Log;
}

/** Which reign holds here, durably, and what this Kernel is in it. */
export class Reigning {
  readonly #options: ReigningOptions;
  #role: GroupStatus['role'] = 'starting';
  #isEpochKept = false;
  /** Another Kernel rules, which is on its way to the disk. */
  #isYielding = false;
  /** Its archive does not take the epoch. */
  #refused: ArchiveRefusal | null = null;
  #isOvertaken = false;
  #overtaken: Overtaken | null = null;
  /** While it starts: the newest reign of its own that it heard of and does not know by its disk. */
  #forgotten: { readonly reign: Reign; readonly by: string } | null = null;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: ReigningOptions) {
    this.#options = options;
  }

  get reign(): Reign {
    return this.#options.keeper.reign;
  }

  get role(): GroupStatus['role'] {
    return this.#role;
  }

  /** This Kernel was hot and learned of another reign, and has not been put right since; `null`: no. */
  get overtakenBy(): string | null {
    return this.#isOvertaken ? (this.#overtaken?.by ?? null) : null;
  }

  /** When that was the last time; `null`: never. */
  get overtaken(): Overtaken | null {
    return this.#overtaken;
  }

  /** It follows the one that overtook it, which has all that was here. */
  putRight(): void {
    this.#isOvertaken = false;
    this.#options.log.info({ ...this.#overtaken }, 'this Kernel follows the one that overtook it');
  }

  /** Its archive did not take the epoch when it was asked last. */
  get isRefused(): boolean {
    return this.#refused !== null;
  }

  /** It is hot, in an epoch that its archive knows. */
  get isRuling(): boolean {
    return this.#role === 'hot' && this.#isEpochKept && !this.#isYielding;
  }

  /** What it is to be, once the others were heard or had their time. @throws KomError */
  async start(): Promise<void> {
    const { settings, archive } = this.#options;
    if (this.#forgotten !== null) await this.adopt(this.#forgotten.reign, this.#forgotten.by, true);
    if (this.reign.epoch === 0 && settings.firstRole === 'hot') {
      const above = await archive.kernelEpoch();
      await this.adopt(nextReign(above, { hot: settings.name, inSync: [settings.name] }));
    }
    if (this.#role !== 'starting') return;
    if (this.reign.hot === settings.name) this.#begin();
    else this.#role = 'standby';
    this.#options.changed(true);
  }

  /** @throws KomError KOM_ARCHIVE_UNAVAILABLE */
  async keepEpoch(): Promise<void> {
    const { epoch } = this.reign;
    if (!this.#isEpochKept) {
      await this.#options.archive.raiseKernelEpoch(epoch).catch((error: unknown) => {
        const sinceMs = this.#refused?.sinceMs ?? this.#options.clock.monotonicMs();
        this.#tellRefused({ error: reasonOf(error), sinceMs });
        throw error;
      });
      this.#tellRefused(null);
    }
    this.#isEpochKept ||= this.reign.epoch === epoch;
  }

  /**
   * A reign that is newer becomes that of this Kernel, durably, and is said. One after the other. Not one in
   * which it is hot itself and of which its own disk should know: it may lack what the others have, so nobody
   * is hot then. Where it starts it hears all of them first, or as long as it listens: `isHeard`.
   * @throws KomError KOM_STORE_…
   */
  adopt(reign: Reign, by = this.#options.settings.name, isHeard = this.#role !== 'starting'): Promise<void> {
    const { name } = this.#options.settings;
    const turn = this.#turn.then(async () => {
      const before = this.reign;
      if (!isNewerReign(reign, before)) return;
      const isForgotten = by !== name && reign.hot === name && !isHandedOver(reign, before);
      if (isForgotten && !isHeard) return this.#forgot(reign, by);
      this.#isYielding = isForgotten || reign.hot !== name;
      if (isForgotten) {
        const { epoch, inSync } = reign;
        const said = 'this Kernel is said to be hot, and its disk does not know of it: it may lack anything';
        this.#options.log.error({ epoch, inSync, by }, said);
      }
      const kept = isForgotten ? withoutHot(reign) : above(before, reign);
      await this.#options.keeper.keep(kept).finally(() => {
        this.#isYielding = false;
      });
      this.#adopted(before, by);
    });
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** What was begun is over. */
  async settled(): Promise<void> {
    await this.#turn;
  }

  #forgot(reign: Reign, by: string): void {
    if (isNewerReign(reign, this.#forgotten?.reign ?? this.reign)) this.#forgotten = { reign, by };
  }

  #adopted(before: Reign, by: string): void {
    const { settings, log, clock, ended, changed } = this.#options;
    const { hot, epoch } = this.reign;
    const isSame = hot === before.hot && epoch === before.epoch;
    if (!isSame) log.warn({ hot, epoch, by }, hot === '' ? 'it is not known who is hot' : `${hot} reigns`);
    const goesOn = this.#role === 'hot' && hot === settings.name;
    // Above a claim: nothing else has changed.
    if (!isSame && goesOn) this.#isEpochKept = false;
    else if (!isSame && hot === settings.name) this.#begin();
    else if (!isSame && this.#role !== 'starting') {
      if (this.#role === 'hot') this.#isOvertaken = by !== settings.name;
      if (this.#isOvertaken) this.#overtaken = { by: hot || by, epoch, atUs: clock.wallUs() };
      this.#role = 'standby';
      this.#tellRefused(null);
      ended(hot === '' ? 'another Kernel is hot' : `${hot} is hot`);
    }
    changed(!isSame && !goesOn);
  }

  #tellRefused(refused: ArchiveRefusal | null): void {
    this.#refused = refused;
    this.#options.epochRefused(this.#role === 'hot' ? refused : null);
  }

  #begin(): void {
    this.#role = 'hot';
    this.#isEpochKept = false;
    this.#refused = null;
    this.#isOvertaken = false;
    this.#options.began();
    this.#options.log.warn({ epoch: this.reign.epoch }, 'this Kernel is hot');
  }
}

function above(before: Reign, reign: Reign): Reign {
  return reign.hot === '' ? withUnknownHot(before, reign) : reign;
}
