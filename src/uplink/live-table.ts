import type { Sample } from '../domain/sample.ts';
import { LIVE_TEXT_BYTES_MAX as TEXT_BYTES_MAX } from './limits.ts';
import type { LiveValue } from './messages.ts';

/** What a value takes in a frame, its text apart. */
const VALUE_BYTES = 32;

/** The latest sample of each tag, conflated: what the live lane sends while the archive lane is behind. */
export class LiveTable {
  readonly #latest: (LiveValue | undefined)[];
  readonly #changed = new Set<number>();
  /** Those of them that this session was never told. */
  readonly #unsaid = new Set<number>();

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
    for (const [tagIndex, value] of this.#latest.entries()) {
      if (value === undefined) continue;
      this.#changed.add(tagIndex);
      this.#unsaid.add(tagIndex);
    }
  }

  /** The archive lane delivers what changes; only what this session was never told is due. */
  clearChanged(): void {
    this.#changed.clear();
    for (const tagIndex of this.#unsaid) this.#changed.add(tagIndex);
  }

  /** Something waits to be taken. */
  get hasChanges(): boolean {
    return this.#changed.size > 0;
  }

  /**
   * Takes up to `max` changed values of about `bytesMax` together, at least one if there is any. A text that
   * no frame of this lane carries is left to the archive lane.
   */
  take(max: number, bytesMax = TEXT_BYTES_MAX): LiveValue[] {
    const values: LiveValue[] = [];
    let leftBytes = Math.min(bytesMax, TEXT_BYTES_MAX);
    for (const tagIndex of this.#changed) {
      if (values.length >= max) break;
      const value = this.#latest[tagIndex];
      const textBytes = typeof value?.value === 'string' ? Buffer.byteLength(value.value) : 0;
      const fits = textBytes <= TEXT_BYTES_MAX;
      if (fits && values.length > 0 && textBytes + VALUE_BYTES > leftBytes) break;
      this.#changed.delete(tagIndex);
      this.#unsaid.delete(tagIndex);
      if (value === undefined || !fits) continue;
      leftBytes -= textBytes + VALUE_BYTES;
      values.push(value);
    }
    return values;
  }
}
