/** Plants for benches: what a scan of their stations reads. The same seed gives the same values. */

import type { ReportedTag, StationNews } from '../../src/domain/report-by-exception.ts';
import type { Reading, SampleValue } from '../../src/domain/sample.ts';
import { createSimulatedRandom } from '../../src/world/simulated/random.ts';

export const START_US = 1_767_225_600_000_000;
const TAGS_PER_STATION = 50;
const REPORT_AT_LEAST_EVERY_MS = 600_000;

/** How one tag goes on from scan to scan. */
type Behaviour = (before: SampleValue, chance: () => number) => SampleValue;

/** A number of a 16-bit converter, shown with one decimal; a scan finds it changed with `share`. */
function analog(share: number): Behaviour {
  return (before, chance) => {
    if (before === null) return Math.round(chance() * 30_000) / 10;
    if (chance() >= share) return before;
    return Math.round(((before as number) + (chance() - 0.5) * 4) * 10) / 10;
  };
}

function counter(share: number): Behaviour {
  return (before, chance) => {
    if (before === null) return BigInt(Math.floor(chance() * 1e9));
    return chance() < share ? (before as bigint) + BigInt(1 + Math.floor(chance() * 20)) : before;
  };
}

function state(share: number): Behaviour {
  return (before, chance) => {
    if (before === null) return chance() < 0.5;
    return chance() < share ? before !== true : before;
  };
}

/** A float32 of a transmitter without rounding: each scan another one, close to the one before. */
const float32: Behaviour = (before, chance) =>
  Math.fround(before === null ? chance() * 1000 : (before as number) + (chance() - 0.5) * 0.4);

/** Every bit of the mantissa is chance: nothing to compress but time and tag. */
const noise: Behaviour = (_before, chance) => (chance() + chance() / 2 ** 32) * 1000;

export type PlantName = 'mixed' | 'mixedBusy' | 'small' | 'float32' | 'noise' | 'bool';

/** Tag number to behaviour: of ten tags six are analog, two count, two are states. */
function mix(share: { numbers: number; states: number }): (tag: number) => Behaviour {
  return (tag) => {
    if (tag % 10 < 6) return analog(share.numbers);
    return tag % 10 < 8 ? counter(share.numbers) : state(share.states);
  };
}

const PLANTS: Readonly<Record<PlantName, { tags: number; behaviour: (tag: number) => Behaviour }>> = {
  mixed: { tags: 1000, behaviour: mix({ numbers: 0.2, states: 0.01 }) },
  mixedBusy: { tags: 1000, behaviour: mix({ numbers: 1, states: 0.5 }) },
  small: { tags: 10, behaviour: mix({ numbers: 1, states: 0.5 }) },
  float32: { tags: 1000, behaviour: () => float32 },
  noise: { tags: 1000, behaviour: () => noise },
  bool: { tags: 1000, behaviour: () => state(1) },
};

export class Plant {
  readonly tags: readonly ReportedTag[];
  readonly #behaviours: readonly Behaviour[];
  readonly #values: SampleValue[];
  readonly #chance: () => number;

  constructor(name: PlantName, seed = 1) {
    const { tags, behaviour } = PLANTS[name];
    const random = createSimulatedRandom(seed);
    this.#chance = () => random.fraction();
    this.#behaviours = Array.from({ length: tags }, (_, tag) => behaviour(tag));
    this.#values = this.#behaviours.map(() => null);
    this.tags = this.#behaviours.map((_, tag) => ({
      name: `P.t${tag}`,
      station: `S${Math.floor(tag / TAGS_PER_STATION)}`,
      class: 'measurement',
      deadband: 0,
      reportAtLeastEveryMs: REPORT_AT_LEAST_EVERY_MS,
    }));
  }

  /** What one scan reads, by station; stations answer 7 ms apart. */
  scan(timeUs: number): StationNews[] {
    const news: StationNews[] = [];
    for (let first = 0; first < this.tags.length; first += TAGS_PER_STATION) {
      const sourceTimeUs = timeUs + (first / TAGS_PER_STATION) * 7000;
      const readings: Reading[] = [];
      for (let tag = first; tag < Math.min(first + TAGS_PER_STATION, this.tags.length); tag++) {
        const value = this.#behaviours[tag]?.(this.#values[tag] ?? null, this.#chance) ?? null;
        this.#values[tag] = value;
        readings.push({ tagIndex: tag, sourceTimeUs, value, quality: 0 });
      }
      news.push({ station: this.tags[first]?.station ?? '', readings });
    }
    return news;
  }
}
