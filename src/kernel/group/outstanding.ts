import { type Block, lastSequence } from '../../domain/block/block.ts';
import { type Coverage, type SequenceRange, subtract } from '../../domain/coverage.ts';

/** A taker keeps no more than this in memory, as blocks came. */
const BYTES_MAX = 16 * 1024 * 1024;

interface Given extends SequenceRange {
  readonly bytes: number;
}

/** Blocks that were given and are not yet told to be in the other archive: the back-pressure of a taker. */
export class Outstanding {
  readonly #given = new Map<string, Given[]>();
  #bytes = 0;

  get isFull(): boolean {
    return this.#bytes >= BYTES_MAX;
  }

  get bytes(): number {
    return this.#bytes;
  }

  given({ header, bytes }: Block): void {
    const { streamId, firstSequence: first } = header;
    const given = this.#given.get(streamId) ?? [];
    given.push({ first, last: lastSequence(header), bytes: bytes.length });
    this.#given.set(streamId, given);
    this.#bytes += bytes.length;
  }

  told(streamId: string, coverage: Coverage): void {
    const data = coverage.filter(({ state }) => state === 'data');
    this.#keep(streamId, (given) => subtract(given, data).length > 0);
  }

  refused(streamId: string, firstSequence: number): void {
    this.#keep(streamId, ({ first }) => first !== firstSequence);
  }

  clear(): void {
    this.#given.clear();
    this.#bytes = 0;
  }

  #keep(streamId: string, isKept: (given: Given) => boolean): void {
    const given = this.#given.get(streamId);
    if (given === undefined) return;
    const kept = given.filter(isKept);
    const bytes = (list: readonly Given[]) => list.reduce((sum, each) => sum + each.bytes, 0);
    this.#bytes -= bytes(given) - bytes(kept);
    if (kept.length === 0) this.#given.delete(streamId);
    else this.#given.set(streamId, kept);
  }
}
