import { type Coverage, countOf, subtract } from '../../src/domain/coverage.ts';
import { OPEN_END } from '../../src/domain/gap.ts';
import type { ArchivedGap } from '../../src/world/archive.ts';
import type { AgentHost, AgentRun } from './agent-host.ts';
import type { Find } from './checkers.ts';
import type { Evidence } from './evidence.ts';
import type { Swarm } from './options.ts';
import { shareOf } from './parts.ts';

/** So many time gaps of each reason a station may have of one event: a fault, its end, a start, a stop. */
const GAPS_PER_EVENT = 2;
const QUARANTINE_DIRECTORIES_MAX = 4;
const QUARANTINE_SHARE = 0.2;
/** Reasons that need no event: a ring that is full goes on being full. */
const STEADY_REASONS: readonly string[] = ['evicted', 'refused', 'overload'];

export interface StormContext {
  readonly agents: readonly AgentHost[];
  readonly faults: { readonly momentsMs: readonly number[] };
  readonly swarm: Swarm;
  readonly evidence: Evidence;
  /** The end of the run, true time. */
  readonly untilMs: number;
  readonly find: Find;
}

type SequenceGapRecord = Extract<ArchivedGap, { kind: 'sequence' }>;

/** What the archive has of the gaps of one stream, each record once. */
interface Records {
  readonly sequences: readonly SequenceGapRecord[];
  /** Numbers of the time gaps by reason. */
  readonly times: ReadonlyMap<string, ReadonlySet<number>>;
}

/**
 * What goes wrong once is declared a few times, and not over and over; and of no number it is told twice why
 * it is lost. The bounds are those of README.md, for each stream and reason.
 */
export function checkStorms(context: StormContext): void {
  const { agents, evidence, find } = context;
  const records = recordsByStream(evidence);
  for (const run of agents.flatMap(({ runs }) => runs)) {
    for (const streamId of run.streamIds.values()) {
      const own = records.get(streamId);
      const coverage = evidence.streams.get(streamId)?.coverage ?? [];
      if (own === undefined) continue;
      const name = `stream ${streamId.slice(0, 8)}`;
      for (const [reason, count, bound] of counted(own, { coverage, run, context })) {
        if (count > bound) find(`${name} has ${count} gaps (${reason}), the bound is ${bound}`);
      }
      checkRecords(name, { own, coverage, find });
    }
  }
}

function* counted(
  { sequences, times }: Records,
  { coverage, run, context }: { coverage: Coverage; run: AgentRun; context: StormContext },
): Generator<readonly [reason: string, count: number, bound: number]> {
  const { swarm, faults, agents, untilMs } = context;
  const endedMs = run.end === 'running' ? untilMs : run.endedMs;
  const inLife = (ms: number): boolean => run.startedMs <= ms && ms <= endedMs;
  const stations = swarm.lines.reduce((sum, { stations: own }) => sum + own.length, 0);
  // A start, a stop, and what happens in between.
  const events = 2 + faults.momentsMs.filter(inLife).length + 2 * run.charge.turns.length;
  const steadyMax = 2 + Math.ceil((endedMs - run.startedMs) / swarm.blockAgeMs);
  for (const [reason, numbers] of times) {
    const isSteady = STEADY_REASONS.includes(reason);
    yield [reason, numbers.size, isSteady ? steadyMax : GAPS_PER_EVENT * stations * events];
  }
  const byReason = Map.groupBy(sequences, ({ reason }) => reason);
  const pieces = 1 + coverage.filter(({ state }) => state === 'data').length;
  const starts = agents.reduce((sum, { runs }) => sum + runs.length, 0) + run.charge.turns.length;
  for (const [reason, all] of byReason) {
    const eventMax = pieces + faults.momentsMs.length + starts;
    // Of each block that a Kernel refuses of another one there is a record.
    const isRefused = reason === 'rejected' && swarm.faults.has('kernel-refusing');
    yield [reason, all.length, isRefused || STEADY_REASONS.includes(reason) ? steadyMax : eventMax];
  }
}

/** The records of lost numbers are the coverage that is not data, in other words. */
function checkRecords(
  name: string,
  { own, coverage, find }: { own: Records; coverage: Coverage; find: Find },
): void {
  const ranges = own.sequences
    .map(({ firstSequence: first, lastSequence: last, reason }) => ({ first, last, reason }))
    .toSorted((a, b) => a.first - b.first);
  let through = 0;
  for (const { first, last, reason } of ranges) {
    if (first <= through) find(`${name}: two gaps tell of number ${first}`);
    through = last;
    if (!coverage.some((range) => range.first <= first && last <= range.last && range.state === reason))
      find(`${name}: the gap of numbers ${first} to ${last} (${reason}) is not what is covered`);
  }
  for (const range of coverage) {
    // Behind a cut there may have been nothing: a gap with an open end goes when all is there.
    if (range.state === 'data' || range.last === OPEN_END) continue;
    const silent = countOf(subtract(range, ranges));
    if (silent > 0)
      find(`${name}: no gap tells of ${silent} numbers from ${range.first} on (${range.state})`);
  }
}

function recordsByStream({ gapsOfTag }: Evidence): Map<string, Records> {
  const gaps = new Map<string, ArchivedGap>();
  // A gap is told for each tag that it concerns.
  for (const gap of gapsOfTag.flat()) gaps.set(keyOf(gap), gap);
  const streams = Map.groupBy(gaps.values(), ({ streamId }) => streamId);
  return new Map([...streams].map(([streamId, own]) => [streamId, recordsOf(own)]));
}

function keyOf(gap: ArchivedGap): string {
  const numbers = gap.kind === 'time' ? gap.sequence : `${gap.firstSequence} ${gap.lastSequence}`;
  return `${gap.streamId} ${gap.reason} ${numbers}`;
}

function recordsOf(gaps: readonly ArchivedGap[]): Records {
  const times = new Map<string, Set<number>>();
  for (const gap of gaps) {
    if (gap.kind === 'time') times.set(gap.reason, (times.get(gap.reason) ?? new Set()).add(gap.sequence));
  }
  return { sequences: gaps.filter((gap) => gap.kind === 'sequence'), times };
}

/** What could not be used is kept for a while, within bounds. */
export function checkQuarantine({
  agents,
  swarm,
  find,
}: Pick<StormContext, 'agents' | 'swarm' | 'find'>): void {
  for (const agent of agents) {
    for (const [part, disk] of agent.disks) {
      const kept = disk.names.filter((name) => name.startsWith('quarantine/'));
      const values = kept.flatMap((name) => disk.keys(name).map((key) => disk.value(name, key)?.length ?? 0));
      const bytes = values.reduce((sum, each) => sum + each, 0);
      const bytesMax = QUARANTINE_SHARE * shareOf(part, swarm.alarmShare) * swarm.capacityBytes;
      if (kept.length > QUARANTINE_DIRECTORIES_MAX || bytes > bytesMax)
        find(`the quarantine of ${part} has ${kept.length} directories and ${bytes} bytes`);
    }
  }
}
