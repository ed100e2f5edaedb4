import type { Block } from '../domain/block/block.ts';
import type { BufferCounters } from '../domain/rate.ts';
import { RECORD_OVERHEAD_BYTES } from './record.ts';
import type { Ring } from './ring.ts';

/** Counts what came into a backlog since its start and what Kernels acknowledged of it, each once. */
export class Counters {
  readonly #ring: Ring;
  readonly #deliveredThrough = new Map<string, number>();
  #samples = 0;
  #bytes = 0;
  #delivered = 0;

  constructor(ring: Ring) {
    this.#ring = ring;
  }

  get values(): BufferCounters {
    return {
      acceptedSamples: this.#samples,
      acceptedBytes: this.#bytes,
      deliveredSamples: this.#delivered,
    };
  }

  accepted({ header, bytes }: Block): void {
    this.#samples += header.count;
    this.#bytes += bytes.length + RECORD_OVERHEAD_BYTES;
  }

  /** To be told before the ring is; `lastAccepted` is the last sequence of the running stream. */
  acknowledged(streamId: string, throughSequence: number, lastAccepted: number): void {
    const isRunning = streamId === this.#ring.stream.streamId;
    let before = this.#deliveredThrough.get(streamId);
    let last = lastAccepted;
    if (before === undefined || !isRunning) {
      const stream = this.#ring.find(streamId);
      if (stream === undefined) return;
      before ??= stream.ackedThrough;
      if (!isRunning) last = stream.durableThrough;
    }
    const through = Math.max(before, Math.min(throughSequence, last));
    this.#delivered += through - before;
    this.#deliveredThrough.set(streamId, through);
  }
}
