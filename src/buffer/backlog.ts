import type { StorePolicy } from '../config/model.ts';
import { type Block, lastSequence } from '../domain/block/block.ts';
import type { SequenceRange } from '../domain/coverage.ts';
import { isContentOf } from '../domain/dictionary-codec.ts';
import { describeError } from '../domain/errors.ts';
import { gapOfSpan, type NumberedSpan, OPEN_END, type SequenceGap } from '../domain/gap.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import { type BacklogStat, type BacklogState, heldStat } from './backlog-stat.ts';
import { Counters } from './counters.ts';
import { GivenUpRanges } from './given-up.ts';
import { type HeldStream, heldStreams, type KernelCoverage, regressedGaps } from './held-streams.ts';
import { Offers } from './offers.ts';
import { ReadPause } from './read-pause.ts';
import type { ReplayNotes } from './replay-notes.ts';
import { type ReplayRequest, Replays } from './replays.ts';
import type { Ring, RingPosition } from './ring.ts';
import { SendGate, type SendMode } from './send-gate.ts';
import { Spiller } from './spiller.ts';
import { isBlockOf, Window, type WindowBlock } from './window.ts';

export interface BacklogOptions {
  readonly ring: Ring;
  readonly policy: StorePolicy;
  /** `on-outage`: a block not acknowledged at this age goes to the ring, whatever the link says. */
  readonly spillAgeMs: number;
  readonly windowBytes: number;
  readonly clock: Clock;
  readonly log: Log;
  /** Where requests for replays outlive the process; without it they do not. */
  readonly replayNotes?: ReplayNotes;
}

/**
 * What is held and not yet acknowledged: the window in memory and the ring behind it. Everything in the
 * ring is older than everything that is only in the window, so reading the ring first and the window then
 * gives the blocks in order.
 */
export class Backlog {
  /** Refused blocks to be sent once more, behind everything else. */
  readonly offers: Offers;
  readonly gate = new SendGate();
  readonly #givenUp = new GivenUpRanges();
  readonly #options: BacklogOptions;
  readonly #window: Window;
  readonly #replays: Replays;
  readonly #counters: Counters;
  readonly #spiller: Spiller;
  #linkUp = false;
  /** Where reading of the ring goes on. */
  #ringCursor: RingPosition | null = null;
  /** The ring may hold blocks that were not given out since the last rewind. */
  #ringHasUnsent = true;
  readonly #readPause: ReadPause;
  /** While the ring did not read, blocks were given out that come behind what it holds. */
  #isAheadOfRing = false;
  /** Counts the rewinds: what was read before one is read again. */
  #rewinds = 0;
  /** Counts what came into the ring: a read does not tell of what came since. */
  #stores = 0;
  /** Given out since the last rewind: blocks of the running stream up to this sequence. */
  #sentThrough = 0;
  /** Acknowledged: the running stream up to this sequence. */
  #ackedThrough = 0;
  #lastAccepted = 0;
  #more: { promise: Promise<void>; resolve: () => void } = Promise.withResolvers<void>();

  constructor(options: BacklogOptions) {
    this.#options = options;
    this.#window = new Window(options.windowBytes);
    this.#replays = new Replays(options.ring, options.replayNotes);
    this.offers = new Offers(options.ring, this.#replays, () => this.#signalMore());
    this.#counters = new Counters(options.ring);
    this.#readPause = new ReadPause(options.clock, () => this.#signalMore());
    this.#spiller = new Spiller({
      ...options,
      window: this.#window,
      isAllDue: () => this.#isAllDue(),
      stored: (blocks) => this.#stored(blocks),
    });
  }

  /** False: the window is at its bound, because neither the link nor the disk takes anything. */
  get hasRoom(): boolean {
    return this.#window.hasRoom;
  }

  /** What is held in memory of the running stream, by sequence. */
  get memory(): readonly WindowBlock[] {
    return this.#window.blocks;
  }

  /** Age of the oldest entry here that is neither durable nor acknowledged, milliseconds; 0: none. */
  get unsafeForMs(): number {
    const oldest = this.#window.undurable;
    return oldest === undefined ? 0 : this.#options.clock.monotonicMs() - oldest.firstMs;
  }

  /** Everything up to this sequence of the running stream is durable here or acknowledged. */
  get safeThrough(): number {
    const oldest = this.#window.undurable;
    return oldest === undefined ? this.#lastAccepted : oldest.block.header.firstSequence - 1;
  }

  get state(): BacklogState {
    if (!this.#linkUp || this.gate.isShut) return 'outage';
    if (this.gate.mode === 'on-request' || this.#ringHasUnsent) return 'catch-up';
    const { ring, clock, spillAgeMs } = this.#options;
    // With the policy `always` what is on its way is in the ring as well, and not held back by that.
    const isFresh =
      this.#window.beginsBy(this.#ackedThrough + 1) && this.#window.isSince(clock.monotonicMs() - spillAgeMs);
    return ring.hasUnacknowledged(isFresh ? ring.stream.streamId : undefined) ? 'catch-up' : 'online';
  }

  /**
   * Takes a sealed block of the running stream, with the monotonic time of its first entry (default: now).
   * Never waits.
   */
  accept(block: Block, firstMs?: number): void {
    const sinceMs = this.#options.clock.monotonicMs();
    this.#window.push(block, { sinceMs, firstMs: firstMs ?? sinceMs });
    this.#lastAccepted = lastSequence(block.header);
    this.#counters.accepted(block);
    this.#spiller.soon();
    this.#signalMore();
  }

  /**
   * The uplink has a session: reading begins anew at the first block that is not acknowledged. While the link
   * is not trusted the state stays `outage`: new blocks go to the ring, and are given out from there.
   */
  linkUp({ isTrusted }: { readonly isTrusted: boolean } = { isTrusted: true }): void {
    this.#linkUp = isTrusted;
    this.rewind();
    this.#spiller.soon();
  }

  /** The link has held for long enough. */
  trustLink(): void {
    this.#linkUp = true;
  }

  linkDown(): void {
    this.#linkUp = false;
    this.#spiller.soon();
  }

  /** What was given out and not acknowledged is given out again. */
  rewind(): void {
    this.#rewinds++;
    this.#readAnew();
  }

  #readAnew(): void {
    this.#isAheadOfRing = false;
    this.#ringCursor = null;
    this.#sentThrough = this.#ackedThrough;
    this.#ringHasUnsent = true;
    this.#replays.rewind();
    this.gate.rewind();
    this.#signalMore();
  }

  /**
   * The next blocks to send, in order, about `limitBytes` of them; empty if there are none now.
   * With the policy `always` a block is given out only when it is durable; while the disk takes nothing,
   * delivering is the only safety left, and blocks go out as with `on-outage`. While the ring does not read,
   * what is in memory goes ahead of what it holds, and once more behind it.
   */
  async next(limitBytes: number): Promise<Block[]> {
    const rewinds = this.#rewinds;
    const recorded = await this.#nextOfRing(limitBytes);
    // Reading began anew, maybe for another session: what is next is for that one.
    if (recorded.length > 0 || rewinds !== this.#rewinds) return recorded;
    const { policy, ring } = this.#options;
    const mustBeDurable = policy === 'always' && ring.isHealthy;
    const blocks: Block[] = [];
    let bytes = 0;
    for (const { block, durable } of this.#window.blocks) {
      if (!this.#isUnsent(block)) continue;
      if (!this.gate.allows(block.header)) break;
      if ((mustBeDurable && !durable) || bytes >= limitBytes) break;
      blocks.push(block);
      bytes += block.bytes.length;
    }
    this.#raiseSent(blocks);
    if (blocks.length > 0) {
      this.#isAheadOfRing ||= this.#ringHasUnsent && this.#readPause.isOn;
      return blocks;
    }
    const asked = (await this.#readPause.read(() => this.#replays.next(limitBytes))) ?? [];
    if (rewinds === this.#rewinds) return asked.length > 0 ? asked : this.offers.next();
    this.#replays.rewind();
    return [];
  }

  async #nextOfRing(limitBytes: number): Promise<Block[]> {
    const { ring } = this.#options;
    while (this.#ringHasUnsent && !this.gate.isShut) {
      const [rewinds, stores] = [this.#rewinds, this.#stores];
      const read = await this.#readPause.read(() => ring.readUnacknowledged(this.#ringCursor, limitBytes));
      if (read === undefined) return [];
      if (rewinds !== this.#rewinds) return [];
      if (this.#isAheadOfRing) {
        this.#readAnew();
        continue;
      }
      const closedAt = read.blocks.findIndex(({ block }) => !this.gate.allows(block.header));
      const open = closedAt < 0 ? read.blocks : read.blocks.slice(0, closedAt);
      this.#ringCursor = closedAt < 0 ? read.after : (open.at(-1)?.position ?? this.#ringCursor);
      if (closedAt >= 0) this.gate.drained();
      else if (!read.more && stores === this.#stores) this.#ringHasUnsent = false;
      const blocks = open.map(({ block }) => block).filter((block) => this.#isUnsent(block));
      this.#raiseSent(blocks);
      if (blocks.length > 0) return blocks;
    }
    return [];
  }

  /**
   * What the ring holds of a range is given out once more, as the same bytes, behind everything that is due;
   * the Kernel trims what it has. It outlives the session; with `replayNotes` the process too.
   * @throws KomError KOM_USAGE
   */
  replay(request: ReplayRequest): void {
    this.#replays.add(request);
    this.#signalMore();
  }

  /** Takes up the replays that the run before did not get through. */
  async resumeReplays(): Promise<void> {
    await this.#replays.resume();
    this.#signalMore();
  }

  /** The Kernel archived a block that asked it to say so. */
  archived(streamId: string, firstSequence: number): void {
    this.#replays.archived(streamId, firstSequence);
    this.#signalMore();
  }

  /** Resolves when there may be something new for `next` or `gaps`. */
  more(): Promise<void> {
    return this.#more.promise;
  }

  /** A Kernel has everything of a stream through a sequence, durably. */
  acknowledge(streamId: string, throughSequence: number): void {
    const { ring, log } = this.#options;
    let through = throughSequence;
    this.#givenUp.acknowledged(streamId, throughSequence);
    this.#counters.acknowledged(streamId, throughSequence, this.#lastAccepted);
    if (streamId === ring.stream.streamId) {
      through = Math.min(throughSequence, this.#lastAccepted);
      this.#ackedThrough = Math.max(this.#ackedThrough, through);
      this.#sentThrough = Math.max(this.#sentThrough, this.#ackedThrough);
      this.#window.dropThrough(this.#ackedThrough);
    }
    ring.acknowledge(streamId, through).catch((error: unknown) => {
      log.warn(
        { error: describeError(error) },
        'the acknowledged watermark could not be stored; it is kept in memory',
      );
    });
  }

  /** The stream was made by this store and is not forgotten. */
  owns(streamId: string): boolean {
    return this.#options.ring.find(streamId) !== undefined;
  }

  /** Durable gap records that no Kernel has acknowledged. */
  gaps(): readonly SequenceGap[] {
    return this.#options.ring.gaps();
  }

  /** Of what was acknowledged, that which this Kernel does not have. */
  regressed(coverage: KernelCoverage): SequenceGap[] {
    const { ring, clock } = this.#options;
    return regressedGaps(ring, coverage, { ackedThrough: this.#ackedThrough, nowUs: clock.wallUs() });
  }

  /** Blocks from the ring that hold numbers of a range, the first ones, acknowledged or not. */
  async recorded(streamId: string, range: SequenceRange, limitBytes: number): Promise<Block[]> {
    const { blocks } = await this.#options.ring.read(streamId, range, limitBytes);
    return blocks.map(({ block }) => block);
  }

  /** The first block of a stream that holds numbers behind one, from the ring or the window. */
  async firstBehind(streamId: string, sequence: number): Promise<Block | undefined> {
    const [recorded] = await this.recorded(streamId, { first: sequence + 1, last: OPEN_END }, 1);
    const isBehind = ({ header }: Block) => header.streamId === streamId && lastSequence(header) > sequence;
    return recorded ?? this.#window.blocks.find(({ block }) => isBehind(block))?.block;
  }

  /** The block of a stream that has these numbers, from the window or the ring. */
  async find(streamId: string, range: SequenceRange): Promise<Block | undefined> {
    const found = this.#window.find(streamId, range) ?? (await this.recorded(streamId, range, 1))[0];
    return found !== undefined && isBlockOf(found, streamId, range) ? found : undefined;
  }

  /** The Kernel will never take a block: its numbers become a gap. */
  async reject(block: NumberedSpan, reason: 'rejected' | 'corrupt' | 'dropped'): Promise<void> {
    const { ring } = this.#options;
    const gap = gapOfSpan(block, reason);
    const { streamId, firstSequence, lastSequence: last } = gap;
    await ring.declareGap(gap);
    this.#givenUp.add({ streamId, first: firstSequence, last }, ring.streams());
    this.#replays.refused(streamId, firstSequence);
    this.#signalMore();
  }

  /** Nothing goes out before `release`, or everything again. */
  setSendMode(mode: SendMode): void {
    this.gate.setMode(mode);
    this.#spiller.soon();
    this.#signalMore();
  }

  /** On request: everything that is held now may go. */
  release(): void {
    const { streamId } = this.#options.ring.stream;
    const through = this.streams().map(({ info }): [string, number] => [info.streamId, OPEN_END]);
    this.gate.release(new Map([...through, [streamId, this.#lastAccepted]]));
    this.#signalMore();
  }

  /** Content of a dictionary; `undefined` where it is lost, or damaged. */
  async dictionary(hash: string): Promise<Uint8Array | undefined> {
    const content = await this.#options.ring.dictionary(hash);
    return content !== undefined && isContentOf(hash, content) ? content : undefined;
  }

  /** Every stream of the store, oldest first; the last one runs. */
  streams(): HeldStream[] {
    return heldStreams(this.#options.ring, this.#window.blocks);
  }

  stat(): BacklogStat {
    const told = { state: this.state, counters: this.#counters.values, replays: this.#replays.progress };
    return { ...told, ...heldStat(this.#options.ring, this.#window, this.#spiller) };
  }

  /** See `Spiller.settle`. */
  settle(ms: number): Promise<boolean> {
    return this.#spiller.settle(ms);
  }

  /**
   * Writes everything that is not acknowledged to the ring and stops. The ring stays open. False: the disk
   * did not take it all, so the stream does not end cleanly.
   */
  async close(): Promise<boolean> {
    this.#readPause.stop();
    this.#signalMore();
    await this.#spiller.close();
    return this.#window.blocks.every(({ durable }) => durable);
  }

  #isUnsent(block: Block): boolean {
    if (this.#givenUp.has(block.header)) return false;
    if (block.header.streamId !== this.#options.ring.stream.streamId) return true;
    return lastSequence(block.header) > this.#sentThrough;
  }

  #raiseSent(blocks: readonly Block[]): void {
    for (const { header } of blocks) {
      if (header.streamId === this.#options.ring.stream.streamId) this.#sentThrough = lastSequence(header);
    }
  }

  #stored(blocks: readonly Block[]): void {
    const through = lastSequence((blocks.at(-1) as Block).header);
    this.#stores++;
    // Delivered by a mirror before it was durable here, where the ring knew nothing of it.
    if ((blocks[0] as Block).header.firstSequence <= this.#ackedThrough)
      this.acknowledge(this.#options.ring.stream.streamId, this.#ackedThrough);
    if (this.#options.policy === 'always') {
      this.#window.markDurableThrough(through);
      this.#window.trimDurable();
    } else this.#window.dropThrough(through);
    if (through > this.#sentThrough && !this.#window.beginsBy(this.#sentThrough + 1))
      this.#ringHasUnsent = true;
    this.#signalMore();
  }

  /** Nothing in memory waits for its age. */
  #isAllDue(): boolean {
    const { policy } = this.#options;
    return policy === 'always' || !this.#linkUp || this.gate.mode === 'on-request' || this.#window.isCrowded;
  }

  #signalMore(): void {
    this.#more.resolve();
    this.#more = Promise.withResolvers<void>();
  }
}
