import { isKomError } from '../../src/domain/errors.ts';
import type { FaultSetup } from './faults.ts';
import type { KernelHost } from './kernel-host.ts';
import { type Fault, KERNELS_FAULTS, type KernelsFault } from './options.ts';

/** Faults of two Kernels: between them, of a whole machine, and what an operator does. */
export class KernelsFaults {
  readonly #setup: Pick<FaultSetup, 'network' | 'kernels' | 'random' | 'clock' | 'swarm'>;
  readonly #until: (what: string, end: () => void) => void;

  constructor(setup: FaultSetup, until: (what: string, end: () => void) => void) {
    this.#setup = setup;
    this.#until = until;
  }

  make(kind: KernelsFault, kernel: KernelHost): void {
    const { network, kernels, random } = this.#setup;
    const [one, other] = kernels.map(({ host }) => host);
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
      case 'kernel-force':
        operate(kernel.group?.force());
        break;
      case 'kernel-switch':
        operate(this.#hot?.group?.handOver(this.#hot.host === one ? other : one));
    }
  }

  /** A machine is lost for good: the other one must have all that was ever acknowledged. */
  #replace(lost: KernelHost): void {
    const { kernels, clock, swarm } = this.#setup;
    const other = kernels.find((each) => each !== lost);
    const isInSync = this.#hot?.group?.reign.inSync.length === kernels.length;
    // What only a former hot one has is on its way to the present one.
    const isGiven = lost.group?.status.kernels.every(({ behindMs }) => behindMs === 0) === true;
    const isWell = other?.isRunning === true && !kernels.some(({ isStalled }) => isStalled);
    const wasHot = this.#hot === lost;
    if (other === undefined || swarm.kernels?.ackPolicy !== 'in-sync' || !isInSync || !isWell) return;
    if (!wasHot && !isGiven) return;
    lost.replace();
    if (wasHot) clock.schedule('operator', 1000, () => operate(other.group?.force()));
    this.#until('machine lost', () => {
      if (!lost.isRunning) lost.start();
    });
  }

  get #hot(): KernelHost | undefined {
    return this.#setup.kernels.find(({ group }) => group?.takesSessions === true);
  }
}

/** An operator who is refused does something else. */
function operate(command: Promise<unknown> | undefined): void {
  command?.catch((error: unknown) => {
    if (!isKomError(error)) throw error;
  });
}

export function isKernelsFault(kind: Fault): kind is KernelsFault {
  return KERNELS_FAULTS.some((each) => each === kind);
}
