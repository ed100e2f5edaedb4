import type { SimulatedClock } from '../../src/world/simulated/clock.ts';
import type { SimulatedNetwork } from '../../src/world/simulated/network.ts';
import type { SimulatedRandom } from '../../src/world/simulated/random.ts';
import { AGENT_HOST, type AgentHost } from './agent-host.ts';
import type { History } from './history.ts';
import type { KernelHost } from './kernel-host.ts';
import type { Fault, Swarm } from './options.ts';
import type { Plant } from './plant.ts';
import { KERNEL_HOST, KERNEL_PORT } from './site.ts';

export interface FaultSetup {
  readonly clock: SimulatedClock;
  readonly random: SimulatedRandom;
  readonly network: SimulatedNetwork;
  readonly agent: AgentHost;
  readonly kernel: KernelHost;
  readonly plant: Plant;
  readonly swarm: Swarm;
  readonly history: History;
}

/** Makes faults at random moments, and ends them. */
export class Faults {
  readonly #setup: FaultSetup;
  readonly counts: Partial<Record<Fault, number>> = {};
  readonly #healers = new Set<() => void>();
  #isOver = false;

  constructor(setup: FaultSetup) {
    this.#setup = setup;
    if (setup.swarm.faults.size > 0) this.#scheduleNext();
  }

  /** No more faults, and everything is well again. */
  heal(): void {
    this.#isOver = true;
    for (const heal of this.#healers) heal();
    const { network } = this.#setup;
    network.setLink(AGENT_HOST, KERNEL_HOST, { latencyMs: 1, bytesPerSecond: Number.POSITIVE_INFINITY });
  }

  #scheduleNext(): void {
    const { clock, random, swarm } = this.#setup;
    const delayMs = -Math.log(1 - random.fraction()) * swarm.faultEveryMs;
    clock.schedule('fault', delayMs, () => {
      if (this.#isOver) return;
      const kinds = [...swarm.faults];
      const kind = kinds[random.below(kinds.length)];
      if (kind !== undefined) this.#make(kind);
      this.#scheduleNext();
    });
  }

  #make(kind: Fault): void {
    this.counts[kind] = (this.counts[kind] ?? 0) + 1;
    this.#setup.history.note(`fault: ${kind}`);
    const { network, random, swarm } = this.#setup;
    switch (kind) {
      case 'link-hang':
      case 'link-reset':
        network.cut(AGENT_HOST, KERNEL_HOST, kind === 'link-hang' ? 'hang' : 'reset');
        this.#until('link', () => network.heal(AGENT_HOST, KERNEL_HOST));
        break;
      case 'link-refuse':
        network.refuse(KERNEL_HOST, KERNEL_PORT, true);
        this.#until('refusing', () => network.refuse(KERNEL_HOST, KERNEL_PORT, false));
        break;
      case 'link-break':
        network.breakNext(AGENT_HOST, KERNEL_HOST, 1 + random.below(20_000));
        break;
      case 'link-slow': {
        const { latencyMs, bytesPerSecond } = swarm;
        network.setLink(AGENT_HOST, KERNEL_HOST, { latencyMs: 400, bytesPerSecond: 3000 });
        this.#until('slowness', () =>
          network.setLink(AGENT_HOST, KERNEL_HOST, { latencyMs, bytesPerSecond }),
        );
      }
    }
  }

  /** Ends a fault after a while that is sometimes short and sometimes long, or when all is healed. */
  #until(what: string, end: () => void): void {
    const { clock, random, history } = this.#setup;
    const longMs = random.chance(0.15) ? 20_000 : 2500;
    const timer = clock.schedule('end of fault', 10 + random.fraction() * longMs, () => heal());
    const heal = () => {
      this.#healers.delete(heal);
      timer.cancel();
      history.note(`fault: ${what} ends`);
      end();
    };
    this.#healers.add(heal);
  }
}
