import { createSimulatedRandom } from '../../src/world/simulated/random.ts';
import { drawSwarm, type Swarm } from './options.ts';
import { makeWorld, sourceOf, type World } from './world.ts';

export interface StarvedOptions {
  readonly seed: number;
  /** In each period the scheduler lets a process run, and then not. */
  readonly periodMs: number;
  readonly withheldMs: number;
  /** With the profile small 3 s. */
  readonly peerTimeoutMs: number;
  readonly syncMaxMs: number;
  readonly runMs: number;
  /** From when until when the Kernel is down, ms; then the instances have only each other. */
  readonly kernelDownMs: readonly [number, number];
}

export interface Starved {
  /** Roles that changed after both had settled, as an operator would have seen them. */
  readonly moves: readonly string[];
  readonly samples: number;
  /** How often each process did not run. */
  readonly stalls: number;
  readonly failures: readonly string[];
}

/** Two servers with slow disks whose processes get little time, for long, in virtual time; nothing fails. */
export async function runStarved(options: StarvedOptions): Promise<Starved> {
  const { seed, periodMs, withheldMs, runMs, kernelDownMs } = options;
  const failures: string[] = [];
  const failed = (error: unknown): void => void failures.push(String(error));
  const world = makeWorld({ seed, swarm: starvedSwarm(options), failed });
  const { clock, kernel, instances, roles, archive } = world;
  let stalls = 0;
  const quota = clock.repeat('quota', periodMs, () => {
    stalls += 1;
    for (const { run } of instances) run?.life.stall(withheldMs);
  });
  kernel.start();
  for (const agent of instances) agent.start();
  await clock.advance(60_000);
  const settledMs = clock.monotonicMs();
  if (roles.active.length !== 1) failures.push(`after a minute are active: ${roles.active.join(', ')}`);
  const [downMs, upMs] = kernelDownMs;
  await clock.advance(downMs);
  kernel.crash();
  await clock.advance(upMs - downMs);
  kernel.start();
  await clock.advance(runMs - upMs);
  quota.cancel();
  return { moves: movesOf(world, settledMs), samples: (await archive.stat()).samples, stalls, failures };
}

function movesOf({ roles }: World, sinceMs: number): string[] {
  const later = roles.seen.filter(({ atMs }) => atMs > sinceMs);
  return later
    .filter(({ host, atMs, phase }) => {
      const before = roles.seen.findLast((each) => each.host === host && each.atMs < atMs);
      // A new term for who has the role moves nothing.
      return before?.phase !== phase;
    })
    .map(({ host, phase, atMs }) => `${host} ${phase} at ${atMs / 1000} s`);
}

function starvedSwarm({ seed, peerTimeoutMs, syncMaxMs, runMs }: StarvedOptions): Swarm {
  const drawn = drawSwarm(createSimulatedRandom(seed), sourceOf(seed, 6), []);
  const station = { name: 'P11', periodMs: 1000, scanMs: 1000, noteBytes: 10 };
  return {
    ...drawn,
    ...{ policy: 'on-outage', capacityBytes: 16 * 1024 * 1024, windowBytes: 4 * 1024 * 1024 },
    ...{ blockAgeMs: 250, spillAgeMs: 500, aliveMarkMs: 1000, reportAtLeastEveryMs: 600_000 },
    ...{ latencyMs: 1, bytesPerSecond: 1_000_000, commitMs: 20, alarmShare: 0, runMs },
    ...{ clockMode: 'system', hasRealTimeClock: true },
    syncMs: { min: 1, max: syncMaxMs },
    lines: [{ name: 'L1', kind: 'poll', publishMs: 250, keepAliveMs: 1000, stations: [station] }],
    pair: {
      ...{ networks: 1, preferredInstance: 0, preferHoldOffMs: 10_000, peerTimeoutMs, isMirrored: true },
      lines: [{ standby: 'hot', isExclusive: false }],
      clockOffsetsUs: [0, 0],
    },
  };
}
