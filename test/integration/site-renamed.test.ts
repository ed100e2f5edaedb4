import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Setup } from './support/setup.ts';
import { sleep } from './support/until.ts';

test('a site renamed with a backlog: it arrives under the old name', async () => {
  await using setup = await Setup.make();
  await setup.startPlant();
  await setup.startKernel();
  const agent = await setup.spawnAgent();
  await setup.untilOnline();
  setup.cable.cut();
  const cutUs = setup.world.clock.wallUs();
  await sleep(1500);
  await agent.kill('SIGTERM');
  const stoppedUs = setup.world.clock.wallUs();
  const file = setup.file('site.json');
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), site: 'Renamed' }));
  await setup.spawnAgent();
  setup.cable.heal();
  await setup.untilOnline();
  await sleep(1000);
  const nowUs = setup.world.clock.wallUs();
  const tag = 'P1.volume';
  const backlog = setup.queries.query({ site: 'Waterworks', tag, fromUs: cutUs, toUs: stoppedUs - 500_000 });
  const old = await Array.fromAsync(backlog);
  expect(old.filter(({ kind }) => kind === 'sample').length).toBeGreaterThan(2);
  expect(old.filter(({ kind }) => kind === 'segment')).toMatchObject([{ state: 'data' }]);
  const since = setup.queries.query({ site: 'Renamed', tag, fromUs: stoppedUs, toUs: nowUs });
  const states = (await Array.fromAsync(since)).flatMap((line) =>
    line.kind === 'segment' ? line.state : [],
  );
  expect(states.slice(0, 2)).toEqual(['gap', 'data']);
});
