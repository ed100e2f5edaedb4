/** What the streams of a store mean to a Kernel: what of them is held, and what a Kernel has lost of them. */
import { lastSequence } from '../domain/block/block.ts';
import { joinTouching, type SequenceRange, subtract } from '../domain/coverage.ts';
import type { SequenceGap } from '../domain/gap.ts';
import { FIRST_SEQUENCE, type StreamInfo } from '../domain/stream.ts';
import type { Ring } from './ring.ts';
import type { WindowBlock } from './window.ts';

/** What a Kernel is told of a stream that this store holds or must account for. */
export interface HeldStream {
  readonly info: StreamInfo;
  readonly held: readonly SequenceRange[];
  /** Oldest source time held and not acknowledged, integer µs; 0 for none. */
  readonly heldFromUs: number;
  readonly endedAtUs: number | null;
  /**
   * For a stream that is over: its last durable sequence. The running stream's is the assembler's to tell.
   */
  readonly lastSequence: number | null;
  /** Something of it is still to be told: numbers, losses, or that it ran. The running stream always is. */
  readonly isDue: boolean;
}

/** What a Kernel has of a stream: everything through a number, and ranges behind that. */
export interface KernelCoverage {
  readonly streamId: string;
  readonly throughSequence: number;
  readonly held: readonly SequenceRange[];
}

/** Every stream of a ring and the window before it, oldest first; the last one runs. */
export function heldStreams(ring: Ring, window: readonly WindowBlock[]): HeldStream[] {
  const current = ring.stream.streamId;
  const ringFromUs = ring.oldestUnacknowledgedUs;
  const windowFromUs = window[0]?.block.header.fromUs;
  return ring.streams().map(({ info, held, ackedThrough, durableThrough, ended, isKnown }) => {
    const ranges =
      info.streamId === current ? joinTouching([...held, ...rangeOf(window)].sort(byFirst)) : held;
    const acked = ackedThrough >= FIRST_SEQUENCE ? [{ first: FIRST_SEQUENCE, last: ackedThrough }] : [];
    return {
      info,
      held: ranges.flatMap((range) => subtract(range, acked)),
      heldFromUs: ringFromUs ?? (info.streamId === current ? (windowFromUs ?? 0) : 0),
      endedAtUs: ended?.cleanly ? ended.atUs : null,
      lastSequence: info.streamId === current ? null : (ended?.lastSequence ?? durableThrough),
      isDue: info.streamId === current || !isKnown || ackedThrough < (ended?.lastSequence ?? durableThrough),
    };
  });
}

/** How far the running stream is acknowledged, and the present time. */
export interface RunningStream {
  readonly ackedThrough: number;
  readonly nowUs: number;
}

/**
 * What was acknowledged and this Kernel does not have: it was restored from a backup, or it is another one.
 * Of the times it is only known that they are within those of the stream.
 * What follows a crash is for the Kernel to declare.
 */
export function regressedGaps(ring: Ring, coverage: KernelCoverage, running: RunningStream): SequenceGap[] {
  const { streamId, throughSequence } = coverage;
  const stream = ring.find(streamId);
  if (stream === undefined) return [];
  const last = Math.min(stream.ackedThrough, stream.ended?.lastSequence ?? running.ackedThrough);
  if (last <= throughSequence) return [];
  const fromUs = stream.info.startedAtUs;
  const toUs = Math.max(fromUs, stream.ended?.atUs ?? running.nowUs);
  return subtract({ first: throughSequence + 1, last }, coverage.held).map((range) => ({
    streamId,
    reason: 'kernel-regressed',
    fromUs,
    toUs,
    firstSequence: range.first,
    lastSequence: range.last,
    countAtMost: range.last - range.first + 1,
  }));
}

function rangeOf(window: readonly WindowBlock[]): SequenceRange[] {
  const first = window[0]?.block.header.firstSequence;
  const last = window.at(-1)?.block.header;
  return first === undefined || last === undefined ? [] : [{ first, last: lastSequence(last) }];
}

function byFirst(a: SequenceRange, b: SequenceRange): number {
  return a.first - b.first;
}
