import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Backlog } from '../buffer/backlog.ts';
import { openTestRing, START_US } from '../buffer/ring.fixture.ts';
import { lastSequence } from '../domain/block/block.ts';
import { decodeBlock, encodeBlock, readBlock } from '../domain/block/codec.ts';
import { encodeDictionary } from '../domain/dictionary-codec.ts';
import { RangeSet } from '../domain/range-set.ts';
import { silentLog } from '../world/log.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { type Mirror, type MirrorOptions, openMirror } from './mirror.ts';
import type { MirrorMessage, MirrorPort, MirrorSide } from './mirror-ports.ts';

/** A link between two mirrors that loses what is on its way whenever it is cut, and has little room. */
class Wire {
  readonly #clock: SimulatedClock;
  readonly #sides: MirrorSide[] = [];
  #isOpen = false;
  #run = 0;
  roomMessages = 3;
  readonly #queued = [0, 0];

  constructor(clock: SimulatedClock) {
    this.#clock = clock;
  }

  add(side: MirrorSide): MirrorPort {
    const at = this.#sides.push(side) - 1;
    const wire = this;
    return {
      get roomBytes() {
        return wire.#isOpen ? (wire.roomMessages - (wire.#queued[at] ?? 0)) * 1000 : 0;
      },
      bytesPerS: null,
      send: (message) => wire.#send(at, message),
    };
  }

  /** The process of one end began anew. */
  replace(at: number, side: MirrorSide): MirrorPort {
    this.#sides[at] = side;
    const port = this.add(side);
    this.#sides.pop();
    return { ...port, send: (message) => this.#send(at, message) };
  }

  open(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#run += 1;
    this.#queued.fill(0);
    for (const side of this.#sides) side.opened();
  }

  cut(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#run += 1;
    for (const side of this.#sides) side.closed();
  }

  #send(from: number, message: MirrorMessage): boolean {
    if (!this.#isOpen || (this.#queued[from] ?? 0) >= this.roomMessages) return false;
    const run = this.#run;
    this.#queued[from] = (this.#queued[from] ?? 0) + 1;
    this.#clock.schedule('message', 5, () => {
      if (run !== this.#run) return;
      this.#queued[from] = (this.#queued[from] ?? 0) - 1;
      this.#sides[1 - from]?.take(message);
      this.#sides[from]?.roomed();
    });
    return true;
  }
}

const dictionary = encodeDictionary({
  ...{ site: 'S', process: 'KomA' },
  tags: [{ name: 'P.T', station: 'P', class: 'measurement', type: 'float64', unit: '', formerly: [] }],
});

/** Ten numbers, the same bytes each time. */
function blockOf(streamId: string, firstSequence: number) {
  const samples = Array.from({ length: 10 }, (_, at) => {
    const sourceTimeUs = START_US + (firstSequence + at) * 1000;
    const value = Math.sin(firstSequence + at);
    return { tagIndex: 0, sourceTimeUs, value, quality: 0, cause: 'change' as const };
  });
  const { hash: dictionaryHash } = dictionary;
  return encodeBlock(samples, { streamId, firstSequence, dictionaryHash, sealedMonotonicUs: firstSequence });
}

class Pair {
  readonly clock = new SimulatedClock();
  readonly random;
  readonly disk;
  readonly wire = new Wire(this.clock);
  readonly #capacityBytes: number;

  constructor(seed: number, capacityBytes: number) {
    this.random = createSimulatedRandom(seed);
    this.disk = new SimulatedDisk(this.clock, this.random);
    this.#capacityBytes = capacityBytes;
  }

  async owner() {
    const { clock, random } = this;
    const ring = await openTestRing(new SimulatedDisk(clock, random), this, { policy: 'on-outage' });
    await ring.putDictionary(dictionary);
    const backlog = new Backlog({
      ...{ ring, policy: 'on-outage', spillAgeMs: 300, windowBytes: 20_000, clock, log: silentLog },
    });
    backlog.linkUp();
    const mirror = await this.mirror(
      { stores: [{ ring, backlog }], peerInstance: 2 },
      new SimulatedDisk(clock, random),
    );
    mirror.attach(this.wire.add(mirror));
    return { ring, backlog, mirror };
  }

  mirror(change: Pick<MirrorOptions, 'stores' | 'peerInstance'>, disk = this.disk): Promise<Mirror> {
    const { clock } = this;
    return openMirror({
      ...{ main: { disk, capacityBytes: this.#capacityBytes, ownBytes: () => 0 }, alarms: null },
      ...{ memoryBytes: 10_000, writesAll: false, clock, log: silentLog, ...change },
    });
  }
}

/** Everything that a mirror says it holds, as it gives it out. */
async function given({ source }: Mirror): Promise<Map<string, RangeSet>> {
  const streams = source.streams();
  source.granted(streams.map(({ streamId }) => streamId));
  source.backlog.rewind();
  const ranges = new Map<string, RangeSet>();
  for (;;) {
    const blocks = await source.backlog.next(3000);
    if (blocks.length === 0) return ranges;
    for (const { header, bytes } of blocks) {
      // The owner's ring may have joined small blocks: the same samples in fewer blocks.
      const { sourceTimesUs, floats } = decodeBlock(readBlock(bytes));
      const numbers = Array.from({ length: header.count }, (_, at) => header.firstSequence + at);
      expect([...sourceTimesUs]).toEqual(numbers.map((number) => START_US + number * 1000));
      expect([...floats]).toEqual(numbers.map(Math.sin));
      const range = { first: header.firstSequence, last: lastSequence(header) };
      const known = ranges.get(header.streamId);
      // A joined block may have what came before in small ones; nothing is given for nothing.
      expect(known?.holds(range) ?? false, 'each block gives something new').toBe(false);
      if (known === undefined) ranges.set(header.streamId, new RangeSet([range]));
      else known.add(range);
    }
  }
}

/** While it gives, it may write, and drop the oldest for it: what it held all the time it gives. */
async function givesWhatItHolds(mirror: Mirror): Promise<void> {
  for (const { streamId, held } of mirror.source.streams()) {
    const got = (await given(mirror)).get(streamId) ?? new RangeSet();
    const now = mirror.source.streams().find((stream) => stream.streamId === streamId)?.held ?? [];
    const before = new RangeSet(held);
    for (const missing of now.flatMap((range) => got.missing(range))) {
      expect(before.missing(missing), 'what was not given was not held').toEqual([missing]);
    }
  }
}

const action = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('blocks' as const), count: fc.integer({ min: 1, max: 12 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 2000 }) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('cut' as const, 'open' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('ack' as const),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('uplink' as const), isUp: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('restart' as const, 'kill' as const) }) },
);

type Action = typeof action extends fc.Arbitrary<infer Each> ? Each : never;

/** The owner sends what a mirror had no room for once more to one that starts anew, nearly full. */
const RESTARTED_FULL: Action[] = [
  ...[5, 8, 10, 8].map((count) => ({ kind: 'blocks' as const, count })),
  ...[{ kind: 'wait' as const, ms: 60 }, { kind: 'restart' as const }],
  ...[{ kind: 'ack' as const, share: 0 }, { kind: 'wait' as const, ms: 3 }, { kind: 'cut' as const }],
];

it('holds what it says, whatever happens to link, standby and disk; and all of it at last', async () => {
  const run = fc.asyncProperty(
    fc.array(action, { minLength: 5, maxLength: 40 }),
    fc.constantFrom(12_000, 2_000_000),
    fc.integer({ min: 1, max: 1e6 }),
    async (actions, capacityBytes, seed) => {
      const pair = new Pair(seed, capacityBytes);
      const { ring, backlog, mirror: sending } = await pair.owner();
      let holder = await pair.mirror({ stores: [], peerInstance: 1 });
      holder.attach(pair.wire.add(holder));
      pair.wire.open();
      let made = 0;
      for (const each of actions) {
        if (each.kind === 'blocks') {
          for (let at = 0; at < each.count; at++)
            backlog.accept(blockOf(ring.stream.streamId, ++made * 10 - 9));
        } else if (each.kind === 'wait') await pair.clock.advance(each.ms);
        else if (each.kind === 'cut') pair.wire.cut();
        else if (each.kind === 'open') pair.wire.open();
        else if (each.kind === 'ack')
          backlog.acknowledge(ring.stream.streamId, Math.floor(made * each.share) * 10);
        else if (each.kind === 'uplink') each.isUp ? backlog.linkUp() : backlog.linkDown();
        else {
          pair.wire.cut();
          if (each.kind === 'kill') pair.disk.killProcess();
          const closed = holder.close();
          await pair.clock.advance(2000);
          await closed;
          holder = await pair.mirror({ stores: [], peerInstance: 1 });
          holder.attach(pair.wire.replace(1, holder));
          pair.wire.open();
        }
        await pair.clock.advance(1);
        await givesWhatItHolds(holder);
        expect(holder.status.diskBytes).toBeLessThanOrEqual(capacityBytes / 2);
      }
      pair.wire.open();
      await pair.clock.advance(20_000);
      const [own] = backlog.streams();
      const wanted = own?.held ?? [];
      const [held] = holder.source.streams();
      if (capacityBytes > 1e6) {
        const has = new RangeSet(held?.held);
        expect(wanted.flatMap((range) => has.missing(range))).toEqual([]);
        expect(sending.lagBytes).toBe(0);
      } else expect(held?.held.at(-1)?.last, 'the newest, if not all').toBe(wanted.at(-1)?.last);
      await sending.close();
    },
  );
  await fc.assert(run, { numRuns: 60, examples: [[RESTARTED_FULL, 12_000, 1]] });
});

it('gives out nothing without the right to, and nothing twice', async () => {
  const pair = new Pair(1, 2_000_000);
  const { ring, backlog } = await pair.owner();
  const { streamId } = ring.stream;
  const holder = await pair.mirror({ stores: [], peerInstance: 1 });
  holder.attach(pair.wire.add(holder));
  pair.wire.open();
  for (let at = 0; at < 3; at++) backlog.accept(blockOf(streamId, at * 10 + 1));
  await pair.clock.advance(1000);
  const { source } = holder;
  source.backlog.linkUp();
  expect(source.streams()).toMatchObject([{ streamId, ownerInstance: 1, held: [{ first: 1, last: 30 }] }]);
  expect(await source.backlog.next(10_000)).toEqual([]);
  source.granted([streamId]);
  expect(await source.backlog.next(10_000)).toHaveLength(3);
  expect(await source.backlog.next(10_000)).toEqual([]);
  source.backlog.rewind();
  source.granted([]);
  expect(await source.backlog.next(10_000), 'its owner is back').toEqual([]);
  source.backlog.acknowledge(streamId, 20);
  expect(backlog.stat().samples, 'nothing was delivered from here').toBe(30);
});
