import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type Kom, kom } from '../integration/support/kom.ts';
import { Setup } from '../integration/support/setup.ts';
import { sleep, until } from '../integration/support/until.ts';

/** A launcher and the process that it started, or the one that is both. */
function pidsOf({ pid }: Kom): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return [
    pid,
    ...children
      .split(' ')
      .filter((text) => text !== '')
      .map(Number),
  ];
}

test('an agent that is held up for longer than a power cut may cost says so', async () => {
  await using setup = await Setup.make();
  await setup.startPlant();
  const agent = await setup.spawnAgent();
  const config = setup.file('site.json');
  const status = async () => {
    const { stdout } = await kom(['status', '--config', config, '--json']);
    return JSON.parse(stdout).instances[0];
  };
  await until('blocks in the ring', async () => (await status()).backlog.ring.blocks > 3);
  const before = await status();
  expect(before.powerCut).toMatchObject({ configuredMs: 1000, writeMs: expect.any(Number) });
  expect(before.powerCut.boundMs).toBeGreaterThan(750);
  const isAlarmed = async () => (await kom(['status', '--config', config, '--alarms'])).code === 1;
  // A moment in which nothing waits to be sealed or stored puts nothing at risk, and is no stall.
  for (let tries = 0; tries < 5 && !(await isAlarmed()); tries++) {
    for (const pid of pidsOf(agent)) process.kill(pid, 'SIGSTOP');
    await sleep(1500);
    for (const pid of pidsOf(agent)) process.kill(pid, 'SIGCONT');
    await sleep(1500);
  }
  expect(await isAlarmed(), 'the alarm').toBe(true);
  const { stdout } = await kom(['status', '--config', config, '--alarms']);
  expect(stdout).toMatch(
    /ALARM power-cut-bound since .*a power cut may cost KomA .* of the 1\.0 s .* held up for 1\.\d s/,
  );
  const { powerCut } = await status();
  expect(powerCut.stallMs).toBeGreaterThan(1000);
  expect(powerCut.boundMs).toBeGreaterThan(2000);
  const raised = agent.log.filter((line) => line['alarm'] === 'power-cut-bound');
  expect(raised, 'once').toMatchObject([{ subject: 'KomA', level: 'warn' }]);
});

test('with the profile small an agent starts as it must, whatever its service gives to all', async () => {
  await using setup = await Setup.make();
  const config = setup.file('site.json');
  const site = JSON.parse(readFileSync(config, 'utf8'));
  site.processes.KomA.buffer.profile = 'small';
  writeFileSync(config, JSON.stringify(site));
  const env = { NODE_OPTIONS: '--max-semi-space-size=1', MALLOC_ARENA_MAX: '2' };
  const agent = await setup.spawnAgent(env);
  const pid = pidsOf(agent).at(-1);
  expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')).toContain('--optimize-for-size');
  expect(readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')).toContain('MALLOC_ARENA_MAX=1');
  expect((await kom(['status', '--config', config, '--health'])).code).toBe(0);
});
