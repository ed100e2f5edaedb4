import type { AgeLimit } from '../buffer/age.ts';
import { Assembler, BLOCK_SEAL_ENTRIES } from '../buffer/assembler.ts';
import { Backlog } from '../buffer/backlog.ts';
import type { BacklogStat } from '../buffer/backlog-stat.ts';
import { openRing } from '../buffer/open-ring.ts';
import { Poison } from '../buffer/poison.ts';
import { type PowerCutRisk, powerCutRisk } from '../buffer/power-cut.ts';
import { ReplayNotes } from '../buffer/replay-notes.ts';
import type { LastClock, Ring, StreamClock } from '../buffer/ring.ts';
import { WINDOW_SAMPLES_MAX } from '../buffer/window.ts';
import type { BufferSettings } from '../config/model.ts';
import type { ClockFix } from '../domain/clock-fix.ts';
import type { Dictionary } from '../domain/dictionary.ts';
import { encodeDictionary } from '../domain/dictionary-codec.ts';
import { describeError, invariant } from '../domain/errors.ts';
import { type BufferPace, BufferPacer, type HeldNow } from '../domain/rate.ts';
import { type Entry, isTimeGap, type TimeGap } from '../domain/sample.ts';
import { segmentBytesOf } from '../domain/segment-size.ts';
import type { Term } from '../domain/term.ts';
import { LiveTable } from '../uplink/live-table.ts';
import type { UplinkSource } from '../uplink/session.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import { mintId, type Random } from '../world/random.ts';
import { RecurringLog } from '../world/recurring-log.ts';
import type { Disk } from '../world/store.ts';

/** Standing down waits so long for what is in memory; what neither disk nor Kernel takes goes on waiting. */
const SETTLE_MS = 5000;

/** So much of a lost station is declared once more for the whole process if a crash takes its gap. */
const STATION_DOWN_MAX_US = 60_000_000;

export interface ClassStoreOptions {
  readonly disk: Disk;
  /** Settings of the process; `share` of its sizes belongs to this store. */
  readonly buffer: BufferSettings;
  readonly share: number;
  /** What is mirrored for the other instance shares the capacity: own history leaves it a half. */
  readonly hasMirror?: boolean;
  /** All tags of the process. */
  readonly dictionary: Dictionary;
  /** Index in `dictionary` of each tag of this store, ascending. */
  readonly tagIndexes: readonly number[];
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly bootId: string;
  readonly openRing?: typeof openRing;
  /** See `RingOptions.startTimeUs`. */
  readonly startTimeUs?: (last: LastClock) => number;
  /** Nothing vouches for the times that are stamped first. Asked when the ring is open. */
  readonly isClockUncertain?: () => boolean;
  /** What was reported during an overload must be reported again. */
  readonly overloadEnded: () => void;
}

export interface ClassStoreStatus {
  readonly streamId: string;
  /** Highest sequence given out. */
  readonly producedTo: number;
  readonly overloadCount: number;
  readonly backlog: BacklogStat;
  /** Rates, and how long the ring goes on like this. */
  readonly pace: BufferPace;
  /** What a power cut may lose, and what is set as the most. */
  readonly powerCut: PowerCutRisk & { readonly configuredMs: number };
}

/**
 * The store of one class of tags: its dictionary, its stream, its part of the ring. With one class this is
 * the whole buffer of an instance; alarms with a store of their own cannot be pushed out by measurements.
 */
export class ClassStore {
  readonly ring: Ring;
  readonly poison: Poison;
  readonly #options: ClassStoreOptions;
  readonly #backlog: Backlog;
  readonly #assembler: Assembler;
  readonly #live: LiveTable;
  readonly #dictionaryHash: string;
  /** Place of a tag in this store's dictionary by its index in the process; `null`: they are the same. */
  readonly #places: ReadonlyMap<number, number> | null;
  readonly #names: ReadonlySet<string>;
  readonly #stations: ReadonlySet<string>;
  #isMarking = false;
  /** Only an active store gives numbers. */
  #role: 'active' | 'activating' | 'standby' = 'active';
  readonly #recurring: RecurringLog;
  /** At the last alive mark there was a time since this moment that was not observed and not declared. */
  #undeclaredSinceUs: number | null;
  /** It is declared by an entry up to this number, and must be declared again if that entry is lost. */
  #declared: { readonly sinceUs: number; readonly throughSequence: number } | null = null;
  readonly #pacer = new BufferPacer();

  /** Opens the ring, which always succeeds but for a living owner. @throws KomError KOM_STORE_LOCKED */
  static async open(options: ClassStoreOptions): Promise<ClassStore> {
    const { disk, buffer, share, clock, random, log, bootId } = options;
    const ring = await (options.openRing ?? openRing)(disk, {
      capacityBytes: Math.floor(buffer.capacityBytes * share),
      ...(options.hasMirror ? { historyBytesMax: Math.floor((buffer.capacityBytes * share) / 2) } : {}),
      freeDiskFloorBytes: buffer.freeDiskFloorBytes,
      ...ageLimitOf(options),
      ...(buffer.segmentBytesMax === undefined ? {} : { segmentBytesMax: buffer.segmentBytesMax }),
      policy: buffer.store,
      whenFull: buffer.whenFull,
      mintStreamId: () => mintId(random),
      lostAtMost: WINDOW_SAMPLES_MAX + BLOCK_SEAL_ENTRIES,
      ...(options.startTimeUs === undefined ? {} : { startTimeUs: options.startTimeUs }),
      bootId,
      clock,
      log,
    });
    const tags = options.tagIndexes.flatMap((index) => options.dictionary.tags[index] ?? []);
    const own = { ...options.dictionary, tags };
    const encoded = encodeDictionary(own);
    await ring.putDictionary(encoded);
    return new ClassStore(options, ring, { own, hash: encoded.hash });
  }

  private constructor(
    options: ClassStoreOptions,
    ring: Ring,
    { own, hash: dictionaryHash }: { readonly own: Dictionary; readonly hash: string },
  ) {
    const { buffer, share, clock, log, dictionary, tagIndexes } = options;
    const { streamId } = ring.stream;
    this.#options = options;
    this.#recurring = new RecurringLog(options);
    this.ring = ring;
    this.poison = new Poison(options);
    this.#undeclaredSinceUs = ring.stream.previous?.aliveUntilUs ?? null;
    this.#dictionaryHash = dictionaryHash;
    const isWhole = tagIndexes.length === dictionary.tags.length;
    this.#places = isWhole ? null : new Map(tagIndexes.map((index, place) => [index, place]));
    this.#names = new Set(own.tags.map(({ name }) => name));
    this.#stations = new Set(own.tags.map(({ station }) => station));
    this.#live = new LiveTable(tagIndexes.length);
    const windowBytes = Math.floor(buffer.windowBytes * share);
    const { spillAgeMs, store: policy } = buffer;
    const replayNotes = new ReplayNotes(options);
    this.#backlog = new Backlog({ ring, policy, spillAgeMs, windowBytes, clock, log, replayNotes });
    void this.#backlog.resumeReplays();
    this.#assembler = new Assembler({
      streamId,
      dictionaryHash,
      clock,
      blockAgeMs: buffer.blockAgeMs,
      isClockUncertain: options.isClockUncertain?.() ?? false,
      seal: (block, firstMs) => this.#backlog.accept(block, firstMs),
      hasRoom: () => this.#backlog.hasRoom,
      numbered: (sample, sequence) => this.#live.update(sample, sequence),
      overloadEnded: (fromUs) => {
        this.declaredSince(fromUs);
        options.overloadEnded();
      },
    });
  }

  get status(): ClassStoreStatus {
    const backlog = this.#backlog.stat();
    this.#pacer.note(this.#options.clock.monotonicMs(), backlog.counters);
    const { capacityBytes, unacknowledgedBytes, unacknowledgedSamples } = backlog.ring;
    const held: HeldNow = {
      freeBytes: capacityBytes - unacknowledgedBytes,
      segmentBytes: segmentBytesOf(capacityBytes, this.#options.buffer.segmentBytesMax),
      ringSamples: unacknowledgedSamples,
      ringBytes: unacknowledgedBytes,
      waitingSamples: backlog.samples,
    };
    return {
      streamId: this.ring.stream.streamId,
      producedTo: this.producedTo,
      overloadCount: this.#assembler.overloadCount,
      backlog,
      pace: this.#pacer.pace(held),
      powerCut: { ...this.#powerCut(backlog), configuredMs: this.#options.buffer.powerCutLossMaxMs },
    };
  }

  #powerCut(stat: BacklogStat): PowerCutRisk {
    const parts = { assembler: this.#assembler, backlog: this.#backlog, stat };
    return powerCutRisk(this.#options.buffer, parts);
  }

  get producedTo(): number {
    return this.#assembler.nextSequence - 1;
  }

  get backlog(): Backlog {
    return this.#backlog;
  }

  /** What the uplink sends from. */
  get source(): UplinkSource {
    return {
      backlog: this.#backlog,
      live: this.#live,
      poison: this.poison,
      dictionaryHash: this.#dictionaryHash,
      streamId: this.ring.stream.streamId,
      producedTo: () => this.producedTo,
    };
  }

  /** Numbers those of the entries that concern tags of this store. */
  accept(entries: readonly Entry[]): void {
    const own = this.#places === null ? entries : this.#own(entries, this.#places);
    invariant(own.length === 0 || this.#role === 'active', 'a store that stands by gives no numbers');
    this.#assembler.accept(own);
    for (const entry of own) {
      if (isTimeGap(entry) && !isToldByQuality(entry)) this.declaredSince(entry.fromUs);
    }
  }

  /**
   * Durable sign of life; a disk that takes none is told to the log. The mark is the time until which
   * everything is safe: what a crash can still lose was observed after it. `undeclaredSinceUs`: since then
   * there is a time that is not observed and not yet declared, so the next run has to declare it.
   */
  markAlive(undeclaredSinceUs: number | null, streamClock?: StreamClock): void {
    if (this.#role === 'active') this.#assembler.settleOverload();
    const untilUs = this.#safeUntilUs(undeclaredSinceUs);
    // On a slow disk marks come faster than they are stored, and blocks must not wait behind them.
    if (this.#isMarking) return;
    this.#isMarking = true;
    void this.#mark(untilUs, streamClock).finally(() => {
      this.#isMarking = false;
    });
  }

  /**
   * Gives no numbers from now on. Resolves when everything that was numbered is durable or acknowledged, and
   * the ring knows durably that no more comes: a run that is cut off after that ended cleanly. What the disk
   * does not take in `SETTLE_MS` goes on waiting, and a later alive mark says it. `undeclaredSinceUs` as for
   * an alive mark.
   */
  async standBy(undeclaredSinceUs: number | null, streamClock?: StreamClock): Promise<void> {
    this.#assembler.finish();
    this.#role = 'standby';
    if (!(await this.#backlog.settle(SETTLE_MS))) {
      this.#options.log.error({}, 'standing by, though what is in memory is neither durable nor delivered');
    }
    await this.#mark(this.#safeUntilUs(undeclaredSinceUs), streamClock);
  }

  /**
   * Gives numbers when it resolves: the ring knows it durably, or its disk takes nothing, which is logged. Of
   * a run that is cut off then, the time since it last stood by is declared all the same.
   */
  async activate(undeclaredSinceUs: number | null, streamClock?: StreamClock): Promise<void> {
    if (this.#role === 'active') return;
    this.#role = 'activating';
    await this.#mark(this.#safeUntilUs(undeclaredSinceUs), streamClock);
    this.#role = 'active';
  }

  /** The time until which everything is safe that was observed, integer µs. */
  #safeUntilUs(undeclaredSinceUs: number | null): number {
    const { clock, buffer } = this.#options;
    const before = this.#undeclaredSinceUs;
    this.#undeclaredSinceUs = earlier(undeclaredSinceUs, this.#assembler.overloadSinceUs);
    if (before !== null && before < (this.#undeclaredSinceUs ?? Number.MAX_SAFE_INTEGER)) {
      this.declaredSince(before);
    }
    if (this.#declared !== null && this.#declared.throughSequence <= this.#backlog.safeThrough) {
      this.#declared = null;
    }
    const unsafeMs = Math.max(buffer.blockAgeMs, this.#assembler.unsealedForMs, this.#backlog.unsafeForMs);
    const safeUntilUs = clock.wallUs() - Math.ceil(unsafeMs * 1000);
    const notSafe = earlier(this.#undeclaredSinceUs, this.#declared?.sinceUs ?? null);
    return Math.min(safeUntilUs, notSafe ?? safeUntilUs);
  }

  async #mark(untilUs: number, clock: StreamClock | undefined): Promise<void> {
    const isStandby = this.#role === 'standby' && this.#backlog.safeThrough >= this.producedTo;
    try {
      const details = { isStandby, ...(clock === undefined ? {} : { clock }) };
      await this.ring.markAlive(untilUs, this.#assembler.nextSequence, details);
    } catch (error) {
      const fields = { error: describeError(error) };
      this.#recurring.say('error', 'mark', fields, 'the alive mark could not be stored');
    }
  }

  /** Corrections of times may be numbered. */
  get hasRoom(): boolean {
    return this.#role === 'active' && this.#backlog.hasRoom;
  }

  /** Numbers corrections of times; only while there is room. */
  acceptFixes(fixes: readonly ClockFix[]): void {
    this.#assembler.acceptFixes(fixes);
  }

  /** What is numbered from now on is so under another term. */
  termChanged(term: Term): void {
    this.#assembler.termChanged(term);
  }

  /** The time was set by so much, µs: what this run stamped and remembers goes along. */
  clockChanged(byUs: number, isUncertain: boolean): void {
    this.#assembler.clockChanged(byUs, isUncertain);
    const { startedAtUs } = this.ring.stream;
    const moved = (timeUs: number): number => (timeUs < startedAtUs ? timeUs : Math.max(0, timeUs + byUs));
    if (this.#undeclaredSinceUs !== null) this.#undeclaredSinceUs = moved(this.#undeclaredSinceUs);
    if (this.#declared !== null) {
      this.#declared = { ...this.#declared, sinceUs: moved(this.#declared.sinceUs) };
    }
  }

  /** What was numbered last declares a time from here on: no alive mark passes it before that is safe. */
  declaredSince(sinceUs: number): void {
    const earliest = earlier(sinceUs, this.#declared?.sinceUs ?? null) ?? sinceUs;
    this.#declared = { sinceUs: earliest, throughSequence: this.producedTo };
  }

  /** Seals what was numbered; nothing more comes. */
  finish(): void {
    this.#assembler.finish();
  }

  #own(entries: readonly Entry[], places: ReadonlyMap<number, number>): Entry[] {
    return entries.flatMap((entry): Entry[] => {
      if (isTimeGap(entry)) return this.#ownGap(entry);
      const tagIndex = places.get(entry.tagIndex);
      return tagIndex === undefined ? [] : [{ ...entry, tagIndex }];
    });
  }

  /** A gap of a station concerns every store that has tags of it. */
  #ownGap(gap: TimeGap): TimeGap[] {
    if (gap.station !== null && !this.#stations.has(gap.station)) return [];
    if (gap.tags.length === 0) return [gap];
    const tags = gap.tags.filter((name) => this.#names.has(name));
    return tags.length === 0 ? [] : [{ ...gap, tags }];
  }
}

/**
 * The end of a long loss of a station: its tags have had a bad quality since it began, so nothing is hidden
 * if this entry is lost; and a whole process is not to be declared as stopped for as long.
 */
function isToldByQuality({ reason, fromUs, toUs }: TimeGap): boolean {
  return reason === 'station-down' && toUs - fromUs > STATION_DOWN_MAX_US;
}

/** The earlier of two times of which each may be missing. */
export function earlier(one: number | null, other: number | null): number | null {
  return one === null || other === null ? (one ?? other) : Math.min(one, other);
}

function ageLimitOf({ buffer, isClockUncertain = () => false }: ClassStoreOptions): { age?: AgeLimit } {
  const { maxAgeUnackedMs: unacked, maxAgeAcknowledgedMs: acknowledged } = buffer;
  if (unacked === undefined && acknowledged === undefined) return {};
  return {
    age: {
      ...(unacked === undefined ? {} : { maxAgeUnackedMs: unacked }),
      ...(acknowledged === undefined ? {} : { maxAgeAcknowledgedMs: acknowledged }),
      isClockUncertain,
    },
  };
}
