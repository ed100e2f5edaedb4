import {
  appendFile,
  cp,
  mkdtemp,
  readdir,
  readFile,
  rm,
  truncate,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { ringContract } from '../../src/buffer/ring.contract.ts';
import { blocksOf, drained, openTestRing, sequencesOf } from '../../src/buffer/ring.fixture.ts';
import type { Ring, RingOptions, RingRead } from '../../src/buffer/ring.ts';
import { type Coverage, countOf, coverWithData, coverWithGap } from '../../src/domain/coverage.ts';
import { isKomError } from '../../src/domain/errors.ts';
import { createClock } from '../../src/world/real/clock.ts';
import { openLevelDisk } from '../../src/world/real/level-disk.ts';
import { createRandom } from '../../src/world/real/random.ts';

const root = await mkdtemp(join(tmpdir(), 'kom-ring-'));
let count = 0;

async function makeWorld() {
  count += 1;
  const path = join(root, `ring-${count}`);
  const world = { disk: await openLevelDisk(path), clock: createClock(), random: createRandom() };
  return {
    path,
    ...world,
    pass: (ms: number) => world.clock.sleep(ms),
    open: (options?: Partial<RingOptions>) => openTestRing(world.disk, world, options),
  };
}

afterAll(() => rm(root, { recursive: true, force: true }));

ringContract('LevelDB', makeWorld);

/** Reads on while the ring asks for time: a segment that does not read is repaired at the second failure. */
async function drainedPatiently(ring: Ring): Promise<RingRead['blocks']> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await drained(ring);
    } catch (error) {
      if (!isKomError(error, 'KOM_STORE_READ') || attempt === 3) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1050));
    }
  }
}

/** The file of a database with this extension, newest name first. */
async function fileOf(path: string, pattern: RegExp): Promise<string> {
  const name = (await readdir(path))
    .filter((each) => pattern.test(each))
    .sort()
    .at(-1);
  expect(name, `a file like ${pattern} in ${path}`).toBeDefined();
  return join(path, name ?? '');
}

async function flipBit(path: string, at: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[at] = (bytes[at] ?? 0) ^ 16;
  await writeFile(path, bytes);
}

/** Name → what is done to the files of the closed ring → samples of 400 that must survive at least. */
const DAMAGES: readonly [string, (path: string) => Promise<void>, number][] = [
  ['nothing', async () => undefined, 400],
  ['CURRENT of a segment is gone', async (path) => unlink(join(path, 'segment-0000000003', 'CURRENT')), 400],
  [
    'CURRENT of a segment is nonsense',
    async (path) => writeFile(join(path, 'segment-0000000003', 'CURRENT'), 'x'),
    400,
  ],
  [
    'MANIFEST of a segment is gone',
    async (path) => unlink(await fileOf(join(path, 'segment-0000000003'), /^MANIFEST/)),
    400,
  ],
  [
    'MANIFEST of the open segment is gone',
    async (path) => unlink(await fileOf(join(path, 'segment-0000000007'), /^MANIFEST/)),
    400,
  ],
  ['MANIFEST of meta is empty', async (path) => truncate(await fileOf(join(path, 'meta'), /^MANIFEST/)), 400],
  ['CURRENT of meta is gone', async (path) => unlink(join(path, 'meta', 'CURRENT')), 400],
  ['meta is gone', async (path) => rm(join(path, 'meta'), { recursive: true }), 400],
  [
    'meta is a log of nonsense',
    async (path) => writeFile(await fileOf(join(path, 'meta'), /\.log$/), 'nonsense'.repeat(9)),
    400,
  ],
  [
    'the log of a segment is torn',
    async (path) => truncate(await fileOf(join(path, 'segment-0000000003'), /\.log$/), 5000),
    300,
  ],
  [
    'the log of the open segment is torn',
    async (path) => truncate(await fileOf(join(path, 'segment-0000000007'), /\.log$/), 100),
    300,
  ],
  [
    'the log of a segment is gone',
    async (path) => unlink(await fileOf(join(path, 'segment-0000000001'), /\.log$/)),
    270,
  ],
  [
    'a bit of a segment is flipped',
    async (path) => flipBit(await fileOf(join(path, 'segment-0000000005'), /\.log$/), 5000),
    270,
  ],
  [
    'nonsense stands behind the end of the open segment',
    async (path) => appendFile(await fileOf(join(path, 'segment-0000000007'), /\.log$/), 'x'.repeat(777)),
    400,
  ],
  [
    'a bit of the open segment is flipped',
    async (path) => flipBit(await fileOf(join(path, 'segment-0000000007'), /\.log$/), 2000),
    300,
  ],
  [
    'a bit of meta is flipped',
    async (path) => flipBit(await fileOf(join(path, 'meta'), /\.log$/), 1000),
    400,
  ],
  ['MANIFEST of meta is gone', async (path) => unlink(await fileOf(join(path, 'meta'), /^MANIFEST/)), 400],
  [
    'a segment is a file',
    async (path) => {
      await rm(join(path, 'segment-0000000003'), { recursive: true });
      await writeFile(join(path, 'segment-0000000003'), 'not a directory');
    },
    270,
  ],
  [
    'a dead process left its locks',
    async (path) => {
      for (const name of await readdir(path)) await writeFile(join(path, name, 'LOCK'), '4711');
    },
    400,
  ],
  [
    'a segment and meta are gone',
    async (path) => {
      await rm(join(path, 'meta'), { recursive: true });
      await rm(join(path, 'segment-0000000003'), { recursive: true });
    },
    270,
  ],
  ['a segment is gone', async (path) => rm(join(path, 'segment-0000000003'), { recursive: true }), 270],
];

test.each(DAMAGES)(
  '%s: it starts, and what does not survive is in a gap',
  async (_name, damage, survivors) => {
    const { path, open } = await makeWorld();
    const ring = await open();
    for (let at = 1; at <= 40; at += 4) await ring.append(blocksOf(ring, at, at + 3));
    await ring.endStream(400, 1);
    await ring.close();
    await damage(path);
    const again = await open();
    const held = sequencesOf(await drainedPatiently(again)).get(ring.stream.streamId) ?? [];
    const gaps = again.gaps().map((gap) => ({ first: gap.firstSequence, last: gap.lastSequence }));
    const all = [...held, ...gaps].sort((a, b) => a.first - b.first);
    expect(held.reduce((sum, { first, last }) => sum + last - first + 1, 0)).toBeGreaterThanOrEqual(
      survivors,
    );
    expect(all[0]?.first).toBe(1);
    expect(all.at(-1)?.last).toBe(400);
    for (const [at, range] of all.entries()) expect(range.first).toBe((all[at - 1]?.last ?? 0) + 1);
    expect(again.gaps().every(({ reason }) => reason === 'corrupt')).toBe(true);
    expect(again.stream.previous?.streamId).toBe(ring.stream.streamId);
    await again.append(blocksOf(again, 1, 1));
    await again.close();
  },
);

/** Gives a Kernel everything that a ring has; how many samples it had already. `known` is its coverage. */
async function delivered(ring: Ring, known: Map<string, Coverage>): Promise<number> {
  let doubled = 0;
  for (const [streamId, ranges] of sequencesOf(await drained(ring))) {
    for (const range of ranges) {
      const before = known.get(streamId) ?? [];
      const { coverage, changed } = coverWithData(before, range);
      known.set(streamId, coverage);
      doubled += range.last - range.first + 1 - countOf(changed);
    }
  }
  for (const { streamId, firstSequence: first, lastSequence: last, reason } of ring.gaps()) {
    known.set(streamId, coverWithGap(known.get(streamId) ?? [], { first, last }, reason).coverage);
  }
  return doubled;
}

test('a ring restored from last week: old streams come again, nothing is doubled or continued', async () => {
  const { path, open } = await makeWorld();
  const known = new Map<string, Coverage>();
  const first = await open();
  await first.append(blocksOf(first, 1, 20));
  await cp(path, `${path}-last-week`, { recursive: true });
  await first.append(blocksOf(first, 21, 25));
  await delivered(first, known);
  await first.endStream(250, 1);
  await first.close();
  const second = await open();
  await second.append(blocksOf(second, 1, 10));
  await delivered(second, known);
  await second.close();
  const archived = new Map(known);

  await rm(path, { recursive: true });
  await cp(`${path}-last-week`, path, { recursive: true });
  const restored = await open();
  expect(restored.stream.previous).toMatchObject({
    streamId: first.stream.streamId,
    lastDurableSequence: 200,
    endedCleanly: false,
  });
  expect([first.stream.streamId, second.stream.streamId]).not.toContain(restored.stream.streamId);
  // The chain omits the second stream, which is how a Kernel that knows it sees the loss of the store.
  expect(restored.streams().map(({ info }) => info.streamId)).not.toContain(second.stream.streamId);
  await restored.append(blocksOf(restored, 1, 3));
  expect(await delivered(restored, known), 'samples that the Kernel trims').toBe(200);
  expect(known.get(first.stream.streamId)).toEqual(archived.get(first.stream.streamId));
  expect(known.get(restored.stream.streamId)).toEqual([{ first: 1, last: 30, state: 'data' }]);
  await restored.close();
});

test('below the free-disk floor the ring does not grow: what is new costs what is oldest', async () => {
  const { disk, open } = await makeWorld();
  const roomy = await open();
  await roomy.append(blocksOf(roomy, 1, 25));
  const { segments } = roomy.stat();
  await roomy.close();
  const ring = await open({ freeDiskFloorBytes: (await disk.freeBytes()) + 1e9 });
  for (let at = 1; at <= 60; at += 1) await ring.append(blocksOf(ring, at, at));
  expect(ring.stat().segments).toBe(segments);
  const held = sequencesOf(await drained(ring));
  for (const { streamId, firstSequence, lastSequence, reason } of ring.gaps()) {
    expect({ firstSequence, reason }).toEqual({ firstSequence: 1, reason: 'evicted' });
    const through = streamId === ring.stream.streamId ? 600 : 250;
    const kept = lastSequence === through ? undefined : [{ first: lastSequence + 1, last: through }];
    expect(held.get(streamId)).toEqual(kept);
  }
  expect(ring.gaps().map(({ streamId }) => streamId)).toContain(roomy.stream.streamId);
  await ring.close();
});

test('a ring cloned onto a second box: one history, two streams', async () => {
  const { path, open } = await makeWorld();
  const first = await open();
  await first.append(blocksOf(first, 1, 20));
  await first.close();
  await cp(path, `${path}-clone`, { recursive: true });
  const clone = await openLevelDisk(`${path}-clone`);
  const one = await open();
  const other = await openTestRing(clone, { clock: createClock(), random: createRandom() });
  expect(one.stream.streamId).not.toBe(other.stream.streamId);
  expect(one.stream.previous).toEqual(other.stream.previous);
  const known = new Map<string, Coverage>();
  for (const ring of [one, other]) await ring.append(blocksOf(ring, 1, 5));
  expect(await delivered(one, known)).toBe(0);
  expect(await delivered(other, known), 'the common history').toBe(200);
  for (const ring of [first, one, other]) expect(known.get(ring.stream.streamId)).toHaveLength(1);
  await one.close();
  await other.close();
});

test.each([
  ['everything', (path: string) => path],
  ['meta', (path: string) => join(path, 'meta')],
  ['a sealed segment', (path: string) => join(path, 'segment-0000000003')],
  ['the open segment', (path: string) => join(path, 'segment-0000000007')],
])('%s is deleted under way: noticed at the alive mark, declared, and the ring goes on', async (_, gone) => {
  const { path, open } = await makeWorld();
  const ring = await open();
  await ring.append(blocksOf(ring, 1, 40));
  await rm(gone(path), { recursive: true });
  // An append that starts a new segment notices at once.
  await ring.append(blocksOf(ring, 41, 42)).catch(() => undefined);
  await expect(ring.markAlive(1, 421)).rejects.toMatchObject({ code: 'KOM_STORE_WRITE' });
  await new Promise((resolve) => setTimeout(resolve, 1050));
  await ring.append(blocksOf(ring, 41, 44));
  const known = new Map<string, Coverage>();
  await delivered(ring, known);
  await ring.close();
  const again = await open();
  await delivered(again, known);
  const coverage = known.get(ring.stream.streamId) ?? [];
  expect(coverage[0]?.first).toBe(1);
  expect(coverage.at(-1)).toMatchObject({ last: 440, state: 'data' });
  for (const [at, { first }] of coverage.entries()) expect(first).toBe((coverage[at - 1]?.last ?? 0) + 1);
  expect(again.stream.previous).toMatchObject({ streamId: ring.stream.streamId, lastDurableSequence: 440 });
  await again.close();
});
