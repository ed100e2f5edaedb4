import { createSimulatedRandom } from '../../src/world/simulated/random.ts';
import type { Find } from './checkers.ts';
import { type Mutation, NO_MUTATION } from './mutations.ts';
import { drawSwarm, FAULTS, type Fault, type Swarm } from './options.ts';
import { shareOf } from './parts.ts';
import { check } from './verdict.ts';
import { makeWorld, settle, sourceOf, type World } from './world.ts';

export interface SeedResult {
  readonly seed: number;
  /** What is wrong; empty for a seed that passes. */
  readonly findings: readonly string[];
  readonly samples: number;
  readonly virtualMs: number;
  readonly faults: Readonly<Partial<Record<Fault, number>>>;
  readonly swarm: Swarm;
  readonly history: readonly string[];
  readonly digest: string;
}

const FINDINGS_MAX = 20;
const BOUNDS_CHECK_MS = 500;
/** The window closes before a block and not within: the last one may reach beyond the bound. */
const WINDOW_EXCESS_BYTES = 64 * 1024;
const TIMERS_MAX = 100;

/** Runs one seed from its first event to its verdict. */
export async function runSeed(
  seed: number,
  allowed: readonly Fault[] = FAULTS,
  mutation: Mutation = NO_MUTATION,
): Promise<SeedResult> {
  const findings: string[] = [];
  const find = (text: string) => {
    if (findings.length < FINDINGS_MAX) findings.push(text);
  };
  const stray = (error: unknown) => find(`unexpected: ${stackOf(error)}`);
  process.on('unhandledRejection', stray);
  const drawn = drawSwarm(createSimulatedRandom(seed), sourceOf(seed, 6), allowed);
  const { faults: shown, ...options } = mutation.shownBy;
  const swarm = mutation === NO_MUTATION ? drawn : { ...drawn, ...options, faults: new Set(shown) };
  const world = makeWorld({ seed, swarm, mutation, failed: stray });
  try {
    await live(world, find);
    await check(world, find);
  } catch (error) {
    find(`unexpected: ${stackOf(error)}`);
  } finally {
    process.off('unhandledRejection', stray);
  }
  const { clock, history, archive } = world;
  return {
    seed,
    findings,
    samples: (await archive.stat()).samples,
    virtualMs: clock.monotonicMs(),
    faults: world.faults.counts,
    swarm,
    history: history.lines,
    digest: history.digest(),
  };
}

/** The time of faults, then the time in which all must come right. */
async function live(world: World, find: Find): Promise<void> {
  const { clock, swarm, agent, kernel, faults, disks, history } = world;
  const bounds = clock.repeat('bounds', BOUNDS_CHECK_MS, () => checkBounds(world, find));
  kernel.start();
  agent.start();
  await clock.advance(swarm.runMs);
  history.note('everything is healed');
  faults.heal();
  for (const disk of disks.values()) {
    disk.syncMs = { min: Math.min(1, swarm.syncMs.min), max: Math.min(20, swarm.syncMs.max) };
  }
  kernel.commitMs = Math.min(6, swarm.commitMs);
  await clock.advance(5000);
  await settle(world);
  bounds.cancel();
}

/** What must hold at every moment. */
function checkBounds(world: World, find: Find): void {
  const { agents, swarm, clock } = world;
  const at = `at ${(clock.monotonicMs() / 1000).toFixed(1)} s`;
  for (const { part, status } of agents.flatMap((agent) => agent.stores())) {
    const share = shareOf(part, swarm.alarmShare);
    const { windowBytes, ring } = status.backlog;
    if (windowBytes > share * swarm.windowBytes + WINDOW_EXCESS_BYTES)
      find(`${at} the window of ${part} has ${windowBytes} bytes`);
    const diskBytes = ring.diskBytes + ring.quarantineBytes;
    if (diskBytes > 1.25 * share * swarm.capacityBytes)
      find(`${at} the ring of ${part} takes ${diskBytes} bytes`);
  }
  const timers = Math.max(...agents.map(({ run }) => run?.life.timers ?? 0));
  if (timers > TIMERS_MAX) find(`${at} an agent has ${timers} timers`);
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
