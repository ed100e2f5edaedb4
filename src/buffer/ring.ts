import type { StorePolicy } from '../config/model.ts';
import type { Block } from '../domain/block/block.ts';
import type { SavedClock } from '../domain/clock-discipline.ts';
import type { StampedEra } from '../domain/clock-fix.ts';
import type { SequenceRange } from '../domain/coverage.ts';
import type { EncodedDictionary } from '../domain/dictionary.ts';
import type { KnownLosses, SequenceGap } from '../domain/gap.ts';
import type { StreamInfo } from '../domain/stream.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { StoreRecord } from '../world/store.ts';
import type { AgeLimit } from './age.ts';
import type { RingFacts } from './facts.ts';

/** Place of a block in the ring: ascending over all streams and segments, from 1, never used twice. */
export type RingPosition = number;

export interface RingOptions {
  /** Bound on the bytes that the segments take on disk; at least `RING_CAPACITY_BYTES_MIN`. */
  readonly capacityBytes: number;
  /**
   * Above this nothing is kept that a Kernel has: the rest of the capacity is for others while the backlog
   * does not need it. Default: the capacity.
   */
  readonly historyBytesMax?: number;
  /** What no Kernel acknowledged for longer goes; not given: only room counts. */
  readonly age?: AgeLimit;
  /** A segment is a tenth of the ring and at most this: also the size of LevelDB's buffers. Default 8 MB. */
  readonly segmentBytesMax?: number;
  /** With less than this free on the file system the ring does not grow: a new segment costs the oldest. */
  readonly freeDiskFloorBytes: number;
  /** `always` keeps acknowledged blocks until the space is needed, `on-outage` frees them. */
  readonly policy: StorePolicy;
  /** What gives way when the ring is full of blocks that nobody acknowledged. */
  readonly whenFull: 'drop-oldest' | 'refuse-newest';
  readonly log: Log;
  readonly clock: Clock;
  /** A fresh random 128-bit identity, 32 hexadecimal digits. */
  readonly mintStreamId: () => string;
  /** 32 hexadecimal digits: the run of the operating system. */
  readonly bootId: string;
  /**
   * The time at which the stream of this run starts, integer µs, once it is known when the last run of this
   * store was alive and what its clock was. Default: the clock's, whatever came before.
   */
  readonly startTimeUs?: (last: LastClock) => number;
  /** How many numbered samples of this run a crash can lose at most; becomes `PreviousStream.lostAtMost`. */
  readonly lostAtMost: number;
}

/** What is kept of the clock that stamped a stream. */
export interface StreamClock {
  readonly saved: SavedClock;
  readonly eras: readonly StampedEra[];
  /** The last number that was given when this was kept: the time may have been set after it. */
  readonly through: number;
}

/** What an alive mark says beside the time. */
export interface MarkDetails {
  readonly clock?: StreamClock;
  /**
   * The instance stands by: everything below `nextSequence` is durable or acknowledged, and no number is
   * given before a mark without this. A run that is cut off in between ended cleanly. Default: false.
   */
  readonly isStandby?: boolean;
}

/** When the last run of a store was alive, integer µs, and its clock; `null` if that was not kept. */
export interface LastClock {
  readonly aliveUntilUs: number;
  readonly clock: StreamClock | null;
}

/** A stream that the ring holds something of, or that a Kernel may not have heard of yet. */
export interface RingStream {
  readonly info: StreamInfo;
  /** Sequences in blocks of the ring, ascending, acknowledged ones included. */
  readonly held: readonly SequenceRange[];
  /** Highest sequence up to which a Kernel has everything; 0 for nothing, `OPEN_END` past a crash. */
  readonly ackedThrough: number;
  /** Highest sequence that was ever durable here: in a block or in a gap record. */
  readonly durableThrough: number;
  /** `null` while the stream runs. */
  readonly ended: StreamEnded | null;
  /** A Kernel has it, and its place in the chain. */
  readonly isKnown: boolean;
  /** What its last alive mark said of its clock; before the first, what that of the run before did. */
  readonly clock?: StreamClock;
}

export interface StreamEnded {
  /** False: the run was cut off; numbers above `lastSequence` may have been given. */
  readonly cleanly: boolean;
  readonly lastSequence: number;
  /** Integer µs: the clean end, or the last durable alive mark. */
  readonly atUs: number;
}

/** What became of the blocks of one append; each one is in one of the two. */
export interface AppendResult {
  /** Sequences that are durable in blocks, ascending. */
  readonly stored: readonly SequenceRange[];
  /** Sequences that the full ring did not take; they are durable in a `refused` gap. */
  readonly refused: readonly SequenceRange[];
}

export interface RingBlock {
  readonly position: RingPosition;
  readonly block: Block;
}

export interface RingRead {
  /** In ring order, which within a stream is the order of sequences. */
  readonly blocks: readonly RingBlock[];
  /** Where to go on: everything up to here was returned, was acknowledged, or is lost and in a gap record. */
  readonly after: RingPosition | null;
  /** False: there was nothing un-acknowledged behind `after` when the read ended. */
  readonly more: boolean;
}

export interface RingStat {
  readonly capacityBytes: number;
  /** Bytes on disk now, segments and meta; quarantine apart. */
  readonly diskBytes: number;
  readonly quarantineBytes: number;
  readonly segments: number;
  readonly blocks: number;
  readonly samples: number;
  /** Not acknowledged; exact in samples of blocks that were read or acknowledged whole. */
  readonly unacknowledgedSamples: number;
  /** On disk, of segments that are not wholly acknowledged. */
  readonly unacknowledgedBytes: number;
  /** Source times of what is held, integer µs; `null` when the ring is empty. */
  readonly oldestUs: number | null;
  readonly newestUs: number | null;
  /**
   * Oldest source time of what is not acknowledged; of a former stream that of all that a segment has of it.
   */
  readonly oldestUnacknowledgedUs: number | null;
  /** Samples declared lost, by reason, since the ring was made (an open end counts "at most"). */
  readonly lostByReason: KnownLosses;
  /** Slowest synced write of the last hour, milliseconds. */
  readonly slowestSyncMs: number;
  /** Payload handed to the databases since the ring was opened; the flash sees about twice as much. */
  readonly writtenBytes: number;
  /**
   * `degraded`: the disk takes no write. `volatile`: it took none since the start, so that not even the
   * stream is durable and what is on the disk is not known; every other figure is 0 then.
   */
  readonly state: 'healthy' | 'degraded' | 'volatile';
  /** The error that degraded the ring, or the last one that it healed from. */
  readonly lastError: string | null;
}

/**
 * The durable bounded sequence of blocks. See README.md for the rules and the layout on disk.
 *
 * Concurrency: one caller, the backlog. Calls may overlap; they are done one after the other, appends first
 * and else in the order in which they were made, so no database ever has two operations in flight. What is
 * synchronous here (`streams`, `gaps`, `stat`) tells the state after the last call that finished.
 *
 * Writing calls reject with KOM_STORE_WRITE while the disk does not take writes; the ring is then degraded,
 * keeps all that was durable, and tries the disk again at most once a second, when it is called.
 */
export interface Ring {
  /**
   * The stream of this run, minted durably before `openRing` resolved; where the disk took no write then,
   * minted in memory, with `previous` not known (`null`) before `minted`.
   */
  readonly stream: StreamInfo;
  /**
   * Resolves when the stream is durable: at once, or after a start on a disk that took no write, when it
   * does. Then `stream.previous`, `streams` and `gaps` tell of the runs before.
   */
  readonly minted: Promise<void>;
  /** Oldest first; the last one is the stream of this run. */
  streams(): readonly RingStream[];
  /**
   * Makes blocks of the current stream durable, ascending, with one synced write (one more where a segment
   * ends between them). A block that is already durable is passed over, so a failed append may be repeated.
   * May first evict the oldest segment. @throws KomError KOM_STORE_WRITE: none of it is promised
   */
  append(blocks: readonly Block[]): Promise<AppendResult>;
  /**
   * Blocks behind `after` (`null`: from the oldest) that are not acknowledged, until `limitBytes` is reached;
   * at least one if there is one. A block that fails its CRC, or is missing, becomes a durable `corrupt` gap.
   * @throws KomError KOM_STORE_READ when the disk does not give a segment: try again in a second or later; at
   * the second failure it is repaired, at the third given up. KOM_STORE_WRITE when a gap is not made
   * durable
   */
  readUnacknowledged(after: RingPosition | null, limitBytes: number): Promise<RingRead>;
  /** Held blocks of one stream that touch a range, acknowledged or not, as above. */
  read(streamId: string, range: SequenceRange, limitBytes: number): Promise<RingRead>;
  /**
   * A Kernel durably has everything of a stream through `throughSequence` (0: it knows the stream, and the
   * chain up to it). The watermark rises at once and is made durable later; gap records that it covers are
   * settled, and space is freed as the policy says. An unknown stream is ignored.
   */
  acknowledge(streamId: string, throughSequence: number): Promise<void>;
  /** One of `streams()`, without the work for all: a Welcome may tell of thousands. */
  find(streamId: string): Omit<RingStream, 'held'> | undefined;
  /** Durable gap records that no Kernel has acknowledged, by stream and sequence. */
  gaps(): readonly SequenceGap[];
  /**
   * Makes a loss durable that the ring cannot know of itself (`rejected`, `dropped`, …).
   * @throws KomError KOM_STORE_WRITE
   */
  declareGap(gap: SequenceGap): Promise<void>;
  /** Makes a dictionary known; it becomes durable with the first block of each segment that uses it. */
  putDictionary(dictionary: EncodedDictionary): Promise<void>;
  /** Bytes of a dictionary that a held block uses or that was put in this run. */
  dictionary(hash: string): Promise<Uint8Array | undefined>;
  /**
   * Durable alive mark with the next number to be given; carries the acknowledged watermarks to disk.
   * @throws KomError KOM_STORE_WRITE
   */
  markAlive(wallUs: number, nextSequence: number, details?: MarkDetails): Promise<void>;
  /** Clean end: no number above `lastSequence` was given. Only `close`, reads and acks may follow. */
  endStream(lastSequence: number, wallUs: number, clock?: StreamClock): Promise<void>;
  stat(): RingStat;
  /** What `stat` says of these three, without the work for the rest. */
  readonly isHealthy: boolean;
  readonly oldestUnacknowledgedUs: number | null;
  /** `except`: a stream that does not count. */
  hasUnacknowledged(except?: string): boolean;
  /** What the ring knows of its streams, segments and losses, acknowledged ones included. */
  facts(): RingFacts;
  /**
   * Records of a segment as they are on the disk, behind a position; nothing is repaired or declared. Where
   * its blocks were joined meanwhile, the first one may hold numbers of blocks up to that position, too.
   * `null`: the segment is gone. @throws KomError KOM_STORE_READ, KOM_STORE_OPEN
   */
  records(segment: number, after: RingPosition, limitBytes: number): Promise<readonly StoreRecord[] | null>;
  /** Makes the watermarks durable as far as the disk allows and releases the databases. */
  close(): Promise<void>;
}
