import { expect, it } from 'vitest';
import { SideStore } from '../world/side-store.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { Audit, type AuditEntry } from './audit.ts';

function entry(number: number): AuditEntry {
  return {
    ...{ commandId: String(number).padStart(32, '0'), atUs: number, way: 'agent', operator: 'anna' },
    ...{ host: 'ServerKom1', process: 'KomA', name: 'station', parameters: { mode: 'off' } },
    ...{ outcome: 'done', text: 'x'.repeat(600) },
  };
}

it('keeps the newest entries, through a restart, and finds a command by its id', async () => {
  const disk = new SimulatedDisk(new SimulatedClock(), createSimulatedRandom(1));
  const audit = new Audit(new SideStore(disk, 'notes'), 50);
  expect(await audit.read(10)).toEqual([]);
  expect(await disk.list(), 'looking makes nothing').toEqual([]);
  const total = 50 + 20;
  for (let number = 1; number <= total; number++) await audit.write(entry(number));
  const again = new Audit(new SideStore(disk, 'notes'), 50);
  expect((await again.read(3)).map(({ atUs }) => atUs)).toEqual([total - 2, total - 1, total]);
  const all = await again.read(100_000);
  expect(all.length).toBe(50);
  expect(all[0]).toMatchObject({ atUs: 21, operator: 'anna', text: 'x'.repeat(500) });
  expect(await again.find(entry(20).commandId)).toBeUndefined();
  expect(await again.find(entry(21).commandId)).toMatchObject({ atUs: 21 });
});
