import { type Block, lastSequence } from '../../domain/block/block.ts';
import { type Coverage, countOf, dataOf, type SequenceRange, subtract } from '../../domain/coverage.ts';
import type { NumberedSpan } from '../../domain/gap.ts';

interface Given extends SequenceRange {
  readonly bytes: number;
  readonly span: NumberedSpan;
}

/** How much may be on its way. */
export interface OutstandingMax {
  /** Of blocks as they go. */
  readonly bytesMax: number;
  readonly entriesMax: number;
}

/** Blocks that were given and are not yet told to be in the other archive: the back-pressure of a taker. */
export class Outstanding {
  readonly #max: OutstandingMax;
  readonly #given = new Map<string, Given[]>();
  #bytes = 0;
  #entries = 0;

  constructor(max: OutstandingMax) {
    this.#max = max;
  }

  get isFull(): boolean {
    return this.#bytes >= this.#max.bytesMax || this.#entries >= this.#max.entriesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  given({ header, bytes }: Block): void {
    const { streamId, firstSequence: first, count, fromUs, toUs } = header;
    const span = { streamId, firstSequence: first, count, fromUs, toUs };
    const given = this.#given.get(streamId) ?? [];
    given.push({ first, last: lastSequence(header), bytes: bytes.length, span });
    this.#given.set(streamId, given);
    this.#bytes += bytes.length;
    this.#entries += header.count;
  }

  told(streamId: string, coverage: Coverage): void {
    const data = dataOf(coverage);
    this.#keep(streamId, (given) => subtract(given, data).length > 0);
  }

  /** Returns what was refused; `undefined`: it is not on its way. */
  refused(streamId: string, firstSequence: number): NumberedSpan | undefined {
    const given = this.#given.get(streamId) ?? [];
    const at = given.findIndex(({ first }) => first === firstSequence);
    const refused = given[at];
    if (refused === undefined) return undefined;
    // Not by `#keep`: of thousands that are refused at once, each would cost a look at all.
    given.splice(at, 1);
    if (given.length === 0) this.#given.delete(streamId);
    this.#bytes -= refused.bytes;
    this.#entries -= countOf([refused]);
    return refused.span;
  }

  clear(): void {
    this.#given.clear();
    this.#bytes = 0;
    this.#entries = 0;
  }

  #keep(streamId: string, isKept: (given: Given) => boolean): void {
    const given = this.#given.get(streamId);
    if (given === undefined) return;
    const kept = given.filter(isKept);
    const bytes = (list: readonly Given[]) => list.reduce((sum, each) => sum + each.bytes, 0);
    this.#bytes -= bytes(given) - bytes(kept);
    this.#entries -= countOf(given) - countOf(kept);
    if (kept.length === 0) this.#given.delete(streamId);
    else this.#given.set(streamId, kept);
  }
}
