import { GREETINGS_PER_ADDRESS_MAX } from '../../src/uplink/limits.ts';
import { createSimulatedRandom } from '../../src/world/simulated/random.ts';
import type { Find } from './checkers.ts';
import { withCommands } from './command-faults.ts';
import { drawKernels } from './kernels-options.ts';
import { checkKernels, settleKernels } from './kernels-verdict.ts';
import { type Mutation, NO_MUTATION } from './mutations.ts';
import { drawSwarm, FAULTS, type Fault, type Swarm } from './options.ts';
import { drawPair } from './pair-options.ts';
import { checkPair, settleRoles } from './pair-verdict.ts';
import { shareOf } from './parts.ts';
import { drawShared } from './shared-options.ts';
import { checkSharing, settleSharing } from './shared-verdict.ts';
import { drawSite } from './site-options.ts';
import { check } from './verdict.ts';
import { keepersOf, makeWorld, settle, sourceOf, type World } from './world.ts';

export interface SeedResult {
  readonly seed: number;
  readonly kind: Kind;
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
/** What a standby held is numbered at once, as is what waited in a device while the process stood still. */
const AT_ONCE_EXCESS_BYTES = 256 * 1024;
const TIMERS_MAX = 100;

/**
 * One comm server and one Kernel, two comm servers, two Kernels, both with two or three Kernels, or Kernels
 * that share an archive.
 */
export const KINDS = ['single', 'pair', 'kernels', 'site', 'shared'] as const;
export type Kind = (typeof KINDS)[number];
const PAIR_SHARE = 0.25;

/** What a seed is if nobody says it, from a source of its own. */
export function kindOf(seed: number): Kind {
  return sourceOf(seed, 9).chance(PAIR_SHARE) ? 'pair' : 'single';
}

function kindWith(mutation: Mutation, seed: number): Kind {
  if (mutation === NO_MUTATION) return kindOf(seed);
  if (mutation.isOfSharing) return 'shared';
  if (mutation.isOfKernels) return mutation.isOfPair ? 'site' : 'kernels';
  return mutation.isOfPair ? 'pair' : 'single';
}

function drawOf(
  kind: Kind,
  { seed, single, allowed }: { seed: number; single: Swarm; allowed: readonly Fault[] },
): Swarm {
  switch (kind) {
    case 'single':
      return single;
    case 'pair':
      return drawPair(single, sourceOf(seed, 11), allowed);
    case 'kernels':
      return withCommands(drawKernels(single, sourceOf(seed, 12), allowed), sourceOf(seed, 22), allowed);
    case 'site':
      return drawSite(single, { pair: sourceOf(seed, 15), kernels: sourceOf(seed, 16) }, allowed);
    case 'shared':
      return withCommands(
        drawShared(single, { pair: sourceOf(seed, 20), shared: sourceOf(seed, 21) }, allowed),
        sourceOf(seed, 22),
        allowed,
      );
  }
}

export interface SeedOptions {
  /** Faults that may be drawn; all if not given. */
  readonly allowed?: readonly Fault[];
  readonly mutation?: Mutation;
  readonly kind?: Kind;
}

/** Runs one seed from its first event to its verdict. */
export async function runSeed(
  seed: number,
  { allowed = FAULTS, mutation = NO_MUTATION, kind = kindWith(mutation, seed) }: SeedOptions = {},
): Promise<SeedResult> {
  const findings: string[] = [];
  const find = (text: string) => {
    if (findings.length < FINDINGS_MAX) findings.push(text);
  };
  const stray = (error: unknown) => find(`unexpected: ${stackOf(error)}`);
  process.on('unhandledRejection', stray);
  const single = drawSwarm(createSimulatedRandom(seed), sourceOf(seed, 6), allowed);
  const drawn = drawOf(kind, { seed, single, allowed });
  const { faults: shown, ...options } = mutation.shownBy;
  const swarm = mutation === NO_MUTATION ? drawn : { ...drawn, ...options, faults: new Set(shown) };
  const world = makeWorld({ seed, swarm, mutation, failed: stray });
  try {
    await live(world, find);
    for (const { archive, host } of keepersOf(world)) {
      await check({ ...world, archive }, (text) => find(swarm.kernels === null ? text : `${host}: ${text}`));
    }
    if (swarm.pair !== null) await checkPair(world, find);
  } catch (error) {
    find(`unexpected: ${stackOf(error)}`);
  } finally {
    process.off('unhandledRejection', stray);
  }
  const { clock, history, kernel } = world;
  return {
    ...{ seed, kind },
    findings,
    samples: (await kernel.archive.stat()).samples,
    virtualMs: clock.monotonicMs(),
    faults: world.faults.counts,
    swarm,
    history: history.lines,
    digest: history.digest(),
  };
}

/** The time of faults, then the time in which all must come right. */
async function live(world: World, find: Find): Promise<void> {
  const { clock, swarm, instances, kernels, faults, history } = world;
  const bounds = clock.repeat('bounds', BOUNDS_CHECK_MS, () => checkBounds(world, find));
  for (const kernel of kernels) kernel.start();
  for (const agent of instances) agent.start();
  await clock.advance(swarm.runMs);
  history.note('everything is healed');
  faults.heal();
  for (const disk of instances.flatMap(({ disks }) => [...disks.values()])) {
    disk.syncMs = { min: Math.min(1, swarm.syncMs.min), max: Math.min(20, swarm.syncMs.max) };
  }
  for (const kernel of kernels) kernel.commitMs = Math.min(6, swarm.commitMs);
  if (world.shared !== null) world.shared.database.commitMs = Math.min(6, swarm.commitMs);
  await clock.advance(5000);
  if (swarm.kernels !== null) await settleKernels(world);
  if (swarm.shared !== null) await settleSharing(world);
  if (swarm.pair !== null) await settleRoles(world, find);
  await settle(world);
  if (swarm.kernels !== null) await checkKernels(world, find);
  if (swarm.shared !== null) checkSharing(world, find);
  world.roles.end();
  world.heard.end();
  bounds.cancel();
}

/** What must hold at every moment. */
function checkBounds(world: World, find: Find): void {
  const { agents, swarm, clock } = world;
  const at = `at ${(clock.monotonicMs() / 1000).toFixed(1)} s`;
  const isAtOnce = swarm.pair !== null || swarm.faults.has('agent-stall');
  const excessBytes = isAtOnce ? AT_ONCE_EXCESS_BYTES : WINDOW_EXCESS_BYTES;
  for (const { part, status } of agents.flatMap((agent) => agent.stores())) {
    const share = shareOf(part, swarm.alarmShare);
    const { windowBytes, ring } = status.backlog;
    if (windowBytes > share * swarm.windowBytes + excessBytes)
      find(`${at} the window of ${part} has ${windowBytes} bytes`);
    const diskBytes = ring.diskBytes + ring.quarantineBytes;
    if (diskBytes > 1.25 * share * swarm.capacityBytes)
      find(`${at} the ring of ${part} takes ${diskBytes} bytes`);
  }
  const timers = Math.max(...agents.map(({ run }) => run?.life.timers ?? 0));
  // After a stall all those that dialled meanwhile are there at once, and each is waited for.
  const greetings = GREETINGS_PER_ADDRESS_MAX * (swarm.pair?.networks ?? 0);
  if (timers > TIMERS_MAX + greetings) find(`${at} an agent has ${timers} timers`);
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
