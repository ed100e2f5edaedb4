import type { Sample } from '../domain/sample.ts';
import { LIVE_TEXT_BYTES_MAX as TEXT_BYTES_MAX } from './limits.ts';
import type { LiveValue } from './messages.ts';

/** The latest sample of each tag, conflated: what the live lane sends while the archive lane is behind. */
export class LiveTable {
  readonly #latest: (LiveValue | undefined)[];
  readonly #changed = new Set<number>();

  constructor(tagCount: number) {
    this.#latest = new Array<LiveValue | undefined>(tagCount);
  }

  update(sample: Sample, sequence: number): void {
    const { tagIndex, sourceTimeUs, quality, value } = sample;
    this.#latest[tagIndex] = { tagIndex, sequence, sourceTimeUs, quality, value };
    this.#changed.add(tagIndex);
  }

  /** A new session knows nothing: every tag counts as changed. */
  markAllChanged(): void {
    for (const [tagIndex, value] of this.#latest.entries())
      if (value !== undefined) this.#changed.add(tagIndex);
  }

  /** The archive lane delivers the present; nothing is due on the live lane. */
  clearChanged(): void {
    this.#changed.clear();
  }

  /**
   * Takes up to `max` changed values whose texts fit into one frame. A longer text is left to the archive
   * lane: no frame of this lane carries it.
   */
  take(max: number): LiveValue[] {
    const values: LiveValue[] = [];
    let leftBytes = TEXT_BYTES_MAX;
    for (const tagIndex of this.#changed) {
      if (values.length >= max) break;
      const value = this.#latest[tagIndex];
      const bytes = typeof value?.value === 'string' ? Buffer.byteLength(value.value) : 0;
      const fits = bytes <= TEXT_BYTES_MAX;
      if (fits && bytes > leftBytes) break;
      this.#changed.delete(tagIndex);
      if (value === undefined || !fits) continue;
      leftBytes -= bytes;
      values.push(value);
    }
    return values;
  }
}
