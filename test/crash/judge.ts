import { openRing } from '../../src/buffer/open-ring.ts';
import type { Ring, RingBlock } from '../../src/buffer/ring.ts';
import { lastSequence } from '../../src/domain/block/block.ts';
import { decodeBlock, entryAt, isClockFixAt } from '../../src/domain/block/codec.ts';
import { joinTouching, type SequenceRange, subtract } from '../../src/domain/coverage.ts';
import { isTimeGap } from '../../src/domain/sample.ts';
import type { PreviousStream } from '../../src/domain/stream.ts';
import { silentLog } from '../../src/world/log.ts';
import { mintId } from '../../src/world/random.ts';
import { createClock } from '../../src/world/real/clock.ts';
import { openLevelDisk } from '../../src/world/real/level-disk.ts';
import { createRandom } from '../../src/world/real/random.ts';
import { type Loss, lossOf, ms, type Write, writesOf } from './loss.ts';
import { type Said, SETTINGS, type StoreSettings, sampleOf } from './settings.ts';

/** Between two looks at the clock in a row. */
const CLOCK_MS = 1;

/** How a writer ended that had minted its stream. */
interface Crash {
  readonly said: readonly Said[];
  readonly killedAtMs: number;
  readonly streamId: string;
}

const ROLE_SAYINGS: ReadonlySet<string> = new Set(['standing by', 'stood by', 'activating', 'active']);

interface KnownStream {
  readonly streamId: string;
  durable: number;
  delivered: number;
  readonly gaps: SequenceRange[];
}

/** Remembers what a store said over all its runs, and holds it against what is there after each crash. */
export class Judge {
  readonly violations: string[] = [];
  readonly losses: Loss[] = [];
  readonly writes: Write[] = [];
  blocksRead = 0;
  /** Runs that were killed while they stood by. */
  cleanEnds = 0;
  /** Samples in gaps `evicted` so far. */
  evicted = 0;
  /** Segments whose blocks were joined, of those that were there after a crash. */
  joined = 0;
  readonly #store: StoreSettings;
  readonly #streams = new Map<string, KnownStream>();
  #newest: string | null = null;

  constructor(store: StoreSettings) {
    this.#store = store;
  }

  /** Opens the ring that a killed writer left, compares, and closes it again. */
  async check(directory: string, said: readonly Said[], killedAtMs: number): Promise<void> {
    const written = this.#take(said);
    let ring: Ring;
    try {
      ring = await openForJudging(directory, this.#store);
    } catch (error) {
      this.#violation(`a start failed: ${error}`);
      return;
    }
    if (ring.stat().state !== 'healthy') this.#violation(`a start is ${ring.stat().state}`);
    this.#checkChain(ring, { written, said });
    const blocks = await this.#readAll(ring);
    const held = this.#checkBlocks(ring, blocks);
    this.#checkConfirmed(ring, held);
    if (written !== null) this.#checkBound(ring, { said, killedAtMs, streamId: written });
    // What a segment becomes has an even number.
    this.joined += ring.facts().segments.filter(({ number }) => number % 2 === 0).length;
    this.#newest = ring.stream.streamId;
    await ring.close();
  }

  /** Returns the stream that the writer minted, as far as it came. */
  #take(said: readonly Said[]): string | null {
    let written: string | null = null;
    for (const each of said) {
      if (each.kind === 'minted') {
        written = each.streamId;
        this.#streams.set(written, { streamId: written, durable: 0, delivered: 0, gaps: [] });
        continue;
      }
      const stream = this.#streams.get('streamId' in each ? each.streamId : (written ?? ''));
      if (stream === undefined) continue;
      if (each.kind === 'durable') stream.durable = Math.max(stream.durable, each.through);
      if (each.kind === 'delivered') stream.delivered = Math.max(stream.delivered, each.through);
      if (each.kind === 'gap') stream.gaps.push({ first: each.first, last: each.last });
    }
    return written;
  }

  /** A run ended cleanly if, and only if, it was killed while it stood by; on the way there it may have. */
  #checkEnd({ endedCleanly, lastDurableSequence }: PreviousStream, said: readonly Said[]): void {
    const role = said.findLast(({ kind }) => ROLE_SAYINGS.has(kind));
    if (endedCleanly) this.cleanEnds += 1;
    if (role?.kind === 'stood by' && !endedCleanly) this.#violation('a standby counts as cut off');
    if (!endedCleanly) return;
    if (role === undefined || role.kind === 'active') this.#violation('a killed run counts as ended cleanly');
    const numbered = said.findLast((each) => each.kind === 'numbered');
    if (numbered?.kind === 'numbered' && numbered.through > lastDurableSequence) {
      this.#violation(`a clean end at ${lastDurableSequence}, though ${numbered.through} was given`);
    }
  }

  #checkChain(ring: Ring, { written, said }: { written: string | null; said: readonly Said[] }): void {
    const { previous } = ring.stream;
    const expected = written ?? this.#newest;
    // A writer may be killed after it minted and before it says so.
    if (written === null && previous?.streamId !== expected) return;
    if (previous?.streamId !== (expected ?? undefined)) {
      this.#violation(`the chain names ${previous?.streamId}, not ${expected}`);
    }
    if (written !== null && previous !== null) this.#checkEnd(previous, said);
    const durable = written === null ? 0 : (this.#streams.get(written)?.durable ?? 0);
    if (previous !== null && previous.lastDurableSequence < durable) {
      this.#violation(`the chain says ${previous.lastDurableSequence} of at least ${durable}`);
    }
  }

  async #readAll(ring: Ring): Promise<RingBlock[]> {
    const blocks: RingBlock[] = [];
    let after: number | null = null;
    for (;;) {
      const read = await ring.readUnacknowledged(after, 512 * 1024);
      blocks.push(...read.blocks);
      after = read.after;
      if (!read.more) return blocks;
    }
  }

  /** Every block is whole, in order, and of the content that its numbers have. */
  #checkBlocks(ring: Ring, blocks: readonly RingBlock[]): Map<string, SequenceRange[]> {
    const order = ring.streams().map(({ info }) => info.streamId);
    const held = new Map<string, SequenceRange[]>();
    let place = -1;
    let position = 0;
    for (const { block, position: at } of blocks) {
      const { streamId, firstSequence, count } = block.header;
      const ranges = held.get(streamId) ?? [];
      const before = ranges.at(-1)?.last ?? 0;
      if (order.indexOf(streamId) < place || at <= position || firstSequence <= before) {
        this.#violation(`block ${at} of ${streamId} at ${firstSequence} is out of order`);
      }
      [place, position] = [order.indexOf(streamId), at];
      const decoded = decodeBlock(block);
      for (let index = 0; index < count; index += 1) {
        if (isClockFixAt(decoded, index)) continue;
        const entry = entryAt(decoded, index);
        if (isTimeGap(entry)) continue;
        const wanted = sampleOf(streamId, firstSequence + index, this.#store);
        if (entry.value !== wanted.value || entry.sourceTimeUs !== wanted.sourceTimeUs) {
          this.#violation(`${streamId} ${firstSequence + index} has another content`);
        }
      }
      held.set(
        streamId,
        joinTouching([...ranges, { first: firstSequence, last: lastSequence(block.header) }]),
      );
    }
    this.blocksRead += blocks.length;
    return held;
  }

  /** Everything confirmed is held, delivered, or in an eviction; what was told as a gap stays one. */
  #checkConfirmed(ring: Ring, held: ReadonlyMap<string, readonly SequenceRange[]>): void {
    const gaps = ring.gaps();
    this.evicted = ring.stat().lostByReason.evicted ?? 0;
    for (const { streamId, reason } of gaps) {
      if (reason !== 'evicted') this.#violation(`a gap of ${streamId} says ${reason}`);
    }
    for (const stream of this.#streams.values()) {
      const lost = gaps
        .filter(({ streamId }) => streamId === stream.streamId)
        .map((gap) => ({ first: gap.firstSequence, last: gap.lastSequence }));
      const there = held.get(stream.streamId) ?? [];
      const acked = ring.streams().find(({ info }) => info.streamId === stream.streamId)?.ackedThrough ?? 0;
      if (acked > stream.delivered) this.#violation(`${stream.streamId} counts ${acked} as acknowledged`);
      const known = [...there, ...lost, { first: 1, last: stream.delivered }].filter(
        ({ first, last }) => first <= last,
      );
      const missing = subtract({ first: 1, last: Math.max(1, stream.durable) }, sorted(known));
      if (stream.durable > 0 && missing.length > 0) {
        this.#violation(`${stream.streamId}: ${JSON.stringify(missing)} was confirmed and is gone`);
      }
      for (const gap of stream.gaps) {
        const missingOf = subtract(gap, sorted([...lost, { first: 1, last: stream.delivered }]));
        if (missingOf.length > 0) this.#violation(`${stream.streamId}: a gap that was told is gone`);
      }
    }
  }

  /** What was at risk is within the bound: what the crash lost, and before it whatever was written. */
  #checkBound(ring: Ring, { said, killedAtMs, streamId }: Crash): void {
    const delivered = this.#streams.get(streamId)?.delivered ?? 0;
    const keptThrough = Math.max(delivered, ring.stream.previous?.lastDurableSequence ?? 0);
    const { policy, blockAgeMs } = this.#store;
    const loss = lossOf({ policy, blockAgeMs, said, killedAtMs, keptThrough });
    this.losses.push(loss);
    if (loss.ageMs > loss.boundMs) {
      const { ageMs, boundMs, writeMs, stallMs, way } = loss;
      const measured = `slowest write ${ms(writeMs)}, longest stall ${ms(stallMs)}`;
      this.#violation(`lost ${ms(ageMs)}, more than ${ms(boundMs)} (${measured}): ${way}`);
    }
    for (const write of writesOf(said)) {
      this.writes.push(write);
      if (write.ageMs <= write.boundMs + CLOCK_MS) continue;
      this.#violation(`${ms(write.ageMs)} were at risk, and the bound was said to be ${ms(write.boundMs)}`);
    }
  }

  #violation(text: string): void {
    this.violations.push(`${this.#store.policy}: ${text}`);
  }
}

function openForJudging(directory: string, store: StoreSettings): Promise<Ring> {
  const clock = createClock();
  const random = createRandom();
  return openLevelDisk(directory).then((disk) =>
    openRing(disk, {
      ...SETTINGS,
      ...store,
      freeDiskFloorBytes: 0,
      whenFull: 'drop-oldest',
      log: silentLog,
      clock,
      mintStreamId: () => mintId(random),
      bootId: 'b'.repeat(32),
    }),
  );
}

function sorted(ranges: readonly SequenceRange[]): SequenceRange[] {
  return joinRanges(ranges.toSorted((a, b) => a.first - b.first));
}

/** Ranges that may overlap, as ranges that do not. */
function joinRanges(ranges: readonly SequenceRange[]): SequenceRange[] {
  const joined: { first: number; last: number }[] = [];
  for (const { first, last } of ranges) {
    const before = joined.at(-1);
    if (before !== undefined && first <= before.last + 1) before.last = Math.max(before.last, last);
    else joined.push({ first, last });
  }
  return joined;
}
