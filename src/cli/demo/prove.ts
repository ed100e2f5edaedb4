import type { Line, Site, TagBase } from '../../config/model.ts';
import type { SampleValue } from '../../domain/sample.ts';
import { parseTimeUs } from '../../domain/units.ts';
import type { ArchiveQueries, QueryLine } from '../../kernel/archive/query.ts';
import { remoteQueries } from '../../kernel/queries.ts';
import { callControl } from '../../ops/control.ts';
import type { ArchivedRow, DeclaredGap } from '../../sim/archived-rows.ts';
import { type Proof, proveTag, sumProofs } from '../../sim/proof.ts';
import type { ServedValue } from '../../sim/record.ts';
import type { Stage } from './stage.ts';

/** Beyond two scans, polling may be late by so much (a time-out of a neighbour on the line) undeclared. */
const LATE_MAX_MS = 3000;
/** The archive is asked from so long before the demo began. */
const BEFORE_US = 3_600_000_000;

/** Asks the Kernel's archive for every tag of the site and holds it against what the simulators served. */
export async function proveStage(stage: Stage, untilUs: number): Promise<Proof> {
  const queries = remoteQueries((method, params) =>
    callControl({ ...stage.world, path: stage.kernelSocket, method, params }),
  );
  const { site, served } = stage;
  return await proveSite({ site, served, queries, untilUs, nowUs: stage.world.clock.wallUs() });
}

export interface SiteToProve {
  readonly site: Site;
  /** The simulators' record, in the order of serving. */
  readonly served: readonly ServedValue[];
  readonly queries: ArchiveQueries;
  /** What was served later than this may still be on its way, integer µs. */
  readonly untilUs: number;
  /** Rows may be a little newer than the last value that is proved; integer µs. */
  readonly nowUs: number;
  /** Beyond two scans, polling may be late by so much undeclared; 3 s if not given. */
  readonly lateMaxMs?: number;
}

/** Holds what an archive tells of every tag of a site against what the simulators served. */
export async function proveSite(input: SiteToProve): Promise<Proof> {
  const { site, queries, untilUs, nowUs } = input;
  const servedByTag = Map.groupBy(input.served, ({ tag }) => tag);
  const interval = { site: site.name, fromUs: untilUs - BEFORE_US, toUs: nowUs };
  const tags: (ProvedTag & { readonly history: TagRows })[] = [];
  for (const proved of tagsOf(site, input.lateMaxMs ?? LATE_MAX_MS)) {
    const { name } = proved.tag;
    tags.push({ ...proved, history: await readRows(queries.query({ ...interval, tag: name }), name) });
  }
  return sumProofs(
    tags.map(({ tag, history, ...pace }) => {
      const served: readonly ServedValue[] = servedByTag.get(tag.name) ?? [];
      const { rows: archived, gaps } = history;
      return proveTag({ tag: tag.name, served, archived, gaps, untilUs, ...pace });
    }),
  );
}

interface TagRows {
  readonly rows: readonly ArchivedRow[];
  readonly gaps: readonly DeclaredGap[];
}

interface ProvedTag {
  readonly tag: TagBase;
  readonly pauseMaxMs: number | null;
  readonly scanMs: number | null;
}

function tagsOf(site: Site, lateMaxMs: number): ProvedTag[] {
  const lines = site.processes.flatMap((process): readonly Line[] => process.lines);
  return lines.flatMap((line): ProvedTag[] =>
    line.driver === 'modbus'
      ? line.stations.flatMap(({ tags }) =>
          tags.map((tag) => ({ tag, pauseMaxMs: 2 * tag.scanMs + lateMaxMs, scanMs: tag.scanMs })),
        )
      : line.stations.flatMap(({ tags }) => tags.map((tag) => ({ tag, pauseMaxMs: null, scanMs: null }))),
  );
}

async function readRows(lines: AsyncIterable<QueryLine>, tag: string): Promise<TagRows> {
  const rows: ArchivedRow[] = [];
  const gaps: DeclaredGap[] = [];
  for await (const line of lines) {
    if (line.kind === 'segment' && line.state === 'gap') {
      gaps.push({ fromUs: timeUs(line.from), toUs: timeUs(line.to) });
    } else if (line.kind === 'sample') {
      const { sequence, quality, cause } = line;
      const sourceTimeUs = timeUs(line.time);
      rows.push({
        tag,
        streamId: line.stream,
        sequence,
        sourceTimeUs,
        value: typedValue(line),
        quality,
        cause,
      });
    }
  }
  return { rows, gaps };
}

function typedValue({ value, type }: Extract<QueryLine, { kind: 'sample' }>): SampleValue {
  if (value === null || type === 'none') return null;
  if (type === 'int64') return BigInt(value);
  return type === 'float64' ? Number(value) : value;
}

function timeUs(text: string): number {
  const parsed = parseTimeUs(text, 0);
  if (parsed === null) throw new Error(`the archive told a time that is none: ${text}`);
  return parsed;
}
