import type { PowerCutRisk } from '../../src/buffer/power-cut.ts';
import type { Coverage } from '../../src/domain/coverage.ts';
import { OPEN_END } from '../../src/domain/gap.ts';
import type { SampleValue } from '../../src/domain/sample.ts';
import type { ArchivedGap, ArchivedSample } from '../../src/world/archive.ts';
import type { SimulatedArchive } from '../../src/world/simulated/archive.ts';
import type { AgentRun } from './agent-host.ts';
import type { Swarm } from './options.ts';
import { type Part, partOfTag } from './parts.ts';
import { type Served, TAGS } from './plant.ts';
import { PROCESS, SITE } from './site.ts';

/** A numbered entry of a stream as the archive has it. */
export type Row = SampleRow | TimeGapRow | ClockFixRow;
export interface ClockFixRow {
  readonly kind: 'clock-fix';
  readonly sequence: number;
}
export interface SampleRow {
  readonly kind: 'sample';
  readonly sequence: number;
  readonly tagIndex: number;
  readonly value: SampleValue;
  readonly quality: number;
  readonly cause: string;
  /** The device's time where it is kept beside the source time, else the source time. */
  readonly deviceTimeUs: number;
  readonly sourceTimeUs: number;
}
export interface TimeGapRow {
  readonly kind: 'time-gap';
  readonly sequence: number;
  readonly gap: Extract<ArchivedGap, { kind: 'time' }>;
}

/** What the archive holds of one stream. */
export interface StreamEvidence {
  readonly coverage: Coverage;
  /** Where its successor says that it ended cleanly; `null`: none does. */
  readonly toldEnd: number | null;
  /** By sequence; a number that is in twice is here twice. */
  readonly rows: readonly Row[];
}

/** Everything in the archive that the checkers use. */
export interface Evidence {
  readonly streams: ReadonlyMap<string, StreamEvidence>;
  /** By tag index. */
  readonly gapsOfTag: readonly (readonly ArchivedGap[])[];
  readonly samplesOfTag: readonly (readonly ArchivedSample[])[];
}

/** A run of the agent as one of its stores had it. */
export interface PartRun {
  readonly streamId: string | null;
  /** What it took over of the tags of this store, in order. */
  readonly served: readonly Served[];
  readonly losses: number;
  readonly end: AgentRun['end'];
  readonly startedMs: number;
  readonly endedMs: number;
  readonly wasStopping: boolean;
  /** The store lost all it knew of it. */
  readonly isForgotten: boolean;
  /** What the store said that a power cut may cost, right before it was cut off; `null`: it was not asked. */
  readonly risk: PowerCutRisk | null;
  /** It was the one to number values when it ended; one that is alone always is. */
  readonly wasInCharge: boolean;
}

export function partRun(run: AgentRun, part: Part, swarm: Swarm): PartRun {
  const { record, end, startedMs, endedMs, wasStopping } = run;
  return {
    ...{ end, startedMs, endedMs, wasStopping, losses: record.losses + run.charge.turns.length },
    streamId: run.streamIds.get(part) ?? null,
    served: asTold(run, swarm).filter(({ tagIndex }) => partOfTag(tagIndex, swarm.alarmShare) === part),
    isForgotten: run.forgottenBy.has(part),
    risk: run.risks.get(part) ?? null,
    wasInCharge: !record.isShared || run.charge.turns.at(-1)?.untilMs === run.endedMs,
  };
}

/** What a standby holds is told when it takes over, line by line. */
function asTold({ record, charge }: AgentRun, { lines }: Swarm): readonly Served[] {
  if (!record.isShared) return record.served;
  const places = new Map(
    lines.flatMap(({ stations }, at) => stations.map(({ name }) => [name, at] as const)),
  );
  const keyed = record.served.map((reading) => {
    const { isOptional, trueMs, station } = reading;
    const told = isOptional ? charge.turns.find(({ fromMs }) => fromMs >= trueMs) : undefined;
    if (told === undefined) return { reading, atMs: trueMs, line: lines.length };
    return { reading, atMs: told.fromMs, line: places.get(station) ?? 0 };
  });
  return keyed.toSorted((a, b) => a.atMs - b.atMs || a.line - b.line).map(({ reading }) => reading);
}

/**
 * The gaps that may explain a loss of this store: what another store of the same process lost explains
 * nothing, nor does its overload; a time that nobody observed a station is the same for both.
 */
export function ownGaps(evidence: Evidence, runs: readonly AgentRun[], part: Part): Evidence['gapsOfTag'] {
  const foreign = new Set(
    runs.flatMap(({ streamIds }) => [...streamIds].flatMap(([of, id]) => (of === part ? [] : id))),
  );
  const isOwn = (gap: ArchivedGap): boolean =>
    !foreign.has(gap.streamId) || (gap.kind === 'time' && gap.station !== null);
  return evidence.gapsOfTag.map((gaps) => gaps.filter(isOwn));
}

/** The plant's record has the times of then, and after a pause those that a clock fix moved it to. */
function bothTimes(archive: SimulatedArchive, gap: ArchivedGap): ArchivedGap[] {
  const raw = gap.kind === 'time' ? archive.rawTimeGap(gap.streamId, gap.sequence) : undefined;
  if (raw === undefined || gap.kind !== 'time') return [gap];
  return raw.fromUs === gap.fromUs && raw.toUs === gap.toUs ? [gap] : [gap, { ...gap, ...raw }];
}

const ALWAYS = { fromUs: Number.MIN_SAFE_INTEGER, toUs: Number.MAX_SAFE_INTEGER };

/** Reads the archive by its public interface. */
export async function readEvidence(
  archive: SimulatedArchive,
  stations: readonly string[],
): Promise<Evidence> {
  const names = stations.flatMap((station) => TAGS.map((tag) => `${station}.${tag}`));
  const rows = new Map<string, Row[]>();
  const add = (streamId: string, row: Row) => {
    const list = rows.get(streamId);
    if (list === undefined) rows.set(streamId, [row]);
    else list.push(row);
  };
  const gapsOfTag: ArchivedGap[][] = [];
  const samplesOfTag: ArchivedSample[][] = [];
  const timeGaps = new Map<string, Extract<ArchivedGap, { kind: 'time' }>>();
  for (const [tagIndex, tag] of names.entries()) {
    const samples = await archive.samples({ site: SITE, tag, ...ALWAYS, limit: OPEN_END, withMarked: true });
    samplesOfTag.push(samples);
    for (const { streamId, sequence, value, quality, cause, deviceTimeUs, rawTimeUs } of samples) {
      const sourceTimeUs = rawTimeUs;
      const times = { sourceTimeUs, deviceTimeUs: deviceTimeUs ?? sourceTimeUs };
      add(streamId, { kind: 'sample', sequence, tagIndex, value, quality, cause, ...times });
    }
    const gaps = (await archive.gaps({ site: SITE, tag, ...ALWAYS })).flatMap((gap) =>
      bothTimes(archive, gap),
    );
    gapsOfTag.push(gaps);
    for (const gap of gaps) if (gap.kind === 'time') timeGaps.set(`${gap.streamId}/${gap.sequence}`, gap);
  }
  for (const { streamId, sequence } of archive.clockFixes) add(streamId, { kind: 'clock-fix', sequence });
  for (const gap of timeGaps.values()) add(gap.streamId, { kind: 'time-gap', sequence: gap.sequence, gap });
  const streams = new Map<string, StreamEvidence>();
  const known = await archive.streams(SITE, PROCESS);
  const ends = new Map(
    known.flatMap(({ previous }) =>
      previous?.endedCleanly === true ? [[previous.streamId, previous.lastDurableSequence] as const] : [],
    ),
  );
  for (const { streamId, coverage } of known) {
    const sorted = (rows.get(streamId) ?? []).sort((a, b) => a.sequence - b.sequence);
    streams.set(streamId, { coverage, toldEnd: ends.get(streamId) ?? null, rows: sorted });
  }
  return { streams, gapsOfTag, samplesOfTag };
}
