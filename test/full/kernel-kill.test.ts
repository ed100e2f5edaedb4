import { expect, test } from 'vitest';
import { contiguousEnd } from '../../src/domain/coverage.ts';
import { openDuckdbArchive } from '../../src/kernel/archive/duckdb-archive.ts';
import { silentLog } from '../../src/world/log.ts';
import { createSimulatedRandom } from '../../src/world/simulated/random.ts';
import { GREEN, Setup } from '../integration/support/setup.ts';
import { sleep, until } from '../integration/support/until.ts';

const KILLS = 50;
/** So long after the agent is back the Kernel is killed: within the backlog of meanwhile, or behind it. */
const LIFE_MAX_MS = 700;

/** So slow a cable that acknowledgements are on their way for a part of the time that one can hit. */
const CABLE_BYTES_PER_S = 40_000;

/** A Kernel of its own process, on a machine that other tests have most of. */
const START_MAX_MS = 60_000;

/** What the archive of a Kernel that is dead has of a stream; it opens as a start of the Kernel opens it. */
async function afterDeath(setup: Setup, streamId: string) {
  const directory = setup.file('archive');
  const archive = await openDuckdbArchive({ directory, memoryLimitBytes: 128e6, log: silentLog });
  try {
    const coverage = await archive.coverage(streamId);
    return { through: contiguousEnd(coverage), states: coverage.map(({ state }) => state) };
  } finally {
    await archive.close();
  }
}

test(`a Kernel killed ${KILLS} times amid acknowledgements and commits loses nothing`, async () => {
  await using setup = await Setup.make();
  const random = createSimulatedRandom(4);
  await setup.startPlant();
  await setup.startAgent();
  setup.cable.heal(CABLE_BYTES_PER_S);
  const { streamId } = await setup.status();
  const seen = { unacknowledged: 0, uncommitted: 0, caughtUp: 0 };
  for (let kill = 0; kill < KILLS; kill++) {
    const kernel = await setup.spawnKernel(START_MAX_MS);
    await until('a session', async () => (await setup.status()).uplink.kernel !== null, START_MAX_MS);
    await sleep(random.fraction() * LIFE_MAX_MS);
    await kernel.kill('SIGKILL');
    await until('the end of the session', async () => (await setup.status()).uplink.kernel === null);
    const { backlog, producedTo } = await setup.status();
    const acknowledged = backlog.counters.deliveredSamples;
    const left = await afterDeath(setup, streamId);
    expect(left.through, 'what was acknowledged').toBeGreaterThanOrEqual(acknowledged);
    expect(['', 'data'], 'nothing is missing in between').toContain(left.states.join());
    if (left.through > acknowledged) seen.unacknowledged += 1;
    if (left.through < producedTo) seen.uncommitted += 1;
    if (backlog.ring.unacknowledgedSamples === 0) seen.caughtUp += 1;
  }
  console.warn(`killed with an acknowledgement that did not arrive: ${seen.unacknowledged} of ${KILLS}`);
  expect(seen.uncommitted, 'with numbers that were not committed').toBeGreaterThan(KILLS / 2);
  expect(seen.unacknowledged, 'between a commit and its acknowledgement').toBeGreaterThan(0);
  setup.cable.heal();
  await setup.spawnKernel(START_MAX_MS);
  await setup.untilOnline();
  // What the proof may find declared is the plant's: answers that were late on a busy machine.
  expect(await setup.prove()).toMatchObject(GREEN);
}, 2_400_000);
