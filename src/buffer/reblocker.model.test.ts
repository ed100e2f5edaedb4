import fc from 'fast-check';
import { expect, test } from 'vitest';
import { makeWorld, segmentsOn } from '../../test/ring-model/joining.ts';
import { blockEntryAt, decodeBlock } from '../domain/block/codec.ts';
import { joinTouching, type SequenceRange, subtract } from '../domain/coverage.ts';
import { smallBlock, smallSample } from './ring.fixture.ts';
import type { Ring, RingBlock } from './ring.ts';
import { segmentName } from './segment.ts';

/** What may happen to a ring while its small blocks are joined. */
type Action =
  | { readonly do: 'append'; readonly counts: readonly number[] }
  | { readonly do: 'deliver without storing'; readonly count: number }
  | { readonly do: 'acknowledge'; readonly share: number; readonly older: boolean }
  | { readonly do: 'declare'; readonly back: number; readonly count: number }
  | { readonly do: 'pass time'; readonly ms: number }
  | {
      readonly do: 'pass time with an error';
      readonly ms: number;
      readonly at: number;
      readonly how: Failing;
    }
  | { readonly do: 'read on'; readonly bytes: number }
  | { readonly do: 'restart'; readonly how: 'cutPower' | 'killProcess' | 'close' }
  | { readonly do: 'die at'; readonly at: number; readonly how: 'cutPower' | 'killProcess' };
type Failing = 'write' | 'all';

const cut = fc.constantFrom('cutPower', 'killProcess');
const ms = fc.constantFrom(0, 20, 45, 90, 200, 1000);
const action = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant('append'),
      counts: fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 10, maxLength: 60 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('deliver without storing'),
      count: fc.integer({ min: 1, max: 9 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('acknowledge'),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
      older: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('declare'),
      back: fc.nat(900),
      count: fc.integer({ min: 1, max: 40 }),
    }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('pass time'), ms }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('pass time with an error'),
      ms,
      at: fc.nat(5),
      how: fc.constantFrom('write', 'all'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('read on'), bytes: fc.integer({ min: 1, max: 6000 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('restart'),
      how: fc.constantFrom('cutPower', 'killProcess', 'close'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('die at'), at: fc.nat(7), how: cut }) },
) as fc.Arbitrary<Action>;

/** Numbers of one stream, as a list of what became of them. */
interface Numbers {
  readonly streamId: string;
  stored: SequenceRange[];
  readonly declared: SequenceRange[];
}

/** The ring and a list of numbers, side by side. */
class LockStep {
  readonly #world;
  readonly #policy;
  readonly #streams: Numbers[] = [];
  #ring: Ring;
  #next = 1;
  /** Where reading goes on, and behind which number. */
  #cursor: { readonly after: number; readonly through: number } | null = null;
  readonly #acked = new Map<string, number>();
  joined = 0;

  constructor(seed: number, policy: 'always' | 'on-outage') {
    this.#policy = policy;
    // Segments of 60 blocks or so, and room for all of them.
    this.#world = makeWorld(seed, { policy, capacityBytes: 4_000_000, segmentBytesMax: 10_000 });
    this.#ring = undefined as unknown as Ring;
  }

  async open(): Promise<void> {
    this.#ring = await this.#world.clock.runUntil(this.#world.open());
    this.#streams.push({ streamId: this.#ring.stream.streamId, stored: [], declared: [] });
    this.#next = 1;
    this.#cursor = null;
  }

  async step(each: Action): Promise<void> {
    const { clock, disk } = this.#world;
    const ring = this.#ring;
    const { streamId } = ring.stream;
    switch (each.do) {
      case 'append':
        await this.#append(each.counts);
        break;
      case 'deliver without storing':
        if (this.#policy === 'always') return;
        this.#next += each.count;
        await ring.acknowledge(streamId, this.#next - 1);
        break;
      case 'acknowledge':
        await this.#acknowledge(each.share, each.older);
        break;
      case 'declare':
        await this.#declare(each.back, each.count);
        break;
      case 'pass time':
        await clock.advance(each.ms);
        break;
      case 'pass time with an error':
        this.#placed(each.at, () => (disk.failing = each.how));
        await clock.advance(each.ms);
        disk.beforeOperation = undefined;
        disk.failing = 'nothing';
        await clock.advance(1100);
        await ring.markAlive(clock.wallUs(), this.#next);
        break;
      case 'read on':
        await this.#readOn(each.bytes);
        break;
      case 'restart':
        await (each.how === 'close' ? ring.close() : disk[each.how]());
        await this.open();
        break;
      case 'die at':
        this.#placed(each.at, () => {
          disk[each.how]();
          disk.failing = 'all';
        });
        await clock.advance(300);
        disk.beforeOperation = undefined;
        disk.failing = 'nothing';
        disk.killProcess();
        await this.open();
    }
    await this.#compare();
  }

  /** Something happens at an operation of the disk from now on. */
  #placed(at: number, happens: () => void): void {
    const { disk } = this.#world;
    const from = disk.operations;
    disk.beforeOperation = () => {
      if (disk.operations === from + at) happens();
    };
  }

  async #append(counts: readonly number[]): Promise<void> {
    const current = this.#streams.at(-1);
    const blocks = counts.map((count) => {
      const block = smallBlock(this.#ring.stream.streamId, this.#next, count);
      this.#next += count;
      return block;
    });
    await this.#ring.append(blocks);
    const first = blocks[0]?.header.firstSequence ?? 0;
    if (current !== undefined)
      current.stored = joinTouching([...current.stored, { first, last: this.#next - 1 }]);
  }

  async #acknowledge(share: number, older: boolean): Promise<void> {
    const stream =
      this.#streams[older ? Math.floor(share * (this.#streams.length - 1)) : this.#streams.length - 1];
    const last = stream?.stored.at(-1)?.last;
    if (stream === undefined || last === undefined) return;
    await this.#ring.acknowledge(stream.streamId, Math.floor(share * last));
  }

  async #declare(back: number, count: number): Promise<void> {
    const first = this.#next - back;
    const { streamId } = this.#ring.stream;
    const last = Math.min(this.#next - 1, first + count - 1);
    if (first <= this.#ackedOf(streamId) || last < first) return;
    const span = { fromUs: 1, toUs: 2, countAtMost: last - first + 1 };
    await this.#ring.declareGap({
      streamId,
      firstSequence: first,
      lastSequence: last,
      reason: 'rejected',
      ...span,
    });
    this.#streams.at(-1)?.declared.push({ first, last });
  }

  /** A stream that is forgotten, because nothing of it is left, is acknowledged as far as it was. */
  #ackedOf(streamId: string): number {
    const known = this.#ring.streams().find(({ info }) => info.streamId === streamId)?.ackedThrough;
    const acked = known ?? this.#acked.get(streamId) ?? 0;
    this.#acked.set(streamId, acked);
    return acked;
  }

  /** A reader of the running stream goes on where it was, whatever became of the blocks. */
  async #readOn(limitBytes: number): Promise<void> {
    const { streamId } = this.#ring.stream;
    const read = await this.#ring.readUnacknowledged(this.#cursor?.after ?? null, limitBytes);
    const through = this.#cursor?.through ?? 0;
    const got = read.blocks.filter(({ block }) => block.header.streamId === streamId);
    const last = Math.max(
      through,
      ...got.map(({ block }) => block.header.firstSequence + block.header.count - 1),
    );
    const wanted = this.#unacknowledged(this.#streams.at(-1)).flatMap((range) => [
      ...subtract(range, [
        { first: 0, last: through },
        { first: last + 1, last: Number.MAX_SAFE_INTEGER },
      ]),
    ]);
    for (const range of wanted) expect(subtract(range, rangesOf(got, streamId))).toEqual([]);
    this.#cursor = read.more && read.after !== null ? { after: read.after, through: last } : null;
  }

  #unacknowledged(numbers: Numbers | undefined): SequenceRange[] {
    const acked = { first: 0, last: this.#ackedOf(numbers?.streamId ?? '') };
    return (numbers?.stored ?? []).flatMap((range) => subtract(range, [acked]));
  }

  /** What is held, lost and on the disk. */
  async #compare(): Promise<void> {
    const read = await this.#drained();
    for (const numbers of this.#streams) {
      const { streamId } = numbers;
      const acked = { first: 0, last: this.#ackedOf(streamId) };
      const got = rangesOf(read, streamId).flatMap((range) => subtract(range, [acked]));
      expect(got).toEqual(this.#unacknowledged(numbers));
      const lost = this.#ring.gaps().filter((gap) => gap.streamId === streamId);
      const ranges = lost.map((gap) => ({ first: gap.firstSequence, last: gap.lastSequence }));
      const declared = numbers.declared.filter(({ last }) => last > acked.last);
      for (const range of declared) expect(subtract(range, [acked, ...ranges])).toEqual([]);
      for (const range of ranges) expect(subtract(range, covered(numbers.declared))).toEqual([]);
    }
    expect(await this.#world.disk.list('quarantine')).toEqual([]);
    this.joined += this.#ring.facts().segments.filter(({ number }) => number % 2 === 0).length;
  }

  /** Reads without taking the place of what is open: as a crash would find it. */
  async #drained(): Promise<RingBlock[]> {
    const blocks: RingBlock[] = [];
    for (const { number, runs } of this.#ring.facts().segments) {
      expect(runs.length === 0 || segmentsOn(this.#world.disk).includes(segmentName(number))).toBe(true);
    }
    const image = makeWorld(1, { policy: 'always', capacityBytes: 4_000_000, segmentBytesMax: 10_000 });
    image.disk.restore(this.#world.disk.image());
    const copy = await image.open();
    for (let after: number | null = null; ; ) {
      const read = await copy.readUnacknowledged(after, 100_000);
      for (const each of read.blocks) expectContent(each);
      blocks.push(...read.blocks);
      after = read.after;
      if (!read.more) return blocks;
    }
  }
}

function expectContent({ block }: RingBlock): void {
  const decoded = decodeBlock(block);
  for (let at = 0; at < block.header.count; at += 1) {
    const entry = blockEntryAt(decoded, at);
    const wanted = smallSample(block.header.firstSequence + at);
    if (JSON.stringify(entry) !== JSON.stringify(wanted)) expect(entry).toEqual(wanted);
  }
}

function rangesOf(read: readonly RingBlock[], streamId: string): SequenceRange[] {
  const own = read.filter(({ block }) => block.header.streamId === streamId);
  return joinTouching(
    own.map(({ block: { header } }) => ({
      first: header.firstSequence,
      last: header.firstSequence + header.count - 1,
    })),
  );
}

/** Ranges that may overlap, as a list that `subtract` takes. */
function covered(ranges: readonly SequenceRange[]): SequenceRange[] {
  const sorted = ranges.toSorted((a, b) => a.first - b.first);
  const result: { first: number; last: number }[] = [];
  for (const { first, last } of sorted) {
    const before = result.at(-1);
    if (before !== undefined && first <= before.last + 1) before.last = Math.max(before.last, last);
    else result.push({ first, last });
  }
  return result;
}

test('whatever happens while small blocks are joined, every number is where it was', async () => {
  let joined = 0;
  const run = fc.record({
    seed: fc.nat(),
    policy: fc.constantFrom<'always' | 'on-outage'>('always', 'on-outage'),
    actions: fc.array(action, { minLength: 1, maxLength: 30, size: 'max' }),
  });
  const property = fc.asyncProperty(run, async ({ seed, policy, actions }) => {
    const pair = new LockStep(seed, policy);
    await pair.open();
    for (const each of actions) await pair.step(each);
    joined += pair.joined;
  });
  const once: readonly number[] = Array.from({ length: 10 }, () => 1);
  const forgotten: Action[] = [
    { do: 'append', counts: [...once] },
    { do: 'deliver without storing', count: 1 },
    { do: 'restart', how: 'close' },
    { do: 'die at', at: 0, how: 'cutPower' },
    { do: 'append', counts: [...once] },
  ];
  const examples: [{ seed: number; policy: 'on-outage'; actions: Action[] }][] = [
    [{ seed: 0, policy: 'on-outage', actions: forgotten }],
  ];
  await fc.assert(property, { numRuns: 60, interruptAfterTimeLimit: 15_000, examples });
  expect(joined).toBeGreaterThan(0);
});
