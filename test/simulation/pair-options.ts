import type { StandbyMode } from '../../src/config/model.ts';
import type { SimulatedRandom } from '../../src/world/simulated/random.ts';
import { type Fault, PAIR_FAULTS, type Swarm } from './options.ts';

/** What one seed with two instances is like, besides. */
export interface PairOptions {
  /** Between the two servers; each can be cut. */
  readonly networks: 1 | 2;
  /** By place of the line. */
  readonly lines: readonly PairLineOptions[];
  /** 0: none. */
  readonly preferredInstance: number;
  readonly preferHoldOffMs: number;
  readonly peerTimeoutMs: number;
  /** Each holds the backlog of the other one. */
  readonly isMirrored: boolean;
  /** How far the wall clock of each server is ahead; behind, it would be before all time. */
  readonly clockOffsetsUs: readonly [number, number];
}

export interface PairLineOptions {
  readonly standby: StandbyMode;
  readonly isExclusive: boolean;
}

/**
 * Not for a pair: a copy of a machine is a third one; an image that is restored, or a database of terms that
 * is gone, forgets what the other instance relies on; and with clocks that go anywhere the record says little
 * of what the two saw together.
 */
const NOT_FOR_PAIRS: readonly Fault[] = [
  'disk-cloned',
  'image-restored',
  'meta-lost',
  'device-clock',
  'wall-step',
];

/** Drawn from a source of its own, so that seeds with one instance stay what they were. */
export function drawPair(swarm: Swarm, random: SimulatedRandom, allowed: readonly Fault[]): Swarm {
  const pick = <T>(values: readonly [T, ...T[]]): T => values[random.below(values.length)] ?? values[0];
  const isCalm = swarm.faults.size === 0;
  const own = PAIR_FAULTS.filter((fault) => allowed.includes(fault) && random.chance(0.4));
  const kept = [...swarm.faults].filter((fault) => !NOT_FOR_PAIRS.includes(fault));
  const lines = swarm.lines.map((): PairLineOptions => {
    return { standby: pick<StandbyMode>(['cold', 'warm', 'hot']), isExclusive: random.chance(0.2) };
  });
  // With room for all that is to be held.
  const isDestroyed = !isCalm && own.includes('server-destroyed');
  const roomy = isDestroyed ? { capacityBytes: 16 * 1024 * 1024, windowBytes: 2 * 1024 * 1024 } : {};
  const offset = () => pick([0, 0, 40_000, 700_000, 3_000_000]);
  return {
    ...swarm,
    ...roomy,
    faults: new Set(isCalm ? [] : [...kept, ...own]),
    faultEveryMs: Math.max(1500, swarm.faultEveryMs),
    runMs: Math.max(15_000, swarm.runMs),
    ...{ clockMode: 'system', hasRealTimeClock: true },
    pair: {
      networks: random.chance(0.5) ? 2 : 1,
      lines,
      preferredInstance: pick([0, 1, 2]),
      preferHoldOffMs: pick([2000, 10_000]),
      peerTimeoutMs: pick([1000, 1000, 3000]),
      isMirrored: isDestroyed || random.chance(0.8),
      clockOffsetsUs: [offset(), offset()],
    },
  };
}
