import { expect, test } from 'vitest';
import { GREEN, Setup } from './support/setup.ts';
import { sleep, until } from './support/until.ts';

/** With this many values in a second a tag's present value is never older. */
const LIVE_AGE_MAX_US = 1_000_000;

test.each([
  { store: 'on-outage', opcua: true },
  { store: 'always', opcua: false },
] as const)('online, cut, restored with the policy $store: everything once and in order', async (options) => {
  await using setup = await Setup.start(options);
  const { clock } = setup.world;
  // What was numbered before the first session may be in the ring.
  const before = await setup.status();
  await sleep(1500);
  const online = await setup.status();
  const stored = online.backlog.ring.samples - before.backlog.ring.samples;
  const produced = online.producedTo - before.producedTo;
  // A machine that is busy elsewhere for half a second makes an acknowledgement late: its block is spilled.
  if (options.store === 'on-outage') expect(stored, 'stored while online').toBeLessThan(produced / 2);
  else expect(stored, 'every block is stored').toBeGreaterThan(50);

  setup.cable.cut();
  const cutUs = clock.wallUs();
  await setup.untilStatus('the outage', ({ backlog }) => backlog.state === 'outage');
  // What had arrived before the cut is still being archived.
  await sleep(500);
  const atCut = (await setup.live()).get('P1.volume');
  await sleep(2500);
  const outage = await setup.status();
  expect(outage.uplink.kernel).toBeNull();
  expect(outage.backlog.ring.unacknowledgedSamples).toBeGreaterThan(100);
  expect(outage.backlog.ring.diskBytes).toBeGreaterThan(0);
  // Everything but the newest block is durable.
  expect(outage.backlog.windowSamples - outage.backlog.ring.unacknowledgedSamples).toBeLessThan(60);
  expect((await setup.live()).get('P1.volume')?.sourceTimeUs).toBe(atCut?.sourceTimeUs);
  const during = await setup.history('P1.volume', cutUs + 500_000, cutUs + 1_500_000);
  expect(statesOf(during)).not.toContain('data');

  setup.cable.heal();
  await until('live values of the present', async () => {
    const live = (await setup.live()).get('P1.volume');
    return live !== undefined && clock.wallUs() - live.sourceTimeUs < LIVE_AGE_MAX_US;
  });
  await setup.untilOnline();
  expect((await setup.status()).backlog.ring.unacknowledgedSamples).toBe(0);
  expect(await setup.prove()).toMatchObject(GREEN);
  const after = await setup.history('P1.volume', cutUs + 500_000, cutUs + 1_500_000);
  expect(statesOf(after)).toEqual(['data']);
  expect(after.filter(({ kind }) => kind === 'sample').length).toBeGreaterThan(5);
});

function statesOf(lines: Awaited<ReturnType<Setup['history']>>): string[] {
  return lines.flatMap((line) => (line.kind === 'segment' ? [line.state] : []));
}
