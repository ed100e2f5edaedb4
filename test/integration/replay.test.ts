import { expect, test } from 'vitest';
import { Kom } from './support/kom.ts';
import { GREEN, Setup } from './support/setup.ts';
import { sleep, until } from './support/until.ts';

const TAG = 'P1.volume';
const SOCKET = 'agent.sock';

/** Has the running agent send everything again that it holds of the last minutes. */
async function replay(setup: Setup): Promise<string> {
  await using command = new Kom(['buffer', 'replay', '--socket', setup.file(SOCKET), '--from', '-10min']);
  const { code, stdout, stderr } = await command.finished;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

async function untilReplayed(setup: Setup): Promise<void> {
  await setup.untilStatus('the replay to be archived', ({ backlog }) => backlog.replays.length === 0);
}

/** Everything that the archive has of a tag in a time, gap or sample. */
async function archived(setup: Setup, fromUs: number, toUs: number): Promise<unknown> {
  return (await setup.history(TAG, fromUs, toUs)).map((line) => ({ ...line }));
}

test('a replay of what the archive has changes nothing in it', async () => {
  await using setup = await Setup.start({ store: 'always' });
  const fromUs = setup.world.clock.wallUs() - 1_000_000;
  await sleep(2000);
  const toUs = setup.world.clock.wallUs() - 800_000;
  const before = await archived(setup, fromUs, toUs);
  expect(JSON.stringify(before)).toContain('"sample"');
  expect(await replay(setup)).toMatch(/ is sent again\n$/);
  await untilReplayed(setup);
  expect(await archived(setup, fromUs, toUs)).toEqual(before);
  expect(await setup.prove()).toMatchObject(GREEN);
});

test('a replay outlives the session, and the agent', async () => {
  await using setup = await Setup.make({ store: 'always' });
  await setup.startPlant();
  await setup.startKernel();
  await setup.startAgent();
  await setup.untilOnline();
  await sleep(2000);
  // So slow that the replay is under way when the cable is cut.
  setup.cable.cut();
  setup.cable.heal(4000);
  await until('a session', async () => (await setup.status()).uplink.kernel !== null);
  await replay(setup);
  expect((await setup.status()).backlog.replays).toHaveLength(1);
  setup.cable.cut();
  await sleep(300);
  const waiting = (await setup.status()).backlog.replays;
  expect(waiting).toHaveLength(1);
  await setup.stopAgent();
  await setup.startAgent();
  await setup.untilStatus('the replay to be taken up', ({ backlog }) => backlog.replays.length === 1);
  expect((await setup.status()).backlog.replays).toMatchObject(
    waiting.map(({ streamId, first, last }) => ({ streamId, first, last })),
  );
  setup.cable.heal();
  await untilReplayed(setup);
  await setup.untilOnline();
  expect(await setup.prove()).toMatchObject(GREEN);
});
