import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, test } from 'vitest';
import { encodeMetaValue } from '../../src/buffer/record.ts';
import { drained, openTestRing } from '../../src/buffer/ring.fixture.ts';
import type { Ring } from '../../src/buffer/ring.ts';
import { decodeBlock, encodeBlock, entryAt } from '../../src/domain/block/codec.ts';
import { decodeDictionary, encodeDictionary } from '../../src/domain/dictionary-codec.ts';
import { createClock } from '../../src/world/real/clock.ts';
import { openLevelDisk } from '../../src/world/real/level-disk.ts';
import { createRandom } from '../../src/world/real/random.ts';

const FIXTURE = join(import.meta.dirname, '../fixtures/ring-format-1');
const WRITER = join(import.meta.dirname, '../fixtures/make-ring-format.ts');
const root = await mkdtemp(join(tmpdir(), 'kom-ring-format-'));
const expected = JSON.parse(await readFile(join(FIXTURE, 'expected.json'), 'utf8'));
let count = 0;

afterAll(() => rm(root, { recursive: true, force: true }));

/** A copy of the ring that a box in the field has. */
async function openOld(fixture = FIXTURE): Promise<{ ring: Ring; reopen: () => Promise<Ring> }> {
  count += 1;
  const path = join(root, `ring-${count}`);
  await cp(join(fixture, 'ring'), path, { recursive: true });
  const disk = await openLevelDisk(path);
  const open = () => openTestRing(disk, { clock: createClock(), random: createRandom() });
  return { ring: await open(), reopen: open };
}

/** Entries of a stream by sequence, labelled by the dictionary of their block, as JSON has them. */
async function entriesOf(ring: Ring, streamId: string): Promise<Map<number, unknown>> {
  const entries = new Map<number, unknown>();
  const read = await ring.read(streamId, { first: 1, last: 1_000_000 }, 10_000_000);
  for (const { block } of read.blocks) {
    const { dictionaryHash, firstSequence, count: length } = block.header;
    const bytes = await ring.dictionary(dictionaryHash);
    expect(decodeDictionary(dictionaryHash, bytes ?? new Uint8Array())).toEqual(expected.dictionary);
    const decoded = decodeBlock(block);
    for (let at = 0; at < length; at += 1) {
      const text = JSON.stringify(entryAt(decoded, at), (_key, value: unknown) => {
        if (typeof value === 'bigint') return `${value}n`;
        return typeof value === 'number' && !Number.isFinite(value) ? `${value}` : value;
      });
      entries.set(firstSequence + at, JSON.parse(text));
    }
  }
  return entries;
}

test('a ring of format 1 opens, and every sample, gap and watermark in it is there', async () => {
  const { ring } = await openOld();
  const [first, second, third] = expected.streams as [string, string, string];
  for (const streamId of expected.streams) {
    expect([...(await entriesOf(ring, streamId)).values()]).toEqual(expected.entries);
  }
  expect(ring.gaps()).toMatchObject([{ streamId: first, firstSequence: 801, reason: 'rejected' }]);
  expect(ring.streams().map((each) => [each.info.streamId, each.ackedThrough])).toEqual([
    [first, 150],
    [second, 0],
    [third, 0],
    [ring.stream.streamId, 0],
  ]);
  expect(ring.streams()[1]?.info.previous).toMatchObject({ streamId: first, endedCleanly: true });
  expect(ring.stream.previous).toMatchObject({
    streamId: third,
    endedCleanly: false,
    lastDurableSequence: 800,
    lostAtMost: 1000,
  });
  expect((await drained(ring))[0]?.block.header).toMatchObject({ streamId: first, firstSequence: 101 });
  await ring.close();
});

test('a ring that is written today reads the same', async () => {
  const fresh = join(root, 'fresh');
  await promisify(execFile)(process.execPath, [WRITER, fresh]);
  const { ring } = await openOld(fresh);
  for (const streamId of expected.streams) {
    expect([...(await entriesOf(ring, streamId)).values()]).toEqual(expected.entries);
  }
  expect(JSON.parse(await readFile(join(fresh, 'expected.json'), 'utf8'))).toEqual(expected);
  await ring.close();
});

test('its samples keep their labels when tags were renamed, removed, or got another type', async () => {
  const { ring, reopen } = await openOld();
  const [running, energy, level] = expected.dictionary.tags;
  const changed = encodeDictionary({
    ...expected.dictionary,
    tags: [
      { ...level, type: 'text' },
      { ...energy, name: 'P1.EnergyTotal', formerly: ['P1.Energy', 'P1.E'] },
      { ...running, name: 'P1.Level', type: 'int64' },
    ],
  });
  await ring.putDictionary(changed);
  const { streamId } = ring.stream;
  const sample = { tagIndex: 2, sourceTimeUs: 1, value: 7n, quality: 0, cause: 'change' } as const;
  const sealed = { streamId, firstSequence: 1, dictionaryHash: changed.hash, sealedMonotonicUs: 1 };
  await ring.append([encodeBlock([sample], sealed)]);
  await ring.close();
  const again = await reopen();
  for (const old of expected.streams) {
    expect([...(await entriesOf(again, old)).values()]).toEqual(expected.entries);
  }
  const [block] = (await again.read(streamId, { first: 1, last: 1 }, 1000)).blocks;
  const { dictionaryHash } = block?.block.header ?? { dictionaryHash: '' };
  expect([...((await again.dictionary(dictionaryHash)) ?? [])]).toEqual([...changed.bytes]);
  await again.close();
});

test('a ring of a format that is not known yet is set aside whole, and the agent starts', async () => {
  const { ring, reopen } = await openOld();
  await ring.close();
  const disk = await openLevelDisk(join(root, `ring-${count}`));
  const meta = await disk.open('meta');
  const [format] = await meta.read({ gte: Buffer.from('format'), limit: 1 });
  const key = format?.key ?? new Uint8Array();
  await meta.batch([{ type: 'put', key, value: encodeMetaValue({ version: 2 }) }], { sync: true });
  await meta.close();
  const again = await reopen();
  expect(await disk.list('quarantine')).toEqual(['0001-meta']);
  for (const streamId of expected.streams) {
    expect((await entriesOf(again, streamId)).size).toBe(800);
  }
  await again.close();
});
