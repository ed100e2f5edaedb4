import type { Block } from '../domain/block/block.ts';
import type { SequenceRange } from '../domain/coverage.ts';
import type { EncodedDictionary } from '../domain/dictionary.ts';
import { describeError, isKomError, KomError } from '../domain/errors.ts';
import type { SequenceGap } from '../domain/gap.ts';
import type { StreamInfo } from '../domain/stream.ts';
import type { StoreRecord } from '../world/store.ts';
import { DICTIONARIES_MAX } from './append.ts';
import type { RingFacts } from './facts.ts';
import type {
  AppendResult,
  MarkDetails,
  Ring,
  RingOptions,
  RingPosition,
  RingRead,
  RingStat,
  RingStream,
  StreamClock,
} from './ring.ts';
import { SerialQueue } from './serial-queue.ts';

/** A disk that did not open is tried again at most this often. */
const RETRY_MS = 1000;

const NO_FACTS: RingFacts = { streams: [], segments: [], gaps: [], lost: {}, told: [], ledger: null };
const NOTHING_READ: RingRead = { blocks: [], after: null, more: false };

export interface LateRingSetup {
  readonly options: RingOptions;
  /** The stream of this run, which is in memory only; its predecessor is not known. */
  readonly stream: StreamInfo;
  /** Why the ring did not open. */
  readonly error: string;
  /** Opens the ring with the same stream. @throws KomError */
  readonly open: () => Promise<Ring>;
}

/**
 * The ring of a start on a disk that takes no write. Its stream is volatile: nothing is claimed durable,
 * writing calls reject, there is nothing to read. The first writing call that finds the disk well opens the
 * ring, mints the same stream durably, names its predecessor, and passes on what was told meanwhile.
 */
export class LateRing implements Ring {
  readonly minted: Promise<void>;
  readonly #setup: LateRingSetup;
  readonly #queue = new SerialQueue();
  readonly #dictionaries = new Map<string, EncodedDictionary>();
  readonly #minting = Promise.withResolvers<void>();
  #ring: Ring | null = null;
  #ackedThrough = 0;
  #isKnown = false;
  #error: string;
  #retryAtMs: number;
  #isClosed = false;

  constructor(setup: LateRingSetup) {
    this.#setup = setup;
    this.#error = setup.error;
    this.#retryAtMs = setup.options.clock.monotonicMs() + RETRY_MS;
    this.minted = this.#minting.promise;
  }

  get stream(): StreamInfo {
    return this.#ring?.stream ?? this.#setup.stream;
  }

  streams(): readonly RingStream[] {
    if (this.#ring !== null) return this.#ring.streams();
    const { stream } = this.#setup;
    const ackedThrough = this.#ackedThrough;
    return [{ info: stream, held: [], ackedThrough, durableThrough: 0, ended: null, isKnown: this.#isKnown }];
  }

  append(blocks: readonly Block[]): Promise<AppendResult> {
    return this.#isClosed
      ? this.#closedAlready()
      : this.#queue.runFirst(async () => await (await this.#opened()).append(blocks));
  }

  readUnacknowledged(after: RingPosition | null, limitBytes: number): Promise<RingRead> {
    return this.#queue.run(
      async () => (await this.#ring?.readUnacknowledged(after, limitBytes)) ?? NOTHING_READ,
    );
  }

  read(streamId: string, range: SequenceRange, limitBytes: number): Promise<RingRead> {
    return this.#queue.run(async () => (await this.#ring?.read(streamId, range, limitBytes)) ?? NOTHING_READ);
  }

  async acknowledge(streamId: string, throughSequence: number): Promise<void> {
    if (this.#ring !== null) return await this.#ring.acknowledge(streamId, throughSequence);
    if (streamId !== this.#setup.stream.streamId) return;
    this.#ackedThrough = Math.max(this.#ackedThrough, throughSequence);
    this.#isKnown = true;
  }

  find(streamId: string): ReturnType<Ring['find']> {
    if (this.#ring !== null) return this.#ring.find(streamId);
    return this.streams().find(({ info }) => info.streamId === streamId);
  }

  gaps(): readonly SequenceGap[] {
    return this.#ring?.gaps() ?? [];
  }

  declareGap(gap: SequenceGap): Promise<void> {
    return this.#writing((ring) => ring.declareGap(gap));
  }

  async putDictionary(dictionary: EncodedDictionary): Promise<void> {
    if (this.#ring !== null) return await this.#ring.putDictionary(dictionary);
    this.#dictionaries.delete(dictionary.hash);
    this.#dictionaries.set(dictionary.hash, dictionary);
    const oldest = this.#dictionaries.keys().next();
    if (this.#dictionaries.size > DICTIONARIES_MAX && !oldest.done) this.#dictionaries.delete(oldest.value);
  }

  async dictionary(hash: string): Promise<Uint8Array | undefined> {
    return this.#ring === null ? this.#dictionaries.get(hash)?.bytes : await this.#ring.dictionary(hash);
  }

  /**
   * A mark that was made before the predecessor was known does not count the pause before this run as
   * undeclared. So it only opens the ring; the next one is stored.
   */
  markAlive(wallUs: number, nextSequence: number, details?: MarkDetails): Promise<void> {
    const knowsPrevious = this.#ring !== null;
    return this.#writing(async (ring) => {
      if (knowsPrevious) await ring.markAlive(wallUs, nextSequence, details);
    });
  }

  endStream(lastSequence: number, wallUs: number, clock?: StreamClock): Promise<void> {
    return this.#writing((ring) => ring.endStream(lastSequence, wallUs, clock));
  }

  stat(): RingStat {
    if (this.#ring !== null) return this.#ring.stat();
    return {
      capacityBytes: this.#setup.options.capacityBytes,
      diskBytes: 0,
      quarantineBytes: 0,
      segments: 0,
      blocks: 0,
      samples: 0,
      unacknowledgedSamples: 0,
      unacknowledgedBytes: 0,
      oldestUs: null,
      newestUs: null,
      oldestUnacknowledgedUs: null,
      lostByReason: {},
      slowestSyncMs: 0,
      writtenBytes: 0,
      state: 'volatile',
      lastError: this.#error,
    };
  }

  get isHealthy(): boolean {
    return this.#ring?.isHealthy ?? false;
  }

  get oldestUnacknowledgedUs(): number | null {
    return this.#ring?.oldestUnacknowledgedUs ?? null;
  }

  hasUnacknowledged(except?: string): boolean {
    return this.#ring?.hasUnacknowledged(except) ?? false;
  }

  facts(): RingFacts {
    return this.#ring?.facts() ?? NO_FACTS;
  }

  async records(
    segment: number,
    after: RingPosition,
    limitBytes: number,
  ): Promise<readonly StoreRecord[] | null> {
    return (await this.#ring?.records(segment, after, limitBytes)) ?? null;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    const closing = this.#queue.run(async () => await this.#ring?.close());
    this.#isClosed = true;
    await closing;
  }

  #writing<T>(job: (ring: Ring) => Promise<T>): Promise<T> {
    return this.#isClosed
      ? this.#closedAlready()
      : this.#queue.run(async () => await job(await this.#opened()));
  }

  #closedAlready(): Promise<never> {
    return Promise.reject(new KomError('KOM_STORE_CLOSED', 'the ring'));
  }

  async #opened(): Promise<Ring> {
    return this.#ring ?? (await this.#open());
  }

  async #open(): Promise<Ring> {
    const { options, open, stream } = this.#setup;
    const nowMs = options.clock.monotonicMs();
    if (nowMs < this.#retryAtMs) throw this.#refusal();
    let ring: Ring;
    try {
      ring = await open();
    } catch (error) {
      if (!isKomError(error)) throw error;
      this.#error = describeError(error);
      this.#retryAtMs = options.clock.monotonicMs() + RETRY_MS;
      throw this.#refusal();
    }
    for (const dictionary of this.#dictionaries.values()) await ring.putDictionary(dictionary);
    if (this.#isKnown) await ring.acknowledge(stream.streamId, this.#ackedThrough);
    this.#ring = ring;
    this.#dictionaries.clear();
    options.log.info({ streamId: stream.streamId }, 'the disk takes writes: the stream is durable now');
    this.#minting.resolve();
    return ring;
  }

  #refusal(): KomError {
    return new KomError('KOM_STORE_WRITE', 'the ring did not open yet', { got: this.#error });
  }
}
