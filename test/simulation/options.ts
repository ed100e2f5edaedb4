import type { StorePolicy } from '../../src/config/model.ts';
import type { ClockMode } from '../../src/domain/clock-discipline.ts';
import type { SimulatedRandom } from '../../src/world/simulated/random.ts';
import type { KernelsOptions } from './kernels-options.ts';
import type { PairOptions } from './pair-options.ts';
import type { SharedOptions } from './shared-options.ts';

/** Every fault the simulation can make. Each seed turns some of them on. */
const FIRST_FAULTS = [
  'link-hang',
  'link-reset',
  'link-refuse',
  'link-break',
  'link-slow',
  'kernel-crash',
  'kernel-stall',
  'archive-unavailable',
  'station-unplugged',
  'line-lost',
  'device-clock',
  'agent-kill',
  'agent-stop',
  'agent-stall',
  'power-cut',
  'wall-step',
  'disk-full',
  'disk-error',
  'disk-read-only',
  'bit-flip',
  'segment-damaged',
  'meta-lost',
  'image-restored',
] as const;
/** Drawn from a source of their own, so that seeds without them stay what they were. */
const LATER_FAULTS = ['link-half-open', 'link-flapping', 'link-lane-lost', 'disk-cloned'] as const;
/** Of two instances only: between them, and of both uplinks at once. */
export const PAIR_FAULTS = [
  'peer-cut',
  'peer-network-cut',
  'peer-flapping',
  'uplinks-cut',
  'server-destroyed',
] as const;
/** Of two Kernels only: between them, and what an operator does. */
export const KERNELS_FAULTS = [
  'kernels-cut',
  'kernels-flapping',
  'kernel-switch',
  'kernel-force',
  'kernel-replaced',
] as const;
/** Drawn behind all else of Kernels, so that seeds without it stay what they were. */
export const LATER_KERNELS_FAULTS = ['kernel-refusing'] as const;
/** Of Kernels that share a database: what becomes of it, and of the way of one of them to it. */
export const SHARED_FAULTS = [
  'database-away',
  'database-restart',
  'database-read-only',
  'database-slow',
  'database-cut',
  'session-lost',
  'kernel-power-cut',
] as const;
/** What an operator asks of an agent, at whichever of several Kernels is hot. */
export const COMMAND_FAULTS = ['backlog-dropped', 'backlog-replayed', 'archive-repaired'] as const;
/** Of both together: what is in one house. */
export const SITE_FAULTS = ['site-parted', 'house-lost'] as const;
export const FAULTS = [
  ...FIRST_FAULTS,
  ...LATER_FAULTS,
  ...PAIR_FAULTS,
  ...KERNELS_FAULTS,
  ...LATER_KERNELS_FAULTS,
  ...SITE_FAULTS,
  ...SHARED_FAULTS,
  ...COMMAND_FAULTS,
] as const;
export type CommandFault = (typeof COMMAND_FAULTS)[number];
export type SharedFault = (typeof SHARED_FAULTS)[number];
export type SiteFault = (typeof SITE_FAULTS)[number];
export type KernelsFault = (typeof KERNELS_FAULTS | typeof LATER_KERNELS_FAULTS)[number];
export type PairFault = (typeof PAIR_FAULTS)[number];
export type Fault = (typeof FAULTS)[number];

export interface StationOptions {
  readonly name: string;
  /** The process in the device makes a new value at this pace. */
  readonly periodMs: number;
  /** Polled lines only. */
  readonly scanMs: number;
  readonly noteBytes: number;
}

export interface LineOptions {
  readonly name: string;
  readonly kind: 'poll' | 'subscribe';
  readonly publishMs: number;
  readonly keepAliveMs: number;
  readonly stations: readonly StationOptions[];
}

/** Faults after which a loss is bounded by nothing: what was durable may be gone. */
export const DISK_FAULTS: readonly Fault[] = [
  'disk-full',
  'disk-error',
  'disk-read-only',
  'bit-flip',
  'segment-damaged',
  'meta-lost',
  'image-restored',
  'disk-cloned',
  'server-destroyed',
];

export function touchesDisk(faults: ReadonlySet<Fault>): boolean {
  return DISK_FAULTS.some((fault) => faults.has(fault));
}

/** What one seed is like. */
export interface Swarm {
  readonly faults: ReadonlySet<Fault>;
  /** Mean time between two faults. */
  readonly faultEveryMs: number;
  readonly runMs: number;
  readonly lines: readonly LineOptions[];
  readonly policy: StorePolicy;
  readonly whenFull: 'drop-oldest' | 'refuse-newest';
  readonly capacityBytes: number;
  readonly windowBytes: number;
  readonly blockAgeMs: number;
  readonly spillAgeMs: number;
  readonly aliveMarkMs: number;
  readonly reportAtLeastEveryMs: number;
  readonly syncMs: { readonly min: number; readonly max: number };
  readonly latencyMs: number;
  readonly bytesPerSecond: number;
  readonly commitMs: number;
  /** Part of the buffer that belongs to alarms alone; 0: they have no store of their own. */
  readonly alarmShare: number;
  readonly liveIntervalMs: number;
  /** What a second machine says it is that starts with a copy of the disk. */
  readonly cloneInstance: number;
  /** Whose time the agent stamps. */
  readonly clockMode: ClockMode;
  /** Without one the machine starts in 1970 whenever the power was away. */
  readonly hasRealTimeClock: boolean;
  /** `null`: one instance alone. */
  readonly pair: PairOptions | null;
  /** `null`: one Kernel alone. */
  readonly kernels: KernelsOptions | null;
  /** `null`: no archive has several Kernels. */
  readonly shared: SharedOptions | null;
}

/** Of the seeds so many have each of the later faults. */
const LATER_SHARE = 0.1;

/** Of the seeds so many have a small ring and small blocks. */
const CROWDED_SHARE = 0.15;

/** The smallest ring that the product opens. */
const CAPACITY_BYTES_MIN = 64 * 1024;

/**
 * Draws the options of a seed: values far apart, because bugs hide in the corners. What came later is drawn
 * from a source of its own, so that seeds without it stay what they were.
 */
export function drawSwarm(
  random: SimulatedRandom,
  later: SimulatedRandom,
  allowed: readonly Fault[] = FAULTS,
): Swarm {
  const pick = <T>(values: readonly [T, ...T[]]): T => values[random.below(values.length)] ?? values[0];
  const isLinkOnly = random.chance(0.1);
  const share = pick([0.1, 0.3, 0.6]);
  const isCandidate = (fault: Fault) => allowed.includes(fault) && (!isLinkOnly || fault.startsWith('link-'));
  const faults = new Set<Fault>(FIRST_FAULTS.filter(isCandidate).filter(() => random.chance(share)));
  const isCalm = random.chance(0.04);
  const alarmShare = [0, 0, 0.1, 0.3, 0.5][later.below(5)] ?? 0;
  for (const fault of LATER_FAULTS.filter(isCandidate)) if (later.chance(LATER_SHARE)) faults.add(fault);
  if (isCalm) faults.clear();
  const blockAgeMs = pick([50, 250, 1000]);
  const syncMax = pick([1, 20, 200, 2000]);
  const swarm: Swarm = {
    faults,
    faultEveryMs: pick([800, 3000, 8000]),
    runMs: pick([6000, 15_000, 40_000]),
    lines: drawLines(random, pick),
    policy: pick(['always', 'on-outage']),
    whenFull: pick(['drop-oldest', 'drop-oldest', 'refuse-newest']),
    capacityBytes: Math.max(
      pick([64 * 1024, 128 * 1024, 1024 * 1024, 16 * 1024 * 1024]),
      leastCapacityBytes(alarmShare),
    ),
    windowBytes: pick([16 * 1024, 128 * 1024, 2 * 1024 * 1024]),
    blockAgeMs,
    spillAgeMs: pick([100, 500, 3000]),
    aliveMarkMs: pick([250, 1000, 5000]),
    reportAtLeastEveryMs: pick([2000, 600_000]),
    syncMs: { min: Math.min(1, syncMax), max: syncMax },
    latencyMs: pick([0.2, 5, 80]),
    bytesPerSecond: pick([Number.POSITIVE_INFINITY, 1_000_000, 30_000]),
    commitMs: pick([0, 6, 100, 800]),
    alarmShare,
    cloneInstance: later.chance(0.5) ? 1 : 2,
    liveIntervalMs: 1000,
    clockMode: later.chance(0.3) ? 'kernel' : 'system',
    hasRealTimeClock: !later.chance(0.15),
    pair: null,
    kernels: null,
    shared: null,
  };
  return later.chance(CROWDED_SHARE) ? crowded(swarm) : swarm;
}

/** A ring that fills with small blocks again and again, so that they are joined. */
function crowded(swarm: Swarm): Swarm {
  return {
    ...swarm,
    blockAgeMs: 50,
    spillAgeMs: 100,
    capacityBytes: Math.max(leastCapacityBytes(swarm.alarmShare), 2 * CAPACITY_BYTES_MIN),
    lines: swarm.lines.map((line) => ({
      ...line,
      publishMs: 50,
      stations: line.stations.map((station) => ({ ...station, periodMs: 50, scanMs: 100, noteBytes: 10 })),
    })),
  };
}

/** Both parts of the ring are as large as a ring has to be. */
function leastCapacityBytes(alarmShare: number): number {
  if (alarmShare === 0) return CAPACITY_BYTES_MIN;
  return Math.ceil(CAPACITY_BYTES_MIN / Math.min(alarmShare, 1 - alarmShare)) + 1;
}

type Pick = <T>(values: readonly [T, ...T[]]) => T;

function drawLines(random: SimulatedRandom, pick: Pick): LineOptions[] {
  const kinds = pick<LineOptions['kind'][]>([['poll'], ['subscribe'], ['poll', 'subscribe']]);
  return kinds.map((kind, at) => ({
    name: `L${at + 1}`,
    kind,
    publishMs: pick([50, 250, 1000]),
    keepAliveMs: pick([1000, 3000]),
    stations: Array.from({ length: 1 + random.below(2) }, (_, station) => ({
      name: `${kind === 'poll' ? 'P' : 'S'}${at + 1}${station + 1}`,
      periodMs: pick([50, 200, 1000]),
      scanMs: pick([100, 300, 1000]),
      noteBytes: pick([10, 400, 3000]),
    })),
  }));
}
