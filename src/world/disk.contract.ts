import { describe, expect, test } from 'vitest';
import { isKomError } from '../domain/errors.ts';
import type { Disk, Store, StoreWrite } from './store.ts';

const key = (...bytes: number[]) => Uint8Array.from(bytes);
const put = (at: number, length = 10): StoreWrite => ({
  type: 'put',
  key: key(at),
  value: new Uint8Array(length).fill(at),
});
const coded = (code: Parameters<typeof isKomError>[1]) => (error: unknown) => isKomError(error, code);

/** What every `Disk` does; `make` gives a fresh empty one. */
export function diskContract(name: string, make: () => Promise<Disk>): void {
  describe(`${name} keeps the contract of a disk`, () => {
    test('what was written is read, in byte order, by bounds and limits', async () => {
      const store = await (await make()).open('a');
      await store.batch([put(3), put(1), put(200), put(2)], { sync: true });
      const first = async (range: Parameters<Store['read']>[0]) =>
        (await store.read(range)).map((record) => record.key[0]);
      expect(await first({})).toEqual([1, 2, 3, 200]);
      expect(await first({ gt: key(1), lte: key(3) })).toEqual([2, 3]);
      expect(await first({ gte: key(1), lt: key(3) })).toEqual([1, 2]);
      expect(await first({ reverse: true, limit: 2 })).toEqual([200, 3]);
      expect(await first({ lte: key(100), reverse: true, limit: 1 })).toEqual([3]);
      expect(await first({ limitBytes: 1 })).toEqual([1]);
      expect(await first({ limitBytes: 11 })).toEqual([1, 2]);
      expect([...((await store.get(key(2))) ?? [])]).toEqual(new Array(10).fill(2));
      expect(await store.get(key(9))).toBeUndefined();
      await store.close();
    });

    test('a large range is read whole', async () => {
      const store = await (await make()).open('a');
      const writes = Array.from({ length: 200 }, (_, at) => put(at, 10_000));
      await store.batch(writes, { sync: false });
      expect(await store.read({})).toHaveLength(200);
      expect(await store.read({ limitBytes: 1_000_000 })).toHaveLength(100);
      await store.close();
    });

    test('a batch deletes and replaces', async () => {
      const store = await (await make()).open('a');
      await store.batch([put(1), put(2)], { sync: true });
      await store.batch([{ type: 'delete', key: key(1) }, put(2, 3)], { sync: false });
      expect((await store.read({})).map(({ value }) => value.length)).toEqual([3]);
      await store.close();
    });

    test('what was closed is there when it is opened again', async () => {
      const disk = await make();
      const store = await disk.open('a');
      await store.batch([put(1)], { sync: false });
      await store.close();
      const again = await disk.open('a');
      expect(await again.read({})).toHaveLength(1);
      await again.close();
    });

    test('a database has one holder', async () => {
      const disk = await make();
      const store = await disk.open('a');
      await expect(disk.open('a')).rejects.toSatisfy(coded('KOM_STORE_LOCKED'));
      await store.close();
      await (await disk.open('a')).close();
    });

    test('a closed database takes nothing and says so', async () => {
      const store = await (await make()).open('a');
      await store.close();
      await store.close();
      await expect(store.get(key(1))).rejects.toSatisfy(coded('KOM_STORE_CLOSED'));
      await expect(store.read({})).rejects.toSatisfy(coded('KOM_STORE_CLOSED'));
      await expect(store.batch([put(1)], { sync: true })).rejects.toSatisfy(coded('KOM_STORE_CLOSED'));
    });

    test('databases are listed, measured, moved into a folder and removed', async () => {
      const disk = await make();
      for (const name of ['b', 'a', 'c']) {
        const store = await disk.open(name);
        await store.batch([put(1, 5000)], { sync: true });
        await store.close();
      }
      expect(await disk.list()).toEqual(['a', 'b', 'c']);
      expect(await disk.usedBytes('a')).toBeGreaterThan(5000);
      expect(await disk.usedBytes('nothing')).toBe(0);
      expect(await disk.freeBytes()).toBeGreaterThan(0);
      await disk.rename('b', 'aside/1-b');
      await disk.remove('c');
      await disk.remove('c');
      expect(await disk.list()).toEqual(['a', 'aside']);
      expect(await disk.list('aside')).toEqual(['1-b']);
      expect(await disk.list('nothing')).toEqual([]);
      expect(await disk.usedBytes('aside/1-b')).toBeGreaterThan(5000);
      const moved = await disk.open('aside/1-b');
      expect(await moved.read({})).toHaveLength(1);
      await moved.close();
      await disk.remove('aside/1-b');
      expect(await disk.list('aside')).toEqual([]);
    });

    test('repairing a sound database keeps what is in it', async () => {
      const disk = await make();
      const store = await disk.open('a');
      await store.batch([put(1), put(2)], { sync: true });
      await store.close();
      await disk.repair('a');
      const again = await disk.open('a');
      expect(await again.read({})).toHaveLength(2);
      await again.close();
    });
  });
}
