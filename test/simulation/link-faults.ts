import type { FaultSetup } from './faults.ts';
import type { Fault } from './options.ts';
import { KERNEL_PORT } from './site.ts';

export interface LinkFaultsRules {
  readonly until: (what: string, end: () => void) => void;
  /** All is healed. */
  readonly isOver: () => boolean;
}

/** Faults of the link between a comm server and a Kernel. */
export class LinkFaults {
  readonly #setup: Pick<FaultSetup, 'network' | 'random' | 'swarm' | 'clock'>;
  readonly #rules: LinkFaultsRules;

  constructor(setup: FaultSetup, rules: LinkFaultsRules) {
    this.#setup = setup;
    this.#rules = rules;
  }

  make(kind: Fault, [host, kernel]: readonly [host: string, kernel: string]): void {
    const { network, random, swarm } = this.#setup;
    const { until } = this.#rules;
    switch (kind) {
      case 'link-hang':
      case 'link-reset':
        network.cut(host, kernel, kind === 'link-hang' ? 'hang' : 'reset');
        until('link', () => network.heal(host, kernel));
        break;
      case 'link-refuse':
        network.refuse(kernel, KERNEL_PORT, true);
        until('refusing', () => network.refuse(kernel, KERNEL_PORT, false));
        break;
      case 'link-half-open': {
        const [from, to] = random.chance(0.5) ? [host, kernel] : [kernel, host];
        network.cutOneWay(from, to);
        until('half-open link', () => network.heal(host, kernel));
        break;
      }
      case 'link-flapping':
        this.#flap([host, kernel], 2 + random.below(12));
        break;
      case 'link-lane-lost':
        network.breakOne(host, kernel, random.below(2));
        break;
      case 'link-break':
        network.breakNext(host, kernel, 1 + random.below(20_000));
        break;
      default: {
        const { latencyMs, bytesPerSecond } = swarm;
        network.setLink(host, kernel, { latencyMs: 400, bytesPerSecond: 3000 });
        until('slowness', () => network.setLink(host, kernel, { latencyMs, bytesPerSecond }));
      }
    }
  }

  /** The link comes back and breaks again, each time after it had just begun to carry something. */
  #flap(way: readonly [host: string, kernel: string], times: number): void {
    const { network, clock, random } = this.#setup;
    if (this.#rules.isOver() || times === 0) return;
    network.cut(...way, 'reset');
    network.heal(...way);
    clock.schedule('flap', 50 + random.fraction() * 700, () => this.#flap(way, times - 1));
  }
}
