import type { ForwardRing } from '../../buffer/forward-ring.ts';
import type { KernelGroupSettings, OtherKernel } from '../../config/model/kernel.ts';
import type { Block } from '../../domain/block/block.ts';
import type { Coverage } from '../../domain/coverage.ts';
import { sharedCoverage } from '../../domain/coverage-difference.ts';
import { describeError, isKomError, KomError } from '../../domain/errors.ts';
import { isNewerReign, NO_REIGN, nextReign, type Reign, withInSync } from '../../domain/reign.ts';
import type { Channel } from '../../uplink/channel.ts';
import { checkedCounter } from '../../uplink/limits.ts';
import type { KernelWord } from '../../uplink/messages.ts';
import type { Pace } from '../../uplink/silence.ts';
import type { Archive, ArchiveTransaction } from '../../world/archive.ts';
import { type Clock, type Timer, untilAborted } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';
import type { Random } from '../../world/random.ts';
import type { TlsOptions, Transport } from '../../world/transport.ts';
import type { DictionaryShelf } from '../dictionary-shelf.ts';
import type { Ingest, IngestWatcher } from '../ingest.ts';
import type { Presence } from '../presence.ts';
import { Giver } from './giver.ts';
import { type GroupStatus, type OtherStatus, standby } from './group-status.ts';
import { checkMayHandOver, handOver, whatMayLack } from './hand-over.ts';
import { InSyncSet } from './in-sync.ts';
import { KernelLink } from './kernel-link.ts';
import { KernelSession } from './kernel-session.ts';
import { type Other, Others } from './others.ts';
import type { ReignKeeper } from './reign-keeper.ts';
import { Taker } from './taker.ts';
import { Watchers } from './watchers.ts';

const TICK_MS = 250;
/** A Kernel that starts listens to the others for so long at most. */
const LISTEN_MS = 3000;

/** What a group needs of the machine that it runs on. */
export interface GroupPlace {
  readonly settings: KernelGroupSettings;
  readonly ring: ForwardRing;
  readonly keeper: ReignKeeper;
  readonly transport: Pick<Transport, 'connect'>;
  readonly tls?: TlsOptions;
}

export interface GroupOptions extends GroupPlace {
  readonly archive: Archive;
  readonly ingest: Ingest;
  readonly dictionaries: DictionaryShelf;
  readonly presence: Presence;
  readonly programVersion: string;
  /** This Kernel takes no sessions any more: whoever has one is sent away. */
  readonly dismiss: (why: string) => void;
  /** This Kernel is hot, and decided nothing before. */
  readonly began: () => void;
  /** More of these streams can be acknowledged; `null`: of all. */
  readonly acknowledge: (streamIds: readonly string[] | null) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/**
 * This Kernel among several: which one is hot, what goes from one to the other, and what may be acknowledged.
 */
export class KernelGroup implements IngestWatcher {
  readonly #options: GroupOptions;
  readonly #others: Others;
  readonly #set: InSyncSet;
  /** Whose connections are taken. */
  readonly #taking = new Map<KernelSession, string>();
  readonly #watchers: Watchers;
  readonly #startedMs: number;
  #role: GroupStatus['role'] = 'starting';
  #isEpochKept = false;
  #isHandingOver = false;
  /** The word that was said last. */
  #said = '';
  #overtakenBy: string | null = null;
  #timer: Timer | null = null;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: GroupOptions) {
    this.#options = options;
    this.#startedMs = options.clock.monotonicMs();
    this.#watchers = new Watchers(options.clock, (receivedBytes) => this.#word(receivedBytes));
    const { settings, clock } = options;
    this.#others = new Others(settings.kernels, (described) => this.#makeOther(described));
    this.#set = new InSyncSet({
      ...{ self: settings.name, clock, reign: () => this.reign },
      followers: () => this.#others.entries().map(([name, { giver }]) => [name, giver] as const),
      keptBy: (name) => this.#others.get(name)?.word?.reign ?? null,
      revise: (inSync) => this.#rule(withInSync(this.reign, inSync)),
      eased: () => options.acknowledge(null),
    });
  }

  get reign(): Reign {
    return this.#options.keeper.reign;
  }

  /** It is hot, and everybody whom it waits for has said what it has. */
  get takesSessions(): boolean {
    return this.#role === 'hot' && this.#isEpochKept && !this.#isHandingOver && this.#set.isReady;
  }

  get status(): GroupStatus {
    const { settings, ring } = this.#options;
    const { epoch, hot, inSync } = this.reign;
    const kernels = this.#others.entries().map(([name, { giver, link }]): OtherStatus => {
      const behindMs = Number.isFinite(giver.behindMs) ? Math.round(giver.behindMs) : null;
      const { isConnected, lastError } = link;
      return { name, isConnected, lastError, behindMs, outstandingBytes: giver.outstandingBytes };
    });
    return {
      ...{ name: settings.name, role: this.#role, takesSessions: this.takesSessions, epoch, hot, inSync },
      ...{ ringBytes: ring.diskBytes, ringError: ring.lastError, overtakenBy: this.#overtakenBy, kernels },
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
    this.#others.start();
    await untilAborted(signal);
    this.#timer.cancel();
    await this.#others.stop();
    await this.#turn;
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
    for (const [session, from] of this.#taking) if (gone.includes(from)) session.end(standby(hot));
  }

  async record(blocks: readonly Block[]): Promise<void> {
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
    for (const { giver } of this.#others.values()) {
      for (const { site, process } of streams) giver.knows(site, process);
      giver.committed(this.#role === 'hot' ? changed : [], gaps);
      if (ended.length > 0) giver.listSoon();
    }
  }

  /** What of a stream's coverage all have whom an acknowledgement waits for. */
  acknowledgeable(streamId: string, coverage: Coverage): Coverage {
    let shared = coverage;
    for (const name of this.#set.waits) {
      const other = this.#others.get(name);
      if (other !== undefined) shared = sharedCoverage(shared, other.giver.coverage(streamId));
    }
    return shared;
  }

  /**
   * The epoch of this Kernel, for an agent that has seen one. A higher one than its own: another Kernel
   * became hot. @throws KomError KOM_LIMIT_EXCEEDED, KOM_KERNEL_STANDBY
   */
  async met(claimed: number): Promise<number> {
    checkedCounter('epoch of a Kernel', claimed, this.reign.epoch);
    if (claimed > this.reign.epoch) await this.#adopt({ ...NO_REIGN, epoch: claimed }, 'an agent');
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
    const { clock, log } = this.#options;
    const stop = new AbortController();
    const session: KernelSession = new KernelSession({
      ...{ channel, pace, clock, log },
      word: (receivedBytes) => this.#word(receivedBytes),
      told: (word) => this.#told(word),
      take: (message) => taker.take(message),
      roomed: () => {},
    });
    const taker = new Taker({
      ...this.#options,
      answer: (message) => session.answer(message),
      failed: (error) => session.end(error),
    });
    this.#taking.set(session, name);
    try {
      await session.run(stop.signal);
    } finally {
      this.#taking.delete(session);
      taker.close();
    }
  }

  /** Tells an agent who is hot, until the connection ends. */
  async serveWatch(channel: Channel, pace: Pace): Promise<void> {
    await this.#watchers.serve(channel, pace);
  }

  /**
   * Another Kernel becomes hot, with all that this one has. @throws KomError KOM_USAGE: it does not, and why;
   * nothing has changed then
   */
  async handOver(to: string): Promise<void> {
    const other = this.#others.get(to);
    if (to === this.#options.settings.name && this.#role === 'hot') return;
    checkMayHandOver(this.status, to);
    if (other === undefined) throw new KomError('KOM_USAGE', `there is no Kernel ${to}`);
    await handOver(to, {
      ...{ ...this.#options, giver: other.giver, reign: () => this.reign },
      self: this.#options.settings.name,
      sendAway: () => {
        this.#isHandingOver = true;
        this.#dismiss(`${to} becomes hot`);
      },
      rule: async (reign) => await this.#rule(reign),
      over: () => {
        this.#isHandingOver = false;
        this.#tellChange();
      },
      isAnswered: () => other.word?.reign.epoch === this.reign.epoch && other.word.takesSessions,
    });
  }

  /** This Kernel becomes hot above everything that it knows of. Returns what it may lack. */
  async force(): Promise<string[]> {
    const { settings, log, clock } = this.#options;
    if (this.#role === 'hot') return [];
    const before = this.reign;
    const heardMs = this.#others.get(before.hot)?.heardMs ?? this.#startedMs;
    const lacks = whatMayLack(before, settings.name, clock.monotonicMs() - heardMs);
    log.warn({ epoch: before.epoch + 1, lacks }, 'an operator forces this Kernel to be hot');
    await this.#rule(nextReign(before.epoch, { hot: settings.name, inSync: [settings.name] }));
    return lacks;
  }

  async #tick(): Promise<void> {
    if (this.#role === 'starting') await this.#start();
    if (this.#role !== 'hot') return;
    if (!this.#isEpochKept) {
      const { epoch } = this.reign;
      await this.#options.archive.raiseKernelEpoch(epoch);
      if (this.reign.epoch === epoch) this.#isEpochKept = true;
    }
    if (this.#options.settings.ackPolicy === 'in-sync') await this.#set.tick();
    this.#tellChange();
  }

  /** What it is to be, once the others were heard or had their time. */
  async #start(): Promise<void> {
    const { clock, settings, archive } = this.#options;
    const isHeard = [...this.#others.values()].every(({ word }) => word !== null);
    if (!isHeard && clock.monotonicMs() - this.#startedMs < LISTEN_MS) return;
    const isFirst = this.reign.epoch === 0;
    if (isFirst && settings.firstRole === 'hot') {
      const above = await archive.kernelEpoch();
      await this.#rule(nextReign(above, { hot: settings.name, inSync: [settings.name] }));
    }
    if (this.#role !== 'starting') return;
    if (this.reign.hot === settings.name) this.#becomeHot();
    else this.#role = 'standby';
    for (const { giver } of this.#others.values()) giver.relist();
  }

  /** A reign that this Kernel makes: durable, then said. @throws KomError KOM_STORE_… */
  async #rule(reign: Reign): Promise<void> {
    await this.#adopt(reign, this.#options.settings.name);
  }

  /** A reign that is newer becomes that of this Kernel, durably. One after the other. */
  #adopt(reign: Reign, by: string): Promise<void> {
    const turn = this.#turn.then(async () => {
      const before = this.reign;
      if (!isNewerReign(reign, before)) return;
      await this.#options.keeper.keep(reign);
      this.#changed(before, by);
    });
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  #changed(before: Reign, by: string): void {
    const { settings, log } = this.#options;
    const { hot, epoch } = this.reign;
    const isSame = hot === before.hot && epoch === before.epoch;
    if (!isSame) log.warn({ hot, epoch, by }, 'another Kernel is hot, or the same one anew');
    if (!isSame && hot === settings.name) this.#becomeHot();
    else if (!isSame && this.#role !== 'starting') {
      const isOvertaken = this.#role === 'hot' ? by !== settings.name : this.#overtakenBy !== null;
      if (isOvertaken) this.#overtakenBy = hot || by;
      this.#role = 'standby';
      this.#dismiss(hot === '' ? 'another Kernel is hot' : `${hot} is hot`);
    }
    if (!isSame) for (const { giver } of this.#others.values()) giver.relist();
    this.#tellChange(true);
  }

  #becomeHot(): void {
    this.#role = 'hot';
    this.#isEpochKept = false;
    this.#overtakenBy = null;
    this.#set.begin();
    this.#options.began();
    this.#options.log.warn({ epoch: this.reign.epoch }, 'this Kernel is hot');
  }

  #dismiss(why: string): void {
    this.#options.dismiss(why);
    this.#tellChange(true);
  }

  /** To Kernels and agents, as soon as it is so. */
  #tellChange(isSure = false): void {
    const { receivedBytes: _, ...word } = this.#word(0);
    const said = JSON.stringify(word);
    if (said === this.#said && !isSure) return;
    this.#said = said;
    for (const { link } of this.#others.values()) link.tell();
    for (const session of this.#taking.keys()) session.tell();
    this.#watchers.tell();
  }

  #told(word: KernelWord): void {
    const { settings, clock, log } = this.#options;
    const other = this.#others.get(word.name);
    if (other === undefined) return;
    other.word = word;
    other.heardMs = clock.monotonicMs();
    checkedCounter('epoch of a Kernel', word.reign.epoch, this.reign.epoch);
    if (word.reign.epoch === 0) this.#set.expel(word.name);
    if (!isNewerReign(word.reign, this.reign)) return;
    this.#adopt(word.reign, word.name).catch((error: unknown) => {
      log.error({ error: describeError(error) }, `${settings.name} cannot keep who is hot`);
    });
  }

  #word(receivedBytes: number): KernelWord {
    const { name } = this.#options.settings;
    return { name, reign: this.reign, takesSessions: this.takesSessions, receivedBytes };
  }

  #makeOther(described: OtherKernel): Other {
    const { settings, archive, ring, clock, log, acknowledge } = this.#options;
    const { name } = described;
    const giver = new Giver({
      ...{ archive, ring, clock, log },
      gives: () => (this.#role === 'hot' ? 'all' : this.reign.hot === name ? 'what it lacks' : 'nothing'),
      told: (streamIds) => {
        if (this.#role === 'hot' && this.#set.waits.has(name)) acknowledge(streamIds);
      },
    });
    const link = new KernelLink({
      ...this.#options,
      ...{ self: settings.name, other: described, giver, epoch: () => this.reign.epoch },
      word: (receivedBytes) => this.#word(receivedBytes),
      told: (word) => this.#told(word),
    });
    const stop = new AbortController();
    return { described, stop, giver, link, word: null, heardMs: this.#startedMs };
  }
}
