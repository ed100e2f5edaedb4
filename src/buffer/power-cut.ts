import { powerCutBoundMs } from '../domain/power-cut.ts';
import type { Assembler } from './assembler.ts';
import type { Backlog } from './backlog.ts';
import type { BacklogStat } from './backlog-stat.ts';

/** What a power cut would lose by what was measured, as ages of the oldest sample, milliseconds. */
export interface PowerCutRisk {
  /** At most. */
  readonly boundMs: number;
  /** Now: the oldest sample that is neither durable nor acknowledged; 0: there is none. */
  readonly presentMs: number;
  /** Slowest write of the last hour; before the first block those of the start count. */
  readonly writeMs: number;
  /** Latest that a block was sealed or handed to the ring within the last hour. */
  readonly stallMs: number;
}

/** The bound that is stated of one store. What waits longer, because the disk takes nothing, is the bound. */
export function powerCutRisk(
  ages: { readonly store: 'always' | 'on-outage'; readonly blockAgeMs: number; readonly spillAgeMs: number },
  { assembler, backlog, stat }: { assembler: Assembler; backlog: Backlog; stat: BacklogStat },
): PowerCutRisk {
  const writeMs = Math.max(stat.slowestWriteMs, stat.ring.slowestSyncMs);
  const stallMs = Math.max(assembler.slowestStallMs, stat.slowestStallMs);
  const presentMs = Math.max(assembler.unsealedForMs, backlog.unsafeForMs);
  return {
    boundMs: Math.max(powerCutBoundMs({ ...ages, writeMs, stallMs }), presentMs),
    presentMs,
    writeMs,
    stallMs,
  };
}
