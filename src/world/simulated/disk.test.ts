import { expect, test } from 'vitest';
import { isKomError } from '../../domain/errors.ts';
import { diskContract } from '../disk.contract.ts';
import type { StoreWrite } from '../store.ts';
import { SimulatedClock } from './clock.ts';
import { SimulatedDisk } from './disk.ts';
import { createSimulatedRandom } from './random.ts';

const makeDisk = (seed = 1, clock = new SimulatedClock()) =>
  new SimulatedDisk(clock, createSimulatedRandom(seed));
const put = (at: number): StoreWrite => ({
  type: 'put',
  key: Uint8Array.of(at),
  value: new Uint8Array(10),
});

diskContract('the simulated disk', async () => makeDisk());

test('a power cut keeps what was synced and a random prefix of the rest', async () => {
  const kept = new Set<number>();
  for (let seed = 1; seed <= 50; seed += 1) {
    const disk = makeDisk(seed);
    const store = await disk.open('a');
    await store.batch([put(1)], { sync: true });
    for (const at of [2, 3, 4]) await store.batch([put(at)], { sync: false });
    disk.cutPower();
    await expect(store.get(Uint8Array.of(1))).rejects.toSatisfy((error) =>
      isKomError(error, 'KOM_STORE_CLOSED'),
    );
    const keys = (await (await disk.open('a')).read({})).map(({ key }) => key[0]);
    expect(keys).toEqual([1, 2, 3, 4].slice(0, keys.length));
    kept.add(keys.length);
  }
  expect([...kept].sort()).toEqual([1, 2, 3, 4]);
});

test('a batch that a power cut meets before its sync ends never resolves as durable', async () => {
  const clock = new SimulatedClock();
  const disk = makeDisk(1, clock);
  disk.syncMs = { min: 100, max: 100 };
  const store = await disk.open('a');
  const writing = store.batch([put(1)], { sync: true });
  const outcome = expect(writing).rejects.toSatisfy((error) => isKomError(error, 'KOM_STORE_CLOSED'));
  await clock.advance(50);
  disk.cutPower();
  await clock.advance(100);
  await outcome;
});

test('a killed process loses nothing that it handed over', async () => {
  const disk = makeDisk();
  const store = await disk.open('a');
  await store.batch([put(1)], { sync: false });
  disk.killProcess();
  expect(await (await disk.open('a')).read({})).toHaveLength(1);
});

test('after a failed write a database takes nothing until it is opened again', async () => {
  const disk = makeDisk();
  const store = await disk.open('a');
  disk.failing = 'write';
  await expect(store.batch([put(1)], { sync: true })).rejects.toThrow('injected');
  disk.failing = 'nothing';
  await expect(store.batch([put(1)], { sync: true })).rejects.toThrow('an earlier failure');
  await store.close();
  await (await disk.open('a')).batch([put(1)], { sync: true });
});

test('a full disk refuses, and has room again when something goes', async () => {
  const disk = makeDisk();
  const store = await disk.open('a');
  await store.batch([put(1)], { sync: true });
  disk.totalBytes = 40;
  const other = await disk.open('b');
  await expect(other.batch([put(1)], { sync: true })).rejects.toThrow('a full disk');
  await store.close();
  await disk.remove('a');
  await other.close();
  await (await disk.open('b')).batch([put(1)], { sync: true });
  expect(await disk.freeBytes()).toBeLessThan(40);
});

test('a disk that nothing may grow on still deletes, and a repair there loses what it has', async () => {
  const disk = makeDisk();
  const store = await disk.open('a');
  await store.batch([put(1)], { sync: true });
  disk.failing = 'growth';
  await expect(store.batch([put(2)], { sync: true })).rejects.toThrow('full disk');
  expect(await store.read({})).toHaveLength(1);
  await store.close();
  await expect(disk.open('a')).rejects.toThrow('full disk');
  await expect(disk.repair('a')).rejects.toThrow('full disk');
  await disk.rename('a', 'b');
  disk.failing = 'nothing';
  expect(await (await disk.open('b')).read({})).toEqual([]);
  await disk.remove('b');
  expect(await disk.list()).toEqual([]);
});

test('a damaged database opens after its repair, or not at all', async () => {
  const disk = makeDisk();
  await (await disk.open('a')).close();
  disk.damage('a', 'repairable');
  await expect(disk.open('a')).rejects.toSatisfy((error) => isKomError(error, 'KOM_STORE_OPEN'));
  await disk.repair('a');
  await (await disk.open('a')).close();
  disk.damage('a', 'beyond-repair');
  await expect(disk.repair('a')).rejects.toSatisfy((error) => isKomError(error, 'KOM_STORE_OPEN'));
});
