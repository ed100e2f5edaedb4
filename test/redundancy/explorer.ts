import type { Deviation } from './deviations.ts';
import { fingerprint } from './fingerprint.ts';
import { BrokenRule, type PairOptions, SIDES, type World } from './pair-model.ts';
import { PairWorld } from './pair-world.ts';

/** A world left alone has somebody active within so many rounds, a healed one exactly one, for good. */
const SETTLING_ROUNDS_MAX = 30;
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
  /** Rounds from the last deviation until somebody is active for good, at worst. */
  readonly vacantRounds: number;
  /** True: every history was followed; false: `statesMax` ended it. */
  readonly isComplete: boolean;
  /** `null`: no rule was broken. */
  readonly broken: { readonly rule: string; readonly history: readonly string[] } | null;
}

/** How an untouched world comes to rest. */
interface Settling {
  readonly rounds: number;
  /** What `judge` says then, and for good. */
  readonly verdict: number;
}

/** A world and its fingerprint. */
interface Moment {
  readonly world: World;
  readonly print: number;
}

function momentOf({ world }: PairWorld): Moment {
  return { world, print: fingerprint(world) };
}

interface RestOptions {
  readonly rule: string;
  /** A round without a deviation. */
  readonly after: (moment: Moment) => Moment;
}

/** What is expected of a world that is left alone. */
class Rest {
  roundsMax = 0;
  readonly #after: RestOptions['after'];
  readonly #rule: string;
  /** 0: the rule is broken, if it remains so. */
  readonly #judge: (world: World) => number;
  readonly #known = new Map<number, Settling>();

  constructor({ after, rule }: RestOptions, judge: (world: World) => number) {
    this.#after = after;
    this.#rule = rule;
    this.#judge = judge;
  }

  /** @throws BrokenRule */
  expect(from: Moment): void {
    const chain: { print: number; verdict: number }[] = [];
    let known: Settling | undefined;
    for (let moment = from; ; moment = this.#after(moment)) {
      const { world, print } = moment;
      known = this.#known.get(print);
      // A chain is short, so that a look through it costs less than a set.
      if (known !== undefined || chain.some((each) => each.print === print)) break;
      if (chain.length > CHAIN_MAX) throw new BrokenRule('a world that is left alone comes to no rest');
      chain.push({ print, verdict: this.#judge(world) });
    }
    this.roundsMax = Math.max(this.roundsMax, this.#settle(chain, known));
  }

  #settle(chain: readonly { print: number; verdict: number }[], known: Settling | undefined): number {
    const verdict = known?.verdict ?? chain.at(-1)?.verdict ?? 0;
    if (verdict === 0) throw new BrokenRule(this.#rule);
    // What is settled already may still differ in times that no longer matter.
    const isSettled = known === undefined || known.rounds === 0;
    const from = isSettled ? chain.findLastIndex((each) => each.verdict !== verdict) + 1 : chain.length;
    const roundsAfter = known?.rounds ?? 0;
    for (const [at, { print }] of chain.entries()) {
      this.#known.set(print, { rounds: Math.max(0, from - at) + roundsAfter, verdict });
    }
    const rounds = from + roundsAfter;
    if (rounds > SETTLING_ROUNDS_MAX) throw new BrokenRule(`${this.#rule} for ${rounds} rounds`);
    return rounds;
  }
}

interface Found extends Moment {
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
  readonly #healed: Rest;
  readonly #leftAlone: Rest;
  /** What comes after worlds that were looked at, by fingerprint, until they are followed. */
  readonly #ahead = new Map<number, Moment>();
  #rounds = 0;
  #level: Found[] = [];
  #next: Found[] = [];

  constructor(exploration: Exploration) {
    this.#exploration = exploration;
    const healed = 'after healing not exactly one is active';
    this.#healed = new Rest({ rule: healed, after: ({ world }) => this.#round(world) }, onlyActive);
    const leftAlone = 'nobody is active though an instance runs';
    this.#leftAlone = new Rest({ rule: leftAlone, after: (moment) => this.#after(moment) }, (world) =>
      Number(isServed(world)),
    );
  }

  run(): Explored {
    const { starts, depth } = this.#exploration;
    for (const { name, world } of starts) {
      const start = { world, print: fingerprint(world) };
      this.#found(start, { parent: -1, label: name, to: this.#level });
    }
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
    return {
      states: this.#parents.length,
      rounds: this.#rounds,
      healingRounds: this.#healed.roundsMax,
      vacantRounds: this.#leftAlone.roundsMax,
      isComplete,
      broken,
    };
  }

  #history(id: number): string[] {
    const history: string[] = [this.#doing];
    for (let at = id; at >= 0; at = this.#parents[at] ?? -1) history.push(this.#labels[at] ?? '');
    return history.reverse();
  }

  #doing = '';

  #found(
    { world, print }: Moment,
    { parent, label, to }: { parent: number; label: string; to: Found[] },
  ): void {
    if (this.#ids.has(print)) return;
    const id = this.#parents.length;
    this.#ids.set(print, id);
    this.#parents.push(parent);
    this.#labels.push(label);
    to.push({ world, print, id });
  }

  /** A round without a deviation; `at` sees the world at each point of it. */
  #round(world: World, at: (point: World) => unknown = () => {}): Moment {
    const pair = new PairWorld(world, this.#exploration.options);
    pair.round(0, () => at(pair.world));
    this.#rounds++;
    return momentOf(pair);
  }

  /** The same, made once for who sees whether a world comes to rest and for who follows it. */
  #after({ world, print }: Moment): Moment {
    const after = this.#ahead.get(print) ?? this.#round(world);
    this.#ahead.set(print, after);
    return after;
  }

  #follow(found: Found, deviations: number): void {
    const { options, depth, depthWithin, check } = this.#exploration;
    const { world, print, id } = found;
    const points: World[] = [];
    this.#doing = 'a round';
    const see = (point: World): unknown => points.push(point);
    if (deviations < depth) this.#ahead.set(print, this.#round(world, see));
    this.#doing = 'nothing';
    this.#leftAlone.expect(found);
    this.#doing = 'healing';
    const healing = new PairWorld(world, options);
    healing.heal();
    this.#healed.expect(momentOf(healing));
    this.#doing = 'a round';
    const after = this.#after(found);
    this.#ahead.delete(print);
    check?.(after.world, world);
    this.#found(after, { parent: id, label: 'a round', to: this.#level });
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
      this.#exploration.check?.(pair.world, point);
      this.#found(momentOf(pair), { parent: id, label: this.#doing, to: this.#next });
    }
  }
}

/** The instance that alone is active while the other stands by; else 0. */
export function onlyActive(world: World): number {
  const phases = SIDES.map((side) => world.nodes[side].role?.phase);
  const active = phases.indexOf('active');
  return active >= 0 && phases[1 - active] === 'standby' ? active + 1 : 0;
}

/** Somebody is active, or no process could be. */
function isServed({ nodes }: World): boolean {
  const running = nodes.filter(({ role, stalled }) => role !== null && stalled === 0);
  return running.length === 0 || running.some(({ role }) => role?.phase === 'active');
}
