import { remainingGap } from '../../domain/commit-plan.ts';
import { type CoverageRange, dataOf, EMPTY_COVERAGE, subtract } from '../../domain/coverage.ts';
import { KomError } from '../../domain/errors.ts';
import type { SequenceGap } from '../../domain/gap.ts';
import { observedUntil } from '../../domain/observed.ts';
import { scopeOf, type TagScope } from '../../domain/tag-scope.ts';
import type {
  ArchivedGap,
  ArchivedStream,
  ArchivedTag,
  ExportQuery,
  TagName,
  TagStream,
} from '../../world/archive.ts';
import { type Register, type StreamRow, tagKey } from './register.ts';

/** Tags by site and name, without those that are former names of others. */
export function presentTags(register: Register, site?: string): ArchivedTag[] {
  const all = [...register.tags.values()];
  const former = new Set(all.flatMap((tag) => tag.formerly.map((name) => tagKey(tag.site, name))));
  return all
    .filter((tag) => (site === undefined || tag.site === site) && !former.has(tagKey(tag.site, tag.name)))
    .map(({ id: _, ...tag }) => tag)
    .sort((a, b) => compareText(a.site, b.site) || compareText(a.name, b.name));
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

export function streamsOfProcess(register: Register, site: string, process: string): ArchivedStream[] {
  return [...register.streams.values()]
    .filter((row) => row.site === site && row.process === process)
    .sort(byStart)
    .map((row) => archivedStream(register, row));
}

/** The streams of the processes that carried a tag; `naming`: dictionaries that name it. */
export function tagStreamsOf(register: Register, name: TagName, naming: ReadonlySet<number>): TagStream[] {
  const scope = tagScope(register, name);
  if (scope === undefined) return [];
  return carryingStreams(register, name.site, scope)
    .sort(byStart)
    .map((row) => ({
      ...archivedStream(register, row),
      knowsTag: !naming.isDisjointFrom(row.dictionaries),
    }));
}

function archivedStream(register: Register, row: StreamRow): ArchivedStream {
  const coverage = register.coverage.get(row.streamId) ?? EMPTY_COVERAGE;
  const { id: _, dictionaries: __, ...stream } = row;
  return { ...stream, coverage, observedUntilUs: observedUntil(row, coverage) };
}

export function tagScope(register: Register, { site, tag }: TagName): TagScope | undefined {
  return scopeOf(tag, (name) => register.tags.get(tagKey(site, name)));
}

/** Ids under which a tag's history is: its own and those of its former names. */
export function tagIdsOf(register: Register, name: TagName): number[] {
  const names = tagScope(register, name)?.names ?? [];
  return names.flatMap((each) => register.tags.get(tagKey(name.site, each))?.id ?? []);
}

export function carryingStreams(register: Register, site: string, scope: TagScope): StreamRow[] {
  return [...register.streams.values()].filter(
    (row) => row.site === site && scope.processes.has(row.process),
  );
}

/** What is left of a gap record. */
export function remainingSequenceGaps(register: Register, gap: SequenceGap): ArchivedGap[] {
  const coverage = register.coverage.get(gap.streamId) ?? EMPTY_COVERAGE;
  return remainingGap(gap, coverage).map((each) => ({ kind: 'sequence', ...each }));
}

function byStart(a: StreamRow, b: StreamRow): number {
  return a.startedAtUs - b.startedAtUs || (a.streamId < b.streamId ? -1 : 1);
}

/** The tags with the names that they had before. @throws KomError KOM_USAGE if one is not known */
export function formerNamesOf(
  register: Register,
  { site, tags }: Pick<ExportQuery, 'site' | 'tags'>,
): string[] {
  const sites = new Set([...register.tags.values()].map((tag) => tag.site));
  return tags.flatMap((name) => {
    const known = [...sites]
      .filter((each) => site === undefined || each === site)
      .flatMap((each) => register.tags.get(tagKey(each, name)) ?? []);
    if (known.length === 0) throw new KomError('KOM_USAGE', `the archive has no tag "${name}"`);
    return [name, ...known.flatMap(({ formerly }) => formerly)];
  });
}

/**
 * Whether something that was archived is not there any more, as after a failover to a copy of the database
 * that had not got it yet.
 */
export function hasRegressed(before: Register, after: Register): boolean {
  const isLost = (streamId: string, ranges: readonly CoverageRange[]): boolean => {
    const there = dataOf(after.coverage.get(streamId) ?? EMPTY_COVERAGE);
    return ranges.some((range) => range.state === 'data' && subtract(range, there).length > 0);
  };
  return (
    [...before.dictionaries.keys()].some((hash) => !after.dictionaries.has(hash)) ||
    [...before.streams.keys()].some((streamId) => !after.streams.has(streamId)) ||
    [...before.coverage].some(([streamId, ranges]) => isLost(streamId, ranges))
  );
}
