import type { FaultSetup } from './faults.ts';
import type { KernelHost } from './kernel-host.ts';
import { type Fault, SHARED_FAULTS, type SharedFault } from './options.ts';

type Until = (what: string, end: () => void, longShare?: number) => void;

/** A transaction then lies across the end of a reign. */
const SLOW_COMMIT_MS = 8000;

/** Faults of a database that several Kernels share, and of the way of one of them to it. */
export class SharedFaults {
  readonly #setup: Pick<FaultSetup, 'shared' | 'swarm' | 'random'>;
  readonly #until: Until;

  constructor(setup: FaultSetup, until: Until) {
    this.#setup = setup;
    this.#until = until;
  }

  make(kind: SharedFault, kernel: KernelHost): void {
    const { shared, swarm, random } = this.#setup;
    if (shared === null) return;
    const { database } = shared;
    switch (kind) {
      case 'database-away':
        database.isAway = true;
        this.#until('database away', () => {
          database.isAway = false;
        });
        break;
      case 'database-restart':
        // All sessions end, and who comes first is not who was there.
        database.isAway = true;
        database.isAway = false;
        break;
      case 'database-read-only':
        database.isReadOnly = true;
        this.#until('database read-only', () => {
          database.isReadOnly = false;
        });
        break;
      case 'database-slow':
        database.commitMs = random.chance(0.5) ? SLOW_COMMIT_MS : SLOW_COMMIT_MS / 10;
        this.#until('database slow', () => {
          database.commitMs = swarm.commitMs;
        });
        break;
      case 'database-cut':
        shared.cutOff(kernel.host, true);
        this.#until(`${kernel.host} cut off from the database`, () => shared.cutOff(kernel.host, false));
        break;
      case 'session-lost':
        database.vanish(kernel.host);
        break;
      case 'kernel-power-cut':
        // The database hears nothing of it.
        if (!kernel.isRunning) return;
        kernel.cutPower();
        this.#until('Kernel without power', () => {
          if (!kernel.isRunning) kernel.start();
        });
    }
  }
}

export function isSharedFault(kind: Fault): kind is SharedFault {
  return SHARED_FAULTS.some((each) => each === kind);
}
