import { describe, expect, it } from 'vitest';
import { WIRED } from '../../src/config/uplink.fixture.ts';
import { isDelivered, type LinkWorld, makeLinkWorld, RADIO, untilSo } from './link-world.ts';

/** Bits a second of a radio link, as bytes a second. */
const KBIT_64 = 8000;
const KBIT_9_6 = 1200;
const TAGS = 40;
const CHANGES_PER_S = 20;

/** A backlog of some minutes, with new values going on; then a link of this rate. */
async function withBacklog(bytesPerSecond: number, options: Parameters<typeof makeLinkWorld>[0]) {
  const world = await makeLinkWorld({ tagCount: TAGS, ...options });
  world.network.setLink('agent', 'kernel', { bytesPerSecond, latencyMs: 40 });
  world.network.cut('agent', 'kernel', 'reset');
  for (let second = 0; second < 300; second++) {
    world.produce(400);
    await world.clock.advance(1000);
  }
  world.network.heal('agent', 'kernel');
  await untilSo(world, () => world.uplink.status.kernel !== null);
  return world;
}

/** Age of the oldest and of the median present value at the Kernel, milliseconds. */
function ages({ presence, clock }: LinkWorld): { oldestMs: number; medianMs: number } {
  const nowUs = clock.wallUs();
  const all = presence()
    .values()
    .map(({ sourceTimeUs }) => (nowUs - sourceTimeUs) / 1000)
    .sort((one, other) => one - other);
  return { oldestMs: all.at(-1) ?? Number.NaN, medianMs: all[Math.floor(all.length / 2)] ?? Number.NaN };
}

describe.each([
  ['wired', WIRED],
  ['radio', RADIO],
])('64 kbit/s with the settings of %s', (_, settings) => {
  it('drains a backlog in one session, live values first, at most of what the link carries', async () => {
    const world = await withBacklog(KBIT_64, { settings });
    const { unacknowledgedBytes: heldBytes, unacknowledgedSamples: heldSamples } =
      world.store.backlog.stat().ring;
    expect(heldBytes).toBeGreaterThan(300_000);
    await world.live(3000, CHANGES_PER_S);
    const { sinceUs } = world.uplink.status;
    const late: number[] = [];
    // Each tag changes every two seconds: what is newer than that and a second was on its way at once.
    await world.live(30_000, CHANGES_PER_S, () => late.push(ages(world).oldestMs));
    expect(Math.max(...late)).toBeLessThan((TAGS / CHANGES_PER_S) * 1000 + 1000);
    expect(world.state()).toBe('catch-up');
    const { deliveredSamples: before } = world.store.backlog.stat().counters;
    const bytesPerSample = heldBytes / heldSamples;
    await world.live(30_000, CHANGES_PER_S);
    const { deliveredSamples } = world.store.backlog.stat().counters;
    expect(
      ((deliveredSamples - before) * bytesPerSample) / 30,
      'of 8000 B/s, beside the live lane',
    ).toBeGreaterThan(3500);
    await untilSo(world, () => world.state() === 'online');
    await world.clock.advance(3000);
    expect(world.uplink.status.sinceUs, 'one session all the time').toBe(sinceUs);
    expect(await isDelivered(world)).toBe(true);
  });
});

it('9.6 kbit/s keeps the session and goes on delivering', async () => {
  const world = await withBacklog(KBIT_9_6, { settings: RADIO });
  await world.live(10_000, 2);
  const { sinceUs } = world.uplink.status;
  const before = world.store.backlog.stat().samples;
  await world.live(180_000, 2);
  expect(world.uplink.status.sinceUs).toBe(sinceUs);
  expect(world.store.backlog.stat().samples).toBeLessThan(before - 5000);
  expect(ages(world).medianMs).toBeLessThan(30_000);
});

it('a link that becomes slow in the middle of the drain loses no session', async () => {
  const world = await withBacklog(1_000_000, { settings: { maxBytesPerS: 20_000 } });
  await world.live(5000, CHANGES_PER_S);
  const { sinceUs } = world.uplink.status;
  world.network.setLink('agent', 'kernel', { bytesPerSecond: KBIT_64 });
  await world.live(20_000, CHANGES_PER_S);
  expect(world.state()).toBe('catch-up');
  expect(world.uplink.status.sinceUs).toBe(sinceUs);
});

it('the ceiling of the catch-up is kept, and does not hold for what is new', async () => {
  const world = await withBacklog(1_000_000, { settings: { maxBytesPerS: 20_000 } });
  await world.live(3000, CHANGES_PER_S);
  const { counters, ring } = world.store.backlog.stat();
  await world.live(10_000, CHANGES_PER_S);
  const samples = world.store.backlog.stat().counters.deliveredSamples - counters.deliveredSamples;
  const rate = (samples * ring.unacknowledgedBytes) / ring.unacknowledgedSamples / 10;
  expect(rate).toBeGreaterThan(14_000);
  expect(rate).toBeLessThan(24_000);
  const { drainedInMs } = world.store.status.pace;
  await world.live(2000, CHANGES_PER_S);
  expect(drainedInMs ?? world.store.status.pace.drainedInMs, 'the time that is left').toBeGreaterThan(1000);
});

it('below the floor live values give way to blocks', async () => {
  const drained = async (minBytesPerS: number): Promise<number> => {
    const world = await withBacklog(KBIT_64, { settings: { minBytesPerS } });
    // Far more changes than the link carries.
    await world.live(20_000, 2000);
    const before = world.uplink.status.bytesPerS ?? 0;
    expect(before).toBeGreaterThan(0);
    expect(world.uplink.status.isBelowMinRate).toBe(minBytesPerS > KBIT_64);
    const { deliveredSamples } = world.store.backlog.stat().counters;
    await world.live(20_000, 2000);
    return world.store.backlog.stat().counters.deliveredSamples - deliveredSamples;
  };
  expect(await drained(20_000)).toBeGreaterThan(1.1 * (await drained(0)));
});
