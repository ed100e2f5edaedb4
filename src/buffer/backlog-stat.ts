import type { BufferCounters } from '../domain/rate.ts';
import type { ReplayProgress } from './replays.ts';
import type { Ring, RingStat } from './ring.ts';
import type { Window } from './window.ts';

export type BacklogState = 'outage' | 'catch-up' | 'online';

export interface BacklogStat {
  readonly state: BacklogState;
  readonly windowBytes: number;
  readonly windowSamples: number;
  /** Held and not acknowledged, window and ring. */
  readonly samples: number;
  /** Since the start. */
  readonly counters: BufferCounters;
  /**
   * Slowest write of blocks of the last hour, milliseconds, from asking the ring until they were durable; one
   * that is under way counts.
   */
  readonly slowestWriteMs: number;
  /** Of the last hour: how late a block was handed to the ring when it fell due, milliseconds. */
  readonly slowestStallMs: number;
  /** Ranges that were asked for again and are not archived yet. */
  readonly replays: readonly ReplayProgress[];
  readonly ring: RingStat;
}

/** What a store holds, and how slow its disk is. */
export function heldStat(
  ring: Pick<Ring, 'stat'>,
  window: Pick<Window, 'bytes' | 'samples' | 'undurableSamples'>,
  { slowestWriteMs, slowestStallMs }: Pick<BacklogStat, 'slowestWriteMs' | 'slowestStallMs'>,
): Omit<BacklogStat, 'state' | 'counters' | 'replays'> {
  const stat = ring.stat();
  return {
    windowBytes: window.bytes,
    windowSamples: window.samples,
    samples: stat.unacknowledgedSamples + window.undurableSamples,
    ...{ slowestWriteMs, slowestStallMs },
    ring: stat,
  };
}
