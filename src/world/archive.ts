import type { DecodedBlock } from '../domain/block/block.ts';
import type { ArchivedClockFix } from '../domain/clock-offsets.ts';
import type { CoverageRange } from '../domain/coverage.ts';
import type { Dictionary, DictionaryTag } from '../domain/dictionary.ts';
import type { EntryRun } from '../domain/entry-run.ts';
import type { SequenceGap } from '../domain/gap.ts';
import type { LateRange } from '../domain/late-range.ts';
import type { Observed } from '../domain/observed.ts';
import type { SampleValue, TimeGap } from '../domain/sample.ts';
import type { StreamInfo } from '../domain/stream.ts';
import type { Term } from '../domain/term.ts';

/**
 * The Kernel's archive. Coverage and samples change in one transaction and nowhere else: what `commit`
 * resolved is durable, whole, and never in twice.
 */
export interface Archive {
  /** Why it takes nothing now, where it has noticed that itself; `null`: nothing is known against it. */
  readonly lastError?: string | null;
  /**
   * `told` is called when what was durable is not there any more, because another copy of the database has
   * taken over: whoever was told that it is archived must hear what is.
   */
  whenRegressed?(told: () => void): void;
  /** Dictionary by hash, if the archive has it. */
  dictionary(hash: string): Promise<Dictionary | undefined>;
  /** Hashes of all dictionaries in the order in which they were put: what a later one says of a tag holds. */
  dictionaries(): Promise<readonly string[]>;
  /** Stores a dictionary durably before blocks that use it. Idempotent. */
  putDictionary(hash: string, bytes: Uint8Array, dictionary: Dictionary): Promise<void>;
  /** Coverage of a stream, ascending and disjoint; empty if the stream is unknown. */
  coverage(streamId: string): Promise<readonly CoverageRange[]>;
  /**
   * One transaction: streams are made known, samples whose sequence is not yet `data` are inserted (trimmed
   * per sample), gaps fill only what is uncovered, data replaces gaps. Clock fixes move the times of what
   * their range holds, and of what comes into it later; one of the first numbers moves the start of the
   * stream, see `domain/moved-start.ts`. Rows that another instance of the process tells better are marked,
   * whichever came first, see `domain/overlap.ts`.
   * Transactions are carried out one after the other.
   * @throws KomError KOM_ARCHIVE_UNAVAILABLE; KOM_PROTOCOL_STATE if a stream or dictionary was never made
   * known; KOM_BLOCK_CORRUPT if a tag index is not in the dictionary. Then nothing of it happened
   */
  commit(transaction: ArchiveTransaction): Promise<void>;
  /**
   * What the blocks held that brought a range of a stream's numbers: raw times, time gaps and clock fixes, so
   * that another archive which takes it tells the same. Of one moment. See `EntryQuery`.
   */
  entries(query: EntryQuery): Promise<ArchivedEntries>;
  /**
   * Samples of one tag by source time, ascending, then by stream start and sequence. What is marked as told
   * better by another instance is left out of this and all else that is asked, unless the query wants it.
   */
  samples(query: SampleQuery): Promise<ArchivedSample[]>;
  /**
   * Where the quality of a tag changes its code, ascending; the first is the one in force at `fromUs`.
   * What a timeline needs of the samples, without reading them all.
   */
  qualityChanges(query: TagInterval): Promise<QualityChange[]>;
  /** The same for many tags of a site at once, by name; a tag without a sample has no entry. */
  qualityChangesOf(query: TagsInterval): Promise<ReadonlyMap<string, readonly QualityChange[]>>;
  /** Past ranges of stations that were completed within an interval, by the time of that. */
  lateRanges(query: LateQuery): Promise<LateRange[]>;
  /**
   * Writes samples into a file that is not there yet, by source time where tags are named. Returns how many.
   * @throws KomError KOM_USAGE if the file is there or cannot be made, or a tag is not known
   */
  exportSamples(query: ExportQuery): Promise<number>;
  /**
   * Time gaps that name the tag (or its station, or all stations) and sequence gaps of its process that touch
   * an interval, by their start. A sequence gap is told only with the numbers that are still not data.
   */
  gaps(query: TagInterval): Promise<ArchivedGap[]>;
  /** The streams that carry a tag's process, oldest first, with how far each was observed. */
  streams(site: string, process: string): Promise<ArchivedStream[]>;
  /** The streams of the processes that carried a tag, oldest first; empty if the tag is unknown. */
  tagStreams(tag: TagName): Promise<TagStream[]>;
  /**
   * Every known tag of a site (all sites if not given), by site and name. A former name of another tag is not
   * listed; asked for by that name, its own history is still told.
   */
  tags(site?: string): Promise<ArchivedTag[]>;
  /** The highest epoch that was ever raised here; 0 for none. */
  kernelEpoch(): Promise<number>;
  /** Durable when it resolves; a lower one changes nothing. @throws KomError KOM_ARCHIVE_UNAVAILABLE */
  raiseKernelEpoch(epoch: number): Promise<void>;
  /** The last activation of each process that was ever raised here. */
  terms(): Promise<ArchivedTerm[]>;
  /**
   * Durable when it resolves; one that is not above what is there changes nothing.
   * @throws KomError KOM_ARCHIVE_UNAVAILABLE
   */
  raiseTerm(term: ArchivedTerm): Promise<void>;
  /** Sizes, for `kom archive stat`. */
  stat(): Promise<ArchiveStat>;
  close(): Promise<void>;
}

/** For which instance of a process a term was granted. */
export interface ArchivedTerm {
  readonly site: string;
  readonly process: string;
  readonly term: Term;
  readonly holder: number;
}

/** Where a stream comes from. */
export interface StreamOrigin {
  readonly site: string;
  readonly process: string;
  readonly instance: number;
}

/** Whether two streams are of one instance of a process. */
export function isSameOrigin(a: StreamOrigin, b: StreamOrigin): boolean {
  return a.site === b.site && a.process === b.process && a.instance === b.instance;
}

export interface ArchiveTransaction {
  /** Streams that must exist before what follows; idempotent. */
  readonly streams: readonly (StreamInfo & StreamOrigin)[];
  /** Blocks with the dictionary that labels them, which `putDictionary` has stored. */
  readonly blocks: readonly ArchiveBlock[];
  /** Corrections of times, in order, see `ArchivedClockFix`; the same fix again changes nothing. */
  readonly clockFixes?: readonly ArchivedClockFix[];
  readonly gaps: readonly SequenceGap[];
  /** How far each stream was seen to be complete; what is said last counts, see `observedAfter`. */
  readonly observed: readonly Observed[];
  /** Streams that ended cleanly. */
  readonly ended: readonly {
    readonly streamId: string;
    readonly lastSequence: number;
    readonly atUs: number;
  }[];
  /** When the Kernel received it, integer µs. */
  readonly receivedAtUs: number;
}

export interface ArchiveBlock {
  readonly block: DecodedBlock;
  readonly dictionary: Dictionary;
  /** Bits of `Mark` that all its rows get; default none. */
  readonly marks?: number;
  /** The term under which the entries were numbered; default 0, none. */
  readonly term?: Term;
  /** What is there of its numbers is deleted and inserted again from this block. */
  readonly repair?: true;
}

/** A tag by its full name. */
export interface TagName {
  readonly site: string;
  readonly tag: string;
}

/** Half-open interval [fromUs, toUs) of one tag. */
export interface TagInterval extends TagName {
  readonly fromUs: number;
  readonly toUs: number;
}

/** Half-open interval of many tags of a site. */
export interface TagsInterval {
  readonly site: string;
  readonly tags: readonly string[];
  readonly fromUs: number;
  readonly toUs: number;
}

/** A range of a stream's numbers. */
export interface EntryQuery {
  readonly streamId: string;
  readonly first: number;
  /** Inclusive. */
  readonly last: number;
  /** Numbers of which is told at most; the caller goes on behind `through`. */
  readonly limit: number;
}

export interface ArchivedEntries {
  /** Ascending. */
  readonly runs: readonly EntryRun[];
  /**
   * Up to here this tells all: a number that no run has is not data, or its row was dropped with its month.
   */
  readonly through: number;
}

/** Half-open interval of the time of completion. */
export interface LateQuery {
  /** Of one site only. */
  readonly site?: string;
  readonly fromUs: number;
  readonly toUs: number;
}

export interface ExportQuery {
  readonly format: 'csv' | 'parquet';
  /** Absolute; the process that has the archive open writes it. */
  readonly path: string;
  /** Of one site only. */
  readonly site?: string;
  /** By full name; all if empty. */
  readonly tags: readonly string[];
  /** Half-open interval of source times, integer µs. */
  readonly fromUs: number;
  readonly toUs: number;
  /** Also rows that another instance tells better. */
  readonly withMarked?: boolean;
}

export interface SampleQuery extends TagInterval {
  /** At most this many; the caller pages with `after`. */
  readonly limit: number;
  /** Continue behind this row. */
  readonly after?: { readonly sourceTimeUs: number; readonly streamId: string; readonly sequence: number };
  /** Also return the last sample before `fromUs` (first in the result), which holds at the start. */
  readonly withPrevious?: boolean;
  /** Also rows that are marked `overlap` or `duplicate`: another instance tells them better. */
  readonly withMarked?: boolean;
}

export interface ArchivedSample {
  /** Corrected by the clock fix of its number, if there is one. */
  readonly sourceTimeUs: number;
  /** The source time as it came. */
  readonly rawTimeUs: number;
  readonly receivedAtUs: number;
  /** The device's own time where it differs, see `Sample.deviceTimeUs`. */
  readonly deviceTimeUs: number | null;
  readonly value: SampleValue;
  readonly quality: number;
  readonly cause: string;
  readonly streamId: string;
  readonly sequence: number;
  /** The term under which it was numbered; 0 for none. */
  readonly term: Term;
  /** Bits of `Mark`. */
  readonly marks: number;
}

/**
 * A gap as the archive tells it; `sequence` ranges are there for sequence gaps only. The times of a time gap
 * are corrected like those of the samples around it.
 */
export type ArchivedGap =
  | ({ readonly kind: 'time'; readonly streamId: string; readonly sequence: number } & TimeGap)
  | ({ readonly kind: 'sequence' } & SequenceGap);

export interface ArchivedStream extends StreamInfo, StreamOrigin {
  readonly coverage: readonly CoverageRange[];
  /**
   * Up to here everything that the stream has is archived; integer µs. What was reported, or the clean end
   * once everything before it is covered.
   */
  readonly observedUntilUs: number;
  /** `null` while it runs or if it never ended cleanly. */
  readonly endedAtUs: number | null;
  /** The last number of a stream that ended cleanly; else `null`. */
  readonly endedSequence: number | null;
}

export interface TagStream extends ArchivedStream {
  /** A dictionary that the stream used names the tag. */
  readonly knowsTag: boolean;
}

/** The quality of a tag from `sourceTimeUs` on. */
export interface QualityChange {
  readonly sourceTimeUs: number;
  readonly quality: number;
}

export interface ArchivedTag extends DictionaryTag {
  readonly site: string;
  readonly process: string;
}

export interface ArchiveStat {
  /** Marked ones among them. */
  readonly samples: number;
  /** Rows that another instance tells better, which the default view hides. */
  readonly marked: { readonly overlap: number; readonly duplicate: number };
  readonly tags: number;
  readonly streams: number;
  readonly gaps: number;
  readonly sizeBytes: number;
  readonly oldestUs: number | null;
  readonly newestUs: number | null;
}
