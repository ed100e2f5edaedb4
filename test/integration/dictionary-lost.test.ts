import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { positionKey } from '../../src/buffer/record.ts';
import { openLevelDisk } from '../../src/world/real/level-disk.ts';
import { Setup } from './support/setup.ts';
import { sleep } from './support/until.ts';

const TAG = 'P1.volume';

/** Takes the dictionaries out of every segment of a ring, or damages them. */
async function spoilDictionaries(directory: string, how: 'deleted' | 'damaged'): Promise<void> {
  const disk = await openLevelDisk(directory);
  for (const name of (await disk.list()).filter((each) => each.startsWith('segment-'))) {
    const store = await disk.open(name);
    for (const { key, value } of await store.read({ gt: positionKey(Number.MAX_SAFE_INTEGER) })) {
      const damaged = Uint8Array.from(value, (byte, at) => (at === value.length - 1 ? byte ^ 1 : byte));
      const write = how === 'deleted' ? ({ type: 'delete', key } as const) : undefined;
      await store.batch([write ?? { type: 'put', key, value: damaged }], { sync: true });
    }
    await store.close();
  }
}

/** A backlog under a site file that is changed then, and its dictionary lost. */
async function withLostDictionary(how: 'deleted' | 'damaged', kernelKnowsIt: boolean) {
  const setup = await Setup.make();
  await setup.startPlant();
  await setup.startKernel();
  const agent = await setup.spawnAgent();
  await setup.untilOnline();
  await sleep(700);
  setup.cable.cut();
  const fromUs = setup.world.clock.wallUs() + 300_000;
  await sleep(1500);
  await agent.kill('SIGTERM');
  const toUs = setup.world.clock.wallUs() - 500_000;
  if (!kernelKnowsIt) {
    await setup.stopKernel();
    rmSync(setup.file('archive'), { recursive: true });
    await setup.startKernel();
  }
  await spoilDictionaries(setup.file('agent/KomA'), how);
  const file = setup.file('site.json');
  writeFileSync(file, readFileSync(file, 'utf8').replace('"hours"', '"age"'));
  await setup.spawnAgent();
  setup.cable.heal();
  await setup.untilOnline();
  await sleep(700);
  return { setup, fromUs, toUs };
}

test('a damaged dictionary that the Kernel has costs nothing', async () => {
  const { setup, fromUs, toUs } = await withLostDictionary('damaged', true);
  await using _ = setup;
  const lines = await setup.history(TAG, fromUs, toUs);
  expect(lines.filter(({ kind }) => kind === 'sample').length).toBeGreaterThan(3);
  expect(lines.filter(({ kind }) => kind === 'segment')).toMatchObject([{ state: 'data' }]);
});

test('a dictionary that nobody has makes its blocks a gap, and what follows arrives', async () => {
  const { setup, fromUs, toUs } = await withLostDictionary('deleted', false);
  await using _ = setup;
  const stat = (await setup.status()).backlog.ring;
  expect(stat).toMatchObject({ unacknowledgedSamples: 0 });
  expect(stat.lostByReason.corrupt).toBeGreaterThan(30);
  const lines = await setup.history(TAG, fromUs, toUs);
  expect(lines.flatMap((line) => (line.kind === 'segment' ? line.state : []))).not.toContain('data');
});
