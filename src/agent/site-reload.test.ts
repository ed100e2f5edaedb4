import { expect, it } from 'vitest';
import type { KernelPlaces } from '../config/model.ts';
import { KomError } from '../domain/errors.ts';
import { Audit } from '../ops/audit.ts';
import { silentLog } from '../world/log.ts';
import { SideStore } from '../world/side-store.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { placesText, SiteReload, type SiteReloadOptions } from './site-reload.ts';

const ASKER = { operator: 'kolarik', host: 'desk-2' };
const OTHER: KernelPlaces = {
  siteHash: 'b'.repeat(32),
  kernels: [{ host: '127.0.0.7', port: 3119, insecure: false, localAddresses: {} }],
  // Of a process that this server does not run.
  waiting: [{ process: 'KomC', allowFrom: [] }],
};
const random = createSimulatedRandom(3);

/** Two instances of an agent, each with its audit. */
function made(options: Partial<SiteReloadOptions> = {}) {
  const clock = new SimulatedClock();
  const followed: string[] = [];
  const instances = ['KomA', 'KomB'].map((process) => ({
    process,
    audit: new Audit(new SideStore(new SimulatedDisk(clock, random), 'notes')),
    follow: ({ kernels }: KernelPlaces) => void followed.push(`${process} ${kernels[0]?.host}`),
  }));
  const reload = new SiteReload({
    ...{ clock, random, log: silentLog, instances: () => instances, started: Promise.resolve() },
    ...{ lookAtCertificates: async () => {}, readPlaces: async () => OTHER, ...options },
  });
  const audited = async () => {
    const entries = await clock.runUntil(Promise.all(instances.map(({ audit }) => audit.read(10))), 1000);
    return entries.map((each) => each.map(({ name, outcome, text }) => `${name} ${outcome}: ${text}`));
  };
  return { clock, reload, followed, instances, audited };
}

it('has every instance follow, and each writes down who asked', async () => {
  const { clock, reload, followed, audited, instances } = made();
  const places = await clock.runUntil(reload.take(ASKER), 1000);
  expect(places).toEqual({ kernels: ['127.0.0.7:3119'], waiting: [] });
  expect(followed).toEqual(['KomA 127.0.0.7', 'KomB 127.0.0.7']);
  expect(await audited()).toEqual(Array(2).fill(['reload done: the Kernels: 127.0.0.7:3119']));
  const [entry] = await clock.runUntil(instances[1]!.audit.read(1), 1000);
  expect(entry).toMatchObject({ ...ASKER, process: 'KomB', way: 'agent' });
});

it('has nobody follow a file that is refused; that is written down, and the next one is taken', async () => {
  let isRight = false;
  const readPlaces = async () => {
    if (isRight) return OTHER;
    throw new KomError('KOM_CONFIG_INVALID', '1 problem in site.json');
  };
  const { clock, reload, followed, audited } = made({ readPlaces });
  await expect(clock.runUntil(reload.take(ASKER), 1000)).rejects.toThrow('1 problem in site.json');
  expect(followed).toEqual([]);
  isRight = true;
  await clock.runUntil(reload.take(ASKER), 1000);
  expect(followed).toHaveLength(2);
  expect((await audited())[0]).toEqual([
    'reload refused: the configuration is not usable: 1 problem in site.json',
    'reload done: the Kernels: 127.0.0.7:3119',
  ]);
});

it('waits until every instance runs: none of them is left out', async () => {
  const started = Promise.withResolvers<void>();
  const { clock, reload, followed } = made({ started: started.promise });
  const taken = reload.take(ASKER);
  await clock.advance(1000);
  expect(followed).toEqual([]);
  started.resolve();
  await clock.runUntil(taken, 1000);
  expect(followed).toHaveLength(2);
});

it('tells where a process waits for a Kernel', () => {
  const waiting = [
    { process: 'KomA', allowFrom: ['10.3.0.0/24'] },
    { process: 'KomB', allowFrom: [] },
  ];
  expect(placesText({ kernels: [], waiting }).split('\n')).toEqual([
    'the Kernels: none',
    'KomA waits for a Kernel from 10.3.0.0/24',
    'KomB waits for a Kernel from anywhere',
  ]);
});
