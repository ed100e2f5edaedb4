import type { Offers } from '../buffer/offers.ts';
import type { UplinkSettings } from '../config/model.ts';
import { type Block, lastSequence } from '../domain/block/block.ts';
import { cutBlock } from '../domain/block/cut.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { BlockSource, BlockStore } from './block-source.ts';
import { CatchUp } from './catch-up.ts';
import type { Channel } from './channel.ts';
import { Flight } from './flight.ts';
import { LostAgain } from './lost-again.ts';
import type { Message, StreamCoverage } from './messages.ts';
import type { SessionPart } from './named-streams.ts';

/** Bytes asked from the backlog at a time at most. */
const READ_BYTES_MAX = 1024 * 1024;
/** The trip of the empty link is measured at most this often. */
const PROBE_MS = 10_000;
/** A block is cut so that the ceiling of the catch-up lets one go about so often. */
const CEILING_BLOCK_S = 0.25;

export interface BlockSenderOptions {
  readonly data: Channel;
  /** The most urgent first: what it has goes before what the others have. */
  readonly sources: readonly BlockSource[];
  /** What the Kernel had when it welcomed. */
  readonly coverage: readonly StreamCoverage[];
  /** Dictionaries that the Kernel has. */
  readonly knownDictionaries: readonly string[];
  readonly part: SessionPart;
  readonly settings: UplinkSettings;
  readonly clock: Clock;
  readonly log: Log;
}

/** Sends what the backlogs have over the data lane of one session, in order, at the pace of the link. */
export class BlockSender {
  readonly #options: BlockSenderOptions;
  readonly #flight: Flight;
  readonly #pace: CatchUp;
  readonly #sentDictionaries: Set<string>;
  /** Dictionaries that the ring does not give; a Kernel that had them before can do without. */
  readonly #lostDictionaries = new Set<string>();
  /** Those of them that the Kernel does not have either: no block that uses them can be read again. */
  readonly #unknownDictionaries = new Set<string>();
  readonly #sentGaps = new Set<string>();
  /** By stream, how far this session saw it acknowledged. */
  readonly #ackedThrough = new Map<string, number>();
  readonly #again: LostAgain;
  readonly #stop = new AbortController();
  #woken: { promise: Promise<void>; resolve: () => void } = Promise.withResolvers<void>();
  #probedMs = Number.NEGATIVE_INFINITY;

  constructor(options: BlockSenderOptions) {
    this.#options = options;
    const { minBytesPerS, maxBytesPerS } = options.settings;
    this.#pace = new CatchUp({ minBytesPerS, maxBytesPerS });
    this.#flight = new Flight(options.data.sentBytes);
    this.#again = new LostAgain({ ...options, wake: () => this.#wake() });
    this.#sentDictionaries = new Set(options.knownDictionaries);
  }

  /** What the link carries, bytes a second; `null` before that is known. */
  get bytesPerS(): number | null {
    return this.#flight.bytesPerS;
  }

  /** The catch-up is slower than the site file asks for. */
  get isBelowFloor(): boolean {
    return this.#pace.isBelowFloor(this.#options.clock.monotonicMs());
  }

  /** Until `stop`. @throws KomError KOM_CONNECTION_LOST */
  async run(): Promise<void> {
    const { sources, coverage } = this.#options;
    for (const { backlog } of sources) {
      for (const gap of coverage.flatMap((each) => backlog.regressed(each))) this.#again.add(gap, backlog);
    }
    while (!this.#isOver) {
      const woken = this.#woken.promise;
      const more = sources.map(({ backlog }) => backlog.more());
      await this.#sendLost();
      await this.#sendGaps();
      if (!(await this.#sendNext())) {
        if (this.#options.part.isOver()) return await this.#endPart();
        this.#pace.waits(false, this.#options.clock.monotonicMs());
        await Promise.race([...more, woken]);
      }
    }
  }

  stop(): void {
    this.#stop.abort();
    this.#again.stop();
    this.#wake();
  }

  /** An Ack came. */
  acknowledged(coverage: readonly StreamCoverage[]): void {
    for (const { streamId, throughSequence } of coverage) this.#ackedThrough.set(streamId, throughSequence);
    this.#flight.acknowledged(coverage, this.#options.clock.monotonicMs());
    this.#wake();
  }

  /** So many bytes of the connection have arrived, as the Kernel says. */
  arrived(totalBytes: number): void {
    this.#flight.arrived(totalBytes, this.#options.clock.monotonicMs());
    this.#wake();
  }

  /** Everything that is not acknowledged goes once more. */
  resend(): void {
    this.#flight.clear();
    for (const { backlog } of this.#options.sources) backlog.rewind();
    this.#wake();
  }

  /** The Kernel does not have a dictionary. */
  needDictionary(hash: string): void {
    this.#options.log.warn({ dictionary: hash }, 'the Kernel does not have a dictionary');
    if (this.#lostDictionaries.has(hash)) this.#unknownDictionaries.add(hash);
    this.#sentDictionaries.delete(hash);
    this.resend();
  }

  /** Sends what is no block. @throws KomError KOM_CONNECTION_LOST */
  async send(message: Message): Promise<void> {
    const { data, clock } = this.#options;
    const sent = data.send(message);
    this.#flight.sentOther(data.sentBytes, clock.monotonicMs());
    await sent;
  }

  get #isOver(): boolean {
    return this.#stop.signal.aborted;
  }

  #wake(): void {
    this.#woken.resolve();
    this.#woken = Promise.withResolvers<void>();
  }

  async #sendLost(): Promise<void> {
    await this.#again.send({
      isOver: () => this.#isOver,
      untilRoom: () => this.#untilRoom(),
      send: async (part, backlog) => {
        if ('gap' in part) await this.send({ type: 'gap', gap: part.gap });
        else await this.#sendBlock(part.block, backlog);
      },
    });
  }

  /** Sends what the most urgent source has; false if none has anything. */
  async #sendNext(): Promise<boolean> {
    const limitBytes = await this.#untilRoom();
    for (const source of this.#options.sources) {
      const blocks = await source.backlog.next(limitBytes);
      for (const block of blocks) {
        if (this.#isOver) return true;
        if (this.#options.part.has(block.header.streamId)) await this.#sendBlock(block, source.backlog);
        else await this.#leaveOut(block);
      }
      if (blocks.length > 0) return true;
    }
    return false;
  }

  /** A block of a stream that the Hello did not name: once all of this part is there, the next one comes. */
  async #leaveOut({ header: { streamId } }: Block): Promise<void> {
    while (!this.#isOver && this.#flight.bytes > 0) await this.#woken.promise;
    if (this.#isOver) return;
    if (this.#options.part.isOver()) return await this.#endPart();
    this.#options.log.warn({ streamId }, 'a block of a stream that no Hello has room for is not sent again');
  }

  async #endPart(): Promise<void> {
    this.#options.part.over();
    await this.#options.clock.sleep(Number.MAX_SAFE_INTEGER, this.#stop.signal).catch(() => undefined);
  }

  async #sendBlock(block: Block, backlog: BlockStore): Promise<void> {
    const { streamId, dictionaryHash } = block.header;
    if (this.#unknownDictionaries.has(dictionaryHash)) return await backlog.reject(block.header, 'corrupt');
    this.#pace.waits(true, this.#options.clock.monotonicMs());
    const { maxBytesPerS } = this.#options.settings;
    const bytesMax = Math.min(this.#flight.blockBytesMax, maxBytesPerS * CEILING_BLOCK_S);
    // What is offered in a special manner is answered by its range: it stays in one piece.
    const manner = backlog.offers.manner(block);
    const isPlain = Object.keys(manner).length === 0;
    const pieces = isPlain ? cutBlock(block, bytesMax, this.#ackedThrough.get(streamId)) : [block];
    for (const piece of pieces) {
      await this.#untilRoom(piece.bytes.length);
      if (this.#isOver) return;
      await this.#sendDictionary(dictionaryHash, backlog);
      await this.#sendPiece(piece, manner);
      // Live values need their names soon, whatever names the backlog was made under.
      for (const source of this.#options.sources) {
        if (source.dictionaryHash !== undefined)
          await this.#sendDictionary(source.dictionaryHash, source.backlog);
      }
    }
  }

  async #sendPiece({ header, bytes }: Block, manner: ReturnType<Offers['manner']>): Promise<void> {
    const { data, clock } = this.#options;
    const sent = data.send({ type: 'block', bytes, ...manner });
    const nowMs = clock.monotonicMs();
    const { streamId, firstSequence } = header;
    const block = { streamId, firstSequence, lastSequence: lastSequence(header), bytes: bytes.length };
    this.#flight.sent(block, data.sentBytes, nowMs);
    this.#pace.sent(bytes.length, nowMs);
    await sent;
  }

  /** Waits until so much may be sent. Resolves to how much may be sent at once, at least 1. */
  async #untilRoom(bytes = 1): Promise<number> {
    const { clock, sources } = this.#options;
    while (!this.#isOver) {
      const woken = this.#woken.promise;
      const nowMs = clock.monotonicMs();
      const isBehind = sources.some(({ backlog }) => backlog.state !== 'online');
      const waitMs = isBehind ? this.#pace.waitMs(nowMs) : 0;
      if (waitMs > 0) await clock.sleep(waitMs, this.#stop.signal).catch(() => undefined);
      else if (!(await this.#probe(nowMs))) await woken;
      else if (this.#flight.hasRoom(bytes)) break;
      else await woken;
    }
    return Math.max(1, Math.min(this.#flight.roomBytes, READ_BYTES_MAX));
  }

  /** Measures the trip of the empty link when that is due; false while the way is not yet empty for it. */
  async #probe(nowMs: number): Promise<boolean> {
    if (!this.#flight.isProbeDue(nowMs) || nowMs - this.#probedMs < PROBE_MS) return true;
    if (!this.#flight.isIdle) return false;
    this.#probedMs = nowMs;
    const nothing = { streams: [], observedUntilUs: 0, receivedBytes: 0, isPartial: true };
    const wallUs = this.#options.clock.wallUs();
    await this.send({ type: 'heartbeat', heartbeat: { ...nothing, wallUs, uplinkState: 'catch-up' } });
    return true;
  }

  async #sendGaps(): Promise<void> {
    for (const gap of this.#options.sources.flatMap(({ backlog }) => backlog.gaps())) {
      const key = `${gap.streamId}/${gap.firstSequence}/${gap.lastSequence}`;
      if (this.#sentGaps.has(key) || !this.#options.part.has(gap.streamId)) continue;
      this.#sentGaps.add(key);
      await this.send({ type: 'gap', gap });
    }
  }

  async #sendDictionary(hash: string, backlog: BlockStore): Promise<void> {
    if (this.#sentDictionaries.has(hash)) return;
    const content = await backlog.dictionary(hash);
    this.#sentDictionaries.add(hash);
    if (content === undefined) {
      this.#options.log.error({ dictionary: hash }, 'a dictionary is lost; the Kernel may still have it');
      this.#lostDictionaries.add(hash);
      return;
    }
    await this.send({ type: 'dictionary', hash, content });
  }
}
