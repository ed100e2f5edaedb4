import { type Coverage, type SequenceRange, subtractAll, withinAll } from '../../domain/coverage.ts';
import { coverageDifference } from '../../domain/coverage-difference.ts';
import type { BlockCarrier, BlockCarrierOptions } from './block-carrier.ts';
import type { Gave, OpenPort } from './open-port.ts';

interface Lacking {
  readonly streamId: string;
  readonly range: SequenceRange;
}

export interface PastLackOptions extends Omit<BlockCarrierOptions, 'clock'> {
  readonly carrier: BlockCarrier;
  /** What the taker has of a stream, as it said last. */
  readonly theirs: (streamId: string) => Coverage;
}

/**
 * What a taker may lack of before the connection: it gets a little at a time, of one stream after the other,
 * first what the ring has, then what only the archive has. Of each of the two the numbers go first of which
 * it knows nothing, of all streams: what it has as a gap, such as blocks that it refused, can wait.
 */
export class PastLack {
  readonly #options: PastLackOptions;
  /** Streams of whose past the taker may lack something that the ring has; whose turn is next first. */
  readonly #held = new Set<string>();
  /** Streams of which the taker may lack what only the archive has. */
  readonly #archived = new Set<string>();

  constructor(options: PastLackOptions) {
    this.#options = options;
  }

  /** The ring has something of this stream. */
  mayHold(streamId: string): void {
    this.#held.add(streamId);
  }

  /** The archive has something of this stream, and the ring may not. */
  mayHave(streamId: string): void {
    this.#archived.add(streamId);
  }

  /** Another connection: what the ring has of the past is looked for anew. */
  clear(): void {
    this.#held.clear();
  }

  async give(port: OpenPort): Promise<Gave> {
    const given = await this.#giveHeld(port);
    return given === 'nothing' ? await this.#giveArchived(port) : given;
  }

  async #giveHeld(port: OpenPort): Promise<Gave> {
    const { ring, given } = this.#options;
    let known: Lacking | null = null;
    for (const streamId of this.#held) {
      const { unknown, data } = await this.#first(streamId, (ranges) =>
        withinAll(subtractAll(ranges, given.data(streamId)), ring.held(streamId)),
      );
      if (!port.isOpen || given.isFullOfPast) return 'no room';
      if (unknown !== undefined) return await this.#carryHeld(port, { streamId, range: unknown });
      if (data === undefined) this.#held.delete(streamId);
      else known ??= { streamId, range: data };
    }
    return known === null ? 'nothing' : await this.#carryHeld(port, known);
  }

  /** The turn of this stream is over. */
  async #carryHeld(port: OpenPort, { streamId, range }: Lacking): Promise<Gave> {
    this.#held.delete(streamId);
    this.#held.add(streamId);
    return await this.#options.carrier.held(port, streamId, { range, isPast: true });
  }

  async #giveArchived(port: OpenPort): Promise<Gave> {
    const { ring, given, refill, carrier } = this.#options;
    let known: Lacking | null = null;
    for (const streamId of this.#archived) {
      const others = [...given.data(streamId), ...ring.held(streamId), ...refill.rowless(streamId)];
      others.sort((one, other) => one.first - other.first);
      const { unknown, data } = await this.#first(streamId, (ranges) => subtractAll(ranges, others));
      if (!port.isOpen) return 'no room';
      if (unknown !== undefined) return await carrier.madeAgain(port, streamId, unknown);
      if (data === undefined) this.#archived.delete(streamId);
      else known ??= { streamId, range: data };
    }
    return known === null ? 'nothing' : await carrier.madeAgain(port, known.streamId, known.range);
  }

  /** The first numbers of a stream that are data here and not there; `unknown`: nor a gap that it has. */
  async #first(
    streamId: string,
    cut: (ranges: readonly SequenceRange[]) => readonly SequenceRange[],
  ): Promise<{ readonly unknown: SequenceRange | undefined; readonly data: SequenceRange | undefined }> {
    const { archive, theirs } = this.#options;
    const { unknown, data } = coverageDifference(await archive.coverage(streamId), theirs(streamId));
    return { unknown: cut(unknown)[0], data: cut(data)[0] };
  }
}
