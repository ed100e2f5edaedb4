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
 *
 * A backlog tells of the past: an alarm in it may long be over. So of a block only what was numbered in the
 * session that brings it counts at once. What is older waits until the agent says that nothing newer is on
 * its way; by then the last value of each tag is the present one, if the live lane has not told a later one.
 */
export class PresentValues {
  readonly #values = new Map<string, Held>();
  /** By stream and tag, the latest of what is older than the session that brings it. */
  readonly #waiting = new Map<string, Map<string, Held>>();
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

  /** An instance has a session: what waits of its streams that ran before says nothing of the present. */
  runs(instance: number, running: ReadonlySet<string>): void {
    for (const streamId of this.#waiting.keys()) {
      const isOver = this.#streams.get(streamId)?.instance === instance && !running.has(streamId);
      if (isOver) this.#waiting.delete(streamId);
    }
  }

  /** Everything that was numbered of a stream has come, but for what is numbered just now. */
  caughtUp(streamId: string): void {
    for (const held of this.#waiting.get(streamId)?.values() ?? []) this.#show(held);
    this.#waiting.delete(streamId);
  }

  /** `presentFrom`: the first number of its stream that was not given yet when the session began. */
  takeBlock(
    block: DecodedBlock,
    { dictionary, presentFrom, ...arrival }: Arrival & { readonly presentFrom: number },
  ): void {
    const { streamId, firstSequence } = block.header;
    // Backwards: of each tag only the last sample counts.
    const seen = new Uint8Array(dictionary.tags.length);
    for (let at = block.header.count - 1; at >= 0; at--) {
      const tagIndex = block.tagIndexes[at] as number;
      if (seen[tagIndex] !== 0 || !isSampleAt(block, at)) continue;
      seen[tagIndex] = 1;
      const tag = dictionary.tags[tagIndex]?.name;
      if (tag === undefined) continue;
      const sequence = firstSequence + at;
      const held = this.#placed(streamId, {
        ...{ tag, sequence, ...arrival },
        value: valueAt(block, at),
        quality: block.qualities[at] as number,
        sourceTimeUs: block.sourceTimesUs[at] as number,
      });
      if (sequence >= presentFrom) this.#show(held);
      else this.#wait(streamId, held);
    }
  }

  takeLive(live: Live, { dictionary, ...arrival }: Arrival): void {
    for (const { tagIndex, ...value } of live.values) {
      const tag = dictionary.tags[tagIndex]?.name;
      if (tag !== undefined) this.#show(this.#placed(live.streamId, { tag, ...arrival, ...value }));
    }
  }

  #placed(streamId: string, value: Omit<Held, 'streamOrdinal' | 'instance'>): Held {
    const { ordinal: streamOrdinal, instance } = this.#streams.get(streamId) ?? { ordinal: 0, instance: 0 };
    return { ...value, streamOrdinal, instance };
  }

  #show(next: Held): void {
    keepNewest(this.#values, next);
  }

  #wait(streamId: string, next: Held): void {
    const waiting = this.#waiting.get(streamId) ?? new Map<string, Held>();
    this.#waiting.set(streamId, waiting);
    keepNewest(waiting, next);
  }
}

function keepNewest(values: Map<string, Held>, next: Held): void {
  const held = values.get(next.tag);
  if (held === undefined || isNewer(next, held)) values.set(next.tag, next);
}

function isNewer(next: Held, held: Held): boolean {
  if (next.instance === held.instance) {
    return (next.streamOrdinal - held.streamOrdinal || next.sequence - held.sequence) > 0;
  }
  return (next.term - held.term || next.sourceTimeUs - held.sourceTimeUs) > 0;
}
