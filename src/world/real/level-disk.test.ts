import { chmod, mkdtemp, readdir, rm, truncate, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { isKomError } from '../../domain/errors.ts';
import { diskContract } from '../disk.contract.ts';
import type { StoreWrite } from '../store.ts';
import { openLevelDisk } from './level-disk.ts';

const root = await mkdtemp(join(tmpdir(), 'kom-disk-'));
let count = 0;
const freshRoot = () => {
  count += 1;
  return join(root, `disk-${count}`);
};
const put = (at: number): StoreWrite => ({
  type: 'put',
  key: Uint8Array.of(at),
  value: new Uint8Array(1000).fill(at),
});

afterAll(() => rm(root, { recursive: true, force: true }));

diskContract('the disk of LevelDB', () => openLevelDisk(freshRoot()));

test('a database without its CURRENT file opens after a repair, whole', async () => {
  const path = freshRoot();
  const disk = await openLevelDisk(path);
  const store = await disk.open('a');
  await store.batch([put(1), put(2)], { sync: true });
  await store.close();
  await writeFile(join(path, 'a', 'CURRENT'), 'nonsense');
  await expect(disk.open('a')).rejects.toSatisfy((error) => isKomError(error, 'KOM_STORE_OPEN'));
  await unlink(join(path, 'a', 'CURRENT'));
  await expect(disk.open('a')).rejects.toSatisfy((error) => isKomError(error, 'KOM_STORE_OPEN'));
  await disk.repair('a');
  const again = await disk.open('a');
  expect(await again.read({})).toHaveLength(2);
  await again.close();
});

test('a torn log keeps an unbroken prefix of whole batches', async () => {
  const path = freshRoot();
  const disk = await openLevelDisk(path);
  const store = await disk.open('a');
  for (let at = 0; at < 20; at += 2) await store.batch([put(at), put(at + 1)], { sync: false });
  await store.close();
  const log = (await readdir(join(path, 'a'))).find((name) => name.endsWith('.log')) ?? '';
  await truncate(join(path, 'a', log), 9_500);
  const again = await disk.open('a');
  const keys = (await again.read({})).map(({ key }) => key[0]);
  expect(keys).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  await again.close();
});

test('a root that cannot be made is an error of the operator', async () => {
  const path = freshRoot();
  await writeFile(path, 'a file');
  await expect(openLevelDisk(join(path, 'below'))).rejects.toSatisfy((error) =>
    isKomError(error, 'KOM_STORE_OPEN'),
  );
});

/** Root may use any file, so it becomes somebody else for a while. */
async function asSomebody(job: () => Promise<void>): Promise<void> {
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) process.seteuid?.('nobody');
  try {
    await job();
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
}

test('a database of another user is denied, neither damaged nor touched', async () => {
  const path = freshRoot();
  const disk = await openLevelDisk(path);
  const store = await disk.open('a');
  await store.batch([put(1)], { sync: true });
  await store.close();
  await chmod(root, 0o755);
  const files = (await readdir(join(path, 'a'))).map((name) => join(path, 'a', name));
  for (const file of files) await chmod(file, 0);
  await asSomebody(async () => {
    for (const use of [() => disk.open('a'), () => disk.repair('a')]) {
      await expect(use()).rejects.toMatchObject({
        code: 'KOM_STORE_DENIED',
        message: expect.stringContaining('have to belong to the user'),
      });
    }
  });
  for (const file of files) await chmod(file, 0o600);
  const again = await disk.open('a');
  expect(await again.read({})).toHaveLength(1);
  await again.close();
});
