import { type Block, type BlockHeader, lastSequence } from '../domain/block/block.ts';
import { decodeBlock, isSampleAt } from '../domain/block/codec.ts';
import { joinTouching, type SequenceRange, subtract } from '../domain/coverage.ts';
import { describeError, isKomError } from '../domain/errors.ts';
import { FIRST_SEQUENCE } from '../domain/stream.ts';
import type { RingInspection } from './facts.ts';
import { decodeBlockRecord, positionOf } from './record.ts';
import { lastOf, type SegmentFacts, segmentName } from './segment.ts';

const READ_BYTES = 1024 * 1024;

/** Something in a ring that is not as it should be. */
export interface RingProblem {
  /** Name of the directory of a segment or of meta; `null` for a matter of a whole stream. */
  readonly segment: string | null;
  /** Ring position; `null` for a matter of a whole segment or stream. */
  readonly position: number | null;
  readonly streamId: string | null;
  readonly what: string;
}

/** What a verification read. */
export interface VerifiedRing {
  readonly segments: number;
  readonly blocks: number;
  readonly samples: number;
  readonly bytes: number;
  readonly problems: number;
}

/**
 * Reads every block: CRC, columns, dictionary, order, and whether every number of every stream has its place:
 * acknowledged, held, or declared lost. Yields what is wrong; returns what was read. Memory is bounded by one
 * read and the ranges held.
 */
export async function* verifyRing(inspection: RingInspection): AsyncGenerator<RingProblem, VerifiedRing> {
  const facts = await inspection.facts();
  const held = new Map<string, SequenceRange[]>();
  /** What damaged places held, which were told of already. */
  const told = new Map<string, SequenceRange[]>();
  const total = { segments: 0, blocks: 0, samples: 0, bytes: 0, problems: 0 };
  const hold = (streamId: string, range: SequenceRange): void => {
    held.set(streamId, joinTouching([...(held.get(streamId) ?? []), range]));
  };
  for (const { place, what } of inspection.damages) {
    total.problems += 1;
    yield { segment: place, position: null, streamId: null, what };
  }
  for (const segment of facts.segments) {
    const check = new SegmentCheck(inspection, segment);
    for await (const found of check.run()) {
      if ('what' in found) {
        total.problems += 1;
        yield found;
        continue;
      }
      const { header, bytes } = found;
      const before = held.get(header.streamId)?.at(-1)?.last ?? 0;
      const last = lastSequence(header);
      if (last <= before) {
        total.problems += 1;
        yield check.problem(`sequence ${header.firstSequence} stands behind ${before}`, header.streamId);
        continue;
      }
      // Blocks that were joined while this goes on come again as a part of another.
      const first = Math.max(header.firstSequence, before + 1);
      hold(header.streamId, { first, last });
      total.blocks += 1;
      total.samples += last - first + 1;
      total.bytes += bytes.length;
    }
    total.segments += 1;
    // Evicted or delivered since the facts were told: what it held had its place.
    if (check.isGone)
      for (const run of segment.runs) for (const range of run.ranges) hold(run.streamId, range);
    if (check.isDamaged)
      for (const { streamId, ranges } of segment.runs)
        told.set(streamId, [...(told.get(streamId) ?? []), ...ranges]);
  }
  for (const { info, ackedThrough, durableThrough } of facts.streams) {
    const { streamId } = info;
    const first = Math.max(FIRST_SEQUENCE, ackedThrough + 1);
    if (first > durableThrough) continue;
    const declared = facts.gaps
      .filter((gap) => gap.streamId === streamId)
      .map((gap) => ({ first: gap.firstSequence, last: gap.lastSequence }));
    const present = [...(held.get(streamId) ?? []), ...(told.get(streamId) ?? [])];
    const places = [...present, ...declared].sort((a, b) => a.first - b.first);
    for (const hole of subtract({ first, last: durableThrough }, joinTouching(places))) {
      total.problems += 1;
      const numbers = `numbers ${hole.first} to ${hole.last}`;
      const what = `${numbers} are neither held nor acknowledged nor declared lost`;
      yield { segment: null, position: null, streamId, what };
    }
  }
  return total;
}

/** One segment of a verification. */
class SegmentCheck {
  /** The segment went away while it was read. */
  isGone = false;
  /** A place in it does not read, so numbers that it held may be missing. */
  isDamaged = false;
  readonly #inspection: RingInspection;
  readonly #facts: SegmentFacts;
  readonly #tagCounts = new Map<string, number | null>();
  /** Last number that was read, by stream. */
  readonly #through = new Map<string, number>();
  #position: number;

  constructor(inspection: RingInspection, facts: SegmentFacts) {
    this.#inspection = inspection;
    this.#facts = facts;
    this.#position = facts.firstPosition - 1;
  }

  problem(what: string, streamId: string | null, position: number | null = this.#position): RingProblem {
    return { segment: segmentName(this.#facts.number), position, streamId, what };
  }

  async *run(): AsyncGenerator<RingProblem | Block> {
    const { number, lastPosition } = this.#facts;
    while (this.#position < lastPosition) {
      let records: Awaited<ReturnType<RingInspection['records']>>;
      try {
        records = await this.#inspection.records(number, this.#position, READ_BYTES);
      } catch (error) {
        if (!isKomError(error)) throw error;
        yield this.#damage(`it does not read: ${error.message}`, null);
        return;
      }
      this.isGone = records === null;
      if (records === null || records.length === 0) break;
      for (const { key, value } of records) {
        const position = positionOf(key) ?? this.#position + 1;
        if (position > lastPosition) return;
        const block = decodeBlockRecord(value);
        if (block !== undefined && this.#lacks(position, block.header)) {
          yield this.#missing(this.#position + 1, position - 1);
        }
        this.#position = position;
        yield* this.#checkBlock(block);
      }
    }
    if (!this.isGone && this.#position < lastPosition) yield this.#missing(this.#position + 1, lastPosition);
  }

  /** Numbers that stood between the last position and this one are gone; joined blocks leave none out. */
  #lacks(position: number, header: BlockHeader): boolean {
    if (position === this.#position + 1) return false;
    const skipped = this.#facts.runs.filter(
      (run) => run.firstPosition < position && run.lastPosition > this.#position,
    );
    return skipped.some((run) => {
      if (run.streamId !== header.streamId) return true;
      const before = { first: 0, last: this.#through.get(run.streamId) ?? 0 };
      const behind = { first: header.firstSequence, last: Number.MAX_SAFE_INTEGER };
      return run.ranges.some((range) => subtract(range, [before, behind]).length > 0);
    });
  }

  #missing(first: number, last: number): RingProblem {
    const runs = this.#facts.runs.filter((run) => run.firstPosition <= last && run.lastPosition >= first);
    const of = runs.map((run) => `${run.streamId} up to ${lastOf(run)}`).join(', ');
    const streamId = runs[0]?.streamId ?? null;
    this.isDamaged = true;
    return this.problem(`positions ${first} to ${last} are missing (${of || 'no stream'})`, streamId, first);
  }

  /** What does not read, and behind which numbers. */
  #damage(what: string, position: number | null): RingProblem {
    this.isDamaged = true;
    const runs = this.#facts.runs.filter(
      (run) => position === null || (run.firstPosition <= position && position <= run.lastPosition),
    );
    const behind = ({ streamId, ranges }: SegmentFacts['runs'][number]): string =>
      `behind number ${this.#through.get(streamId) ?? (ranges[0]?.first ?? 1) - 1} of ${streamId}`;
    return this.problem(`${what} (${runs.map(behind).join(', ') || 'no stream'})`, null, position);
  }

  async *#checkBlock(block: Block | undefined): AsyncGenerator<RingProblem | Block> {
    if (block === undefined) {
      yield this.#damage('the block does not pass its CRC', this.#position);
      return;
    }
    const { streamId, dictionaryHash } = block.header;
    this.#through.set(streamId, lastSequence(block.header));
    try {
      const decoded = decodeBlock(block);
      const tagCount = await this.#tagCount(dictionaryHash);
      if (tagCount === null) yield this.problem(`its dictionary ${dictionaryHash} is not there`, streamId);
      else if (decoded.tagIndexes.some((tag, at) => tag >= tagCount && isSampleAt(decoded, at))) {
        yield this.problem('a tag is not in the dictionary', streamId);
      }
      yield block;
    } catch (error) {
      if (!isKomError(error, 'KOM_BLOCK_CORRUPT')) throw error;
      this.isDamaged = true;
      yield this.problem(`the block does not decode: ${describeError(error)}`, streamId);
    }
  }

  /** How many tags a dictionary names; `null` if it cannot be had. */
  async #tagCount(hash: string): Promise<number | null> {
    const known = this.#tagCounts.get(hash);
    if (known !== undefined) return known;
    let count: number | null = null;
    try {
      count = (await this.#inspection.dictionary(hash)).tags.length;
    } catch (error) {
      if (!isKomError(error)) throw error;
    }
    this.#tagCounts.set(hash, count);
    return count;
  }
}
