import { expect, test } from 'vitest';
import { SideStore } from './side-store.ts';
import { SimulatedClock } from './simulated/clock.ts';
import { SimulatedDisk } from './simulated/disk.ts';
import { createSimulatedRandom } from './simulated/random.ts';

const KEY = Uint8Array.of(1);

async function written() {
  const disk = new SimulatedDisk(new SimulatedClock(), createSimulatedRandom(5));
  const notes = new SideStore(disk, 'notes');
  await notes.use((store) => store.batch([{ type: 'put', key: KEY, value: KEY }], { sync: true }));
  return { disk, notes, value: () => notes.use((store) => store.get(KEY)) };
}

test('what a full disk does not open is left as it is', async () => {
  const { disk, value } = await written();
  disk.failing = 'growth';
  await expect(value()).rejects.toMatchObject({ code: 'KOM_STORE_OPEN' });
  disk.failing = 'nothing';
  expect(await value()).toEqual(KEY);
});

test('what is damaged is repaired', async () => {
  const { disk, value } = await written();
  disk.damage('notes', 'repairable');
  expect(await value()).toEqual(KEY);
});
