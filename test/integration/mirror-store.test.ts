import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { MirrorStore } from '../../src/buffer/mirror-store.ts';
import { blockOf, START_US } from '../../src/buffer/ring.fixture.ts';
import { encodeDictionary } from '../../src/domain/dictionary-codec.ts';
import { silentLog } from '../../src/world/log.ts';
import { createClock } from '../../src/world/real/clock.ts';
import { openLevelDisk } from '../../src/world/real/level-disk.ts';

const root = await mkdtemp(join(tmpdir(), 'kom-mirror-'));
const STREAM = 'a'.repeat(32);
const dictionary = encodeDictionary({ site: 'S', process: 'KomA', tags: [] });
const stream = {
  info: { streamId: STREAM, bootId: 'b'.repeat(32), startedAtUs: START_US, previous: null },
  ...{ ownerInstance: 1, producedTo: 0, endedAtUs: null },
};
const foreigns = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, at) => ({
    block: blockOf(STREAM, (from + at - 1) * 10 + 1),
    ...{ dictionary, stream },
  }));

afterAll(() => rm(root, { recursive: true, force: true }));

async function open(path: string, boundBytes = 10_000_000) {
  const disk = await openLevelDisk(path);
  const sizes = { boundBytes: () => boundBytes, segmentBytes: 50_000 };
  return await MirrorStore.open({ disk, ...sizes, clock: createClock(), log: silentLog, ownerInstance: 1 });
}

/** First numbers of all blocks, read in steps. */
async function given(store: MirrorStore): Promise<number[]> {
  const firsts: number[] = [];
  for (const { first: from, last } of store.held(STREAM)) {
    for (let first = from; first <= last; first = (firsts.at(-1) ?? last) + 10) {
      const blocks = await store.read(STREAM, { first, last }, 20_000);
      firsts.push(...blocks.map(({ header }) => header.firstSequence));
      if (blocks.length === 0) throw new Error(`${first} is held and not given`);
    }
  }
  return firsts;
}

const firstsOf = (from: number, to: number): number[] =>
  foreigns(from, to).map(({ block }) => block.header.firstSequence);

test('a mirror on LevelDB is the same after it was closed, and gives all that it holds', async () => {
  const path = join(root, 'closed');
  const store = await open(path);
  await store.append(foreigns(1, 300));
  await store.close();
  const again = await open(path);
  await again.append(foreigns(301, 320));
  expect(await given(again)).toEqual(firstsOf(1, 320));
  expect(Buffer.from((await again.dictionary(dictionary.hash)) ?? [])).toEqual(Buffer.from(dictionary.bytes));
  expect(again.streams).toEqual([stream]);
  await again.close();
});

test('it keeps its bound on the disk, and gives back what is forgotten', async () => {
  const store = await open(join(root, 'bound'), 500_000);
  await store.append(foreigns(1, 2000));
  expect(store.diskBytes).toBeLessThanOrEqual(500_000);
  const held = store.held(STREAM);
  expect(held).toHaveLength(1);
  expect(held[0]?.last).toBe(20_000);
  expect(await given(store)).toEqual(firstsOf(Math.ceil((held[0]?.first ?? 0) / 10), 2000));
  store.forget(STREAM, [{ first: 1, last: Number.MAX_SAFE_INTEGER }]);
  await store.close();
  expect(store.diskBytes).toBe(0);
});

test('it starts on a damaged list of segments and a damaged segment', async () => {
  const path = join(root, 'damaged');
  const store = await open(path);
  await store.append(foreigns(1, 300));
  await store.close();
  await writeFile(join(path, 'meta', 'CURRENT'), 'nonsense');
  await writeFile(join(path, 'segment-0000000002', 'CURRENT'), 'nonsense');
  const again = await open(path);
  expect((await given(again)).at(-1)).toBe(2991);
  expect((await given(again))[0]).toBe(1);
  expect(again.streams).toEqual([stream]);
  await again.close();
});
