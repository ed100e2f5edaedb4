import { isUnobserved } from '../domain/quality.ts';
import { type SampleValue, sameValue } from '../domain/sample.ts';
import {
  type ArchivedRow,
  archivedRuns,
  countDisorder,
  countRepeated,
  type DeclaredGap,
  inStreamOrder,
} from './archived-rows.ts';
import type { ServedValue } from './record.ts';

/*
 * The proof: what the simulated devices say that they served, against what the archive holds. It uses
 * nothing that the agent or the Kernel counted.
 */

export interface ProofInput {
  readonly tag: string;
  /** In the order of serving. */
  readonly served: readonly ServedValue[];
  /** Every row of the tag, in any order. */
  readonly archived: readonly ArchivedRow[];
  readonly gaps: readonly DeclaredGap[];
  /** What was served later than this may still be on its way, integer µs. */
  readonly untilUs: number;
  /** Serving pauses longer than this must be declared, milliseconds; for a subscription `null`. */
  readonly pauseMaxMs: number | null;
  /** Scan period of a polled tag, milliseconds; for a subscription `null`. */
  readonly scanMs: number | null;
}

export interface TagProof {
  readonly tag: string;
  /** Different values in a row that the device served. */
  readonly produced: number;
  /** Those of them that are in the archive, in order. */
  readonly archived: number;
  /** Served, not in the archive, and inside a declared gap. */
  readonly declared: number;
  /**
   * Served, not in the archive, and asked for again within half a scan: a late answer, which a client has to
   * throw away (its request was over), and the answer to the repeated request.
   */
  readonly superseded: number;
  /** Served, not in the archive, not declared. */
  readonly lost: number;
  /** Archived more often than served. */
  readonly duplicates: number;
  readonly outOfOrder: number;
  /** Not observed according to the device's own record, and not declared. */
  readonly undeclaredGaps: number;
  /** Archived and never served. */
  readonly foreign: number;
  /** The first things that are wrong, for a person. */
  readonly findings: readonly string[];
}

const FINDINGS_MAX = 5;
/** Clocks and scheduling between the device's record and the agent's. */
const TOLERANCE_US = 1_000_000;

/** Proves one tag. */
export function proveTag(input: ProofInput): TagProof {
  const { untilUs, scanMs } = input;
  const runs = servedRuns(
    input.served.filter(({ servedAtUs }) => servedAtUs <= untilUs),
    scanMs,
  );
  const later = servedRuns(
    input.served.filter(({ servedAtUs }) => servedAtUs > untilUs),
    scanMs,
  );
  const rows = inStreamOrder(input.archived);
  const findings: string[] = [];
  const find = (text: string): void => {
    if (findings.length < FINDINGS_MAX) findings.push(`${input.tag}: ${text}`);
  };
  const repeated = countRepeated(rows, input.gaps, find);
  const disorder = countDisorder(rows, find);
  const matched = match(runs, archivedRuns(rows, input.gaps), { ...input, later, find });
  return {
    tag: input.tag,
    produced: runs.length,
    archived: matched.matched,
    declared: matched.declared,
    superseded: matched.superseded,
    lost: matched.lost,
    duplicates: repeated + matched.again,
    outOfOrder: disorder,
    undeclaredGaps: countUndeclared(input, find),
    foreign: matched.foreign,
    findings,
  };
}

/** A value for as long as it was served without another between. */
interface ServedRun {
  readonly value: SampleValue;
  readonly fromUs: number;
  readonly toUs: number;
  /** Every serving of it was followed by another within half a scan. */
  readonly isRepeatedAtOnce: boolean;
}

function servedRuns(served: readonly ServedValue[], scanMs: number | null): ServedRun[] {
  const runs: { value: SampleValue; fromUs: number; toUs: number; isRepeatedAtOnce: boolean }[] = [];
  for (const [at, { value, servedAtUs }] of served.entries()) {
    // A fault is not a value: it is for the gaps to declare.
    if (value === null) continue;
    const untilNextUs = (served[at + 1]?.servedAtUs ?? Number.POSITIVE_INFINITY) - servedAtUs;
    const isRepeatedAtOnce = scanMs !== null && untilNextUs < scanMs * 500;
    const last = runs.at(-1);
    if (last !== undefined && sameValue(last.value, value)) {
      last.toUs = servedAtUs;
      last.isRepeatedAtOnce &&= isRepeatedAtOnce;
    } else runs.push({ value, fromUs: servedAtUs, toUs: servedAtUs, isRepeatedAtOnce });
  }
  return runs;
}

interface MatchContext {
  /** Served after `untilUs`: it need not be in the archive yet, and may be. */
  readonly later: readonly ServedRun[];
  readonly gaps: readonly DeclaredGap[];
  readonly untilUs: number;
  readonly find: (text: string) => void;
}

interface Matched {
  readonly matched: number;
  readonly declared: number;
  readonly superseded: number;
  readonly lost: number;
  readonly again: number;
  readonly foreign: number;
}

/** Walks both sequences of values side by side; what does not meet is lost, declared, a repeat or foreign. */
function match(
  served: readonly ServedRun[],
  archived: readonly ArchivedRow[],
  context: MatchContext,
): Matched {
  const { gaps, untilUs, find } = context;
  const counts = { matched: 0, declared: 0, superseded: 0, lost: 0, again: 0, foreign: 0 };
  let at = 0;
  let last: SampleValue = null;
  for (const run of served) {
    const found = findFrom(archived, at, run.value);
    const skipped = found < 0 ? 0 : found - at;
    // Behind a loss a state is soon what it was within: that row is not this one's.
    const isOfLater = isDeclared(run, gaps) && isNearerToLater(archived[at], run, served);
    if (skipped === 0 && found >= 0 && !isOfLater) {
      counts.matched++;
      last = run.value;
      at++;
      continue;
    }
    // Around a declared loss equal values meet and look like one.
    if (last !== null && sameValue(last, run.value) && isDeclaredBefore(run, gaps)) counts.matched++;
    else if (isDeclared(run, gaps)) counts.declared++;
    else if (run.isRepeatedAtOnce && found !== at) counts.superseded++;
    else if (found >= 0 && skipped <= laterMatches(served, archived, run, at)) {
      at = acceptSkipped(archived, { at, found, served, counts, find });
      counts.matched++;
      last = run.value;
      at++;
    } else {
      counts.lost++;
      find(`${String(run.value)}, served at ${run.fromUs}, is not in the archive`);
    }
  }
  let laterAt = 0;
  for (const row of archived.slice(at)) {
    const found = context.later.findIndex(({ value }, n) => n >= laterAt && sameValue(value, row.value));
    if (found >= 0) laterAt = found + 1;
    else if (row.sourceTimeUs <= untilUs - TOLERANCE_US) countExtra(row, served, counts, find);
  }
  return counts;
}

/** The same value was served again later, nearer to the time of this row. */
function isNearerToLater(
  row: ArchivedRow | undefined,
  run: ServedRun,
  served: readonly ServedRun[],
): boolean {
  if (row === undefined) return false;
  const distanceUs = ({ fromUs, toUs }: ServedRun): number =>
    Math.max(fromUs - row.sourceTimeUs, row.sourceTimeUs - toUs, 0);
  const ownUs = distanceUs(run);
  return served.some(
    (other) => other.fromUs > run.fromUs && sameValue(other.value, row.value) && distanceUs(other) < ownUs,
  );
}

/** Position of a value in the archive's runs from `at` on, -1 if it is not there. */
function findFrom(archived: readonly ArchivedRow[], at: number, value: SampleValue): number {
  for (let position = at; position < archived.length; position++) {
    if (sameValue(archived[position]?.value ?? null, value)) return position;
  }
  return -1;
}

/**
 * How many rows may be skipped to meet this run: as many as are not wanted by what was served after it.
 * A row that a later run wants proves that this run is lost, and not that the row is extra.
 */
function laterMatches(
  served: readonly ServedRun[],
  archived: readonly ArchivedRow[],
  run: ServedRun,
  at: number,
): number {
  const wanted = archived[at]?.value ?? null;
  const isWantedLater = served.some(({ value, fromUs }) => fromUs > run.fromUs && sameValue(value, wanted));
  return isWantedLater ? -1 : archived.length;
}

function acceptSkipped(
  archived: readonly ArchivedRow[],
  skip: {
    at: number;
    found: number;
    served: readonly ServedRun[];
    counts: { again: number; foreign: number };
    find: (text: string) => void;
  },
): number {
  for (const row of archived.slice(skip.at, skip.found)) countExtra(row, skip.served, skip.counts, skip.find);
  return skip.found;
}

function countExtra(
  row: ArchivedRow,
  served: readonly ServedRun[],
  counts: { again: number; foreign: number },
  find: (text: string) => void,
): void {
  const wasServed = served.some(({ value }) => sameValue(value, row.value));
  if (wasServed) counts.again++;
  else counts.foreign++;
  find(
    `sequence ${row.sequence} holds ${String(row.value)}, ${wasServed ? 'once too often' : 'never served'}`,
  );
}

function isDeclared(run: ServedRun, gaps: readonly DeclaredGap[]): boolean {
  return gaps.some((gap) => gap.fromUs <= run.fromUs + TOLERANCE_US && run.toUs <= gap.toUs + TOLERANCE_US);
}

function isDeclaredBefore(run: ServedRun, gaps: readonly DeclaredGap[]): boolean {
  return gaps.some((gap) => gap.fromUs <= run.fromUs && run.fromUs <= gap.toUs + TOLERANCE_US);
}

/** An interval in which nobody could see the tag, and how much of it need not be declared. */
interface Unobserved extends DeclaredGap {
  readonly allowedUs: number;
}

/**
 * By the device's record: from the first fault to the next value, and pauses longer than the polling
 * explains.
 */
function unobservedIntervals(input: ProofInput): Unobserved[] {
  const intervals: Unobserved[] = [];
  const served = input.served.filter(({ servedAtUs }) => servedAtUs <= input.untilUs);
  let faultUs: number | null = null;
  for (const [at, { value, servedAtUs }] of served.entries()) {
    const nextUs = served[at + 1]?.servedAtUs ?? input.untilUs;
    if (value === null) {
      faultUs ??= servedAtUs;
      if (nextUs !== input.untilUs && served[at + 1]?.value === null) continue;
      intervals.push({ fromUs: faultUs, toUs: nextUs, allowedUs: TOLERANCE_US });
    } else if (input.pauseMaxMs !== null && nextUs - servedAtUs > input.pauseMaxMs * 1000) {
      intervals.push({ fromUs: servedAtUs, toUs: nextUs, allowedUs: TOLERANCE_US + input.pauseMaxMs * 1000 });
    }
    faultUs = null;
  }
  return intervals;
}

function countUndeclared(input: ProofInput, find: (text: string) => void): number {
  const declared = merged([...input.gaps, ...badIntervals(input)]);
  let count = 0;
  for (const { fromUs, toUs, allowedUs } of unobservedIntervals(input)) {
    let uncoveredUs = toUs - fromUs;
    for (const gap of declared) {
      uncoveredUs -= Math.max(0, Math.min(toUs, gap.toUs) - Math.max(fromUs, gap.fromUs));
    }
    if (uncoveredUs <= allowedUs) continue;
    count++;
    find(`not observed from ${fromUs} to ${toUs}, ${uncoveredUs} µs of it undeclared`);
  }
  return count;
}

/** A quality that says "nobody saw it" declares the time until the next row: an outage that still goes on. */
function badIntervals(input: ProofInput): DeclaredGap[] {
  const rows = inStreamOrder(input.archived);
  return rows.flatMap((row, at) =>
    isUnobserved(row.quality)
      ? [{ fromUs: row.sourceTimeUs, toUs: rows[at + 1]?.sourceTimeUs ?? input.untilUs }]
      : [],
  );
}

function merged(gaps: readonly DeclaredGap[]): DeclaredGap[] {
  const result: { fromUs: number; toUs: number }[] = [];
  for (const gap of [...gaps].sort((a, b) => a.fromUs - b.fromUs)) {
    const last = result.at(-1);
    if (last !== undefined && gap.fromUs <= last.toUs) last.toUs = Math.max(last.toUs, gap.toUs);
    else result.push({ ...gap });
  }
  return result;
}

/** The sum over tags. */
export interface Proof extends Omit<TagProof, 'tag'> {
  readonly ok: boolean;
  readonly tags: number;
}

/**
 * Sums up; `ok` only if nothing is lost, doubled, out of order, undeclared or foreign, and something was
 * served.
 */
export function sumProofs(proofs: readonly TagProof[]): Proof {
  const sum = (
    key: 'produced' | 'archived' | 'declared' | 'superseded' | 'lost' | 'duplicates' | 'outOfOrder',
  ) => proofs.reduce((total, proof) => total + proof[key], 0);
  const undeclaredGaps = proofs.reduce((total, proof) => total + proof.undeclaredGaps, 0);
  const foreign = proofs.reduce((total, proof) => total + proof.foreign, 0);
  const lost = sum('lost');
  const duplicates = sum('duplicates');
  const outOfOrder = sum('outOfOrder');
  const produced = sum('produced');
  const wrong = lost + duplicates + outOfOrder + undeclaredGaps + foreign;
  return {
    ok: wrong === 0 && produced > 0 && proofs.every((proof) => proof.produced > 0),
    tags: proofs.length,
    produced,
    archived: sum('archived'),
    declared: sum('declared'),
    superseded: sum('superseded'),
    lost,
    duplicates,
    outOfOrder,
    undeclaredGaps,
    foreign,
    findings: proofs.flatMap((proof) => proof.findings).slice(0, 20),
  };
}
