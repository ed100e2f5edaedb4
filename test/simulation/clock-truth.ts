import { Mark } from '../../src/domain/marks.ts';
import type { AgentRun } from './agent-host.ts';
import { type Find, STARTED_US } from './checkers.ts';
import type { Evidence } from './evidence.ts';

/** A difference up to a second is drift; the rest is the way of a heartbeat. */
const TOLERANCE_US = 1_500_000;

/**
 * With the Kernel's clock every time that the agent stamped is right in the end, or is marked as uncertain;
 * in the archive raw times stand beside the right ones.
 */
export function checkTimes(runs: readonly AgentRun[], evidence: Evidence, find: Find): void {
  const truths = truthsOf(runs);
  for (const [tagIndex, samples] of evidence.samplesOfTag.entries()) {
    for (const { deviceTimeUs, rawTimeUs, sourceTimeUs, marks, value, sequence } of samples) {
      const trueMs = deviceTimeUs === null ? truths.get(`${tagIndex} ${rawTimeUs} ${value}`) : undefined;
      if (trueMs === undefined || (marks & Mark.clockUncertain && sourceTimeUs === rawTimeUs)) continue;
      const offUs = sourceTimeUs - STARTED_US - trueMs * 1000;
      if (Math.abs(offUs) <= TOLERANCE_US) continue;
      find(`tag ${tagIndex}: the time of number ${sequence} is off by ${(offUs / 1e6).toFixed(3)} s`);
    }
  }
}

/** The true times of what the agent stamped; what was stamped alike at two times is left out. */
function truthsOf(runs: readonly AgentRun[]): Map<string, number> {
  const truths = new Map<string, number>();
  const twice = new Set<string>();
  for (const { tagIndex, sourceTimeUs, value, trueMs } of runs.flatMap(({ record }) => record.served)) {
    const key = `${tagIndex} ${sourceTimeUs} ${value}`;
    if (truths.has(key)) twice.add(key);
    truths.set(key, trueMs);
  }
  for (const key of twice) truths.delete(key);
  return truths;
}
