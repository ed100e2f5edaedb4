import { expect, test } from 'vitest';
import { type Behaviour, type Direction, HostileProxy } from '../integration/support/hostile-proxy.ts';
import { GREEN, Setup } from '../integration/support/setup.ts';
import { sleep, until } from '../integration/support/until.ts';

const DIRECTIONS: readonly Direction[] = ['up', 'down'];
/** Every one, up to where a conversation only repeats itself: Hello, dictionary, blocks, heartbeats. */
const FRAMES = Array.from({ length: 12 }, (_, at) => at + 1);
const PATIENCE_MS = 45_000;

/** Everything in this process, with nothing but the proxy between agent and Kernel. */
async function behindProxy(proxy: HostileProxy): Promise<Setup> {
  const setup = await Setup.make({ kernels: [proxy.address] });
  setup.cable.cut();
  proxy.target = setup.kernelAddress;
  await setup.startPlant();
  await setup.startKernel();
  await setup.startAgent();
  return setup;
}

function nameOf(behaviour: Behaviour): string {
  return 'direction' in behaviour ? `${behaviour.kind} ${behaviour.direction}` : behaviour.kind;
}

async function untilDone(proxy: HostileProxy, setup: Setup): Promise<void> {
  await until('the plan to be carried out', () => proxy.isDone, PATIENCE_MS);
  await until(
    'the agent to be online',
    async () => (await setup.status()).backlog.state === 'online',
    PATIENCE_MS,
  );
}

test.each(['cut', 'tear'] as const)('a %s after every frame of every lane and direction', async (kind) => {
  await using proxy = await HostileProxy.start();
  await using setup = await behindProxy(proxy);
  // One lane after the other, so that neither ends the connection of the other before its time.
  for (const lane of ['data', 'control'] as const) {
    for (const direction of DIRECTIONS) {
      for (const afterFrames of FRAMES) proxy.plans[lane].push({ kind, direction, afterFrames });
    }
    proxy.resetAll();
    await until(`the plan of the ${lane} lane`, () => proxy.isDone, PATIENCE_MS);
  }
  await untilDone(proxy, setup);
  expect(proxy.done.get(`${kind} up`)).toBeGreaterThanOrEqual(2 * FRAMES.length - 1);
  expect(proxy.done.get(`${kind} down`)).toBeGreaterThanOrEqual(2 * FRAMES.length - 1);
  expect(await setup.prove()).toMatchObject(GREEN);
});

test('silence, half-closed connections, delays, and bytes of former connections said again', async () => {
  await using proxy = await HostileProxy.start();
  await using setup = await behindProxy(proxy);
  const plan: Behaviour[] = [
    { kind: 'delay', ms: 150 },
    { kind: 'half-close', direction: 'up', afterFrames: 3 },
    { kind: 'replay' },
    { kind: 'silence', direction: 'down', afterFrames: 3 },
    { kind: 'half-close', direction: 'down', afterFrames: 2 },
    { kind: 'replay' },
    { kind: 'silence', direction: 'up', afterFrames: 2 },
  ];
  for (const lane of ['data', 'control'] as const) {
    for (const behaviour of plan) {
      proxy.plans[lane].push(behaviour);
      proxy.resetAll();
      await until(`${behaviour.kind} of the ${lane} lane`, () => proxy.isDone, PATIENCE_MS);
      await sleep(500);
      // A connection that only delays or replays would go on for ever.
      if (!('direction' in behaviour)) proxy.resetAll();
      else await until('a new session', () => proxy.done.get(nameOf(behaviour)) !== undefined, PATIENCE_MS);
    }
  }
  await untilDone(proxy, setup);
  for (const behaviour of plan) expect(proxy.done.get(nameOf(behaviour))).toBeGreaterThanOrEqual(2);
  expect(await setup.prove()).toMatchObject(GREEN);
});
