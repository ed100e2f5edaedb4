import type { ForwardedBlock } from '../../buffer/forward-segment.ts';
import type { OtherKernel } from '../../config/model/kernel.ts';
import type { Coverage } from '../../domain/coverage.ts';
import { describeError, isKomError, KomError } from '../../domain/errors.ts';
import { isNewerReign, nextReign, type Reign, withInSync } from '../../domain/reign.ts';
import type { Channel } from '../../uplink/channel.ts';
import { checkedCounter } from '../../uplink/limits.ts';
import type { KernelWord } from '../../uplink/messages.ts';
import type { Pace } from '../../uplink/silence.ts';
import type { ArchivedTerm, ArchiveTransaction } from '../../world/archive.ts';
import { type Timer, untilAborted } from '../../world/clock.ts';
import type { IngestWatcher } from '../ingest.ts';
import { Claims } from './claims.ts';
import type { GroupOptions } from './group-options.ts';
import { type GroupStatus, standby } from './group-status.ts';
import { Identities } from './identities.ts';
import { InSyncSet } from './in-sync.ts';
import { LastKnown } from './last-known.ts';
import { makeOther } from './make-other.ts';
import { MissingAgents } from './missing-agents.ts';
import { followerOf, type Other, Others } from './others.ts';
import { ownWord } from './own-word.ts';
import { Reigning } from './reigning.ts';
import { SharedTerms } from './shared-terms.ts';
import { Switching } from './switching.ts';
import { Takings } from './takings.ts';
import { Watchers } from './watchers.ts';

const TICK_MS = 250;
/** A Kernel that starts listens to the others for so long at most. */
const LISTEN_MS = 3000;

/**
 * This Kernel among several: which one is hot, what goes from one to the other, and what may be acknowledged.
 */
export class KernelGroup implements IngestWatcher {
  readonly #options: GroupOptions;
  readonly #others: Others;
  readonly #set: InSyncSet;
  readonly #terms: SharedTerms;
  readonly #takings: Takings;
  readonly #watchers: Watchers;
  readonly #claims: Claims;
  readonly identities: Identities;
  readonly #switching: Switching;
  readonly #lastKnown: LastKnown;
  readonly #missing: MissingAgents;
  readonly #startedMs: number;
  readonly #reigning: Reigning;
  /** The word that was said last. */
  #said = '';
  #timer: Timer | null = null;

  constructor(options: GroupOptions) {
    this.#options = options;
    this.#startedMs = options.clock.monotonicMs();
    this.#watchers = new Watchers(options.clock, (receivedBytes) => this.#word(receivedBytes));
    const { settings, clock } = options;
    this.#lastKnown = new LastKnown(options.archive, () => this.#isStuck);
    this.#missing = new MissingAgents(options);
    this.#reigning = new Reigning({
      ...options,
      began: () => {
        this.#set.begin();
        this.#missing.began();
        options.began();
      },
      ended: (why) => {
        this.#terms.end();
        this.#dismiss(why);
      },
      changed: (isOther) => {
        if (isOther) this.#others.relist();
        this.#tellChange(true);
      },
    });
    this.identities = new Identities(options);
    this.#others = new Others(settings.kernels, (described) => this.#makeOther(described));
    this.#takings = new Takings({
      ...options,
      heardTerms: (terms) => {
        this.#lastKnown.changedTerms();
        options.heardTerms(terms);
      },
      reign: () => this.reign,
      word: (receivedBytes) => this.#word(receivedBytes),
      told: (word, connection) => {
        this.#told(word, connection);
        this.#others.gives(word.name, word.toGive ?? 0, clock.monotonicMs());
      },
      left: (connection) => this.identities.left(connection),
    });
    this.#set = new InSyncSet({
      ...{ self: settings.name, isAsked: settings.ackPolicy === 'in-sync', clock, reign: () => this.reign },
      isStoring: () => !this.#isStuck,
      followers: () => this.#others.entries().map(([name, other]) => [name, followerOf(other)] as const),
      keptBy: (name) => this.#others.get(name)?.word?.reign ?? null,
      revise: (inSync) => this.#reigning.adopt(withInSync(this.reign, inSync)),
      eased: () => {
        options.acknowledge(null);
        this.#terms.look();
      },
    });
    this.#terms = new SharedTerms({ others: this.#others, waits: () => this.#set.waits });
    this.#switching = new Switching({
      ...{ ...options, others: this.#others },
      status: () => this.status,
      reign: () => this.reign,
      rule: (reign) => this.#reigning.adopt(reign),
      claimedEpoch: () => this.#claims.highest,
      isStuck: () => this.#isStuck,
      isMember: (name) => this.#set.isMember(name),
      over: () => {
        options.acknowledge(null);
        this.#tellChange();
      },
    });
    this.#claims = new Claims({
      ...{ ...options, others: this.#others, reign: () => this.reign },
      takesSessions: () => this.takesSessions,
      goAbove: async (epoch) => {
        await this.#reigning.adopt(nextReign(epoch, { hot: settings.name, inSync: this.reign.inSync }));
        await this.#reigning.keepEpoch();
      },
      standDown: (epoch) => this.#reigning.adopt({ epoch, hot: '', revision: 0, inSync: [] }, 'an agent'),
    });
  }

  get reign(): Reign {
    return this.#reigning.reign;
  }

  /** It is hot, and everybody whom it waits for has said what it has. */
  get takesSessions(): boolean {
    return this.#reigning.isRuling && this.#switching.handsTo === null && this.#set.isReady;
  }

  get status(): GroupStatus {
    const { settings, ring, clock } = this.#options;
    const { epoch, hot, inSync, former } = this.reign;
    const nowMs = clock.monotonicMs();
    const kernels = this.#others.statuses(nowMs);
    const isInSyncAsked = settings.ackPolicy === 'in-sync';
    return {
      ...{
        upMs: Math.round(nowMs - this.#startedMs),
        isInSyncAsked,
        name: settings.name,
        role: this.#role,
        takesSessions: this.takesSessions,
        epoch,
        hot,
        inSync,
        ...(former === undefined ? {} : { former }),
      },
      ...{
        twins: this.identities.twins,
        ringBytes: ring.diskBytes,
        ringError: ring.lastError,
        overtakenBy: this.#reigning.overtakenBy,
        overtaken: this.#reigning.overtaken,
        missingAgents: this.#role === 'hot' ? this.#missing.names : [],
        kernels,
      },
    };
  }

  /** Until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    let isTicking = false;
    this.#timer = clock.repeat('kernels', TICK_MS, () => {
      if (isTicking) return;
      isTicking = true;
      this.#tick()
        .catch((error: unknown) => {
          if (!isKomError(error)) throw error;
          log.error({ error: error.message }, 'the Kernels of the group are looked at again');
        })
        .finally(() => {
          isTicking = false;
        });
    });
    // Whom the others hear first is to be this machine.
    await this.#options.keeper.identify(this.#options);
    this.#others.start();
    await untilAborted(signal);
    this.#timer.cancel();
    await this.#others.stop();
    await this.#reigning.settled();
  }

  /**
   * The file names other Kernels now: who is new joins, who is gone leaves the in-sync set.
   * @throws KomError KOM_USAGE where it leaves out who is hot
   */
  reload(kernels: readonly OtherKernel[]): void {
    const { hot } = this.reign;
    if (this.#others.has(hot) && !kernels.some(({ name }) => name === hot)) {
      throw new KomError('KOM_USAGE', `${hot} is hot`, { hint: 'another Kernel has to become hot first' });
    }
    const gone = this.#others.change(kernels);
    for (const name of gone) if (this.#others.has(name)) this.#set.forget(name);
    this.#takings.end(gone, standby(hot));
  }

  async record(blocks: readonly ForwardedBlock[]): Promise<void> {
    try {
      await this.#options.ring.append(blocks);
    } catch (error) {
      // Agents wait as they do for the archive: what is not in the ring nobody else would get.
      if (!isKomError(error)) throw error;
      throw new KomError('KOM_ARCHIVE_UNAVAILABLE', 'the forwarding ring', {
        got: error.message,
        cause: error,
      });
    }
  }

  committed({ streams, blocks, gaps, ended }: ArchiveTransaction): void {
    const changed = new Set(blocks.map(({ block }) => block.header.streamId));
    for (const { streamId } of gaps) changed.add(streamId);
    this.#lastKnown.changed(changed, streams);
    for (const { giver } of this.#others.values()) {
      for (const { site, process } of streams) giver.knows(site, process);
      giver.committed(this.#role === 'hot' ? changed : [], gaps);
      if (ended.length > 0) giver.listSoon();
    }
  }

  /** What of a stream's coverage all have whom an acknowledgement waits for, and who is to be hot next. */
  acknowledgeable(streamId: string, coverage: Coverage): Coverage {
    this.#lastKnown.saw(streamId, coverage);
    const { handsTo } = this.#switching;
    const waits = handsTo === null ? this.#set.waits : new Set([...this.#set.waits, handsTo]);
    return this.#others.shared(waits, streamId, coverage);
  }

  /**
   * A term that is in this archive and is to be granted: it may be when this resolves.
   * @throws KomError KOM_KERNEL_STANDBY
   */
  async share(term: ArchivedTerm): Promise<void> {
    this.#lastKnown.raised(term);
    this.checkTakes();
    await this.#terms.share(term);
  }

  /**
   * The epoch of this Kernel, for an agent that has seen one. Of a higher one than its own the other Kernels
   * are asked first. @throws KomError KOM_LIMIT_EXCEEDED, KOM_KERNEL_STANDBY
   */
  async met(claimed: number, by: string): Promise<number> {
    if (claimed > this.reign.epoch) {
      this.#claims.heard(claimed, by);
      this.checkTakes();
      throw new KomError('KOM_KERNEL_STANDBY', `the others are asked about epoch ${claimed}`);
    }
    this.checkTakes();
    return this.reign.epoch;
  }

  /** The file names it. */
  knows(name: string): boolean {
    return this.#others.has(name);
  }

  /** @throws KomError KOM_KERNEL_STANDBY where agents are not welcome now */
  checkTakes(): void {
    if (!this.takesSessions) throw standby(this.reign.hot);
  }

  /** Takes a connection of another Kernel that was checked, until it ends. @throws KomError that says why */
  async serve(name: string, channel: Channel, pace: Pace): Promise<void> {
    await this.#takings.serve(name, channel, pace);
  }

  /** Tells an agent who is hot, until the connection ends. */
  async serveWatch(channel: Channel, pace: Pace): Promise<void> {
    await this.#watchers.serve(channel, pace);
  }

  /**
   * Another Kernel becomes hot, with all that this one has. @throws KomError KOM_SWITCH_REFUSED, and why,
   * KOM_SWITCH_UNCONFIRMED, KOM_USAGE
   */
  async handOver(to: string, isForced = false): Promise<void> {
    await this.#switching.handOver(to, isForced);
  }

  cancel(): boolean {
    return this.#switching.cancel();
  }

  /** This Kernel becomes hot above everything that it knows of. Returns what it may lack. */
  async force(): Promise<string[]> {
    return await this.#switching.force();
  }

  async #tick(): Promise<void> {
    await this.#options.keeper.identify(this.#options);
    for (const { terms } of this.#others.values()) terms.look();
    if (this.#role === 'starting') await this.#start();
    if (this.#role !== 'hot') return this.#lookRight();
    await this.#set.tick();
    await this.#reigning.keepEpoch();
    this.#tellChange();
  }

  /** The archive of this Kernel takes nothing now, as far as it was asked. */
  get #isStuck(): boolean {
    const { ingest, archive } = this.#options;
    return this.#reigning.isRefused || (ingest.lastError ?? archive.lastError ?? null) !== null;
  }

  /** The hot one has all that only this Kernel had, and the other way round as far as a set tells that. */
  #lookRight(): void {
    const { settings, clock } = this.#options;
    const { hot, inSync } = this.reign;
    const other = this.#others.get(hot);
    if (this.#reigning.overtakenBy === null || other === undefined || !other.link.isConnected) return;
    const isFollowing = settings.ackPolicy === 'hot' || inSync.includes(settings.name);
    if (isFollowing && followerOf(other).hasAllBefore(clock.monotonicMs())) this.#reigning.putRight();
  }

  get #role(): GroupStatus['role'] {
    return this.#reigning.role;
  }

  /** Once the others were heard or had their time. */
  async #start(): Promise<void> {
    const isHeard = this.#others.values().every(({ word }) => word !== null);
    const upMs = this.#options.clock.monotonicMs() - this.#startedMs;
    if (isHeard || upMs >= LISTEN_MS) await this.#reigning.start();
  }

  #dismiss(why: string): void {
    this.#options.dismiss(why);
    this.#tellChange(true);
  }

  /** To Kernels and agents, as soon as it is so. */
  #tellChange(isSure = false): void {
    const { receivedBytes: _, wallUs: __, ...word } = this.#word(0);
    const said = JSON.stringify(word);
    if (said === this.#said && !isSure) return;
    this.#said = said;
    for (const { link } of this.#others.values()) link.tell();
    this.#takings.tell();
    this.#watchers.tell();
  }

  #told(word: KernelWord, connection: Channel): void {
    const { settings, clock, log } = this.#options;
    const other = this.#others.get(word.name);
    if (other === undefined) return;
    this.identities.spoke(word.name, word.identity ?? '', connection);
    other.word = word;
    other.heardMs = clock.monotonicMs();
    if (word.wallUs !== undefined) other.clockOffset.said(word.wallUs, clock.wallUs());
    checkedCounter('epoch of a Kernel', word.reign.epoch, this.reign.epoch);
    if (word.reign.epoch === 0) this.#set.expel(word.name);
    if (!isNewerReign(word.reign, this.reign)) return;
    this.#reigning.adopt(word.reign, word.name).catch((error: unknown) => {
      log.error({ error: describeError(error) }, `${settings.name} cannot keep who is hot`);
    });
  }

  #word(receivedBytes: number): KernelWord {
    return ownWord(this.#options, { takesSessions: this.takesSessions, receivedBytes });
  }

  #makeOther(described: OtherKernel): Other {
    const { name } = described;
    return makeOther(described, {
      ...{ ...this.#options, archive: this.#lastKnown },
      gives: () => (this.#role === 'hot' ? 'all' : this.reign.hot === name ? 'what it lacks' : 'nothing'),
      told: (streamIds) => {
        const isWaitedFor = this.#set.waits.has(name) || this.#switching.handsTo === name;
        if (this.#role === 'hot' && isWaitedFor) this.#options.acknowledge(streamIds);
      },
      shrank: () => this.#set.expel(name),
      toldTerms: () => this.#terms.look(),
      toldWord: (word, connection) => this.#told(word, connection),
      left: (connection) => this.identities.left(connection),
      epoch: () => this.reign.epoch,
      identity: () => this.#options.keeper.identity,
      word: (receivedBytes) => {
        const toGive = this.reign.hot === name ? (this.#others.get(name)?.giver.toGive ?? 0) : 0;
        return { ...this.#word(receivedBytes), ...(toGive === 0 ? {} : { toGive }) };
      },
    });
  }
}
