import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { kom } from './support/kom.ts';
import { GREEN, Setup } from './support/setup.ts';
import { freePort, sleep, until } from './support/until.ts';

const KBIT_64 = 8000;
const LIVE_AGE_MAX_US = 1_500_000;

test('over 64 kbit/s the session holds, values of the present come first, and all arrives', async () => {
  await using setup = await Setup.start();
  const { clock } = setup.world;
  setup.cable.cut();
  await setup.untilStatus('a backlog', ({ backlog }) => backlog.ring.unacknowledgedSamples > 600);
  setup.cable.heal(KBIT_64);
  await setup.untilStatus('a session', ({ uplink }) => uplink.kernel !== null);
  await sleep(2000);
  const { uplink } = await setup.status();
  const agesUs: number[] = [];
  for (let look = 0; look < 30; look++) {
    const live = (await setup.live()).get('P1.volume');
    agesUs.push(clock.wallUs() - (live?.sourceTimeUs ?? 0));
    await sleep(100);
  }
  expect(Math.max(...agesUs)).toBeLessThan(LIVE_AGE_MAX_US);
  expect((await setup.status()).uplink.sinceUs, 'the same session').toBe(uplink.sinceUs);
  setup.cable.heal();
  await setup.untilOnline();
  expect(await setup.prove()).toMatchObject(GREEN);
});

test('a start with no Kernel ever seen works from the site file alone, also a second one', async () => {
  await using setup = await Setup.make();
  await setup.startPlant();
  const first = await setup.spawnAgent();
  await setup.untilStatus('a backlog', ({ backlog }) => backlog.ring.unacknowledgedSamples > 100);
  expect((await setup.status()).uplink).toMatchObject({ kernel: null, lastError: expect.any(String) });
  expect((await first.kill('SIGTERM')).code).toBe(0);
  const held = setup.served.length;
  expect(held).toBeGreaterThan(100);
  await setup.spawnAgent();
  await setup.untilStatus('more of it', ({ backlog }) => backlog.ring.unacknowledgedSamples > 200);
  await setup.startKernel();
  await setup.untilOnline();
  expect(await setup.prove()).toMatchObject(GREEN);
});

interface SiteFile {
  readonly processes: { readonly KomA: { readonly uplink: object } };
}

/** The files of a setup, changed so that the Kernel dials the agent, which listens on a port. */
async function reversed(setup: Setup): Promise<number> {
  const port = await freePort();
  const change = (file: string, edit: (content: SiteFile) => unknown): void => {
    const content = JSON.parse(readFileSync(setup.file(file), 'utf8')) as SiteFile;
    writeFileSync(setup.file(file), JSON.stringify(edit(content), null, 2));
  };
  change('site.json', (site) => {
    const { processes } = site;
    const listen = { address: `127.0.0.1:${port}`, allowFrom: ['127.0.0.0/8'] };
    const uplink = { ...processes.KomA.uplink, listen };
    return { ...site, kernels: [], processes: { KomA: { ...processes.KomA, uplink } } };
  });
  change('kernel.json', (kernel) => ({
    ...kernel,
    agents: [{ site: 'Waterworks', process: 'KomA', addresses: ['127.0.0.1:1', `127.0.0.1:${port}`] }],
  }));
  return port;
}

/** Local ends of the connections of this machine that lead to a port. */
function connectionsTo(port: number): string[] {
  const rows = readFileSync('/proc/self/net/tcp', 'utf8').split('\n').slice(1);
  const own = rows.map((row) => row.trim().split(/\s+/)).filter((columns) => columns.length > 3);
  const local = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return own.flatMap(([, from = '', to = '']) => (to.endsWith(local) ? [from] : []));
}

test('reverse connection: the Kernel dials, the agent never does, and all arrives', async () => {
  await using setup = await Setup.make();
  const port = await reversed(setup);
  const checked = await kom(['check', setup.file('site.json')]);
  expect(checked.stdout).toContain(`waits on 127.0.0.1:${port} for a Kernel from 127.0.0.0/8`);
  expect(checked.code).toBe(0);
  expect((await kom(['check', '--kernel', setup.file('kernel.json')])).stdout).toContain(
    'dials Waterworks/KomA',
  );
  await setup.startPlant();
  await setup.spawnAgent();
  await setup.untilStatus('a backlog', ({ backlog }) => backlog.ring.unacknowledgedSamples > 50);
  expect((await setup.status()).uplink.paths).toMatchObject([{ state: 'listens' }]);
  await setup.startKernel();
  await setup.untilOnline();
  expect((await setup.status()).uplink.paths).toMatchObject([{ state: 'in-use' }]);
  if (existsSync('/proc/self/net/tcp')) {
    expect(connectionsTo(port), 'both lanes').toHaveLength(2);
    expect(connectionsTo(setup.kernelAddress.port), 'the Kernel listens, and nobody comes').toEqual([]);
  }
  await setup.stopKernel();
  await until('the outage', async () => (await setup.status()).uplink.kernel === null);
  await sleep(1000);
  await setup.startKernel();
  await setup.untilOnline();
  expect(await setup.prove()).toMatchObject(GREEN);
});
