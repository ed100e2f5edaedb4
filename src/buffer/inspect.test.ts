import { describe, expect, it } from 'vitest';
import { encodeBlock } from '../domain/block/codec.ts';
import { encodeDictionary } from '../domain/dictionary-codec.ts';
import type { Entry } from '../domain/sample.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { type ExportFilter, type ExportRow, exportRing } from './export.ts';
import type { RingInspection } from './facts.ts';
import { inspectionOf, inspectRing } from './inspect.ts';
import { positionKey } from './record.ts';
import { openTestRing, START_US } from './ring.fixture.ts';
import type { Ring } from './ring.ts';
import { segmentName } from './segment.ts';
import { type RingProblem, type VerifiedRing, verifyRing } from './verify.ts';

const tag = { station: 'P1', class: 'measurement', unit: '', formerly: [] } as const;
const dictionary = encodeDictionary({
  site: 'S',
  process: 'KomA',
  tags: [
    { ...tag, name: 'P1.flow', type: 'float64' },
    { ...tag, name: 'P1.count', type: 'int64' },
  ],
});

function setUp() {
  const random = createSimulatedRandom(3);
  const clock = new SimulatedClock();
  const disk = new SimulatedDisk(clock, random);
  return { random, clock, disk };
}

async function filled(world: ReturnType<typeof setUp>, blocks: number): Promise<Ring> {
  const ring = await openTestRing(world.disk, world);
  await ring.putDictionary(dictionary);
  for (let block = 0; block < blocks; block++) await ring.append([blockAt(ring, block)]);
  return ring;
}

/** Ten entries: nine samples of two tags, a second apart, and a time gap. */
function blockAt(ring: Ring, block: number) {
  const firstSequence = block * 10 + 1;
  const entries = Array.from({ length: 10 }, (_, at): Entry => {
    const sourceTimeUs = START_US + (firstSequence + at) * 1_000_000;
    if (at === 9) {
      const span = { fromUs: sourceTimeUs, toUs: sourceTimeUs + 500_000 };
      return { station: 'P1', tags: ['P1.flow'], ...span, reason: 'station-down' };
    }
    const value = at % 2 === 0 ? firstSequence + at + 0.5 : 9_007_199_254_740_993n + BigInt(at);
    return { tagIndex: at % 2, sourceTimeUs, value, quality: 0, cause: 'change' };
  });
  return encodeBlock(entries, {
    streamId: ring.stream.streamId,
    firstSequence,
    dictionaryHash: dictionary.hash,
    sealedMonotonicUs: 0,
  });
}

async function verified(inspection: RingInspection): Promise<VerifiedRing & { found: RingProblem[] }> {
  const found: RingProblem[] = [];
  const problems = verifyRing(inspection);
  for (;;) {
    const step = await problems.next();
    if (step.done) return { ...step.value, found };
    found.push(step.value);
  }
}

async function exported(inspection: RingInspection, filter: ExportFilter = {}): Promise<ExportRow[]> {
  const rows: ExportRow[] = [];
  for await (const row of exportRing(inspection, filter)) rows.push(row);
  return rows;
}

describe('inspection', () => {
  it('of a ring at rest changes nothing: no stream, no record, no byte of meta', async () => {
    const world = setUp();
    const ring = await filled(world, 30);
    const told = ring.facts();
    await ring.close();
    for (let time = 0; time < 2; time++) {
      await using inspection = await inspectRing(world.disk);
      const facts = await inspection.facts();
      expect(facts.streams.map(({ info }) => info)).toEqual(told.streams.map(({ info }) => info));
      expect(facts.segments).toEqual(told.segments);
      expect(await verified(inspection)).toMatchObject({ blocks: 30, samples: 300, found: [] });
    }
  });

  it('after a crash sees blocks and dictionaries that meta does not know of yet', async () => {
    const world = setUp();
    await filled(world, 3);
    world.disk.cutPower();
    await using inspection = await inspectRing(world.disk);
    expect(await verified(inspection)).toMatchObject({ blocks: 3, found: [] });
    expect((await exported(inspection)).length).toBe(30);
  });

  it('of a running ring agrees with the one at rest', async () => {
    const world = setUp();
    const ring = await filled(world, 12);
    const running = await exported(inspectionOf(ring));
    expect(await verified(inspectionOf(ring))).toMatchObject({ blocks: 12, problems: 0 });
    await ring.close();
    await using inspection = await inspectRing(world.disk);
    expect(await exported(inspection)).toEqual(running);
  });

  it('does not make a ring where there is none', async () => {
    const { disk } = setUp();
    await expect(inspectRing(disk)).rejects.toMatchObject({ code: 'KOM_STORE_OPEN' });
    expect(await disk.list()).toEqual([]);
  });

  it('says that a living process holds the ring', async () => {
    const world = setUp();
    const ring = await filled(world, 1);
    await expect(inspectRing(world.disk)).rejects.toMatchObject({ code: 'KOM_STORE_LOCKED' });
    await ring.close();
  });
});

describe('verify', () => {
  it('names place and stream of what is lost, once', async () => {
    const world = setUp();
    const ring = await filled(world, 5);
    await ring.close();
    const store = await world.disk.open(segmentName(1));
    const [, second, third] = await store.read({ limit: 3 });
    const flipped = Uint8Array.from(second?.value ?? []);
    flipped[50] = (flipped[50] ?? 0) ^ 1;
    await store.batch(
      [
        { type: 'put', key: second?.key ?? new Uint8Array(), value: flipped },
        { type: 'delete', key: third?.key ?? new Uint8Array() },
      ],
      { sync: true },
    );
    await store.close();
    await using inspection = await inspectRing(world.disk);
    const { found, blocks } = await verified(inspection);
    expect(blocks).toBe(3);
    expect(found.map(({ segment, position }) => [segment, position])).toEqual([
      ['segment-0000000001', 2],
      ['segment-0000000001', 3],
    ]);
    expect(found[0]?.what).toContain(`behind number 10 of ${ring.stream.streamId}`);
    const rows = await exported(inspection);
    expect(rows.filter(({ kind }) => kind === 'unreadable')).toMatchObject([
      { position: 2, why: expect.stringContaining('CRC') },
      { position: 3, why: 'no block has the numbers 11 to 30' },
    ]);
    expect(rows.filter(({ kind }) => kind === 'sample')).toHaveLength(27);
  });

  it('finds that the last blocks of a segment are not there, and an export tells', async () => {
    const world = setUp();
    await (await filled(world, 5)).close();
    const store = await world.disk.open(segmentName(1));
    const last = [4, 5].map((at) => ({ type: 'delete' as const, key: positionKey(at) }));
    await store.batch(last, { sync: true });
    await store.close();
    await using inspection = await inspectRing(world.disk);
    expect((await verified(inspection)).found[0]).toMatchObject({ segment: segmentName(1), position: 4 });
    const rows = await exported(inspection);
    expect(rows).toHaveLength(31);
    expect(rows.at(-1)).toMatchObject({ position: 4, why: 'no block has the numbers 31 to 50' });
  });

  it('finds a deleted segment, and not what was evicted and declared', async () => {
    const world = setUp();
    const ring = await filled(world, 900);
    const { gaps, segments } = ring.facts();
    expect(gaps[0]?.reason).toBe('evicted');
    expect(await verified(inspectionOf(ring))).toMatchObject({ problems: 0 });
    await ring.close();
    await world.disk.remove(segmentName(segments[1]?.number ?? 0));
    await using inspection = await inspectRing(world.disk);
    const { found } = await verified(inspection);
    expect(found).toHaveLength(1);
    expect(found[0]?.segment).toBe(segmentName(segments[1]?.number ?? 0));
    expect(found[0]?.what).toContain(`behind number ${(segments[1]?.runs[0]?.ranges[0]?.first ?? 0) - 1} of`);
    const lost = (await exported(inspection)).filter((row) => row.kind === 'sequence-gap');
    expect(lost.map(({ gap }) => gap)).toEqual(gaps);
  });
});

describe('export', () => {
  it('filters by tag, time and stream, and keeps int64 exact', async () => {
    const world = setUp();
    const ring = await filled(world, 4);
    const all = inspectionOf(ring);
    const counts = await exported(all, { tags: ['P1.count'] });
    expect(counts.map(({ kind }) => kind)).toEqual(Array.from({ length: 16 }, () => 'sample'));
    expect(counts[0]).toMatchObject({
      sequence: 2,
      tag: { name: 'P1.count', type: 'int64' },
      sample: { value: 9_007_199_254_740_994n },
    });
    const fromUs = START_US + 10 * 1_000_000;
    const some = await exported(all, { fromUs, toUs: fromUs + 2_000_000 });
    expect(some.map((row) => ('sequence' in row ? row.sequence : row.kind))).toEqual([10, 11]);
    expect(await exported(all, { stream: 'no such stream' })).toEqual([]);
    const { streamId } = ring.stream;
    expect(await exported(all, { stream: streamId.slice(0, 8) })).toHaveLength(40);
    await ring.close();
  });
});

it('a dictionary that came with the last blocks before a crash is not lost', async () => {
  const world = setUp();
  await filled(world, 3);
  world.disk.cutPower();
  const next = await openTestRing(world.disk, world);
  expect(await next.dictionary(dictionary.hash)).toEqual(dictionary.bytes);
  await next.close();
});
