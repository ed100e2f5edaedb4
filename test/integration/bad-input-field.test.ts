import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Quality } from '../../src/domain/quality.ts';
import { GREEN, Setup } from './support/setup.ts';
import { freePort, sleep, until } from './support/until.ts';

test('a device that is not there at the start: bad quality, then a gap, then values', async () => {
  await using setup = await Setup.make();
  const { clock } = setup.world;
  await setup.startKernel();
  const startedUs = clock.wallUs();
  await setup.startAgent();
  await setup.untilOnline();
  await until('bad quality at the Kernel', async () => (await setup.live()).size === 18);
  const { lines } = await setup.status();
  expect(lines).toMatchObject([{ name: 'pumps', isConnected: false }]);
  expect(lines[0]?.lastError).toMatch(/the device cannot be reached: .*127\.0\.0\.1:\d+.*ECONNREFUSED/);
  expect((await setup.live()).get('P1.flow')).toMatchObject({
    value: null,
    quality: Quality.badNotConnected,
  });
  let bad = await setup.history('P1.flow', startedUs);
  // Present values are there at once, and in the archive a moment later.
  await until('a bad quality in the archive', async () => {
    bad = await setup.history('P1.flow', startedUs);
    return bad.some((line) => line.kind === 'segment' && line.state === 'bad');
  });
  expect(bad.filter((line) => line.kind === 'segment' && line.state === 'data')).toEqual([]);
  // Trying again makes no new samples and no new lines of the log.
  await sleep(1000);
  const again = await setup.history('P1.flow', startedUs);
  expect(again.filter(({ kind }) => kind === 'sample')).toHaveLength(1);
  expect(setup.agentLog.lines.filter(({ level }) => level === 'warn' || level === 'error')).toHaveLength(1);

  const reachableUs = clock.wallUs();
  await setup.startPlant();
  await setup.untilStatus('the line', ({ lines: [line] }) => line?.isConnected === true);
  await sleep(500);
  expect(await setup.prove()).toMatchObject(GREEN);
  const history = await setup.history('P1.flow', startedUs);
  const gaps = history.filter((line) => line.kind === 'segment' && line.state === 'gap');
  expect(gaps).toMatchObject([{ reason: 'station-down' }]);
  const [gap] = gaps;
  expect(gap?.kind === 'segment' && Date.parse(gap.to) * 1000).toBeGreaterThan(reachableUs - 1000);
});

test('a wrong Kernel address: everything goes to the ring, and later to the right one', async () => {
  await using setup = await Setup.make();
  await setup.startPlant();
  await setup.startKernel();
  const file = setup.file('site.json');
  const right = readFileSync(file, 'utf8');
  const site = JSON.parse(right);
  const device: string = site.processes.KomA.lines.pumps.address;
  // Nobody listens on the one, and on the other there is something that is no Kernel.
  site.kernels = [{ address: `127.0.0.1:${await freePort()}` }, { address: device }];
  writeFileSync(file, JSON.stringify(site));
  const agent = await setup.spawnAgent();
  await sleep(2500);
  const { backlog, uplink, lines } = await setup.status();
  expect(uplink).toMatchObject({ kernel: null, lastError: expect.stringContaining('127.0.0.1') });
  expect(backlog.state).toBe('outage');
  expect(backlog.ring.unacknowledgedSamples).toBeGreaterThan(100);
  expect(lines).toMatchObject([{ isConnected: true }]);
  const reasons = agent.log.filter(({ msg }) => msg === 'no session with the Kernel').map(({ code }) => code);
  expect(new Set(reasons)).toContain('KOM_CONNECTION_REFUSED');
  // Each of the two says its reason once, not at every try.
  expect(reasons.length).toBeLessThan(6);
  expect((await setup.queries.stat()).samples).toBe(0);

  expect((await agent.kill('SIGTERM')).code).toBe(0);
  writeFileSync(file, right);
  await setup.spawnAgent();
  await setup.untilOnline();
  expect(await setup.prove()).toMatchObject(GREEN);
});
