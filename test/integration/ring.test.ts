import { mkdtemp, readdir, readFile, rm, truncate, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { ringContract } from '../../src/buffer/ring.contract.ts';
import { blocksOf, drained, openTestRing, sequencesOf } from '../../src/buffer/ring.fixture.ts';
import type { Ring, RingOptions, RingRead } from '../../src/buffer/ring.ts';
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
  ['CURRENT of a segment is gone', async (path) => unlink(join(path, 'segment-0000000002', 'CURRENT')), 400],
  [
    'CURRENT of a segment is nonsense',
    async (path) => writeFile(join(path, 'segment-0000000002', 'CURRENT'), 'x'),
    400,
  ],
  [
    'MANIFEST of a segment is gone',
    async (path) => unlink(await fileOf(join(path, 'segment-0000000002'), /^MANIFEST/)),
    400,
  ],
  [
    'MANIFEST of the open segment is gone',
    async (path) => unlink(await fileOf(join(path, 'segment-0000000004'), /^MANIFEST/)),
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
    async (path) => truncate(await fileOf(join(path, 'segment-0000000002'), /\.log$/), 5000),
    300,
  ],
  [
    'the log of the open segment is torn',
    async (path) => truncate(await fileOf(join(path, 'segment-0000000004'), /\.log$/), 100),
    300,
  ],
  [
    'the log of a segment is gone',
    async (path) => unlink(await fileOf(join(path, 'segment-0000000001'), /\.log$/)),
    270,
  ],
  [
    'a bit of a segment is flipped',
    async (path) => flipBit(await fileOf(join(path, 'segment-0000000003'), /\.log$/), 5000),
    270,
  ],
  ['a segment is gone', async (path) => rm(join(path, 'segment-0000000002'), { recursive: true }), 270],
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
