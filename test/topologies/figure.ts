import type { NetworkPlan } from './network.ts';
import type { Stage } from './stage.ts';

/** The host whose processes simulate the devices of a site. */
export const PLANT = 'Plant';

/** One of the architectures that users build: its example, its network, and what happens to it. */
export interface Figure {
  readonly number: number;
  readonly title: string;
  /** In `examples/architectures`. */
  readonly folder: string;
  readonly network: NetworkPlan;
  /** Hosts of Kernels: the name of its file in the folder, and of its certificate. */
  readonly kernels: Readonly<
    Record<string, { readonly file: string; readonly addresses: readonly string[] }>
  >;
  /** Runs it with what goes wrong in it; the proof comes behind. Returns what went wrong, for the table. */
  readonly story: (stage: Stage) => Promise<string>;
  /** Its archives are in PostgreSQL. */
  readonly needsDatabase?: true;
  /** It tells enough on the loopback, in seconds. */
  readonly isQuick?: true;
  /** Hosts of Kernels whose archives have to be complete, each by itself. */
  readonly complete: readonly string[];
}
