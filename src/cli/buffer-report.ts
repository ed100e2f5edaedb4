import type { ClassStoreStatus } from '../agent/class-store.ts';
import type { RingDamage, RingFacts, RingInspection } from '../buffer/facts.ts';
import { type SegmentFacts, unacknowledgedSamples } from '../buffer/segment.ts';
import { countOf, joinTouching, type SequenceRange } from '../domain/coverage.ts';
import { type KnownLosses, knownCounts, knownEnd } from '../domain/gap.ts';
import { formatDuration, formatSize, formatTimeUs } from '../domain/units.ts';
import { gapLine, ledgerLines, type ReportedGap, reportedGap } from './gap-list.ts';

/** One ring for `kom buffer stat`; what an agent at rest cannot know is `null`. */
export interface BufferReport {
  readonly name: string;
  readonly capacityBytes: number | null;
  readonly diskBytes: number | null;
  readonly fill: number | null;
  readonly segments: number;
  readonly blocks: number;
  readonly samples: number;
  readonly unacknowledgedSamples: number;
  readonly oldestUs: number | null;
  readonly newestUs: number | null;
  readonly oldestUnacknowledgedUs: number | null;
  readonly streams: readonly StreamReport[];
  /** Losses that no Kernel has acknowledged. */
  readonly gaps: readonly ReportedGap[];
  /** Losses that a Kernel acknowledged, the last ones, oldest first; only if asked for. */
  readonly told?: readonly ReportedGap[];
  /** How far back losses are known. */
  readonly ledger: RingFacts['ledger'];
  /** All losses since the ring was made, told ones included; samples by reason, `null` for unknown. */
  readonly lostByReason: KnownLosses;
  readonly status: ClassStoreStatus | null;
  /** At rest: what does not open, and so is in none of the figures. */
  readonly damages: readonly RingDamage[];
}

interface StreamReport {
  readonly streamId: string;
  readonly startedAtUs: number;
  readonly end: 'runs' | 'clean' | 'cut-off';
  /** `null`: all, and nobody knows how far it ran, because it was cut off. */
  readonly ackedThrough: number | null;
  readonly durableThrough: number;
  readonly held: readonly SequenceRange[];
  readonly samples: number;
  /** Where a segment holds several streams, by the share of its blocks. */
  readonly bytes: number;
  readonly fromUs: number | null;
  readonly toUs: number | null;
}

/** Puts together what facts and a running agent tell. */
export function reportOf(
  facts: RingFacts,
  view: {
    readonly name: string;
    readonly inspection: Pick<RingInspection, 'damages'>;
    readonly capacityBytes: number | null;
    readonly diskBytes: number | null;
    readonly status: ClassStoreStatus | null;
    readonly withTold: boolean;
  },
): BufferReport {
  const { segments } = facts;
  const acked = new Map(facts.streams.map((stream) => [stream.info.streamId, stream.ackedThrough]));
  const ackedThrough = (streamId: string): number => acked.get(streamId) ?? 0;
  const waiting = segments.filter((segment) => unacknowledgedSamples(segment, ackedThrough) > 0);
  const sum = (of: (segment: SegmentFacts) => number) =>
    segments.reduce((total, segment) => total + of(segment), 0);
  const { capacityBytes, diskBytes } = view;
  return {
    name: view.name,
    capacityBytes,
    diskBytes,
    fill: capacityBytes === null || diskBytes === null ? null : diskBytes / capacityBytes,
    segments: segments.length,
    blocks: sum((segment) => segment.blocks),
    samples: sum((segment) => segment.samples),
    unacknowledgedSamples: sum((segment) => unacknowledgedSamples(segment, ackedThrough)),
    oldestUs: edge(segments, 'fromUs'),
    newestUs: edge(segments, 'toUs'),
    oldestUnacknowledgedUs:
      view.status === null ? edge(waiting, 'fromUs') : view.status.backlog.ring.oldestUnacknowledgedUs,
    streams: facts.streams.map((stream) => streamReport(stream, segments, view.status !== null)),
    gaps: facts.gaps.map(reportedGap),
    ...(view.withTold ? { told: facts.told.map(reportedGap) } : {}),
    ledger: facts.ledger,
    lostByReason: knownCounts(facts.lost),
    status: view.status,
    damages: view.inspection.damages,
  };
}

function streamReport(
  { info, ended, ackedThrough, durableThrough }: RingFacts['streams'][number],
  segments: readonly SegmentFacts[],
  isLive: boolean,
): StreamReport {
  const own = segments.flatMap((segment) =>
    segment.runs
      .filter((run) => run.streamId === info.streamId)
      .map((run) => ({
        run,
        bytes: (segment.bytes * (run.lastPosition - run.firstPosition + 1)) / Math.max(1, segment.blocks),
      })),
  );
  const runs = own.map(({ run }) => run);
  const held = joinTouching(runs.flatMap((run) => run.ranges).toSorted((a, b) => a.first - b.first));
  return {
    streamId: info.streamId,
    startedAtUs: info.startedAtUs,
    end: ended === null ? (isLive ? 'runs' : 'cut-off') : ended.cleanly ? 'clean' : 'cut-off',
    ackedThrough: knownEnd(ackedThrough),
    durableThrough,
    held,
    samples: countOf(held),
    bytes: Math.round(own.reduce((sum, { bytes }) => sum + bytes, 0)),
    fromUs: runs.length === 0 ? null : Math.min(...runs.map((run) => run.fromUs)),
    toUs: runs.length === 0 ? null : Math.max(...runs.map((run) => run.toUs)),
  };
}

function edge(segments: readonly SegmentFacts[], side: 'fromUs' | 'toUs'): number | null {
  const times = segments.flatMap((segment) => segment.runs.map((run) => run[side]));
  if (times.length === 0) return null;
  return side === 'fromUs' ? Math.min(...times) : Math.max(...times);
}

/** The report for a person. */
export function* reportLines(report: BufferReport, nowUs: number): Generator<string> {
  const { status } = report;
  yield `${report.name}: ${status === null ? 'at rest' : status.backlog.state}`;
  const size = report.diskBytes === null ? 'unknown' : formatSize(report.diskBytes);
  const fill = report.fill === null ? '' : ` (${(report.fill * 100).toFixed(1)} %)`;
  const capacity = report.capacityBytes === null ? '' : ` of ${formatSize(report.capacityBytes)}${fill}`;
  yield `  held         ${size}${capacity}, ${report.samples} samples in ${report.blocks} blocks,` +
    ` ${report.segments} segments`;
  yield `  waiting      ${report.unacknowledgedSamples} samples not acknowledged` +
    (report.oldestUnacknowledgedUs === null ? '' : `, oldest ${age(report.oldestUnacknowledgedUs, nowUs)}`);
  if (report.oldestUs !== null && report.newestUs !== null) {
    yield `  times        ${formatTimeUs(report.oldestUs)} to ${formatTimeUs(report.newestUs)}`;
  }
  for (const { place, what } of report.damages) yield `  damaged      ${place}: ${what}`;
  if (status !== null) yield* paceLines(status);
  for (const stream of report.streams) yield* streamLines(stream, nowUs);
  yield* lossLines(report);
}

/** A store for `kom status`: what waits, how full the ring is, what was lost. */
export function* storeLines(status: ClassStoreStatus, nowUs: number): Generator<string> {
  const { backlog } = status;
  const { ring } = backlog;
  const fill = ((100 * ring.diskBytes) / ring.capacityBytes).toFixed(1);
  yield `  backlog      ${backlog.samples} samples not acknowledged,` +
    ` ${backlog.windowSamples} of them in memory` +
    (ring.oldestUnacknowledgedUs === null ? '' : `, oldest ${age(ring.oldestUnacknowledgedUs, nowUs)}`);
  yield `  ring         ${formatSize(ring.diskBytes)} of ${formatSize(ring.capacityBytes)} (${fill} %),` +
    ` ${ring.samples} samples in ${ring.segments} segments`;
  yield* paceLines(status);
  for (const { streamId, first, last, archivedBefore } of backlog.replays) {
    yield `  replay       ${streamId} ${first}–${last} is sent again, archived before ${archivedBefore}`;
  }
  for (const [reason, count] of Object.entries(ring.lostByReason)) {
    yield `  lost         ${count ?? 'an unknown number of'} samples: ${reason}`;
  }
}

/** Pace and health of a store for a person. */
function* paceLines({ backlog, pace, powerCut }: ClassStoreStatus): Generator<string> {
  const { ring } = backlog;
  const rate = (value: number | null, unit: string): string =>
    value === null ? 'unknown' : `${value.toFixed(value < 10 ? 1 : 0)} ${unit}`;
  const bytes = pace.bytesPerS === null ? '' : `, ${formatSize(pace.bytesPerS)}/s`;
  const left =
    pace.fullInMs === null ? '' : `; in an outage the ring is full in ${formatDuration(pace.fullInMs)}`;
  yield `  inflow       ${rate(pace.samplesPerS, 'samples/s')}${bytes}${left}`;
  const end = pace.drainedInMs === null ? '' : `, done in ${formatDuration(pace.drainedInMs)}`;
  yield `  drain        ${rate(pace.deliveredPerS, 'samples/s')}${end}`;
  yield `  disk         ${ring.state}${ring.lastError === null ? '' : `, last error: ${ring.lastError}`};` +
    ` ${formatSize(ring.writtenBytes)} written since the start,` +
    ` slowest sync of the last hour ${formatDuration(ring.slowestSyncMs)}`;
  const { boundMs, configuredMs, writeMs, stallMs, presentMs } = powerCut;
  yield `  power cut    costs ${formatDuration(boundMs)} at most, of the ` +
    `${formatDuration(configuredMs)} that are set, ${formatDuration(presentMs)} now; within the hour the` +
    ` slowest write took ${formatDuration(writeMs)}, and the process was late by ${formatDuration(stallMs)}`;
}

function* streamLines(stream: StreamReport, nowUs: number): Generator<string> {
  const end = { runs: 'runs', clean: 'ended cleanly', 'cut-off': 'was cut off' }[stream.end];
  yield `  stream       ${stream.streamId}, since ${formatTimeUs(stream.startedAtUs)}, ${end}`;
  const ranges = stream.held.map(({ first, last }) => `${first}–${last}`).join(', ');
  const oldest = stream.fromUs === null ? '' : `, oldest ${age(stream.fromUs, nowUs)}`;
  const size = `${stream.samples} samples, ${formatSize(stream.bytes)}${oldest}`;
  yield `    holds      ${ranges === '' ? 'nothing' : `${ranges}: ${size}`}`;
  const acked = stream.ackedThrough === null ? 'all' : `through ${stream.ackedThrough}`;
  yield `    watermarks acknowledged ${acked}, durable through ${stream.durableThrough}`;
}

function* lossLines({ lostByReason, gaps, told, ledger }: BufferReport): Generator<string> {
  const totals = Object.entries(lostByReason);
  if (totals.length === 0) yield '  lost         nothing';
  for (const [reason, count] of totals) {
    yield `  lost         ${count ?? 'an unknown number of'} samples, ${reason}, in all`;
  }
  for (const gap of gaps) yield `    not told   ${gapLine(gap)}`;
  if (told === undefined) return;
  for (const gap of told) yield `    told       ${gapLine(gap)}`;
  for (const line of ledgerLines({ ledger, told: told.length })) yield `    journal    ${line}`;
}

function age(timeUs: number, nowUs: number): string {
  return `${formatTimeUs(timeUs)} (${formatDuration(Math.max(0, nowUs - timeUs) / 1000)} ago)`;
}
