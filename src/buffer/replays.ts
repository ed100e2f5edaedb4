import { type Block, lastSequence } from '../domain/block/block.ts';
import type { SequenceRange } from '../domain/coverage.ts';
import { KomError } from '../domain/errors.ts';
import type { ReplayNotes } from './replay-notes.ts';
import type { Ring } from './ring.ts';

/** Requests that wait at most; more are refused. */
const REPLAYS_MAX = 16;
/** Blocks that a Kernel refused are passed over; of more than this the oldest is tried once more. */
const REFUSED_MAX = 256;

/** A range of one stream that is to be sent again. */
export interface ReplayRequest extends SequenceRange {
  readonly streamId: string;
  /** Only blocks that touch this time; integer µs, half-open. */
  readonly fromUs?: number;
  readonly toUs?: number;
  /** The Kernel is to replace what it has of it. */
  readonly repair?: true;
}

/** How far a request is. */
export interface ReplayProgress extends ReplayRequest {
  /** A Kernel has the blocks before this sequence; a new session goes on from here. */
  readonly archivedBefore: number;
}

interface Replay {
  readonly request: ReplayRequest;
  /** Read and given out before this sequence, */
  next: number;
  /** and archived before this one. */
  archivedBefore: number;
  /** First sequence of the last block of each step that was given out and is not archived, in order. */
  steps: { readonly firstOfLast: number; readonly next: number }[];
}

/**
 * Ranges that somebody asked for again: given out in order of the requests, read in bounded steps. The last
 * block of a step asks the Kernel to name it when archived, and with it everything before it is. What is
 * not archived when a session ends is given out again in the next one.
 */
export class Replays {
  readonly #ring: Ring;
  readonly #notes: ReplayNotes | undefined;
  #replays: Replay[] = [];
  readonly #repairs = new WeakSet<Block>();
  readonly #lastOfSteps = new WeakSet<Block>();
  readonly #refused = new Set<string>();

  /** `notes`: where requests outlive the process. */
  constructor(ring: Ring, notes?: ReplayNotes) {
    this.#ring = ring;
    this.#notes = notes;
  }

  /** Takes up what the last run was asked for and did not get through. */
  async resume(): Promise<void> {
    await this.#ring.minted;
    const known = this.#ring.streams().map(({ info }) => info.streamId);
    const requests = (await this.#notes?.load()) ?? [];
    for (const request of requests) {
      if (known.includes(request.streamId) && this.#replays.length < REPLAYS_MAX) this.#push(request);
    }
  }

  get progress(): ReplayProgress[] {
    return this.#replays.map(({ request, archivedBefore }) => ({ ...request, archivedBefore }));
  }

  /** It was given out for a request that asked for a repair. */
  isRepair(block: Block): boolean {
    return this.#repairs.has(block);
  }

  /** The Kernel is to say when it has this block. */
  wantsConfirmation(block: Block): boolean {
    return this.#lastOfSteps.has(block);
  }

  /** @throws KomError KOM_USAGE if the ring knows no such stream, or too much waits already */
  add(request: ReplayRequest): void {
    if (!this.#ring.streams().some(({ info }) => info.streamId === request.streamId)) {
      throw new KomError('KOM_USAGE', `the ring knows no stream ${request.streamId}`);
    }
    if (this.#replays.length >= REPLAYS_MAX) {
      throw new KomError('KOM_USAGE', `${REPLAYS_MAX} replays wait already`, { hint: 'try again later' });
    }
    this.#push(request);
    this.#note();
  }

  /** The next blocks, about `limitBytes`; empty when nothing waits. @throws KomError KOM_STORE_READ */
  async next(limitBytes: number): Promise<Block[]> {
    for (;;) {
      const replay = this.#replays.find(({ next, request }) => next <= request.last);
      if (replay === undefined) return [];
      const { streamId, last, repair } = replay.request;
      const from = replay.next;
      const read = await this.#ring.read(streamId, { first: from, last }, limitBytes);
      // A new session began meanwhile, or a block was refused: read again.
      if (replay.next !== from) continue;
      const blocks = read.blocks.map(({ block }) => block);
      const end = blocks.at(-1);
      replay.next = end === undefined ? last + 1 : lastSequence(end.header) + 1;
      const wanted = blocks.filter((block) => this.#isWanted(block, replay.request));
      const lastWanted = wanted.at(-1);
      if (lastWanted === undefined) {
        this.#passedOver(replay);
        continue;
      }
      replay.steps.push({ firstOfLast: lastWanted.header.firstSequence, next: replay.next });
      this.#lastOfSteps.add(lastWanted);
      if (repair === true) for (const block of wanted) this.#repairs.add(block);
      return wanted;
    }
  }

  /** A Kernel archived a block. */
  archived(streamId: string, firstSequence: number): void {
    for (const replay of this.#replays) {
      if (replay.request.streamId !== streamId) continue;
      const at = replay.steps.findIndex(({ firstOfLast }) => firstOfLast === firstSequence);
      const step = replay.steps[at];
      if (step === undefined) continue;
      replay.archivedBefore = step.next;
      replay.steps = replay.steps.slice(at + 1);
      if (replay.steps.length === 0) this.#passedOver(replay);
      return;
    }
  }

  /** A Kernel will not have a block, now or ever: what was given out with it goes again without it. */
  refused(streamId: string, firstSequence: number): void {
    const key = keyOf(streamId, firstSequence);
    this.#refused.delete(key);
    this.#refused.add(key);
    const oldest = this.#refused.keys().next();
    if (this.#refused.size > REFUSED_MAX && !oldest.done) this.#refused.delete(oldest.value);
    for (const replay of this.#replays) if (replay.request.streamId === streamId) goBack(replay);
  }

  /** A new session, or the same one from the front: what is not archived was perhaps never sent. */
  rewind(): void {
    for (const replay of this.#replays) goBack(replay);
  }

  #push(request: ReplayRequest): void {
    this.#replays.push({ request, next: request.first, archivedBefore: request.first, steps: [] });
  }

  #note(): void {
    void this.#notes?.save(this.#replays.map(({ request }) => request));
  }

  #isWanted(block: Block, { fromUs, toUs }: ReplayRequest): boolean {
    const { header } = block;
    if (this.#refused.has(keyOf(header.streamId, header.firstSequence))) return false;
    return header.toUs >= (fromUs ?? 0) && header.fromUs < (toUs ?? Number.POSITIVE_INFINITY);
  }

  /** With nothing on its way a replay is as far as it was read, and over at its end. */
  #passedOver(replay: Replay): void {
    if (replay.steps.length > 0) return;
    replay.archivedBefore = replay.next;
    if (replay.next <= replay.request.last) return;
    this.#replays = this.#replays.filter((each) => each !== replay);
    this.#note();
  }
}

function goBack(replay: Replay): void {
  replay.next = replay.archivedBefore;
  replay.steps = [];
}

function keyOf(streamId: string, firstSequence: number): string {
  return `${streamId}/${firstSequence}`;
}
