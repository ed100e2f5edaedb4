import { expect, test } from 'vitest';
import { archiveContract } from '../archive.contract.ts';
import { blockOf, DICTIONARY, HASH, STREAM, sampleOf, streamOf, transactionOf } from '../archive.fixture.ts';
import { SimulatedArchive } from './archive.ts';

archiveContract('simulated', async () => {
  const archive = new SimulatedArchive();
  return { archive, dispose: () => archive.close() };
});

test('a failure that was asked for leaves nothing behind, and the next try works', async () => {
  const archive = new SimulatedArchive();
  await archive.putDictionary(HASH, new Uint8Array(), DICTIONARY);
  const transaction = transactionOf({ streams: [streamOf()], blocks: [blockOf(1, [sampleOf(0, 1)])] });
  archive.failNext(2);
  for (const _ of [1, 2]) {
    await expect(archive.commit(transaction)).rejects.toMatchObject({ code: 'KOM_ARCHIVE_UNAVAILABLE' });
    expect(await archive.coverage(STREAM)).toEqual([]);
    expect(await archive.streams('S', 'KomA')).toEqual([]);
  }
  await archive.commit(transaction);
  expect((await archive.stat()).samples).toBe(1);
});
