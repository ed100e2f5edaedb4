import type { Backlog } from '../buffer/backlog.ts';
import type { HeldStream } from '../buffer/held-streams.ts';
import type { Ring } from '../buffer/ring.ts';
import { type Block, lastSequence } from '../domain/block/block.ts';
import { countOf, type SequenceRange, subtract } from '../domain/coverage.ts';
import { isKomError } from '../domain/errors.ts';
import { RangeSet } from '../domain/range-set.ts';
import type { StreamCoverage, StreamState } from '../uplink/messages.ts';
import type { Clock, Timer } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { MirrorPort } from './mirror-ports.ts';

/** What is new is looked for at this pace. */
const LOOK_MS = 100;
/** Bytes read from the ring at a time: its own writes wait for no more. */
const READ_BYTES_MAX = 256 * 1024;

/** A store of this instance, as its mirror sees it. */
export interface OwnStore {
  readonly ring: Pick<Ring, 'stream' | 'streams' | 'read'>;
  readonly backlog: Pick<Backlog, 'streams' | 'memory' | 'dictionary' | 'acknowledge' | 'owns' | 'stat'>;
}

export interface MirrorSenderOptions {
  /** The most urgent first. */
  readonly stores: readonly OwnStore[];
  readonly port: MirrorPort;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Brings what no Kernel has to the peer: again and again it compares what the stores hold with what the peer
 * has, and sends what is missing, the oldest first. So it queues nothing, and what it could not send in time
 * it finds in the ring.
 */
export class MirrorSender {
  readonly #options: MirrorSenderOptions;
  readonly #timer: Timer;
  /** What the peer said it holds, or was sent since; `null`: it did not say yet. */
  #has: Map<string, RangeSet> | null = null;
  /** What it said it holds, at the last time, of all streams. */
  #reported = new Map<string, readonly SequenceRange[]>();
  readonly #unwanted = new Map<string, number>();
  readonly #sentDictionaries = new Set<string>();
  /** Told over this network: streams, and of each how far it is acknowledged and spilled. */
  #toldStreams = '';
  readonly #toldAcked = new Map<string, number>();
  readonly #toldSpilled = new Map<string, number>();
  #isPumping = false;
  #lagBytes = 0;

  constructor(options: MirrorSenderOptions) {
    this.#options = options;
    this.#timer = options.clock.repeat('mirror', LOOK_MS, () => this.#look());
  }

  /** Bytes that no Kernel acknowledged and the peer is not known to hold; of what is on disk about. */
  get lagBytes(): number {
    return this.#lagBytes;
  }

  owns(streamId: string): boolean {
    return this.#options.stores.some(({ backlog }) => backlog.owns(streamId));
  }

  opened(): void {
    this.closed();
    this.#look();
  }

  /** What was sent may not have arrived. */
  closed(): void {
    this.#has = null;
    this.#toldStreams = '';
    this.#toldAcked.clear();
    this.#toldSpilled.clear();
    this.#sentDictionaries.clear();
  }

  roomed(): void {
    this.#look();
  }

  /** The peer says what it holds of the streams of this instance; `producedTo`: it wants nothing up to it. */
  report(streams: readonly StreamState[]): void {
    this.#reported = new Map(streams.map(({ streamId, held }) => [streamId, held]));
    this.#unwanted.clear();
    for (const { streamId, producedTo } of streams) this.#unwanted.set(streamId, producedTo);
    this.#has ??= this.#reportedSets();
    this.#look();
  }

  needDictionary(hash: string): void {
    this.#sentDictionaries.delete(hash);
    // The blocks that came without it were not kept.
    if (this.#has !== null) this.#has = this.#reportedSets();
  }

  /** The peer delivered these, and a Kernel has them. */
  acknowledged(coverage: readonly StreamCoverage[]): void {
    for (const { streamId, throughSequence } of coverage) {
      for (const { backlog } of this.#options.stores) backlog.acknowledge(streamId, throughSequence);
    }
  }

  stop(): void {
    this.#timer.cancel();
    this.#has = null;
  }

  #reportedSets(): Map<string, RangeSet> {
    return new Map([...this.#reported].map(([streamId, held]) => [streamId, new RangeSet(held)]));
  }

  #look(): void {
    const looks = this.#options.stores.map((store) => ({ store, streams: store.backlog.streams() }));
    this.#lagBytes = looks.reduce((sum, look) => sum + this.#lagOf(look), 0);
    if (!this.#tellStreams(looks) || !this.#tellProgress() || this.#isPumping) return;
    this.#isPumping = true;
    this.#pump()
      .catch((error: unknown) => {
        if (!isKomError(error)) throw error;
        this.#options.log.debug({ error: error.message }, 'the mirror waits for the ring');
      })
      .finally(() => {
        this.#isPumping = false;
      });
  }

  /** False: there is no room, or no network. */
  #tellStreams(looks: readonly Look[]): boolean {
    const { port } = this.#options;
    const streams = looks.flatMap(({ store: { ring }, streams: own }) =>
      own.map((stream): StreamState => {
        const { info, endedAtUs, lastSequence: last } = stream;
        const running = info.streamId === ring.stream.streamId;
        return { ...info, held: [], heldFromUs: 0, producedTo: last ?? 0, endedAtUs, running };
      }),
    );
    const told = JSON.stringify(streams);
    if (told === this.#toldStreams || streams.length === 0) return true;
    if (!port.send({ type: 'mirrorStreams', streams })) return false;
    this.#toldStreams = told;
    return true;
  }

  /** Tells what was acknowledged and spilled since. False: there is no room. */
  #tellProgress(): boolean {
    const { stores, port } = this.#options;
    for (const { info, ackedThrough, durableThrough } of stores.flatMap(({ ring }) => ring.streams())) {
      const { streamId } = info;
      if (ackedThrough > (this.#toldAcked.get(streamId) ?? 0)) {
        const coverage = [{ streamId, throughSequence: ackedThrough, held: [] }];
        if (!port.send({ type: 'mirrorAck', coverage })) return false;
        this.#toldAcked.set(streamId, ackedThrough);
      }
      if (durableThrough > Math.max(ackedThrough, this.#toldSpilled.get(streamId) ?? 0)) {
        if (!port.send({ type: 'spilled', streamId, throughSequence: durableThrough })) return false;
        this.#toldSpilled.set(streamId, durableThrough);
      }
    }
    return true;
  }

  async #pump(): Promise<void> {
    let isMore = true;
    while (isMore) {
      isMore = false;
      for (const store of this.#options.stores) {
        const wanted = this.#wantedOf(store);
        const sent = wanted === undefined ? 'nothing' : await this.#sendFrom(store, wanted);
        if (sent === 'no room') return;
        isMore ||= sent === 'some';
      }
    }
  }

  /** The oldest range of a store that the peer does not have. */
  #wantedOf({ backlog }: OwnStore): (SequenceRange & { readonly streamId: string }) | undefined {
    const has = this.#has;
    if (has === null) return undefined;
    for (const { info, held } of backlog.streams()) {
      const { streamId } = info;
      const unwanted = { first: 0, last: this.#unwanted.get(streamId) ?? 0 };
      const [missing] = held
        .flatMap((range) => subtract(range, [unwanted]))
        .flatMap((range) => has.get(streamId)?.missing(range) ?? [range]);
      if (missing !== undefined) return { ...missing, streamId };
    }
    return undefined;
  }

  async #sendFrom(
    { backlog, ring }: OwnStore,
    wanted: SequenceRange & { readonly streamId: string },
  ): Promise<'some' | 'no room'> {
    const { port } = this.#options;
    const has = this.#has;
    if (port.roomBytes <= 0) return 'no room';
    const { streamId } = wanted;
    const durableThrough = ring.streams().find(({ info }) => info.streamId === streamId)?.durableThrough ?? 0;
    const blocks = inMemory(backlog, wanted) ?? (await ring.read(streamId, wanted, READ_BYTES_MAX)).blocks;
    // What does not read, or cannot be told without its dictionary, is passed over.
    let from = wanted.first;
    for (const { block } of blocks) {
      const content = await this.#missingDictionary(block, backlog);
      // Meanwhile the network may have changed, and with it all that the peer has.
      if (this.#has !== has || has === null) return 'no room';
      const { dictionaryHash: hash } = block.header;
      const last = lastSequence(block.header);
      if (content instanceof Uint8Array) {
        if (!port.send({ type: 'dictionary', hash, content })) return 'no room';
        this.#sentDictionaries.add(hash);
      }
      const isSpilled = last <= durableThrough;
      const message = { type: 'mirrorBlock', bytes: block.bytes, isSpilled } as const;
      if (content !== 'lost' && !port.send(message)) return 'no room';
      this.#note(has, streamId, { first: from, last });
      from = last + 1;
    }
    if (this.#has !== has || has === null) return 'no room';
    if (blocks.length === 0) this.#note(has, streamId, wanted);
    return 'some';
  }

  #note(has: Map<string, RangeSet>, streamId: string, range: SequenceRange): void {
    const known = has.get(streamId);
    if (known === undefined) has.set(streamId, new RangeSet([range]));
    else known.add(range);
  }

  /** `null`: the peer has it. */
  async #missingDictionary(
    { header }: Block,
    backlog: OwnStore['backlog'],
  ): Promise<Uint8Array | null | 'lost'> {
    if (this.#sentDictionaries.has(header.dictionaryHash)) return null;
    return (await backlog.dictionary(header.dictionaryHash)) ?? 'lost';
  }

  #lagOf({ store: { backlog }, streams }: Look): number {
    let samples = 0;
    for (const { info, held } of streams) {
      const reported = this.#reported.get(info.streamId) ?? [];
      samples += countOf(held.flatMap((range) => subtract(range, reported)));
    }
    if (samples === 0) return 0;
    const { ring, windowBytes, windowSamples } = backlog.stat();
    const all = ring.unacknowledgedSamples + windowSamples;
    return all === 0 ? 0 : Math.round((samples * (ring.unacknowledgedBytes + windowBytes)) / all);
  }
}

/** A store, and what it holds at this moment. */
interface Look {
  readonly store: OwnStore;
  readonly streams: readonly HeldStream[];
}

/** Blocks of a range that are in memory, if they begin there. */
function inMemory(
  { memory }: OwnStore['backlog'],
  { streamId, first, last }: SequenceRange & { readonly streamId: string },
): { readonly block: Block }[] | null {
  const found = memory.filter(({ block: { header } }) => {
    return header.streamId === streamId && lastSequence(header) >= first && header.firstSequence <= last;
  });
  const begins = (found[0]?.block.header.firstSequence ?? Number.POSITIVE_INFINITY) <= first;
  return begins ? found : null;
}
