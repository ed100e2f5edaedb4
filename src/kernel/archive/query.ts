import { KomError } from '../../domain/errors.ts';
import type { LateRange } from '../../domain/late-range.ts';
import { type MarkName, markNames } from '../../domain/marks.ts';
import { qualityName } from '../../domain/quality.ts';
import { type SampleValue, valueToJson } from '../../domain/sample.ts';
import type { TimelineSegment, TimelineState } from '../../domain/timeline.ts';
import { formatTimeUs } from '../../domain/units.ts';
import type {
  Archive,
  ArchivedSample,
  ArchivedTag,
  ArchiveStat,
  ExportQuery,
  TagInterval,
} from '../../world/archive.ts';
import type { Unresolved } from '../unresolved.ts';
import { type CompletenessQuery, completeness, type StationCompleteness } from './completeness.ts';
import { type PresenceOf, segmentsOf } from './segments.ts';

/** Samples read at once. */
const PAGE_SAMPLES = 5000;

/** A tag over an interval: what is known of each moment, and the samples, page by page. */
export interface TagHistory {
  readonly tag: ArchivedTag;
  /** Ascending, touching, covering the interval exactly. */
  readonly segments: readonly TimelineSegment[];
  /** The sample in force at the start comes first, then those of the interval. */
  samples(): AsyncIterable<ArchivedSample>;
}

export interface TagQuery {
  /** Needed where two sites have a tag of this name. */
  readonly site?: string;
  readonly tag: string;
  readonly fromUs: number;
  readonly toUs: number;
  /** Also rows that another instance tells better. */
  readonly withMarked?: boolean;
}

/** Asks for one tag. @throws KomError KOM_USAGE if there is no such tag, or in several sites */
export async function queryTag(
  archive: Archive,
  presenceOf: PresenceOf,
  query: TagQuery,
): Promise<TagHistory> {
  const tag = await findTag(archive, query);
  const interval: TagInterval = { site: tag.site, tag: query.tag, fromUs: query.fromUs, toUs: query.toUs };
  const qualities = await archive.qualityChanges(interval);
  const presence = presenceOf(tag.site, tag.process);
  const segments = await segmentsOf(archive, interval, { presence, qualities });
  return {
    tag,
    segments,
    samples: () => samplesOf(archive, { ...interval, withMarked: query.withMarked === true }),
  };
}

async function findTag(archive: Archive, { site, tag }: TagQuery): Promise<ArchivedTag> {
  const tags = await archive.tags(site);
  const found = tags.filter((each) => each.name === tag);
  const former = found.length > 0 ? found : tags.filter((each) => each.formerly.includes(tag));
  const [only, another] = former;
  if (only === undefined) {
    throw new KomError('KOM_USAGE', `the archive has no tag "${tag}"`, {
      hint: 'kom archive tags lists what it has',
    });
  }
  if (another !== undefined) {
    const sites = former.map((each) => each.site).join(', ');
    throw new KomError('KOM_USAGE', `several sites have a tag "${tag}"`, {
      hint: `choose one with --site: ${sites}`,
    });
  }
  return only;
}

async function* samplesOf(
  archive: Archive,
  interval: TagInterval & { readonly withMarked: boolean },
): AsyncGenerator<ArchivedSample> {
  let page = await archive.samples({ ...interval, limit: PAGE_SAMPLES, withPrevious: true });
  for (;;) {
    yield* page;
    const after = page.at(-1);
    if (after === undefined || page.length < PAGE_SAMPLES) return;
    page = await archive.samples({ ...interval, limit: PAGE_SAMPLES, after });
  }
}

/** One line of an answer, safe for JSON: times are ISO 8601 in UTC with µs, int64 a decimal string. */
export type QueryLine =
  | ({ readonly kind: 'tag'; readonly site: string; readonly process: string; readonly tag: string } & {
      readonly type: string;
      readonly unit: string;
    })
  | {
      readonly kind: 'segment';
      readonly from: string;
      readonly to: string;
      readonly state: TimelineState;
      readonly reason: string | null;
    }
  | {
      readonly kind: 'sample';
      readonly time: string;
      readonly value: string | number | boolean | null;
      /** Tells an int64 from a text, and a number from its name. */
      readonly type: 'bool' | 'int64' | 'float64' | 'text' | 'none';
      readonly quality: number;
      readonly qualityName: string;
      readonly cause: string;
      /** State of the moment; `before` for the sample in force at the start. */
      readonly state: TimelineState | 'before';
      readonly deviceTime: string | null;
      /** Before a clock fix. */
      readonly rawTime: string;
      readonly receivedTime: string;
      readonly term: number;
      readonly marks: readonly MarkName[];
      readonly stream: string;
      readonly sequence: number;
    };

/** Sizes, and from a running Kernel what the connected agents' heartbeats leave open. */
export interface StatAnswer extends ArchiveStat {
  readonly unresolved?: readonly Unresolved[];
}

/** What can be asked of an archive, whether it is open here or a running Kernel has it. */
export interface ArchiveQueries {
  query(query: TagQuery): AsyncIterable<QueryLine>;
  stat(): Promise<StatAnswer>;
  tags(site?: string): Promise<ArchivedTag[]>;
  /** Shares of the states, by station. */
  completeness(query: CompletenessQuery): AsyncIterable<StationCompleteness>;
  /** Past ranges that were completed within the interval, by the time of that. */
  late(query: CompletenessQuery): Promise<LateRange[]>;
  /** Writes samples to a file that is not there yet; returns how many. @throws KomError KOM_USAGE */
  export(query: ExportQuery): Promise<number>;
}

/** Queries on an archive that this process has open. */
export function archiveQueries(archive: Archive, presenceOf: PresenceOf): ArchiveQueries {
  return {
    query: (query) => queryLines(archive, presenceOf, query),
    stat: () => archive.stat(),
    tags: (site) => archive.tags(site),
    completeness: (query) => completeness(archive, presenceOf, query),
    late: (query) => archive.lateRanges(query),
    export: (query) => archive.exportSamples(query),
  };
}

/** Each segment at its start, each sample within its segment. */
async function* queryLines(
  archive: Archive,
  presenceOf: PresenceOf,
  query: TagQuery,
): AsyncGenerator<QueryLine> {
  const { tag, segments, samples } = await queryTag(archive, presenceOf, query);
  const { site, process, type, unit } = tag;
  yield { kind: 'tag', site, process, tag: tag.name, type, unit };
  let next = 0;
  for await (const sample of samples()) {
    for (; next < segments.length; next++) {
      const segment = segments[next];
      if (segment === undefined || segment.fromUs > sample.sourceTimeUs) break;
      yield segmentLine(segment);
    }
    yield sampleLine(sample, segments[next - 1]?.state ?? 'before');
  }
  for (const segment of segments.slice(next)) yield segmentLine(segment);
}

function segmentLine({ fromUs, toUs, state, reason }: TimelineSegment): QueryLine {
  return { kind: 'segment', from: formatTimeUs(fromUs), to: formatTimeUs(toUs), state, reason };
}

function sampleLine(sample: ArchivedSample, state: TimelineState | 'before'): QueryLine {
  return {
    kind: 'sample',
    time: formatTimeUs(sample.sourceTimeUs),
    value: valueToJson(sample.value),
    type: typeOf(sample.value),
    quality: sample.quality,
    qualityName: qualityName(sample.quality),
    cause: sample.cause,
    state,
    deviceTime: sample.deviceTimeUs === null ? null : formatTimeUs(sample.deviceTimeUs),
    rawTime: formatTimeUs(sample.rawTimeUs),
    receivedTime: formatTimeUs(sample.receivedAtUs),
    term: sample.term,
    marks: markNames(sample.marks),
    stream: sample.streamId,
    sequence: sample.sequence,
  };
}

function typeOf(value: SampleValue): 'bool' | 'int64' | 'float64' | 'text' | 'none' {
  if (value === null) return 'none';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'bigint') return 'int64';
  return typeof value === 'number' ? 'float64' : 'text';
}
