import { describeError, invariant, isKomError, KomError } from '../domain/errors.ts';
import type { SequenceGap } from '../domain/gap.ts';
import { RecurringFailure } from '../world/recurring-log.ts';
import type { Disk, Store } from '../world/store.ts';
import { assertWatermarks, type StreamRecord, withoutForgotten, withStored } from './chain.ts';
import { addGap, countLost, undeclared, withoutSettled } from './gap-ledger.ts';
import { META_NAME, type Meta, type MetaState } from './meta.ts';
import type { Quarantine } from './quarantine.ts';
import type { Reblocking } from './reblocking.ts';
import type { RingOptions } from './ring.ts';
import { scanSegment } from './scan.ts';
import { gapsOfSegment, isAcknowledged, type SegmentFacts, segmentName } from './segment.ts';
import type { SegmentStores } from './segment-stores.ts';
import type { SyncTimes } from './sync-times.ts';
import { TimeMarks } from './time-marks.ts';
import { withTold } from './told-gaps.ts';

/** A disk that failed is tried again at most this often. */
const RETRY_MS = 1000;

/** Everything that the parts of an open ring share. */
export interface CoreSetup {
  readonly disk: Disk;
  readonly options: RingOptions;
  readonly segmentBytes: number;
  readonly stores: SegmentStores;
  readonly quarantine: Quarantine;
  readonly syncTimes: SyncTimes;
  readonly meta: Meta;
}

/**
 * State of an open ring: what is durable (`meta`), and what is ahead of it in memory: the facts of the open
 * segment, the record of the current stream, and the acknowledged watermarks. `commit` joins the two. Writing
 * goes through `writing`, which knows what to do when the disk fails. Used from one job at a time; only
 * `raiseAcked` may come in between.
 */
export class RingCore {
  readonly setup: CoreSetup;
  /** The segment that is written to, as it is on disk. */
  open: SegmentFacts | null;
  /** The stream of this run. */
  current: StreamRecord;
  /** A sealed segment whose blocks are joined at present; whoever takes its store away ends that. */
  reblocking: Reblocking | null = null;
  readonly #acked = new Map<string, number>();
  /** Ordinals of streams that a Kernel has acknowledged in this run, if only as known. */
  readonly #known = new Set<number>();
  #removed = new Set<number>();
  #failure: { readonly error: string; readonly retryAtMs: number } | null = null;
  #lastError: string | null = null;
  readonly #disk: RecurringFailure;
  /** Of what was appended in this run. */
  readonly times = new TimeMarks();
  /** An append failed in this run, so samples may have been sent that were never durable. */
  #hasLapsed = false;

  constructor(setup: CoreSetup, current: StreamRecord) {
    this.setup = setup;
    this.#disk = new RecurringFailure(setup.options);
    this.current = current;
    this.open = openOf(setup.meta.state);
    for (const { info, ackedThrough } of this.streams) this.#acked.set(info.streamId, ackedThrough);
    this.#assert();
  }

  readonly ackedThrough = (streamId: string): number => this.#acked.get(streamId) ?? 0;

  /** With what is ahead of the durable records; equal ones stay identical. */
  get streams(): readonly StreamRecord[] {
    return this.setup.meta.state.streams.map((record) => this.#newest(record));
  }

  /** By number, with what is ahead of the durable facts; doomed ones are gone. */
  get segments(): readonly SegmentFacts[] {
    return this.#foldedSegments().filter((segment) => segment.state !== 'doomed');
  }

  get gaps(): readonly SequenceGap[] {
    return withoutSettled(this.setup.meta.state.gaps, this.ackedThrough);
  }

  get isDegraded(): boolean {
    return this.#failure !== null;
  }

  get lastError(): string | null {
    return this.#lastError;
  }

  /** One of `streams`, without a look at the others. */
  record(streamId: string): StreamRecord | undefined {
    const record = this.setup.meta.state.streams.find((each) => each.info.streamId === streamId);
    return record && this.#newest(record);
  }

  /** A Kernel has a stream through this number, and its place in the chain. */
  raiseAcked(streamId: string, throughSequence: number): void {
    const record = this.record(streamId);
    if (record === undefined) return;
    let through = Math.max(throughSequence, this.ackedThrough(streamId));
    if (record.ordinal === this.current.ordinal) {
      const isDurableFirst = this.#isDurableBeforeSent();
      if (isDurableFirst && through > this.current.durableThrough) {
        const { durableThrough } = this.current;
        this.setup.options.log.warn(
          { through, durableThrough },
          'a number was acknowledged that was not sent',
        );
        through = Math.max(this.ackedThrough(streamId), durableThrough);
      }
      this.current = { ...this.current, nextSequence: Math.max(this.current.nextSequence, through + 1) };
    }
    this.#acked.set(streamId, through);
    if (record.ordinal === this.current.ordinal) this.times.dropThrough(through);
    this.#known.add(record.ordinal);
    assertWatermarks(this.#newest(record), this.#isDurableBeforeSent());
  }

  /** The open segment got blocks of the current stream, durably. */
  stored(facts: SegmentFacts): void {
    this.open = facts;
    this.current = withStored(this.current, facts);
    this.#assert();
  }

  /** An append did not make it: from here on samples may be sent that are not durable. */
  lapse(): void {
    this.#hasLapsed = true;
  }

  /**
   * Makes the present state, changed as asked, durable in one synced batch.
   * @throws KomError KOM_STORE_WRITE
   */
  async commit(change: (state: MetaState) => MetaState = (state) => state): Promise<void> {
    const next = this.#tidied(change(this.#folded()));
    await this.setup.meta.commit(next);
    this.#removed = new Set([...this.#removed].filter((number) => has(next, number)));
    for (const streamId of this.#acked.keys()) {
      if (!next.streams.some((each) => each.info.streamId === streamId)) this.#acked.delete(streamId);
    }
    this.open = openOf(next);
    const current = next.streams.find((each) => each.ordinal === this.current.ordinal);
    invariant(current !== undefined, 'the current stream is in the chain');
    const nextSequence = Math.max(current.nextSequence, this.current.nextSequence);
    this.current = { ...current, nextSequence };
    this.#assert();
  }

  /** Runs a job that writes. @throws KomError KOM_STORE_WRITE where the disk does not take it */
  async writing<T>(job: () => Promise<T>): Promise<T> {
    await this.#heal();
    try {
      return await job();
    } catch (error) {
      throw await this.#degraded(error);
    }
  }

  /** Takes segments out, all but their directories, which `sweep` deletes. Call within `writing`. */
  async retire(segments: readonly SegmentFacts[], change: (state: MetaState) => MetaState): Promise<void> {
    await this.commit((state) => doom(change(state), segments, this.ackedThrough));
  }

  /**
   * Looks whether the directories are still there: what is written into a deleted one arrives nowhere, and
   * LevelDB does not notice. Call within `writing`. @throws KomError KOM_STORE_WRITE
   */
  async checkPresent(): Promise<void> {
    const names = await this.setup.disk.list();
    const gone = [
      ...(names.includes(META_NAME) ? [] : [META_NAME]),
      ...missingOf(this.segments, names).map(({ number }) => segmentName(number)),
    ];
    if (gone.length > 0)
      throw new KomError('KOM_STORE_WRITE', gone.join(', '), { got: 'a deleted directory' });
  }

  /** For reading; see `SegmentStores.reader`. @throws KomError KOM_STORE_OPEN */
  async reader(number: number): Promise<Store> {
    const isAnother = number !== this.reblocking?.source && number !== this.open?.number;
    if (this.reblocking !== null && isAnother) {
      // The segment to be read may need as much disk as the copy, and its memory.
      this.reblocking = null;
      await this.sweep();
    }
    return await this.setup.stores.reader(number);
  }

  /** Deletes the directories of doomed segments; what does not go now goes later. */
  async sweep(): Promise<void> {
    const { disk, stores, meta, options } = this.setup;
    for (const { number, state } of meta.state.segments) {
      if (state !== 'doomed' || this.#removed.has(number) || number === this.reblocking?.target) continue;
      try {
        await stores.release(number);
        await disk.remove(segmentName(number));
        this.#removed.add(number);
      } catch (error) {
        options.log.warn({ segment: number, error: describeError(error) }, 'a segment could not be deleted');
      }
    }
  }

  /** Bytes of doomed segments that are still on the disk. */
  get doomedBytes(): number {
    return this.setup.meta.state.segments
      .filter((segment) => segment.state === 'doomed' && !this.#removed.has(segment.number))
      .reduce((sum, segment) => sum + segment.bytes, 0);
  }

  #isDurableBeforeSent(): boolean {
    return this.setup.options.policy === 'always' && !this.#hasLapsed;
  }

  /** The durable state with everything in memory that is ahead of it; equal parts stay identical. */
  #folded(): MetaState {
    return { ...this.setup.meta.state, streams: this.streams, segments: this.#foldedSegments() };
  }

  #foldedSegments(): readonly SegmentFacts[] {
    const { open, setup } = this;
    return setup.meta.state.segments.map((each) => (each.number === open?.number ? open : each));
  }

  #newest(record: StreamRecord): StreamRecord {
    const newest = record.ordinal === this.current.ordinal ? this.current : record;
    const ackedThrough = this.#acked.get(newest.info.streamId) ?? newest.ackedThrough;
    const isKnown = newest.isKnown || this.#known.has(newest.ordinal);
    const isSame = ackedThrough === newest.ackedThrough && isKnown === newest.isKnown;
    return isSame ? newest : { ...newest, ackedThrough, isKnown };
  }

  /** Leaves out what is settled, deleted or forgotten. */
  #tidied(state: MetaState): MetaState {
    const gaps = withoutSettled(state.gaps, this.ackedThrough);
    const segments = state.segments.filter((segment) => !this.#removed.has(segment.number));
    const used = new Set([
      ...gaps.map((gap) => gap.streamId),
      ...segments
        .filter((each) => each.state !== 'doomed')
        .flatMap((each) => each.runs.map((run) => run.streamId)),
    ]);
    const streams = withoutForgotten(state.streams, (streamId) => used.has(streamId));
    const journaled = this.#journaled(state, gaps);
    if (segments.length === state.segments.length) return { ...journaled, streams };
    return { ...journaled, streams, segments, totals: { ...journaled.totals, ...nextPlace(state) } };
  }

  /** The state with the gaps that are left; the settled ones go over into the journal. */
  #journaled(state: MetaState, gaps: readonly SequenceGap[]): MetaState {
    const settled = state.gaps.filter((gap) => gap.lastSequence <= this.ackedThrough(gap.streamId));
    const { ledger } = state.totals;
    if (settled.length === 0 || ledger === undefined) return { ...state, gaps };
    const journal = { told: state.told, pushedOut: ledger.pushedOut };
    const { told, pushedOut } = withTold(journal, settled, this.setup.options.clock.wallUs());
    if (pushedOut === ledger.pushedOut) return { ...state, gaps, told };
    return { ...state, gaps, told, totals: { ...state.totals, ledger: { ...ledger, pushedOut } } };
  }

  async #heal(): Promise<void> {
    const { clock } = this.setup.options;
    if (this.#failure === null) return;
    if (clock.monotonicMs() < this.#failure.retryAtMs) {
      throw new KomError('KOM_STORE_WRITE', 'the ring is degraded', { got: this.#failure.error });
    }
    try {
      await this.setup.meta.reopen();
      await this.#declareMissing();
      await this.#adoptTail();
      await this.commit();
    } catch (error) {
      throw await this.#degraded(error);
    }
    this.#failure = null;
    // A disk at its brim takes some writes and not others, many times a minute.
    this.#disk.well('the disk takes writes again');
  }

  /** Segments that somebody deleted: their loss becomes durable. */
  async #declareMissing(): Promise<void> {
    const gone = missingOf(this.segments, await this.setup.disk.list());
    if (gone.length === 0) return;
    const numbers = gone.map(({ number }) => number);
    this.setup.options.log.error({ segments: numbers }, 'segments were deleted under way');
    await this.commit((state) => {
      const segments = state.segments.filter((each) => !numbers.includes(each.number));
      const totals = { ...state.totals, ...nextPlace(state) };
      const gaps = gone.flatMap((each) => gapsOfSegment(each, this.ackedThrough, 'corrupt'));
      return withGaps({ ...state, segments, totals }, gaps);
    });
  }

  /** A batch that failed may be there after all: then its blocks count as stored. */
  async #adoptTail(): Promise<void> {
    if (this.open === null) return;
    const store = await this.setup.stores.writer(this.open.number);
    const { facts, lost } = await scanSegment(store, this.open, this.current);
    this.stored(facts);
    if (lost.length > 0) await this.commit((state) => withGaps(state, lost));
  }

  async #degraded(error: unknown): Promise<unknown> {
    if (!isKomError(error)) return error;
    const { clock, log } = this.setup.options;
    this.#disk.failed(error.code, { error: error.message }, 'the ring does not take writes');
    this.#lastError = error.message;
    this.#failure = { error: error.message, retryAtMs: clock.monotonicMs() + RETRY_MS };
    this.reblocking = null;
    for (const database of [this.setup.stores, this.setup.meta]) {
      try {
        await database.close();
      } catch (closing) {
        log.debug({ error: describeError(closing) }, 'a database did not close');
      }
    }
    return error.code === 'KOM_STORE_WRITE'
      ? error
      : new KomError('KOM_STORE_WRITE', 'the ring', { got: error.message, cause: error });
  }

  /** Rule 1 of README.md. */
  #assert(): void {
    for (const record of this.streams) assertWatermarks(record, this.#isDurableBeforeSent());
  }
}

/** The state with gap records added and counted. */
export function withGaps(state: MetaState, gaps: readonly SequenceGap[]): MetaState {
  const fresh = gaps.flatMap((gap) => undeclared(state.gaps, gap));
  if (fresh.length === 0) return state;
  const lost = countLost(state.totals.lost, fresh);
  return { ...state, gaps: fresh.reduce(addGap, state.gaps), totals: { ...state.totals, lost } };
}

/**
 * Number and position that the next segment starts with. The number between is left for what its predecessor
 * becomes when its blocks are joined.
 */
export function nextPlace(state: MetaState): { readonly nextNumber: number; readonly nextPosition: number } {
  const { nextNumber, nextPosition } = state.totals;
  return {
    nextNumber: state.segments.reduce((next, each) => Math.max(next, each.number + 2), nextNumber),
    nextPosition: state.segments.reduce((next, each) => Math.max(next, each.lastPosition + 1), nextPosition),
  };
}

function doom(
  state: MetaState,
  victims: readonly SegmentFacts[],
  ackedThrough: (streamId: string) => number,
): MetaState {
  const numbers = new Set(victims.map((victim) => victim.number));
  const evicted = victims.filter((victim) => !isAcknowledged(victim, ackedThrough));
  const gaps = evicted.flatMap((victim) => gapsOfSegment(victim, ackedThrough, 'evicted'));
  const through = new Map<string, number>();
  for (const gap of gaps) {
    through.set(gap.streamId, Math.max(gap.lastSequence, through.get(gap.streamId) ?? 0));
  }
  const streams = state.streams.map((record) => {
    const last = through.get(record.info.streamId);
    return last === undefined ? record : { ...record, evictedThrough: Math.max(last, record.evictedThrough) };
  });
  const segments = state.segments.map(
    (each): SegmentFacts => (numbers.has(each.number) ? { ...each, state: 'doomed' } : each),
  );
  return withGaps({ ...state, streams, segments }, gaps);
}

function openOf(state: MetaState): SegmentFacts | null {
  return state.segments.find((segment) => segment.state === 'open') ?? null;
}

function missingOf(segments: readonly SegmentFacts[], names: readonly string[]): SegmentFacts[] {
  return segments.filter((each) => each.blocks > 0 && !names.includes(segmentName(each.number)));
}

function has(state: MetaState, number: number): boolean {
  return state.segments.some((segment) => segment.number === number);
}
