import { contiguousEnd, countOf, subtract } from '../../src/domain/coverage.ts';
import { OPEN_END } from '../../src/domain/gap.ts';
import { isUnobserved, isUsable, Quality } from '../../src/domain/quality.ts';
import type { SampleValue } from '../../src/domain/sample.ts';
import type { ArchivedGap } from '../../src/world/archive.ts';
import type { Evidence, PartRun, Row, SampleRow, StreamEvidence } from './evidence.ts';
import type { Seen, Served } from './plant.ts';
import { TAGS } from './plant.ts';

/*
 * The checkers compare the plant's own record with the archive, and the archive with itself. They use nothing
 * that the agent or the Kernel counted.
 */

/** The wall clock shows this at the true time 0, µs. */
export const STARTED_US = 1_767_225_600_000_000;

/** What a heartbeat on a slow link leaves open of the Kernel's clock. */
const HEARTBEAT_US = 100_000;

export type Find = (text: string) => void;

/** Rows of a stream are unique and are exactly what its coverage calls data; nothing is left unresolved. */
export function checkCoverage(streamId: string, stream: StreamEvidence, find: Find): void {
  const name = streamId.slice(0, 8);
  let before = 0;
  for (const { sequence } of stream.rows) {
    if (sequence === before) find(`stream ${name}: number ${sequence} is in the archive twice`);
    before = sequence;
  }
  const data = stream.coverage.filter(({ state }) => state === 'data');
  const numbers = new Set(stream.rows.map(({ sequence }) => sequence));
  if (numbers.size !== countOf(data))
    find(`stream ${name}: ${numbers.size} numbers have rows, ${countOf(data)} are covered as data`);
  const outside = [...numbers].find((at) => !data.some(({ first, last }) => first <= at && at <= last));
  if (outside !== undefined) find(`stream ${name}: number ${outside} has a row and no coverage`);
}

/**
 * Every number of a stream that is over is data or in a gap. `heardThrough`: no Kernel that lives heard of a
 * higher number. Where that one is not beyond the end that its store tells, nobody can know of it.
 */
export function checkResolved(
  run: PartRun,
  stream: StreamEvidence & { readonly heardThrough: number },
  find: Find,
): void {
  const end = contiguousEnd(stream.coverage);
  const last = stream.coverage.at(-1)?.last ?? 0;
  if (end < last) find(`run ${nameOf(run)}: numbers from ${end + 1} on are neither data nor in a gap`);
  const wasCut = (run.end === 'killed' || run.end === 'power-cut') && !run.wasStopping && run.wasInCharge;
  const { toldEnd, heardThrough } = stream;
  const isUnheard = toldEnd !== null && Math.max(heardThrough, end) <= toldEnd;
  if (wasCut && end !== OPEN_END && !isUnheard)
    find(`run ${nameOf(run)}: it was cut off, and nothing says so`);
}

export interface RunContext {
  readonly run: PartRun;
  readonly stream: StreamEvidence;
  readonly gapsOfTag: Evidence['gapsOfTag'];
  /** What was served later may still be on its way, true time. */
  readonly untilMs: number;
  /** The youngest reading that a cut may cost is not older than this; `null`: not bounded in this run. */
  readonly lossBoundMs: number | null;
  /** The agent's time may go back between two runs: the interval of a gap between them may be empty. */
  readonly mayStartAnew: boolean;
  readonly find: Find;
}

/**
 * Walks through the archived stream and the readings of the run side by side. Each row must be the next
 * reading of its tag, and each reading that had to be reported is a row, or lies where numbers are missing
 * that a gap declares, or in an interval that a time gap declares.
 */
export function checkRun(context: RunContext): void {
  const { run, stream, find } = context;
  const { served } = run;
  const isMandatory = mandatory(served);
  const places = placesOf(served);
  const values = new Map<number, SampleValue>();
  let next = 0;
  let sequence = 0;
  const passTo = (index: number) => {
    for (; next < index; next++) note(values, served[next]);
  };
  for (const row of stream.rows) {
    if (row.kind !== 'sample' || isOfAgent(row)) continue;
    const found = firstFrom(places.get(keyOf(row.tagIndex, row.value, row.deviceTimeUs)), next);
    if (found === undefined) {
      if (row.cause !== 'change' && values.get(row.tagIndex) === row.value) continue;
      find(`run ${nameOf(run)}: number ${row.sequence} is out of order, doubled or foreign: ${show(row)}`);
      continue;
    }
    const missing = readingsBetween(served, isMandatory, next, found);
    const behind = served[found];
    checkMissing(context, missing, { first: sequence + 1, last: row.sequence - 1, behind });
    checkHole(context, { sequence, row, skipped: served.slice(next, found) });
    passTo(found + 1);
    sequence = row.sequence;
  }
  const rest = readingsBetween(served, isMandatory, next, served.length);
  const due = rest.filter(({ trueMs }) => trueMs <= context.untilMs);
  checkMissing(context, due, { first: sequence + 1, last: OPEN_END });
  checkLossBound(context, due, sequence);
}

interface Numbers {
  readonly first: number;
  readonly last: number;
}

/**
 * Missing readings need as many missing numbers, or a time gap around each. A gap is told by the clock of the
 * end of what it tells: where that was set meanwhile, by the clock of the reading behind the missing ones.
 */
function checkMissing(
  context: RunContext,
  missing: readonly Served[],
  { behind, ...numbers }: Numbers & { readonly behind?: Served | undefined },
): void {
  const { run, find } = context;
  const setUs = (reading: Served): number =>
    behind === undefined ? 0 : behind.wallUs - reading.wallUs - (behind.trueMs - reading.trueMs) * 1000;
  const asTold = (reading: Served): Served => ({ ...reading, wallUs: reading.wallUs + setUs(reading) });
  const isDeclared = (reading: Served): boolean => isInTimeGap(reading, context.gapsOfTag);
  const unexplained = missing.filter((reading) => !isDeclared(reading) && !isDeclared(asTold(reading)));
  if (unexplained.length === 0) return;
  const declared = numbers.first > numbers.last ? 0 : countOf(gapsWithin(context.stream, numbers));
  if (unexplained.length <= declared) return;
  // A time gap among the missing numbers is told by the interval of the gap that they are in; a run whose
  // stream nobody ever heard of, by any gap of those before and after it.
  const isUnknown = context.stream.coverage.length === 0;
  if (isUnknown && context.mayStartAnew) return;
  const { streamId } = run;
  const isTold = ({ tagIndex, wallUs }: Served) =>
    (context.gapsOfTag[tagIndex] ?? []).some(
      (gap) => (isUnknown || gap.streamId === streamId) && gap.fromUs <= wallUs && wallUs <= gap.toUs,
    );
  if ((isUnknown || declared > 0) && unexplained.filter((reading) => !isTold(reading)).length <= declared)
    return;
  const [first] = unexplained;
  find(
    `run ${nameOf(run)}: ${unexplained.length} readings are lost between numbers ${numbers.first - 1} and ` +
      `${numbers.last + 1}, where ${declared} are declared; the first: ${first && showServed(first)}`,
  );
}

/** A gap is no cheat: it has no more numbers than there was to be numbered. */
function checkHole(
  context: RunContext,
  hole: { sequence: number; row: SampleRow; skipped: readonly Served[] },
): void {
  const { run, stream, find } = context;
  const missing = countOf(gapsWithin(stream, { first: hole.sequence + 1, last: hole.row.sequence - 1 }));
  if (missing === 0) return;
  const batches = (hole.skipped.at(-1)?.batch ?? 0) - (hole.skipped[0]?.batch ?? 0) + 2;
  const possible = hole.skipped.length + (batches + run.losses) * 2 * TAGS.length * 4;
  if (missing > possible) {
    find(
      `run ${nameOf(run)}: ${missing} numbers before ${hole.row.sequence} are declared lost, of ${possible}`,
    );
  }
}

/** What only the open end of a cut explains is not older than the bound on a cut's loss. */
function checkLossBound(context: RunContext, due: readonly Served[], sequence: number): void {
  const { run, stream, lossBoundMs, find } = context;
  if (lossBoundMs === null || (run.end !== 'killed' && run.end !== 'power-cut')) return;
  const closed = gapsWithin(stream, { first: sequence + 1, last: OPEN_END }).filter(
    ({ last }) => last !== OPEN_END,
  );
  const old = due.filter(
    (reading) =>
      reading.trueMs < run.endedMs - lossBoundMs && !isInTimeGap(reading, context.gapsOfTag, 'overload'),
  );
  const [first] = old;
  if (first === undefined || old.length <= countOf(closed)) return;
  const ageMs = Math.round(run.endedMs - first.trueMs);
  find(`run ${nameOf(run)}: a cut cost readings that were ${ageMs} ms old, the bound is ${lossBoundMs} ms`);
}

function gapsWithin(stream: StreamEvidence, { first, last }: Numbers): Numbers[] {
  if (first > last) return [];
  const missing = stream.coverage.filter(({ state }) => state !== 'data');
  return missing
    .map((range) => ({ first: Math.max(range.first, first), last: Math.min(range.last, last) }))
    .filter((range) => range.first <= range.last);
}

/** What report-by-exception must let through: the first good value, other values, and all after a pause. */
function mandatory(served: readonly Served[]): boolean[] {
  const last = new Map<number, Served>();
  return served.map((reading) => {
    const before = last.get(reading.tagIndex);
    last.set(reading.tagIndex, reading);
    if (!isUsable(reading.quality) || reading.isOptional) return false;
    // What may have been reported already need not be again.
    if (before?.isOptional) return before.value !== reading.value && isUsable(before.quality);
    if (before === undefined || reading.isAfterPause) return true;
    return !isUsable(before.quality) || before.value !== reading.value;
  });
}

function readingsBetween(
  served: readonly Served[],
  isMandatory: readonly boolean[],
  ...[from, to]: readonly [number, number]
): Served[] {
  const found: Served[] = [];
  for (let at = from; at < to; at++) {
    const reading = served[at];
    if (reading !== undefined && isMandatory[at]) found.push(reading);
  }
  return found;
}

function placesOf(served: readonly Served[]): Map<string, number[]> {
  const places = new Map<string, number[]>();
  for (const [at, { tagIndex, value, sourceTimeUs, wallUs }] of served.entries()) {
    const key = keyOf(tagIndex, value, sourceTimeUs > 0 ? sourceTimeUs : wallUs);
    const list = places.get(key);
    if (list === undefined) places.set(key, [at]);
    else list.push(at);
  }
  return places;
}

function firstFrom(places: readonly number[] | undefined, from: number): number | undefined {
  return places?.find((at) => at >= from);
}

function keyOf(tagIndex: number, value: SampleValue, timeUs: number): string {
  return `${tagIndex} ${typeof value} ${value} ${timeUs}`;
}

function note(values: Map<number, SampleValue>, reading: Served | undefined): void {
  if (reading !== undefined) values.set(reading.tagIndex, reading.value);
}

/** What report-by-exception makes of a lost line. */
function isOfAgent(row: Row): boolean {
  return row.kind === 'sample' && row.quality === Quality.badNotConnected;
}

/**
 * What was taken over before the agent's time was set right is in a gap that was told after it by true time.
 */
function isInTimeGap({ tagIndex, wallUs, trueMs }: Served, gaps: Evidence['gapsOfTag'], reason?: string) {
  const trueUs = STARTED_US + trueMs * 1000;
  const isWithin = (gap: ArchivedGap, timeUs: number, toleranceUs: number): boolean =>
    gap.fromUs - toleranceUs <= timeUs && timeUs < gap.toUs + toleranceUs;
  return (gaps[tagIndex] ?? []).some(
    (gap) =>
      gap.kind === 'time' &&
      (reason === undefined || gap.reason === reason) &&
      (isWithin(gap, wallUs, 0) || isWithin(gap, trueUs, HEARTBEAT_US)),
  );
}

export interface StationContext {
  readonly name: string;
  /** One of its tags that the store has. */
  readonly tagIndex: number;
  readonly seen: readonly Seen[];
  /** Longest pause between two sights of a station that is well. */
  readonly pauseMaxMs: number;
  readonly evidence: Evidence;
  readonly untilMs: number;
  /** When the store lost what it knew: nobody can tell of the pause around it. */
  readonly forgotAtMs: readonly number[];
  /** Starts of the agent, ascending, true times. */
  readonly startsMs: readonly number[];
  /** Streams in the order in which they were started. */
  readonly streamIds: readonly string[];
  /** The right time of a sight, integer µs. */
  readonly trueUs: (seen: Seen) => number;
  readonly find: Find;
}

/** Clocks and scheduling between the plant's record and the agent's. */
const TOLERANCE_US = 1_000_000;

/** Every interval in which nobody saw the station is declared for its tags. */
export function checkObserved(context: StationContext): void {
  const { name, tagIndex, seen, pauseMaxMs, evidence, find } = context;
  const declared = merged([...(evidence.gapsOfTag[tagIndex] ?? []), ...badIntervals(context)]);
  for (const [at, from] of seen.entries()) {
    const to = seen[at + 1];
    if (to === undefined || to.trueMs - from.trueMs <= pauseMaxMs || to.trueMs > context.untilMs) continue;
    // Until the next start what was declared of it may have been lost with the store.
    const nextStartMs = context.startsMs.find((ms) => ms > to.trueMs) ?? Number.POSITIVE_INFINITY;
    if (context.forgotAtMs.some((atMs) => from.trueMs <= atMs && atMs <= nextStartMs)) continue;
    // In an interval in which the wall clock was set, its times say little.
    const stepUs = Math.abs(to.wallUs - from.wallUs - (to.trueMs - from.trueMs) * 1000);
    if (stepUs > 1000) continue;
    const holes = declared.map(({ fromUs, toUs }) => ({ first: fromUs, last: toUs }));
    // By the machine's clock, or by the right time, which a Kernel may have told.
    const [byMachineUs, byRightUs] = [(seen: Seen) => seen.wallUs, context.trueUs].map((timeOf) =>
      countOf(subtract({ first: timeOf(from), last: timeOf(to) }, holes)),
    ) as [number, number];
    const openUs = Math.min(byMachineUs, byRightUs);
    if (openUs <= pauseMaxMs * 1000 + TOLERANCE_US) continue;
    const seconds = (ms: number) => `${(ms / 1000).toFixed(3)} s`;
    find(
      `station ${name} was not observed from ${seconds(from.trueMs)} to ${seconds(to.trueMs)}, ` +
        `and ${seconds(openUs / 1000)} of it are not declared`,
    );
  }
}

/**
 * A quality that says "nobody saw it" declares the time until the next row: the next that was numbered, since
 * a device whose clock is wrong puts its rows anywhere.
 */
function badIntervals({ evidence, tagIndex, streamIds }: StationContext): { fromUs: number; toUs: number }[] {
  const places = new Map(streamIds.map((streamId, at) => [streamId, at]));
  const placeOf = ({ streamId }: { readonly streamId: string }) => places.get(streamId) ?? -1;
  const rows = (evidence.samplesOfTag[tagIndex] ?? []).toSorted(
    (a, b) => placeOf(a) - placeOf(b) || a.sequence - b.sequence,
  );
  return rows.flatMap(({ quality, sourceTimeUs: fromUs }, at) =>
    isUnobserved(quality) ? [{ fromUs, toUs: Math.max(fromUs, rows[at + 1]?.sourceTimeUs ?? fromUs) }] : [],
  );
}

function merged(gaps: readonly Pick<ArchivedGap, 'fromUs' | 'toUs'>[]): { fromUs: number; toUs: number }[] {
  const result: { fromUs: number; toUs: number }[] = [];
  for (const { fromUs, toUs } of gaps.toSorted((a, b) => a.fromUs - b.fromUs)) {
    const last = result.at(-1);
    if (last !== undefined && fromUs <= last.toUs) last.toUs = Math.max(last.toUs, toUs);
    else result.push({ fromUs, toUs });
  }
  return result;
}

function nameOf(run: PartRun): string {
  return `${run.streamId?.slice(0, 8) ?? 'without a stream'} (${run.end})`;
}

function show(row: SampleRow): string {
  return `tag ${row.tagIndex} = ${String(row.value).slice(0, 20)} at ${row.sourceTimeUs}, ${row.cause}`;
}

function showServed({ tagIndex, value, trueMs }: Served): string {
  return `tag ${tagIndex} = ${String(value).slice(0, 20)} at ${(trueMs / 1000).toFixed(3)} s`;
}
