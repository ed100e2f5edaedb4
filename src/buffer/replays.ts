import { type Block, lastSequence } from '../domain/block/block.ts';
import type { SequenceRange } from '../domain/coverage.ts';
import { KomError } from '../domain/errors.ts';
import type { Ring } from './ring.ts';

/** Requests that wait at most; more are refused. */
const REPLAYS_MAX = 16;

/** A range of one stream that is to be sent again. */
export interface ReplayRequest extends SequenceRange {
  readonly streamId: string;
  /** Only blocks that touch this time; integer µs, half-open. */
  readonly fromUs?: number;
  readonly toUs?: number;
  /** The Kernel is to replace what it has of it. */
  readonly repair?: true;
}

/** Ranges that somebody asked for again: given out in the order of the requests, read in bounded steps. */
export class Replays {
  readonly #ring: Ring;
  #waiting: ReplayRequest[] = [];
  readonly #repairs = new WeakSet<Block>();

  constructor(ring: Ring) {
    this.#ring = ring;
  }

  get count(): number {
    return this.#waiting.length;
  }

  /** It was given out for a request that asked for a repair. */
  isRepair(block: Block): boolean {
    return this.#repairs.has(block);
  }

  /** @throws KomError KOM_USAGE if the ring knows no such stream, or too much waits already */
  add(request: ReplayRequest): void {
    if (!this.#ring.streams().some(({ info }) => info.streamId === request.streamId)) {
      throw new KomError('KOM_USAGE', `the ring knows no stream ${request.streamId}`);
    }
    if (this.#waiting.length >= REPLAYS_MAX) {
      throw new KomError('KOM_USAGE', `${REPLAYS_MAX} replays wait already`, { hint: 'try again later' });
    }
    this.#waiting.push(request);
  }

  /** The next blocks, about `limitBytes`; empty when nothing waits. @throws KomError KOM_STORE_READ */
  async next(limitBytes: number): Promise<Block[]> {
    for (let request = this.#waiting[0]; request !== undefined; request = this.#waiting[0]) {
      const { streamId, first, last, fromUs, toUs } = request;
      const read = await this.#ring.read(streamId, { first, last }, limitBytes);
      const blocks = read.blocks.map(({ block }) => block);
      const end = blocks.at(-1);
      const next = end === undefined ? last + 1 : lastSequence(end.header) + 1;
      this.#waiting =
        next > last ? this.#waiting.slice(1) : [{ ...request, first: next }, ...this.#waiting.slice(1)];
      const wanted = blocks.filter(
        ({ header }) => header.toUs >= (fromUs ?? 0) && header.fromUs < (toUs ?? Number.POSITIVE_INFINITY),
      );
      if (request.repair === true) for (const block of wanted) this.#repairs.add(block);
      if (wanted.length > 0) return wanted;
    }
    return [];
  }
}
