import {
  type Coverage,
  countOf,
  dataOf,
  EMPTY_COVERAGE,
  type SequenceRange,
  subtractAll,
  withinAll,
} from '../../domain/coverage.ts';
import { coverageDifference, knowsAllOf } from '../../domain/coverage-difference.ts';
import { isKomError } from '../../domain/errors.ts';
import type { NumberedSpan, SequenceGap } from '../../domain/gap.ts';
import { FORWARDED_RANGES_MAX } from '../../uplink/limits.ts';
import type { Message, Nack } from '../../uplink/messages.ts';
import type { Timer } from '../../world/clock.ts';
import { BlockCarrier } from './block-carrier.ts';
import { CatchUp, type CatchUpStatus } from './catch-up.ts';
import { GapBook } from './gap-book.ts';
import { Given } from './given.ts';
import type { GiverOptions } from './giver-options.ts';
import { type Behind, Lag } from './lag.ts';
import { type Gave, type GivePort, OpenPort } from './open-port.ts';
import { PastLack } from './past-lack.ts';
import { Refill } from './refill.ts';
import { NOTHING_REFUSED, RefusedBlocks, type RefusedStatus } from './refused-blocks.ts';
import { StreamList } from './stream-list.ts';

/** What is to be given is looked for at this pace, and whenever something happens. */
const LOOK_MS = 250;
/** How far streams were observed is told at this pace. */
const LIST_MS = 10_000;

/**
 * Brings another Kernel what its archive lacks of this one: again and again it compares coverages, and gives
 * what is missing. So it queues nothing, and what it could not give in time it finds in the ring. What the
 * ring does not hold any more it makes again of the rows of its archive. The present goes first, of all
 * streams; then, a little at a time, what the ring has from before; then what only the archive has.
 */
export class Giver {
  readonly #options: GiverOptions;
  readonly #timer: Timer;
  readonly #list: StreamList;
  readonly #gaps: GapBook;
  readonly #given = new Given();
  readonly #lag = new Lag();
  readonly #catchUp = new CatchUp();
  readonly #refill: Refill;
  readonly #refused = new RefusedBlocks();
  readonly #carrier: BlockCarrier;
  readonly #past: PastLack;
  #port: OpenPort | null = null;
  readonly #theirs = new Map<string, Coverage>();
  /** Numbers that the taker has got over all connections. */
  #arrived = 0;
  /** By stream, the last number that was there when the connection began: what comes later is the present. */
  readonly #pastEnd = new Map<string, number>();
  #listedMs = Number.NEGATIVE_INFINITY;
  #isPumping = false;
  #isMore = false;

  constructor(options: GiverOptions) {
    this.#options = options;
    this.#list = new StreamList(options.archive);
    this.#gaps = new GapBook(options);
    this.#refill = new Refill(options.archive);
    const parts = { ...options, given: this.#given, refill: this.#refill };
    this.#carrier = new BlockCarrier(parts);
    this.#past = new PastLack({
      ...{ ...parts, carrier: this.#carrier },
      theirs: (streamId) => this.coverage(streamId),
    });
    this.#timer = options.clock.repeat('give', LOOK_MS, () => {
      this.#note();
      for (const each of this.#refused.due(this.#nowMs)) this.#given.again(each);
      this.#look();
    });
  }

  /** The taker has told what it has of every stream that this archive knows. */
  get isTold(): boolean {
    return this.#port !== null && this.#listedMs > Number.NEGATIVE_INFINITY && this.#list.isAnswered;
  }

  /** False: it said over an earlier connection what it has, and not yet over this one: it may have less. */
  get isUpToDate(): boolean {
    return this.isTold || this.#theirs.size === 0;
  }

  /** For how long the taker lacks something, milliseconds; infinite before it told what it has. */
  get behindMs(): number {
    if (!this.isTold) return Number.POSITIVE_INFINITY;
    const nowMs = this.#nowMs;
    return nowMs - this.#lag.sinceMs(nowMs);
  }

  /** Everything that was there at a moment is there as well. */
  hasAllBefore(ms: number): boolean {
    return this.isTold && this.#lag.hasAllBefore(ms);
  }

  /** What the taker has of a stream, as it said last. */
  coverage(streamId: string): Coverage {
    return this.#theirs.get(streamId) ?? EMPTY_COVERAGE;
  }

  /** `knownDictionaries`: those that the taker has. */
  opened(port: GivePort, knownDictionaries: readonly string[]): void {
    this.#port?.close();
    this.#port = new OpenPort(port);
    this.#carrier.dictionaries.begin(knownDictionaries);
    this.relist();
  }

  closed(): void {
    this.#port?.close();
    this.#port = null;
    this.relist();
  }

  /**
   * Compares everything anew: who is hot has changed, or the connection. What was told of coverage is kept.
   */
  relist(): void {
    this.#listedMs = Number.NEGATIVE_INFINITY;
    this.#list.forget();
    const all = [this.#given, this.#refill, this.#pastEnd, this.#past, this.#catchUp, this.#refused];
    for (const each of all) each.clear();
    this.#refill.lookAgain();
    this.#look();
  }

  /** The archive has something new of these streams. */
  committed(streamIds: Iterable<string>, gaps: readonly SequenceGap[] = []): void {
    this.#gaps.remember(gaps);
    const nowMs = this.#nowMs;
    for (const streamId of streamIds) {
      this.#lag.mark(streamId, nowMs);
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
    this.#listedMs = Math.min(this.#listedMs, this.#nowMs + LOOK_MS - LIST_MS);
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
      this.#carrier.dictionaries.lacks(message.hash);
      this.#given.clearData();
      this.#refill.clear();
    } else if (message.type === 'nack') {
      this.#takeNack(message.nack);
    } else return false;
    this.#look();
    return true;
  }

  stop(): void {
    this.#timer.cancel();
    this.#port?.close();
    this.#port = null;
  }

  #tell(streamId: string, coverage: Coverage): void {
    const more = countOf(dataOf(coverage)) - countOf(dataOf(this.coverage(streamId)));
    if (this.#list.isAnsweredOf(streamId)) this.#arrived += Math.max(0, more);
    // Of more ranges than are told some are cut off.
    if (more < 0 && coverage.length < FORWARDED_RANGES_MAX) this.#options.shrank();
    this.#theirs.set(streamId, coverage);
    this.#list.answered(streamId);
    for (const each of [this.#given, this.#refill, this.#refused]) each.told(streamId, coverage);
  }

  get #nowMs(): number {
    return this.#options.clock.monotonicMs();
  }

  #takeNack(nack: Nack): void {
    const { streamId, firstSequence } = nack;
    this.#refill.refused(streamId, firstSequence);
    const span = this.#given.refused(streamId, firstSequence);
    const isNews = span !== undefined && this.#takeRefusal(nack, span);
    this.#options.log[isNews ? 'error' : 'debug']({ ...nack }, 'another Kernel refuses a block');
  }

  /** True: the reason is news. What is a gap over there already, given once more, stays one. */
  #takeRefusal(nack: Nack, span: NumberedSpan): boolean {
    const range = { first: span.firstSequence, last: span.firstSequence + span.count - 1 };
    const isUnknown = subtractAll([range], this.coverage(nack.streamId)).length > 0;
    if (isUnknown && this.#refused.isFull) this.#given.again(span);
    return this.#refused.refused(nack, span, { nowMs: this.#nowMs, isUnknown });
  }

  #note(): void {
    if (!this.isTold || !this.#lag.isMeasured) return;
    this.#catchUp.note(this.#nowMs, this.#arrived, this.lacking);
  }

  #look(): void {
    this.#isMore = true;
    if (this.#isPumping || this.#options.gives() === 'nothing') return;
    this.#isPumping = true;
    const { archive } = this.#options;
    (this.#port === null ? this.#lag.measureAway(archive, this.#theirs) : this.#pump())
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
      let given = await this.#givePresent(port);
      if (given === 'nothing' && !this.#refused.isFull) given = await this.#past.give(port);
      if (given === 'some') this.#isMore = true;
    }
  }

  async #givePresent(port: OpenPort): Promise<Gave> {
    const answered = this.#lag.entries().filter(([streamId]) => this.#list.isAnsweredOf(streamId));
    for (const [streamId, behind] of answered)
      if (behind.goal === null) await this.#measure(streamId, behind);
    let given: Gave = 'nothing';
    for (const [streamId, behind] of answered) {
      const result = await this.#give(port, streamId, behind);
      if (result === 'no room' || !port.isOpen) return 'no room';
      if (result === 'some') given = 'some';
    }
    return given;
  }

  /** How much the taker lacks of a stream, before anything is given. */
  async #measure(streamId: string, behind: Behind): Promise<void> {
    const mine = await this.#options.archive.coverage(streamId);
    behind.goal = mine;
    behind.lacking = countOf(coverageDifference(mine, this.coverage(streamId)).unknown);
    if (!this.#pastEnd.has(streamId)) this.#pastEnd.set(streamId, dataOf(mine).at(-1)?.last ?? 0);
  }

  /** Names streams that are new, or of which there is more to say. False: there is no room. */
  async #name(port: OpenPort): Promise<boolean> {
    const nowMs = this.#nowMs;
    const isFirst = this.#listedMs === Number.NEGATIVE_INFINITY;
    if (nowMs - this.#listedMs >= LIST_MS) {
      await this.#list.load(isFirst);
      if (!port.isOpen) return false;
      if (isFirst) for (const streamId of this.#list.ids) this.#lag.mark(streamId, nowMs);
      this.#listedMs = nowMs;
    }
    for (let streams = this.#list.untold(); streams.length > 0; streams = this.#list.untold()) {
      if (!port.give({ type: 'forwardStreams', streams })) return false;
      this.#list.told(streams);
    }
    return true;
  }

  async #give(port: OpenPort, streamId: string, behind: Behind): Promise<Gave> {
    const { archive, ring, gives } = this.#options;
    const mine = await archive.coverage(streamId);
    if (!port.isOpen) return 'no room';
    const theirs = this.coverage(streamId);
    const isReached = knowsAllOf(theirs, behind.goal ?? mine);
    if (isReached) this.#lag.reached(streamId, behind, mine);
    const difference = coverageDifference(mine, theirs);
    behind.lacking = countOf(difference.unknown);
    this.#refused.compared(streamId, { data: difference.data, theirs, nowMs: this.#nowMs });
    const held = ring.held(streamId);
    const rowless = this.#refill.rowless(streamId);
    behind.rowless = countOf(subtractAll(withinAll(difference.unknown, rowless), held));
    const given = this.#given.data(streamId);
    const wanted = subtractAll(difference.data, given);
    const inRing = withinAll(wanted, held);
    const pastEnd = this.#pastEnd.get(streamId) ?? 0;
    const present = inRing.find(({ last }) => last > pastEnd);
    if (present !== undefined && !this.#refused.isFull) {
      const range = { first: Math.max(present.first, pastEnd + 1), last: present.last };
      return await this.#carrier.held(port, streamId, { range, isPast: false });
    }
    if (inRing.length > 0) this.#past.mayHold(streamId);
    if (subtractAll(wanted, rowless).length > 0) this.#past.mayHave(streamId);
    const gone = gives() === 'all' ? withinAll(difference.unknown, rowless) : [];
    const away = subtractAll(gone, [...held, ...given].sort(byFirst));
    const lost = await this.#gaps.evicted(this.#list.of(streamId), away);
    lost.push(...this.#refused.gaps(streamId, difference.unknown, theirs));
    const told = this.#given.gaps(streamId);
    const gaps = subtractAll(difference.gaps, told);
    const records = lost.filter((gap) => this.#given.lacks(gap));
    if (gaps.length > 0) records.push(...(await this.#gaps.records(this.#list.of(streamId), gaps)));
    for (const gap of records) {
      if (!port.give({ type: 'gap', gap })) return 'no room';
      this.#given.gap(gap);
    }
    if (records.length > 0) return 'some';
    if (isReached) this.#lag.over(streamId, behind);
    return 'nothing';
  }

  /** Numbers that are data here and of which the taker knows nothing. */
  get lacking(): number {
    return this.#lag.lacking;
  }

  /** Of these, numbers that it is to get of this Kernel; 0 where nothing is given to it. */
  get toGive(): number {
    return this.#options.gives() === 'nothing' ? 0 : this.#lag.toGive;
  }

  /** What the taker refuses for good of what it is given. */
  get refused(): RefusedStatus {
    if (this.#options.gives() === 'nothing') return NOTHING_REFUSED;
    return this.#refused.status(this.#nowMs, (streamId) => this.#refill.rowless(streamId));
  }

  /** Bytes of blocks that are on their way. */
  get outstandingBytes(): number {
    return this.#given.bytes;
  }

  /** How far the taker is with what it lacks. */
  get catchUp(): CatchUpStatus {
    return this.#catchUp.status(this.lacking);
  }
}

function byFirst(one: SequenceRange, other: SequenceRange): number {
  return one.first - other.first;
}
