import { describe, expect, it } from 'vitest';
import { silentLog } from '../world/log.ts';
import { SideStore } from '../world/side-store.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { StoredTerms } from './stored-terms.ts';

function setUp() {
  const clock = new SimulatedClock();
  const disk = new SimulatedDisk(clock, createSimulatedRandom(1));
  const load = () => clock.runUntil(StoredTerms.load(new SideStore(disk, 'notes'), silentLog));
  return { clock, disk, load };
}

describe('terms of an instance', () => {
  it('are there again after a power cut, and never fall', async () => {
    const { clock, disk, load } = setUp();
    const terms = await load();
    expect(terms).toMatchObject({ highest: 0, preferred: null });
    await clock.runUntil(terms.raise(80));
    await clock.runUntil(terms.raise(64));
    await clock.runUntil(terms.prefer({ instance: 2, setAtUs: 7 }));
    await disk.cutPower();
    expect(await load()).toMatchObject({ highest: 80, preferred: { instance: 2, setAtUs: 7 } });
  });

  it('that the disk refused are not taken for durable', async () => {
    const { clock, disk, load } = setUp();
    const terms = await load();
    disk.failing = 'all';
    await expect(clock.runUntil(terms.raise(80))).rejects.toThrow();
    expect(terms.highest).toBe(0);
  });

  it('that do not load prevent no start', async () => {
    const { clock, disk, load } = setUp();
    await clock.runUntil((await load()).raise(80));
    disk.failing = 'all';
    expect((await load()).highest).toBe(0);
  });
});
