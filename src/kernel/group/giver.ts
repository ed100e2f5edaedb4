import type { ForwardRing } from '../../buffer/forward-ring.ts';
import { type Block, lastSequence } from '../../domain/block/block.ts';
import { type Coverage, EMPTY_COVERAGE, type SequenceRange, subtract } from '../../domain/coverage.ts';
import { coverageDifference, knowsAllOf } from '../../domain/coverage-difference.ts';
import { encodeDictionary } from '../../domain/dictionary-codec.ts';
import { isKomError } from '../../domain/errors.ts';
import type { SequenceGap } from '../../domain/gap.ts';
import { RangeSet } from '../../domain/range-set.ts';
import type { Message } from '../../uplink/messages.ts';
import type { Archive } from '../../world/archive.ts';
import type { Clock, Timer } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';
import { GapBook } from './gap-book.ts';
import { Outstanding } from './outstanding.ts';
import { StreamList } from './stream-list.ts';

/** What is to be given is looked for at this pace, and whenever something happens. */
const LOOK_MS = 250;
/** How far streams were observed is told at this pace. */
const LIST_MS = 10_000;
/** Bytes read from the ring at a time. */
const READ_BYTES_MAX = 256 * 1024;

/** The connection that is given over. */
export interface GivePort {
  readonly roomBytes: number;
  /** False: there is no room. */
  give(message: Message): boolean;
}

export interface GiverOptions {
  readonly archive: Pick<Archive, 'coverage' | 'streams' | 'tags' | 'gaps' | 'dictionary'>;
  readonly ring: Pick<ForwardRing, 'held' | 'read'>;
  /**
   * `all`: this Kernel is hot, and what is in its archive and not in its ring any more it declares as a gap
   * over there. `what it lacks`: the taker is hot, and gets what only this one has. `nothing`: neither is.
   */
  readonly gives: () => 'all' | 'what it lacks' | 'nothing';
  /** The taker's coverage of streams changed. */
  readonly told: (streamIds: readonly string[]) => void;
  readonly clock: Clock;
  readonly log: Log;
}

type Given = 'some' | 'nothing' | 'no room';

/** A stream of which the taker may lack something. */
interface Behind {
  sinceMs: number;
  /** Since when there is more than the goal; `null`: there is not. */
  moreMs: number | null;
  /** What was there at first; the taker is as far behind as it lacks some of it. */
  goal: Coverage | null;
}

/**
 * Brings another Kernel what its archive lacks of this one: again and again it compares coverages, and gives
 * what is missing. So it queues nothing, and what it could not give in time it finds in the ring.
 */
export class Giver {
  readonly #options: GiverOptions;
  readonly #timer: Timer;
  readonly #list: StreamList;
  readonly #gaps: GapBook;
  readonly #outstanding = new Outstanding();
  #port: GivePort | null = null;
  readonly #theirs = new Map<string, Coverage>();
  readonly #behind = new Map<string, Behind>();
  /** Given over this connection and not yet told to be there. */
  readonly #givenData = new Map<string, RangeSet>();
  readonly #givenGaps = new Map<string, RangeSet>();
  readonly #sentDictionaries = new Set<string>();
  #listedMs = Number.NEGATIVE_INFINITY;
  #isPumping = false;
  #isMore = false;

  constructor(options: GiverOptions) {
    this.#options = options;
    this.#list = new StreamList(options.archive);
    this.#gaps = new GapBook(options);
    this.#timer = options.clock.repeat('give', LOOK_MS, () => this.#look());
  }

  /** The taker has told what it has of every stream that this archive knows. */
  get isTold(): boolean {
    return this.#port !== null && this.#listedMs > Number.NEGATIVE_INFINITY && this.#list.isAnswered;
  }

  /** For how long the taker lacks something, milliseconds; infinite before it told what it has. */
  get behindMs(): number {
    return this.isTold ? this.#options.clock.monotonicMs() - this.#behindSinceMs : Number.POSITIVE_INFINITY;
  }

  get #behindSinceMs(): number {
    const nowMs = this.#options.clock.monotonicMs();
    return Math.min(nowMs, ...[...this.#behind.values()].map(({ sinceMs }) => sinceMs));
  }

  /** Everything that was there at a moment is there as well. */
  hasAllBefore(ms: number): boolean {
    return this.isTold && [...this.#behind.values()].every(({ sinceMs }) => sinceMs > ms);
  }

  /** What the taker has of a stream, as it said last. */
  coverage(streamId: string): Coverage {
    return this.#theirs.get(streamId) ?? EMPTY_COVERAGE;
  }

  opened(port: GivePort): void {
    this.#port = port;
    this.relist();
  }

  closed(): void {
    this.#port = null;
    this.relist();
  }

  /**
   * Compares everything anew: who is hot has changed, or the connection. What was told of coverage is kept.
   */
  relist(): void {
    this.#listedMs = Number.NEGATIVE_INFINITY;
    this.#list.forget();
    for (const each of [this.#givenData, this.#givenGaps, this.#sentDictionaries]) each.clear();
    this.#outstanding.clear();
    this.#look();
  }

  /** The archive has something new of these streams. */
  committed(streamIds: Iterable<string>, gaps: readonly SequenceGap[] = []): void {
    this.#gaps.remember(gaps);
    const nowMs = this.#options.clock.monotonicMs();
    for (const streamId of streamIds) {
      this.#mark(streamId, nowMs);
      if (this.#list.of(streamId) === undefined) this.listSoon();
    }
    this.#look();
  }

  /** The archive knows streams of this process. */
  knows(site: string, process: string): void {
    this.#list.knows(site, process);
    this.listSoon();
  }

  /** There is more to say of streams: at the next look, and not more often than it looks. */
  listSoon(): void {
    if (this.#listedMs === Number.NEGATIVE_INFINITY) return;
    this.#listedMs = Math.min(this.#listedMs, this.#options.clock.monotonicMs() + LOOK_MS - LIST_MS);
  }

  roomed(): void {
    this.#look();
  }

  /** What the taker says. False: it is nothing that a taker says. */
  take(message: Message): boolean {
    if (message.type === 'forwardCoverage') {
      for (const { streamId, coverage } of message.streams) this.#tell(streamId, coverage);
      this.#options.told(message.streams.map(({ streamId }) => streamId));
    } else if (message.type === 'needDictionary') {
      this.#sentDictionaries.delete(message.hash);
      this.#givenData.clear();
      this.#outstanding.clear();
    } else if (message.type === 'nack') {
      const { streamId, firstSequence, lastSequence: last, text } = message.nack;
      this.#options.log.error({ streamId, firstSequence, last, text }, 'another Kernel refuses a block');
      this.#outstanding.refused(streamId, firstSequence);
    } else return false;
    this.#look();
    return true;
  }

  stop(): void {
    this.#timer.cancel();
    this.#port = null;
  }

  #mark(streamId: string, nowMs: number): void {
    const known = this.#behind.get(streamId);
    if (known === undefined) this.#behind.set(streamId, { sinceMs: nowMs, moreMs: null, goal: null });
    else if (known.goal !== null) known.moreMs ??= nowMs;
  }

  #tell(streamId: string, coverage: Coverage): void {
    this.#theirs.set(streamId, coverage);
    this.#list.answered(streamId);
    for (const range of coverage) {
      if (range.state === 'data') this.#givenData.get(streamId)?.remove(range);
      this.#givenGaps.get(streamId)?.remove(range);
    }
    this.#outstanding.told(streamId, coverage);
  }

  #look(): void {
    this.#isMore = true;
    if (this.#isPumping || this.#port === null || this.#options.gives() === 'nothing') return;
    this.#isPumping = true;
    this.#pump()
      .catch((error: unknown) => {
        if (!isKomError(error)) throw error;
        this.#options.log.debug({ error: error.message }, 'giving waits for the archive');
      })
      .finally(() => {
        this.#isPumping = false;
      });
  }

  async #pump(): Promise<void> {
    while (this.#isMore && this.#port !== null && this.#options.gives() !== 'nothing') {
      this.#isMore = false;
      const port = this.#port;
      if (!(await this.#name(port))) return;
      for (const [streamId, behind] of [...this.#behind]) {
        if (!this.#list.isAnsweredOf(streamId)) continue;
        const result = await this.#give(port, streamId, behind);
        if (result === 'no room' || this.#port !== port) break;
        if (result === 'some') this.#isMore = true;
      }
    }
  }

  /** Names streams that are new, or of which there is more to say. False: there is no room. */
  async #name(port: GivePort): Promise<boolean> {
    const nowMs = this.#options.clock.monotonicMs();
    const isFirst = this.#listedMs === Number.NEGATIVE_INFINITY;
    if (nowMs - this.#listedMs >= LIST_MS) {
      await this.#list.load(isFirst);
      if (this.#port !== port) return false;
      if (isFirst) for (const streamId of this.#list.ids) this.#mark(streamId, nowMs);
      this.#listedMs = nowMs;
    }
    for (let streams = this.#list.untold(); streams.length > 0; streams = this.#list.untold()) {
      if (!port.give({ type: 'forwardStreams', streams })) return false;
      this.#list.told(streams);
    }
    return true;
  }

  async #give(port: GivePort, streamId: string, behind: Behind): Promise<Given> {
    const { archive, ring, gives } = this.#options;
    const mine = await archive.coverage(streamId);
    if (this.#port !== port) return 'no room';
    behind.goal ??= mine;
    const theirs = this.coverage(streamId);
    const isReached = knowsAllOf(theirs, behind.goal);
    if (isReached && behind.moreMs !== null) {
      this.#behind.set(streamId, { sinceMs: behind.moreMs, moreMs: null, goal: mine });
    }
    const difference = coverageDifference(mine, theirs);
    const held = ring.held(streamId);
    const given = this.#givenData.get(streamId)?.ranges ?? [];
    const wanted = difference.data.flatMap((range) => subtract(range, given));
    const [here] = wanted.flatMap((range) => subtract(range, subtract(range, held)));
    if (here !== undefined) return await this.#giveBlocks(port, streamId, here);
    const isAway = (range: SequenceRange) => subtract(range, [...held, ...given].sort(byFirst));
    const away = gives() === 'all' ? difference.unknown.flatMap(isAway) : [];
    const lost = await this.#gaps.evicted(this.#list.of(streamId), away);
    const told = this.#givenGaps.get(streamId)?.ranges ?? [];
    const gaps = difference.gaps.flatMap((gap) =>
      subtract(gap, told).map((part) => ({ ...part, state: gap.state })),
    );
    const records = [...lost.filter((gap) => isUntold(gap, told))];
    if (gaps.length > 0) records.push(...(await this.#gaps.records(this.#list.of(streamId), gaps)));
    for (const gap of records) {
      if (this.#port !== port || !port.give({ type: 'gap', gap })) return 'no room';
      rangesOf(this.#givenGaps, streamId).add({ first: gap.firstSequence, last: gap.lastSequence });
    }
    if (records.length > 0) return 'some';
    if (isReached && behind.moreMs === null && this.#behind.get(streamId) === behind) {
      this.#behind.delete(streamId);
    }
    return 'nothing';
  }

  async #giveBlocks(port: GivePort, streamId: string, range: SequenceRange): Promise<Given> {
    if (port.roomBytes <= 0 || this.#outstanding.isFull) return 'no room';
    const blocks = await this.#options.ring.read(streamId, range, READ_BYTES_MAX);
    for (const block of blocks) {
      if (this.#port !== port) return 'no room';
      if (!(await this.#giveDictionary(port, block))) return 'no room';
      if (this.#port !== port || !port.give({ type: 'block', bytes: block.bytes })) return 'no room';
      const { firstSequence: first } = block.header;
      rangesOf(this.#givenData, streamId).add({ first, last: lastSequence(block.header) });
      this.#outstanding.given(block);
    }
    return blocks.length > 0 ? 'some' : 'nothing';
  }

  /** False: there is no room for it now. */
  async #giveDictionary(port: GivePort, { header }: Block): Promise<boolean> {
    const { dictionaryHash: hash } = header;
    if (this.#sentDictionaries.has(hash)) return true;
    const dictionary = await this.#options.archive.dictionary(hash);
    // A block that came into the ring and not into the archive is not data here, and is not given.
    if (dictionary === undefined || this.#port !== port) return false;
    if (!port.give({ type: 'dictionary', hash, content: encodeDictionary(dictionary).bytes })) return false;
    this.#sentDictionaries.add(hash);
    return true;
  }

  /** Bytes of blocks that are on their way. */
  get outstandingBytes(): number {
    return this.#outstanding.bytes;
  }
}

function isUntold(
  { firstSequence, lastSequence: last }: { firstSequence: number; lastSequence: number },
  told: readonly SequenceRange[],
): boolean {
  return subtract({ first: firstSequence, last }, told).length > 0;
}

function byFirst(one: SequenceRange, other: SequenceRange): number {
  return one.first - other.first;
}

function rangesOf(sets: Map<string, RangeSet>, streamId: string): RangeSet {
  const known = sets.get(streamId);
  if (known !== undefined) return known;
  const set = new RangeSet();
  sets.set(streamId, set);
  return set;
}
