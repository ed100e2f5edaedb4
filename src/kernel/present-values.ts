import type { DecodedBlock } from '../domain/block/block.ts';
import { isSampleAt, valueAt } from '../domain/block/codec.ts';
import type { Dictionary } from '../domain/dictionary.ts';
import type { SampleValue } from '../domain/sample.ts';
import type { Term } from '../domain/term.ts';
import type { Live } from '../uplink/messages.ts';

/** The present value of a tag. */
export interface PresentValue {
  readonly tag: string;
  readonly value: SampleValue;
  readonly quality: number;
  readonly sourceTimeUs: number;
  /** When the Kernel got it, integer µs. */
  readonly receivedAtUs: number;
}

/** Where a value comes from: what decides which one is the present one. */
interface Origin {
  readonly instance: number;
  readonly term: Term;
  readonly streamOrdinal: number;
  readonly sequence: number;
}

type Held = PresentValue & Origin;

/** What comes, under which term, and when the Kernel got it. */
interface Arrival {
  readonly dictionary: Dictionary;
  readonly term: Term;
  readonly receivedAtUs: number;
}

/**
 * The present values of one process. Of one instance the later stream counts, and in a stream the higher
 * number; of two instances the higher term, and under one term the later source time.
 */
export class PresentValues {
  readonly #values = new Map<string, Held>();
  /**
   * Place of each stream in its chain, and whose it is. Streams are named oldest first, so a new one is
   * behind all known ones.
   */
  readonly #streams = new Map<string, { readonly ordinal: number; readonly instance: number }>();

  /** Makes a stream known. */
  name(streamId: string, instance: number): void {
    if (!this.#streams.has(streamId)) {
      this.#streams.set(streamId, { ordinal: this.#streams.size + 1, instance });
    }
  }

  all(): Iterable<PresentValue> {
    return this.#values.values();
  }

  takeBlock(block: DecodedBlock, { dictionary, ...arrival }: Arrival): void {
    const { streamId, firstSequence } = block.header;
    // Backwards: of each tag only the last sample counts.
    const seen = new Uint8Array(dictionary.tags.length);
    for (let at = block.header.count - 1; at >= 0; at--) {
      const tagIndex = block.tagIndexes[at] as number;
      if (seen[tagIndex] !== 0 || !isSampleAt(block, at)) continue;
      seen[tagIndex] = 1;
      const tag = dictionary.tags[tagIndex]?.name;
      if (tag === undefined) continue;
      this.#take(streamId, {
        ...{ tag, sequence: firstSequence + at, ...arrival },
        value: valueAt(block, at),
        quality: block.qualities[at] as number,
        sourceTimeUs: block.sourceTimesUs[at] as number,
      });
    }
  }

  takeLive(live: Live, { dictionary, ...arrival }: Arrival): void {
    for (const { tagIndex, ...value } of live.values) {
      const tag = dictionary.tags[tagIndex]?.name;
      if (tag !== undefined) this.#take(live.streamId, { tag, ...arrival, ...value });
    }
  }

  #take(streamId: string, value: Omit<Held, 'streamOrdinal' | 'instance'>): void {
    const { ordinal: streamOrdinal, instance } = this.#streams.get(streamId) ?? { ordinal: 0, instance: 0 };
    const next = { ...value, streamOrdinal, instance };
    const held = this.#values.get(value.tag);
    if (held === undefined || isNewer(next, held)) this.#values.set(value.tag, next);
  }
}

function isNewer(next: Held, held: Held): boolean {
  if (next.instance === held.instance) {
    return (next.streamOrdinal - held.streamOrdinal || next.sequence - held.sequence) > 0;
  }
  return (next.term - held.term || next.sourceTimeUs - held.sourceTimeUs) > 0;
}
