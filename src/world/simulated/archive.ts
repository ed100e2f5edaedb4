import { lastSequence } from '../../domain/block/block.ts';
import { type ArchivedClockFix, clockStep, holdingFixes } from '../../domain/clock-offsets.ts';
import { type CommitPlan, planCommit, remainingGap } from '../../domain/commit-plan.ts';
import { type Coverage, EMPTY_COVERAGE, type SequenceRange } from '../../domain/coverage.ts';
import type { Dictionary, DictionaryTag } from '../../domain/dictionary.ts';
import { KomError } from '../../domain/errors.ts';
import type { SequenceGap } from '../../domain/gap.ts';
import { arrivedBlocks, type LateRange, lateRangesOf, mergeLate } from '../../domain/late-range.ts';
import { endedAtStart, movedStart } from '../../domain/moved-start.ts';
import { observedAfter, observedUntil } from '../../domain/observed.ts';
import { OVERLAP_MARKS } from '../../domain/overlap.ts';
import { moveTimeGap, type TimeGap } from '../../domain/sample.ts';
import { NO_STEPS, type SequenceSteps, withStep } from '../../domain/sequence-steps.ts';
import { concernsTag, mergeFormerly, scopeOf, type TagScope } from '../../domain/tag-scope.ts';
import {
  type Archive,
  type ArchivedEntries,
  type ArchivedGap,
  type ArchivedSample,
  type ArchivedStream,
  type ArchivedTag,
  type ArchivedTerm,
  type ArchiveStat,
  type ArchiveTransaction,
  type EntryQuery,
  type ExportQuery,
  isSameOrigin,
  type LateQuery,
  type QualityChange,
  type SampleQuery,
  type TagInterval,
  type TagName,
  type TagStream,
  type TagsInterval,
} from '../archive.ts';
import { entriesIn, fixesOf } from './archive-entries.ts';
import { checkKnown } from './archive-known.ts';
import {
  type ClockFixRow,
  compareText,
  isIn,
  rowsOf,
  type SampleRow,
  sampleStat,
  type TimeGapRow,
  withFix,
} from './archive-rows.ts';
import { SampleTable, tagKey } from './sample-table.ts';

type StreamRow = Omit<ArchivedStream, 'coverage'>;

/**
 * The archive in memory. Faults: `failNext` makes the next writes fail as an archive without its disk would,
 * with nothing written; `close` loses everything (a restart with what was committed is the real one's test).
 */
export class SimulatedArchive implements Archive {
  readonly #dictionaries = new Map<string, Dictionary>();
  /** By site and name. */
  readonly #tags = new Map<string, ArchivedTag>();
  readonly #streams = new Map<string, StreamRow>();
  readonly #used = new Map<string, Set<string>>();
  readonly #coverage = new Map<string, Coverage>();
  readonly #clockOffsets = new Map<string, SequenceSteps>();
  readonly #samples = new SampleTable();
  #timeGaps: TimeGapRow[] = [];
  #kernelEpoch = 0;
  readonly #terms = new Map<string, ArchivedTerm>();
  #sequenceGaps: SequenceGap[] = [];
  readonly #late: LateRange[] = [];
  readonly #termSteps = new Map<string, SequenceSteps>();
  /** Entries that are neither a sample nor a time gap. */
  clockFixes: readonly ClockFixRow[] = [];
  #failures = 0;
  #closed = false;

  /** As when a month is dropped: coverage knows of what has no row any more. */
  dropSamples(streamId: string, range: SequenceRange): void {
    this.#samples.delete([{ streamId, ...range }]);
  }

  /** The same, by time, integer µs. */
  dropBefore(timeUs: number): void {
    this.#samples.deleteBefore(timeUs);
  }

  /** The next `times` writes fail with KOM_ARCHIVE_UNAVAILABLE. */
  failNext(times = 1): void {
    this.#failures = times;
  }

  async dictionary(hash: string): Promise<Dictionary | undefined> {
    this.#checkOpen();
    return this.#dictionaries.get(hash);
  }

  async dictionaries(): Promise<string[]> {
    this.#checkOpen();
    return [...this.#dictionaries.keys()];
  }

  async putDictionary(hash: string, _bytes: Uint8Array, dictionary: Dictionary): Promise<void> {
    this.#checkWritable();
    if (this.#dictionaries.has(hash)) return;
    this.#dictionaries.set(hash, dictionary);
    for (const tag of dictionary.tags) this.#learn(dictionary, tag);
  }

  async coverage(streamId: string): Promise<Coverage> {
    this.#checkOpen();
    return this.#coverage.get(streamId) ?? EMPTY_COVERAGE;
  }

  async commit(transaction: ArchiveTransaction): Promise<void> {
    this.#checkWritable();
    checkKnown(transaction, { streams: this.#streams, dictionaries: this.#dictionaries });
    const plan = planCommit((id) => this.#coverage.get(id) ?? EMPTY_COVERAGE, transaction);
    // Everything that can throw happens here, before the first change.
    const offsetsOf = (streamId: string) => this.#clockOffsets.get(streamId) ?? NO_STEPS;
    const rows = rowsOf(transaction, plan, offsetsOf);
    const clockFixes = holdingFixes(transaction.clockFixes ?? [], (id) => fixesOf(this.clockFixes, id));
    for (const stream of transaction.streams) this.#start(stream);
    for (const { block, term = 0 } of transaction.blocks) {
      const { streamId, dictionaryHash, firstSequence: first } = block.header;
      this.#used.get(streamId)?.add(dictionaryHash);
      const step = { first, last: lastSequence(block.header), value: term };
      if (term > 0) this.#termSteps.set(streamId, withStep(this.#termSteps.get(streamId) ?? NO_STEPS, step));
    }
    this.#delete(plan.repairs);
    this.#samples.add(rows.samples);
    for (const row of rows.timeGaps) this.#timeGaps.push(row);
    if (rows.clockFixes.length > 0) this.clockFixes = [...this.clockFixes, ...rows.clockFixes];
    for (const fix of clockFixes) this.#fixClock(fix);
    const hasFixes = clockFixes.length > 0;
    if (rows.samples.length > 0 || hasFixes) {
      this.#samples.mark(hasFixes ? null : rows.samples, {
        streams: this.#streams,
        scanMsOf: ({ site, tag }) => this.#tags.get(keyOf(site, tag))?.scanMs,
        compare: (a, b) => this.#compare(a, b),
      });
    }
    this.#late.push(...lateRangesOf(arrivedBlocks(transaction, plan), transaction.receivedAtUs));
    this.#sequenceGaps.push(...plan.gaps);
    for (const [streamId, coverage] of plan.coverage) this.#coverage.set(streamId, coverage);
    for (const said of transaction.observed) {
      this.#change(said.streamId, (row) => ({
        ...row,
        observedUntilUs: observedAfter(row.observedUntilUs, said),
      }));
    }
    for (const { streamId, lastSequence, atUs } of transaction.ended) {
      this.#change(streamId, (row) => ({ ...row, endedAtUs: atUs, endedSequence: lastSequence }));
    }
  }

  async kernelEpoch(): Promise<number> {
    this.#checkOpen();
    return this.#kernelEpoch;
  }

  async raiseKernelEpoch(epoch: number): Promise<void> {
    this.#checkWritable();
    this.#kernelEpoch = Math.max(this.#kernelEpoch, epoch);
  }

  async terms(): Promise<ArchivedTerm[]> {
    this.#checkOpen();
    return [...this.#terms.values()];
  }

  async raiseTerm(term: ArchivedTerm): Promise<void> {
    this.#checkWritable();
    const key = keyOf(term.site, term.process);
    if (term.term > (this.#terms.get(key)?.term ?? 0)) this.#terms.set(key, term);
  }

  async entries(query: EntryQuery): Promise<ArchivedEntries> {
    this.#checkOpen();
    const used = this.#used.get(query.streamId) ?? new Set();
    const dictionaries = [...this.#dictionaries].filter(([hash]) => used.has(hash));
    const rows = { samples: this.#samples.all(), timeGaps: this.#timeGaps, clockFixes: this.clockFixes };
    return entriesIn({ ...rows, dictionaries, terms: this.#termSteps, offsets: this.#clockOffsets }, query);
  }

  async samples(query: SampleQuery): Promise<ArchivedSample[]> {
    const rows = this.#ordered(query, query.withMarked);
    const from = rows.findIndex((row) => row.sourceTimeUs >= query.fromUs);
    const first = from === -1 ? rows.length : from;
    const after = query.after;
    const inside = rows
      .slice(first)
      .filter((row) => row.sourceTimeUs < query.toUs && (!after || this.#compare(row, after) > 0));
    const previous = query.withPrevious === true && !after ? rows.slice(Math.max(0, first - 1), first) : [];
    return [...previous, ...inside.slice(0, query.limit)].map(({ site: _, tag: __, ...row }) => row);
  }

  async qualityChanges(query: TagInterval): Promise<QualityChange[]> {
    const rows = this.#ordered(query).filter((row) => row.sourceTimeUs < query.toUs);
    const inForce = rows.findLastIndex((row) => row.sourceTimeUs < query.fromUs);
    return rows
      .slice(Math.max(0, inForce))
      .filter((row, at, all) => at === 0 || row.quality !== all[at - 1]?.quality)
      .map(({ sourceTimeUs, quality }) => ({ sourceTimeUs, quality }));
  }

  async qualityChangesOf({ site, tags, fromUs, toUs }: TagsInterval): Promise<Map<string, QualityChange[]>> {
    const found = new Map<string, QualityChange[]>();
    for (const tag of tags) {
      const changes = await this.qualityChanges({ site, tag, fromUs, toUs });
      if (changes.length > 0) found.set(tag, changes);
    }
    return found;
  }

  async lateRanges({ site, fromUs, toUs }: LateQuery): Promise<LateRange[]> {
    this.#checkOpen();
    return mergeLate(this.#late).filter(
      (range) =>
        (site === undefined || range.site === site) &&
        range.completedAtUs >= fromUs &&
        range.completedAtUs < toUs,
    );
  }

  async exportSamples(query: ExportQuery): Promise<number> {
    throw new KomError('KOM_USAGE', `a simulated archive writes no file ${query.path}`);
  }

  async gaps(query: TagInterval): Promise<ArchivedGap[]> {
    const scope = this.#scope(query);
    if (scope === undefined) return [];
    const carries = (streamId: string): boolean => this.#carries(streamId, query.site, scope);
    const time = this.#timeGaps
      .filter((row) => carries(row.streamId) && concernsTag(row.gap, scope))
      .map((row): Extract<ArchivedGap, { kind: 'time' }> => {
        const { streamId, sequence } = row;
        return { kind: 'time', streamId, sequence, ...moveTimeGap(row.gap, row.offsetUs) };
      });
    const sequence = this.#sequenceGaps
      .filter((gap) => carries(gap.streamId))
      .flatMap((gap) => remainingGap(gap, this.#coverage.get(gap.streamId) ?? EMPTY_COVERAGE))
      .map((gap): ArchivedGap => ({ kind: 'sequence', ...gap }));
    return [
      ...time.filter((gap) => gap.fromUs < query.toUs && gap.toUs > query.fromUs),
      ...sequence.filter((gap) => gap.fromUs < query.toUs && gap.toUs >= query.fromUs),
    ].sort((a, b) => a.fromUs - b.fromUs);
  }

  /** A time gap as it came. */
  rawTimeGap(streamId: string, sequence: number): TimeGap | undefined {
    return this.#timeGaps.find((row) => row.streamId === streamId && row.sequence === sequence)?.gap;
  }

  async streams(site: string, process: string): Promise<ArchivedStream[]> {
    this.#checkOpen();
    return [...this.#streams.values()]
      .filter((row) => row.site === site && row.process === process)
      .sort(byStart)
      .map((row) => this.#archivedStream(row));
  }

  async tagStreams({ site, tag }: TagName): Promise<TagStream[]> {
    const scope = this.#scope({ site, tag });
    if (scope === undefined) return [];
    return [...this.#streams.values()]
      .filter((row) => this.#carries(row.streamId, site, scope))
      .sort(byStart)
      .map((row) => ({ ...this.#archivedStream(row), knowsTag: this.#knows(row.streamId, scope) }));
  }

  async tags(site?: string): Promise<ArchivedTag[]> {
    this.#checkOpen();
    const all = [...this.#tags.values()];
    const former = new Set(all.flatMap((tag) => tag.formerly.map((name) => keyOf(tag.site, name))));
    return all
      .filter((tag) => (site === undefined || tag.site === site) && !former.has(keyOf(tag.site, tag.name)))
      .sort((a, b) => compareText(a.site, b.site) || compareText(a.name, b.name));
  }

  async stat(): Promise<ArchiveStat> {
    this.#checkOpen();
    const remaining = this.#sequenceGaps.flatMap((gap) =>
      remainingGap(gap, this.#coverage.get(gap.streamId) ?? EMPTY_COVERAGE),
    );
    return {
      ...sampleStat(this.#samples.all()),
      tags: (await this.tags()).length,
      streams: this.#streams.size,
      gaps: this.#timeGaps.length + remaining.length,
      sizeBytes: 0,
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #checkOpen(): void {
    if (this.#closed) throw new KomError('KOM_ARCHIVE_UNAVAILABLE', 'it is closed');
  }

  #checkWritable(): void {
    this.#checkOpen();
    if (this.#failures === 0) return;
    this.#failures -= 1;
    throw new KomError('KOM_ARCHIVE_UNAVAILABLE', 'the simulation made it fail');
  }

  #delete(ranges: CommitPlan['repairs']): void {
    if (ranges.length === 0) return;
    this.#samples.delete(ranges);
    this.#timeGaps = this.#timeGaps.filter((row) => !isIn(ranges, row));
    this.clockFixes = this.clockFixes.filter((row) => !isIn(ranges, row));
  }

  #learn({ site, process }: Dictionary, tag: DictionaryTag): void {
    const key = keyOf(site, tag.name);
    const formerly = mergeFormerly(tag, this.#tags.get(key));
    this.#tags.set(key, { ...tag, formerly, site, process });
  }

  #start(stream: ArchiveTransaction['streams'][number]): void {
    if (this.#streams.has(stream.streamId)) return;
    const { streamId, bootId, startedAtUs, previous, site, process, instance } = stream;
    this.#streams.set(streamId, {
      ...{ streamId, bootId, startedAtUs, previous, site, process, instance },
      ...{ observedUntilUs: startedAtUs, endedAtUs: null, endedSequence: null },
    });
    this.#used.set(streamId, new Set());
  }

  #fixClock(fix: ArchivedClockFix): void {
    const { streamId } = fix;
    const offsets = this.#clockOffsets.get(streamId) ?? NO_STEPS;
    const stream = this.#streams.get(streamId) as StreamRow;
    const moved = movedStart(stream, offsets, fix);
    const isOf = (id: string): boolean => isSameOrigin(this.#streams.get(id) ?? stream, stream);
    this.#sequenceGaps = this.#sequenceGaps.map((gap) =>
      moved !== null && isOf(gap.streamId) ? endedAtStart(gap, moved) : gap,
    );
    this.#clockOffsets.set(streamId, withStep(offsets, clockStep(fix)));
    this.#samples.fix(fix);
    this.#timeGaps = withFix(this.#timeGaps, fix);
  }

  #change(streamId: string, change: (row: StreamRow) => StreamRow): void {
    const row = this.#streams.get(streamId);
    if (row !== undefined) this.#streams.set(streamId, change(row));
  }

  #archivedStream(row: StreamRow): ArchivedStream {
    const coverage = this.#coverage.get(row.streamId) ?? EMPTY_COVERAGE;
    return { ...row, coverage, observedUntilUs: observedUntil(row, coverage) };
  }

  #scope({ site, tag }: TagName): TagScope | undefined {
    this.#checkOpen();
    return scopeOf(tag, (name) => this.#tags.get(keyOf(site, name)));
  }

  #carries(streamId: string, site: string, scope: TagScope): boolean {
    const row = this.#streams.get(streamId);
    return row !== undefined && row.site === site && scope.processes.has(row.process);
  }

  #knows(streamId: string, scope: TagScope): boolean {
    const hashes = [...(this.#used.get(streamId) ?? [])];
    return hashes.some((hash) =>
      this.#dictionaries.get(hash)?.tags.some((tag) => scope.names.includes(tag.name)),
    );
  }

  #ordered(query: TagName, withMarked = false): SampleRow[] {
    const names = this.#scope(query)?.names ?? [];
    return this.#samples
      .ofTags(query.site, names)
      .filter(({ marks }) => withMarked || (marks & OVERLAP_MARKS) === 0)
      .sort((a, b) => this.#compare(a, b));
  }

  #compare(a: SampleKey, b: SampleKey): number {
    const started = (key: SampleKey): number => this.#streams.get(key.streamId)?.startedAtUs ?? 0;
    return (
      a.sourceTimeUs - b.sourceTimeUs ||
      started(a) - started(b) ||
      compareText(a.streamId, b.streamId) ||
      a.sequence - b.sequence
    );
  }
}

type SampleKey = Pick<ArchivedSample, 'sourceTimeUs' | 'streamId' | 'sequence'>;

function keyOf(site: string, tag: string): string {
  return tagKey({ site, tag });
}

function byStart(a: StreamRow, b: StreamRow): number {
  return a.startedAtUs - b.startedAtUs || compareText(a.streamId, b.streamId);
}
