import { isKomError } from '../../src/domain/errors.ts';
import type { FaultSetup } from './faults.ts';
import type { KernelHost } from './kernel-host.ts';
import { type Fault, KERNELS_FAULTS, type KernelsFault, LATER_KERNELS_FAULTS } from './options.ts';

/** Faults of several Kernels: between them, of a whole machine, and what an operator does. */
export class KernelsFaults {
  readonly #setup: Pick<FaultSetup, 'network' | 'kernels' | 'shared' | 'random' | 'clock' | 'swarm'>;
  readonly #until: (what: string, end: () => void) => void;

  constructor(setup: FaultSetup, until: (what: string, end: () => void) => void) {
    this.#setup = setup;
    this.#until = until;
  }

  make(kind: KernelsFault, kernel: KernelHost): void {
    const { network, random } = this.#setup;
    const [one, other] = this.#two();
    if (one === undefined || other === undefined) return;
    switch (kind) {
      case 'kernels-cut':
        network.cut(one, other, random.chance(0.5) ? 'hang' : 'reset');
        this.#until('link of the Kernels', () => network.heal(one, other));
        break;
      case 'kernels-flapping':
        network.cut(one, other, 'reset');
        network.heal(one, other);
        break;
      case 'kernel-replaced':
        this.#replace(kernel);
        break;
      case 'kernel-refusing':
        kernel.refusedShare = 0.02 + 0.4 * random.fraction();
        this.#until('refused blocks', () => {
          kernel.refusedShare = 0;
        });
        break;
      case 'kernel-force':
        this.#force(kernel);
        break;
      case 'kernel-switch':
        this.#switch();
    }
  }

  /** Any two of them. */
  #two(): string[] {
    const { kernels, random } = this.#setup;
    const hosts = kernels.map(({ host }) => host);
    if (hosts.length > 2) hosts.splice(random.below(hosts.length), 1);
    return hosts;
  }

  /** One that shares a database, and hears nothing of it, would take itself for hot some time longer. */
  #force(kernel: KernelHost): void {
    const { shared, kernels } = this.#setup;
    const isAnyBlind = kernels.some(({ isStalled }) => isStalled) || shared?.isAnyCutOff;
    if (shared === null || !isAnyBlind) operate(kernel.switchable?.force());
  }

  #switch(): void {
    const { kernels } = this.#setup;
    const hot = this.#hot;
    if (hot === undefined) return;
    const to = this.#oneOf(kernels.filter((each) => each !== hot));
    if (to !== undefined) operate(hot.switchable?.handOver(to.host, false));
  }

  #oneOf(hosts: readonly KernelHost[]): KernelHost | undefined {
    return hosts.length > 1 ? hosts[this.#setup.random.below(hosts.length)] : hosts[0];
  }

  /** A machine is lost for good: the others must have all that was ever acknowledged. */
  #replace(lost: KernelHost): void {
    const { kernels, clock, swarm, random } = this.#setup;
    const hot = this.#hot;
    const next = this.#oneOf(kernels.filter((each) => each !== lost));
    const isInSync = hot?.group?.reign.inSync.length === kernels.length;
    // What only a former hot one has is on its way to the present one.
    const ways = lost.group?.status.kernels.filter(({ name }) => name === hot?.host);
    const isGiven = ways?.every(({ behindMs }) => behindMs === 0) === true;
    const isWell = !kernels.some((each) => each.isStalled || (each !== lost && !each.isRunning));
    const wasHot = hot === lost;
    if (next === undefined || swarm.kernels?.ackPolicy !== 'in-sync' || !isInSync || !isWell) return;
    if (!wasHot && !isGiven) return;
    lost.replace();
    const force = () => operate(next.group?.force());
    // Or the empty machine is there first, and the others still say that it is hot.
    const isBack = wasHot && random.chance(0.4);
    if (wasHot && !isBack) clock.schedule('operator', 1000, force);
    this.#until('machine lost', () => {
      if (!lost.isRunning) lost.start();
      if (isBack) clock.schedule('operator', 6000, force);
    });
  }

  get #hot(): KernelHost | undefined {
    return this.#setup.kernels.find(({ takesSessions }) => takesSessions);
  }
}

/** An operator who is refused does something else. */
function operate(command: Promise<unknown> | undefined): void {
  command?.catch((error: unknown) => {
    if (!isKomError(error)) throw error;
  });
}

export function isKernelsFault(kind: Fault): kind is KernelsFault {
  return [...KERNELS_FAULTS, ...LATER_KERNELS_FAULTS].some((each) => each === kind);
}
