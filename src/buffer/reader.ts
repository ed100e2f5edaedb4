import { type BlockHeader, lastSequence } from '../domain/block/block.ts';
import { type SequenceRange, subtract } from '../domain/coverage.ts';
import { describeError, isKomError, KomError } from '../domain/errors.ts';
import type { SequenceGap } from '../domain/gap.ts';
import { mayBeDamaged } from '../world/probe.ts';
import { RecurringLog } from '../world/recurring-log.ts';
import type { Store } from '../world/store.ts';
import { nextPlace, type RingCore, withGaps } from './core.ts';
import {
  decodeBlockRecord,
  decodeDictionaryRecord,
  dictionaryKey,
  positionKey,
  positionOf,
} from './record.ts';
import type { RingBlock, RingPosition, RingRead } from './ring.ts';
import {
  firstOf,
  gapsOfRanges,
  gapsOfSegment,
  lastOf,
  type Run,
  type SegmentFacts,
  segmentName,
} from './segment.ts';

/** A segment that does not read is given time: failures closer together than this count once. */
const FAILURE_SPACING_MS = 1000;
/** At the second failure a segment is repaired, at the third it is given up. */
const FAILURES_BEFORE_REPAIR = 1;
const FAILURES_BEFORE_GIVING_UP = 2;

interface Wanted {
  readonly after: RingPosition;
  readonly limitBytes: number;
  /** Numbers of a run that are asked for; `null` for none. */
  readonly range: (run: Run) => SequenceRange | null;
}

interface Found {
  readonly blocks: RingBlock[];
  readonly lost: SequenceGap[];
  bytes: number;
  after: RingPosition;
}

/** Reads blocks in ring order, seeking; what cannot be read becomes a gap. */
export class Reader {
  readonly #core: RingCore;
  readonly #recurring: RecurringLog;
  readonly #failures = new Map<number, { count: number; atMs: number }>();

  constructor(core: RingCore) {
    this.#core = core;
    this.#recurring = new RecurringLog(core.setup.options);
  }

  /** See `Ring.readUnacknowledged`. */
  readUnacknowledged(after: RingPosition | null, limitBytes: number): Promise<RingRead> {
    return this.#read({
      after: after ?? 0,
      limitBytes,
      range: (run) => ({ first: this.#core.ackedThrough(run.streamId) + 1, last: lastOf(run) }),
    });
  }

  /** See `Ring.read`. */
  read(streamId: string, range: SequenceRange, limitBytes: number): Promise<RingRead> {
    return this.#read({
      after: 0,
      limitBytes,
      range: (run) => (run.streamId === streamId ? range : null),
    });
  }

  /** Bytes of a dictionary that is in one of the segments. */
  async dictionary(hash: string): Promise<Uint8Array | undefined> {
    const holders = this.#core.segments.filter((segment) => segment.dictionaries.includes(hash));
    let failure: unknown;
    for (const segment of holders.reverse()) {
      try {
        const value = await this.#guarded(segment, (store) => store.get(dictionaryKey(hash)));
        const bytes = value === undefined ? undefined : decodeDictionaryRecord(value);
        if (bytes !== undefined) return bytes;
      } catch (error) {
        if (!isKomError(error)) throw error;
        failure = error;
      }
    }
    if (failure !== undefined) throw failure;
    return undefined;
  }

  async #read(wanted: Wanted): Promise<RingRead> {
    const found: Found = { blocks: [], lost: [], bytes: 0, after: wanted.after };
    for (const segment of this.#core.segments) {
      const runs = segment.runs.filter((run) => isWanted(run, found.after, wanted));
      for (const run of runs) {
        if (found.bytes >= wanted.limitBytes) break;
        await this.#guarded(segment, (store) => readRun(store, run, { wanted, found }));
      }
    }
    await this.#declare(found.lost);
    const more = this.#core.segments.some((each) =>
      each.runs.some((run) => isWanted(run, found.after, wanted)),
    );
    return { blocks: found.blocks, after: found.after === 0 ? null : found.after, more };
  }

  async #declare(lost: readonly SequenceGap[]): Promise<void> {
    const gaps = lost.flatMap((gap) => {
      const acked = { first: 0, last: this.#core.ackedThrough(gap.streamId) };
      return gapsOfRanges(
        gap,
        subtract({ first: gap.firstSequence, last: gap.lastSequence }, [acked]),
        'corrupt',
      );
    });
    const { state } = this.#core.setup.meta;
    if (withGaps(state, gaps) === state) return;
    await this.#core.writing(() => this.#core.commit((present) => withGaps(present, gaps)));
  }

  /** Reads from a segment; repairs it, and at last gives it up, when it keeps failing. */
  async #guarded<T>(segment: SegmentFacts, job: (store: Store) => Promise<T>): Promise<T | undefined> {
    const { disk, options } = this.#core.setup;
    try {
      const result = await job(await this.#core.reader(segment.number));
      this.#failures.delete(segment.number);
      return result;
    } catch (error) {
      if (!isKomError(error)) throw error;
      await this.#release(segment.number);
      const isDamage = await mayBeDamaged(error, disk, this.#core.setup.segmentBytes);
      const count = isDamage ? this.#countFailure(segment.number) : 0;
      const fields = { segment: segment.number, count, error: error.message };
      // Each step towards giving it up is said; reading it again is not.
      this.#recurring.say('warn', `${segment.number} ${count}`, fields, 'a segment does not read');
      if (count > FAILURES_BEFORE_GIVING_UP) {
        await this.#core.writing(() => giveUp(this.#core, segment));
        return undefined;
      }
      if (count > FAILURES_BEFORE_REPAIR) {
        try {
          await disk.repair(segmentName(segment.number));
        } catch (repairing) {
          options.log.warn({ segment: segment.number, error: describeError(repairing) }, 'not repaired');
        }
      }
      throw new KomError('KOM_STORE_READ', segmentName(segment.number), { got: error.message, cause: error });
    }
  }

  async #release(number: number): Promise<void> {
    try {
      await this.#core.setup.stores.release(number);
    } catch (error) {
      this.#core.setup.options.log.debug({ number, error: describeError(error) }, 'a segment did not close');
    }
  }

  #countFailure(number: number): number {
    const atMs = this.#core.setup.options.clock.monotonicMs();
    const before = this.#failures.get(number);
    if (before !== undefined && atMs - before.atMs < FAILURE_SPACING_MS) return 0;
    const count = (before?.count ?? 0) + 1;
    this.#failures.set(number, { count, atMs });
    return count;
  }
}

/** A segment that cannot be read: its loss is declared, then it is set aside. Call within `writing`. */
export async function giveUp(core: RingCore, segment: SegmentFacts): Promise<void> {
  const gaps = gapsOfSegment(segment, core.ackedThrough, 'corrupt');
  await core.setup.stores.release(segment.number);
  await core.commit((state) => {
    const segments = state.segments.filter((each) => each.number !== segment.number);
    const totals = { ...state.totals, ...nextPlace(state) };
    return withGaps({ ...state, segments, totals }, gaps);
  });
  try {
    await core.setup.quarantine.take(segmentName(segment.number));
  } catch (error) {
    core.setup.options.log.warn({ error: describeError(error) }, 'a segment could not be set aside');
  }
}

function isWanted(run: Run, after: RingPosition, wanted: Wanted): boolean {
  const range = wanted.range(run);
  return (
    range !== null && run.lastPosition > after && lastOf(run) >= range.first && firstOf(run) <= range.last
  );
}

/** Reads one run on from `found.after`, until the limit, the end of the run, or the end of the range. */
async function readRun(store: Store, run: Run, task: { wanted: Wanted; found: Found }): Promise<void> {
  const { wanted, found } = task;
  const range = wanted.range(run);
  if (range === null) return;
  let position = Math.max(run.firstPosition, found.after + 1);
  if (firstOf(run) < range.first)
    position = await seek(store, { ...run, firstPosition: position }, range.first);
  // Where the numbers start that an unreadable block at the front can have held.
  let edge = position === run.firstPosition ? edgeOf(run) : await edgeBehind(store, run, position - 1);
  let isTorn = false;
  while (position <= run.lastPosition) {
    if (found.bytes >= wanted.limitBytes && !isTorn) return;
    const records = await store.read({
      gte: positionKey(position),
      lte: positionKey(run.lastPosition),
      limitBytes: Math.max(1, wanted.limitBytes - found.bytes),
    });
    if (records.length === 0) break;
    for (const { key, value } of records) {
      const at = positionOf(key) ?? position;
      const block = decodeBlockRecord(value);
      isTorn ||= at > position || block === undefined;
      position = at + 1;
      if (block === undefined || block.header.firstSequence < edge.sequence) continue;
      const { header } = block;
      if (isTorn) found.lost.push(...lostBetween(run, edge, header));
      isTorn = false;
      edge = edgeOfBlock(header);
      found.after = at;
      if (header.firstSequence <= range.last && edge.sequence > range.first) {
        found.blocks.push({ position: at, block });
        found.bytes += value.length;
      }
      if (edge.sequence > range.last) {
        found.after = run.lastPosition;
        return;
      }
    }
  }
  // Behind the last good block: unreadable ones, or none where there should be some.
  if (edge.sequence <= lastOf(run)) found.lost.push(...lostBetween(run, edge, null));
  found.after = run.lastPosition;
}

/** Behind a readable block, or at the front of a run: the next number, and a time that surely had passed. */
interface Edge {
  readonly sequence: number;
  readonly untilUs: number;
}

function edgeOf(run: Run): Edge {
  return { sequence: firstOf(run), untilUs: run.fromUs };
}

function edgeOfBlock(header: BlockHeader): Edge {
  return { sequence: lastSequence(header) + 1, untilUs: header.toUs };
}

/**
 * Gap records of the numbers of a run that lie in an unreadable stretch, between an edge and the next
 * readable block (`null`: the end of the run). What is lost there is as old as what was before it, or
 * younger.
 */
function lostBetween(run: Run, edge: Edge, next: BlockHeader | null): SequenceGap[] {
  const lost = { first: edge.sequence, last: next === null ? lastOf(run) : next.firstSequence - 1 };
  const ranges = run.ranges.flatMap((range) => subtract(range, subtract(range, [lost])));
  const fromUs = Math.min(edge.untilUs, next?.fromUs ?? run.toUs);
  return gapsOfRanges({ streamId: run.streamId, fromUs, toUs: next?.toUs ?? run.toUs }, ranges, 'corrupt');
}

/**
 * A position behind all blocks of a run that end before a number, and not behind any other; what cannot be
 * read counts as a block that ends behind it, so the result may be early, never late. Where blocks were
 * joined there are positions without one.
 */
async function seek(store: Store, run: Run, sequence: number): Promise<RingPosition> {
  let low = run.firstPosition;
  let high = run.lastPosition;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const [record] = await store.read({ gte: positionKey(middle), lte: positionKey(high), limit: 1 });
    const block = record === undefined ? undefined : decodeBlockRecord(record.value);
    const at = record === undefined ? undefined : positionOf(record.key);
    if (at !== undefined && block !== undefined && lastSequence(block.header) < sequence) low = at + 1;
    else high = middle;
  }
  return low;
}

/** The edge behind the last readable block of a run up to a position. */
async function edgeBehind(store: Store, run: Run, position: RingPosition): Promise<Edge> {
  let upTo = position;
  while (upTo >= run.firstPosition) {
    const [record] = await store.read({
      gte: positionKey(run.firstPosition),
      lte: positionKey(upTo),
      reverse: true,
      limit: 1,
    });
    if (record === undefined) break;
    const block = decodeBlockRecord(record.value);
    if (block !== undefined) return edgeOfBlock(block.header);
    upTo = (positionOf(record.key) ?? run.firstPosition) - 1;
  }
  return edgeOf(run);
}
