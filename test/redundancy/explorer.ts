import type { Deviation } from './deviations.ts';
import { fingerprint } from './fingerprint.ts';
import { BrokenRule, type PairOptions, PairWorld, SIDES, type World } from './pair-world.ts';

/** After everything is healed exactly one is active within so many rounds, and stays so. */
const HEALING_ROUNDS_MAX = 40;
/** No run of rounds without a deviation is longer before it repeats itself. */
const CHAIN_MAX = 400;

export interface Exploration {
  readonly starts: readonly { readonly name: string; readonly world: World }[];
  readonly options: PairOptions;
  readonly deviations: readonly Deviation[];
  /** How many deviations one history has at most. */
  readonly depth: number;
  /** Up to this depth deviations come at every point of a round, beyond only at its beginning. */
  readonly depthWithin: number;
  readonly statesMax: number;
  /** Rules beyond those of the world. */
  readonly check?: (world: World, before: World) => void;
}

export interface Explored {
  readonly states: number;
  readonly rounds: number;
  /** Rounds from healing to exactly one active for good, at worst. */
  readonly healingRounds: number;
  /** True: every history was followed; false: `statesMax` ended it. */
  readonly isComplete: boolean;
  /** `null`: no rule was broken. */
  readonly broken: { readonly rule: string; readonly history: readonly string[] } | null;
}

/** How an untouched world comes to rest. */
interface Settling {
  readonly rounds: number;
  /** Who is active then. */
  readonly active: number;
}

interface Found {
  readonly world: World;
  readonly id: number;
}

/**
 * All histories of two instances and a Kernel with up to `depth` deviations, of any length in time: worlds of
 * one future are one, and each level of deviations is followed until it repeats itself.
 */
export function explore(exploration: Exploration): Explored {
  const explorer = new Explorer(exploration);
  return explorer.run();
}

class Explorer {
  readonly #exploration: Exploration;
  readonly #ids = new Map<number, number>();
  readonly #parents: number[] = [];
  readonly #labels: string[] = [];
  readonly #healing = new Map<number, Settling>();
  #rounds = 0;
  #healingRounds = 0;
  #level: Found[] = [];
  #next: Found[] = [];

  constructor(exploration: Exploration) {
    this.#exploration = exploration;
  }

  run(): Explored {
    const { starts, depth } = this.#exploration;
    for (const { name, world } of starts) this.#found(world, { parent: -1, label: name, to: this.#level });
    for (let deviations = 0; deviations <= depth; deviations++) {
      this.#next = [];
      for (let found = this.#level.pop(); found !== undefined; found = this.#level.pop()) {
        try {
          this.#follow(found, deviations);
        } catch (error) {
          if (error instanceof BrokenRule) return this.#result(error.message, found.id);
          throw error;
        }
        if (this.#parents.length >= this.#exploration.statesMax) return this.#result(null, -1);
      }
      this.#level = this.#next;
    }
    return this.#result(null, -1);
  }

  #result(rule: string | null, id: number): Explored {
    const isComplete = rule === null && this.#parents.length < this.#exploration.statesMax;
    const broken = rule === null ? null : { rule, history: this.#history(id) };
    const states = this.#parents.length;
    return { states, rounds: this.#rounds, healingRounds: this.#healingRounds, isComplete, broken };
  }

  #history(id: number): string[] {
    const history: string[] = [this.#doing];
    for (let at = id; at >= 0; at = this.#parents[at] ?? -1) history.push(this.#labels[at] ?? '');
    return history.reverse();
  }

  #doing = '';

  #found(world: World, { parent, label, to }: { parent: number; label: string; to: Found[] }): void {
    const hash = fingerprint(world);
    if (this.#ids.has(hash)) return;
    const id = this.#parents.length;
    this.#ids.set(hash, id);
    this.#parents.push(parent);
    this.#labels.push(label);
    to.push({ world, id });
  }

  #follow({ world, id }: Found, deviations: number): void {
    const { options, depth, depthWithin, check } = this.#exploration;
    this.#doing = 'healing';
    this.#healingRounds = Math.max(this.#healingRounds, this.#heal(world));
    const points: World[] = [];
    const pair = new PairWorld(world, options);
    this.#doing = 'a round';
    pair.round(0, () => points.push(pair.world));
    this.#rounds++;
    check?.(pair.world, world);
    this.#found(pair.world, { parent: id, label: 'a round', to: this.#level });
    if (deviations === depth) return;
    const places = deviations < depthWithin ? points : points.slice(0, 1);
    for (const [position, point] of places.entries()) this.#deviate(point, position, id);
  }

  #deviate(point: World, position: number, id: number): void {
    const { options, deviations } = this.#exploration;
    for (const deviation of deviations) {
      const pair = new PairWorld(point, options);
      if (!deviation.isPossible(pair)) continue;
      this.#doing = `${deviation.name} (at point ${position} of a round)`;
      deviation.apply(pair);
      pair.round(position, () => {});
      this.#rounds++;
      this.#found(pair.world, { parent: id, label: this.#doing, to: this.#next });
    }
  }

  /** Rounds until exactly one is active for good. */
  #heal(world: World): number {
    const { options } = this.#exploration;
    const pair = new PairWorld(world, options);
    pair.heal();
    const chain: { hash: number; active: number }[] = [];
    const places = new Map<number, number>();
    let known: Settling | undefined;
    for (;;) {
      const hash = fingerprint(pair.world);
      known = this.#healing.get(hash);
      if (known !== undefined || places.has(hash)) break;
      if (chain.length > CHAIN_MAX) throw new BrokenRule('what is healed comes to no rest');
      places.set(hash, chain.length);
      chain.push({ hash, active: onlyActive(pair.world) });
      pair.round(0, () => {});
      this.#rounds++;
    }
    return this.#settle(chain, known);
  }

  #settle(chain: readonly { hash: number; active: number }[], known: Settling | undefined): number {
    const active = known?.active ?? chain.at(-1)?.active ?? 0;
    if (active === 0) throw new BrokenRule('after healing not exactly one is active');
    // What is settled already may still differ in times that no longer matter.
    const isSettled = known === undefined || known.rounds === 0;
    const from = isSettled ? chain.findLastIndex((each) => each.active !== active) + 1 : chain.length;
    const roundsAfter = known?.rounds ?? 0;
    for (const [at, { hash }] of chain.entries()) {
      this.#healing.set(hash, { rounds: Math.max(0, from - at) + roundsAfter, active });
    }
    const rounds = from + roundsAfter;
    if (rounds > HEALING_ROUNDS_MAX) throw new BrokenRule(`healing takes ${rounds} rounds`);
    return rounds;
  }
}

/** The instance that alone is active while the other stands by; else 0. */
export function onlyActive(world: World): number {
  const phases = SIDES.map((side) => world.nodes[side].role?.phase);
  const active = phases.indexOf('active');
  return active >= 0 && phases[1 - active] === 'standby' ? active + 1 : 0;
}
