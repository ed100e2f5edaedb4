import { expect, test } from 'vitest';
import { type Coverage, countOf, dataOf } from '../../src/domain/coverage.ts';
import { coverageDifference } from '../../src/domain/coverage-difference.ts';
import type { Archive } from '../../src/world/archive.ts';
import { GREEN } from '../integration/support/setup.ts';
import { sleep, until } from '../integration/support/until.ts';
import { RealKernels } from '../kernels/real-kernels.ts';

/**
 * `ackPolicy: hot` on real processes: what a standby is told to lag behind is what is lacking when the hot
 * one is lost. The agent keeps nothing that was acknowledged.
 */

const STOPPED_MS = 12_000;
/** A Kernel that is stopped for so long is taken for connected still, though nothing comes. */
const BEHIND_MS = 1000;
const LOOK_MS = 100;

test('what the standby lagged behind is a gap of that size until the lost hot one is back', async () => {
  await using kernels = await RealKernels.start({ ackPolicy: 'hot', store: 'on-outage' });
  const told = async () => {
    const [other] = (await kernels.kernelStatus('KernelA')).group?.kernels ?? [];
    if (other === undefined) throw new Error('no other Kernel');
    return { ...other, samples: await kernels.samplesAt('KernelA') };
  };
  await sleep(3000);
  const before = await kernels.samplesAt('KernelB');
  kernels.signal('KernelB', 'SIGSTOP');
  const stoppedMs = performance.now();
  // The last that was told of it while it was taken for connected, however slow the machine is.
  let early = await told();
  for (let next = early; next.isConnected; next = await told()) {
    early = next;
    await sleep(LOOK_MS);
  }
  expect(early.behindMs).toBeGreaterThan(BEHIND_MS);
  expect(early.lacking).toBeGreaterThan(0);
  expect(early.lacking).toBeLessThanOrEqual(early.samples - before);
  await sleep(stoppedMs + STOPPED_MS - performance.now());
  const late = await told();
  await kernels.kill('KernelA');
  expect(late).toMatchObject({ isConnected: false, behindMs: null });
  // What has come since is not there either.
  expect(late.lacking).toBeGreaterThanOrEqual(early.lacking + (late.samples - early.samples) / 2);
  expect(late.silentMs).toBeGreaterThan(STOPPED_MS - 2 * BEHIND_MS);

  kernels.signal('KernelB', 'SIGCONT');
  const forced = await kernels.switch('KernelB', 'KernelB', '--force');
  expect(forced.code).toBe(0);
  expect(forced.stdout).toContain('it lacks what was acknowledged without it, until the former hot Kernel');
  await kernels.untilAt('KernelB');
  const untilUs = kernels.world.clock.wallUs();
  const proved = () => kernels.proveAt('KernelB', untilUs);
  await until('the last values of before', async () => (await proved()).ok, 30_000).catch(() => undefined);
  const alone = await proved();
  expect(alone).toMatchObject(GREEN);
  expect(alone.declared).toBeGreaterThan(50);

  await kernels.kill('KernelB', 'SIGTERM');
  const [lost, rest] = [await coverages(kernels, 'KernelA'), await coverages(kernels, 'KernelB')];
  let [lacking, regressed, later, arrived] = [0, 0, 0, 0];
  for (const [streamId, theirs] of rest) {
    const mine = lost.get(streamId) ?? [];
    lacking += countOf(coverageDifference(mine, theirs).data);
    regressed += countOf(theirs.filter(({ state }) => state === 'kernel-regressed'));
    later += countOf(dataOf(mine));
    arrived += countOf(dataOf(theirs).filter(({ first }) => first === 1));
  }
  // All that is lacking is that gap, and nothing else is in it.
  expect(regressed).toBe(lacking);
  expect(alone.declared).toBeLessThanOrEqual(regressed);
  // It was told before what the hot one got last, and as if nothing had come of what was on its way.
  expect(lacking).toBeLessThanOrEqual(late.lacking + (later - late.samples));
  expect(lacking).toBeGreaterThanOrEqual(late.lacking - (arrived - before));

  await kernels.startKernel('KernelB');
  await kernels.startKernel('KernelA');
  await kernels.untilFollowed('KernelB');
  const proofs = await kernels.prove();
  expect(proofs.get('KernelB')).toMatchObject(GREEN);
  const { archived, declared } = proofs.get('KernelB') ?? {};
  expect(proofs.get('KernelA')).toMatchObject({ ...GREEN, archived, declared });
  for (const name of ['KernelA', 'KernelB'] as const) {
    await kernels.kill(name, 'SIGTERM');
    const states = [...(await coverages(kernels, name)).values()].flat().map(({ state }) => state);
    expect(new Set(states), 'no gap is left of it').toEqual(new Set(['data']));
  }
}, 180_000);

/** Of a Kernel that does not run, by stream. */
async function coverages(
  kernels: RealKernels,
  name: 'KernelA' | 'KernelB',
): Promise<ReadonlyMap<string, Coverage>> {
  return await kernels.withArchive(name, async (archive: Archive) => {
    const found = new Map<string, Coverage>();
    const processes = new Map((await archive.tags()).map((tag) => [tag.process, tag]));
    for (const { site, process } of processes.values())
      for (const { streamId, coverage } of await archive.streams(site, process))
        found.set(streamId, coverage);
    return found;
  });
}
