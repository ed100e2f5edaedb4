import type { Phase } from '../../src/redundancy/role-state.ts';
import type { Timer } from '../../src/world/clock.ts';
import type { SimulatedClock } from '../../src/world/simulated/clock.ts';
import type { AgentHost } from './agent-host.ts';

const LOOK_MS = 40;

/** That a comm server was seen in another role than before; true time. */
export interface SeenRole {
  readonly atMs: number;
  readonly host: string;
  /** Which run of its process, from 1. */
  readonly run: number;
  /** `null`: its process does not run. */
  readonly phase: Phase | null;
  readonly term: number;
  /** Its disk refused the term, so that a restart forgets it. */
  readonly isForgettable: boolean;
  /** What was so at this moment. */
  readonly active: readonly string[];
}

/** Looks at the roles of a pair all the time, as an operator would. */
export class RoleWatch {
  readonly #setup: RoleWatchSetup;
  readonly #timer: Timer | null;
  readonly #last = new Map<string, string>();
  readonly seen: SeenRole[] = [];
  /** When more than one had a lease, true times. */
  readonly twoLeasesMs: number[] = [];
  /** Times in which a fault was in force, true times. */
  readonly troubles: { readonly fromMs: number; untilMs: number }[] = [];

  constructor(setup: RoleWatchSetup) {
    this.#setup = setup;
    this.#timer = setup.agents.length > 1 ? setup.clock.repeat('roles', LOOK_MS, () => this.#look()) : null;
  }

  get active(): string[] {
    return this.#setup.agents.filter(({ phase }) => phase === 'active').map(({ name }) => name);
  }

  end(): void {
    this.#timer?.cancel();
  }

  #look(): void {
    const { agents, clock } = this.#setup;
    const atMs = clock.monotonicMs();
    const active = this.active;
    this.#lookForTrouble(atMs);
    const looks = agents.map((agent) => ({ agent, member: agent.member }));
    const holders = looks.filter(({ member }) => member !== null && member.leaseMs !== null);
    if (holders.length > 1) this.twoLeasesMs.push(atMs);
    for (const { agent, member } of looks) {
      const { name, phase } = agent;
      agent.run?.charge.look(phase);
      const { term = 0, conditions = [] } = member ?? {};
      const isForgettable = conditions.some(({ code }) => code === 'term-not-durable');
      const run = agent.runs.length;
      const known = `${run} ${phase} ${term} ${isForgettable}`;
      if (this.#last.get(name) === known) continue;
      this.#last.set(name, known);
      this.seen.push({ atMs, host: name, run, phase, term, isForgettable, active });
    }
  }

  #lookForTrouble(atMs: number): void {
    const last = this.troubles.at(-1);
    if (this.#setup.isQuiet()) return;
    if (last !== undefined && atMs - last.untilMs <= 2 * LOOK_MS) last.untilMs = atMs;
    else this.troubles.push({ fromMs: atMs, untilMs: atMs });
  }
}

export interface RoleWatchSetup {
  readonly clock: SimulatedClock;
  readonly agents: readonly AgentHost[];
  readonly isQuiet: () => boolean;
}
