import type { Block } from '../domain/block/block.ts';
import type { SequenceRange } from '../domain/coverage.ts';
import type { EncodedDictionary } from '../domain/dictionary.ts';
import { describeError, invariant, isKomError, KomError } from '../domain/errors.ts';
import type { SequenceGap } from '../domain/gap.ts';
import type { StreamInfo } from '../domain/stream.ts';
import type { StoreRecord } from '../world/store.ts';
import { Ageing } from './age.ts';
import { SegmentAhead } from './ahead.ts';
import { Appender } from './append.ts';
import { type RingCore, withGaps } from './core.ts';
import { type RingFacts, recordsBehind } from './facts.ts';
import { Reader } from './reader.ts';
import { Reblocker } from './reblocker.ts';
import { presentForm } from './reblocking.ts';
import type {
  AppendResult,
  MarkDetails,
  Ring,
  RingPosition,
  RingRead,
  RingStat,
  RingStream,
  StreamClock,
} from './ring.ts';
import { isAcknowledged } from './segment.ts';
import { SerialQueue } from './serial-queue.ts';
import { hasUnacknowledged, oldestUnacknowledgedUs, ringStat, ringStreams } from './stat.ts';

/**
 * The ring over a core that `openRing` recovered: every call is one job of a queue. Appends go first: how
 * long they wait is part of what a power cut may lose.
 */
export class DurableRing implements Ring {
  readonly stream: StreamInfo;
  readonly minted = Promise.resolve();
  readonly #core: RingCore;
  readonly #reblocker: Reblocker;
  readonly #appender: Appender;
  readonly #ahead: SegmentAhead;
  readonly #ageing: Ageing | null;
  readonly #reader: Reader;
  readonly #queue = new SerialQueue();
  #isClosed = false;

  constructor(core: RingCore) {
    this.#core = core;
    this.stream = core.current.info;
    this.#reblocker = new Reblocker(core, (job) => this.#job(job));
    this.#appender = new Appender(core, this.#reblocker);
    this.#ahead = new SegmentAhead(core, this.#appender, (job) => this.#job(job));
    this.#reader = new Reader(core);
    const { age } = core.setup.options;
    this.#ageing = age === undefined ? null : new Ageing(core, this.#appender, age);
  }

  streams(): readonly RingStream[] {
    return ringStreams(this.#core);
  }

  append(blocks: readonly Block[]): Promise<AppendResult> {
    if (this.#isClosed) return this.#closedAlready();
    return this.#queue.runFirst(async () => {
      invariant(this.#core.current.ended === null, 'nothing is appended behind the end of a stream');
      try {
        const result = await this.#core.writing(() => this.#appender.append(blocks));
        this.#ahead.look();
        return result;
      } catch (error) {
        this.#core.lapse();
        throw error;
      }
    });
  }

  readUnacknowledged(after: RingPosition | null, limitBytes: number): Promise<RingRead> {
    return this.#job(() => this.#reader.readUnacknowledged(after, limitBytes));
  }

  read(streamId: string, range: SequenceRange, limitBytes: number): Promise<RingRead> {
    return this.#job(() => this.#reader.read(streamId, range, limitBytes));
  }

  acknowledge(streamId: string, throughSequence: number): Promise<void> {
    this.#core.raiseAcked(streamId, throughSequence);
    if (this.#core.setup.options.policy === 'always' || this.#freeable().length === 0)
      return Promise.resolve();
    return this.#free();
  }

  find(streamId: string): ReturnType<Ring['find']> {
    return this.#core.record(streamId);
  }

  gaps(): readonly SequenceGap[] {
    return this.#core.gaps;
  }

  declareGap(gap: SequenceGap): Promise<void> {
    return this.#job(() => this.#core.writing(() => this.#core.commit((state) => withGaps(state, [gap]))));
  }

  async putDictionary(dictionary: EncodedDictionary): Promise<void> {
    this.#appender.putDictionary(dictionary);
  }

  async dictionary(hash: string): Promise<Uint8Array | undefined> {
    return this.#appender.dictionary(hash) ?? (await this.#job(() => this.#reader.dictionary(hash)));
  }

  markAlive(wallUs: number, nextSequence: number, details: MarkDetails = {}): Promise<void> {
    const { clock, isStandby = false } = details;
    return this.#job(() => {
      const core = this.#core;
      const next = Math.max(core.current.nextSequence, nextSequence);
      invariant(!isStandby || next === nextSequence, 'who stands by gave no number above the mark');
      const standbyThrough = isStandby ? nextSequence - 1 : null;
      core.current = {
        ...core.current,
        ...{ aliveUntilUs: wallUs, nextSequence: next, standbyThrough },
        ...(clock && { clock }),
      };
      return core.writing(async () => {
        await core.checkPresent();
        await core.commit((state) => this.#ageing?.counted(state) ?? state);
        await this.#ageing?.letGo();
        await core.sweep();
      });
    });
  }

  endStream(lastSequence: number, wallUs: number, clock?: StreamClock): Promise<void> {
    return this.#job(() => {
      const core = this.#core;
      invariant(lastSequence >= core.current.durableThrough, 'a stream ends behind its last durable number');
      const ended = { cleanly: true, lastSequence, atUs: wallUs };
      return core.writing(() =>
        core.commit((state) => ({
          ...state,
          streams: state.streams.map((each) =>
            each.ordinal === core.current.ordinal
              ? { ...each, ended, aliveUntilUs: wallUs, ...(clock && { clock }) }
              : each,
          ),
        })),
      );
    });
  }

  stat(): RingStat {
    return ringStat(this.#core);
  }

  get isHealthy(): boolean {
    return !this.#core.isDegraded;
  }

  get oldestUnacknowledgedUs(): number | null {
    return oldestUnacknowledgedUs(this.#core);
  }

  hasUnacknowledged(except?: string): boolean {
    return hasUnacknowledged(this.#core, except);
  }

  facts(): RingFacts {
    const { streams, segments, gaps, setup } = this.#core;
    const { told, totals } = setup.meta.state;
    return { streams, segments, gaps, told, lost: totals.lost, ledger: totals.ledger ?? null };
  }

  records(segment: number, after: RingPosition, limitBytes: number): Promise<readonly StoreRecord[] | null> {
    return this.#job(async () => {
      const present = presentForm(this.#core.segments, segment);
      return present && (await recordsBehind(this.#core, { segment: present.number, after, limitBytes }));
    });
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    const closing = this.#queue.run(async () => {
      const { log } = this.#core.setup.options;
      const { stores, meta } = this.#core.setup;
      this.#reblocker.stop();
      for (const step of [
        () => this.#core.writing(() => this.#core.commit()),
        () => stores.close(),
        () => meta.close(),
      ]) {
        try {
          await step();
        } catch (error) {
          log.warn({ error: describeError(error) }, 'the ring did not close in order');
        }
      }
    });
    this.#isClosed = true;
    await closing;
  }

  /** In two jobs, so that an append waits for one of them at most. */
  async #free(): Promise<void> {
    try {
      await this.#job(async () => {
        const victims = this.#freeable();
        if (victims.length > 0) await this.#core.writing(() => this.#core.retire(victims, (state) => state));
      });
      await this.#job(() => this.#core.writing(() => this.#core.sweep()));
    } catch (error) {
      // The space is freed with the next acknowledgement or segment that finds the disk well.
      if (!isKomError(error) || error.code === 'KOM_STORE_CLOSED') throw error;
    }
  }

  #freeable() {
    const { segments, ackedThrough } = this.#core;
    return segments.filter((each) => each.state === 'sealed' && isAcknowledged(each, ackedThrough));
  }

  #job<T>(job: () => Promise<T>): Promise<T> {
    return this.#isClosed ? this.#closedAlready() : this.#queue.run(job);
  }

  #closedAlready(): Promise<never> {
    return Promise.reject(new KomError('KOM_STORE_CLOSED', 'the ring'));
  }
}
