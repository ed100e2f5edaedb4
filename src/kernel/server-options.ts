import type { Audit } from '../ops/audit.ts';
import type { Hello } from '../uplink/messages.ts';
import type { Archive } from '../world/archive.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Random } from '../world/random.ts';
import type { GroupPlace } from './group/group-options.ts';
import type { KernelRole } from './kernel-role.ts';
import type { LostValues } from './lost-values.ts';

export interface KernelServerOptions {
  readonly archive: Archive;
  readonly programVersion: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Sites and, as `site/process`, processes that are welcome; all if not given. */
  readonly accept?: readonly string[];
  /** What archives are known to lack; of this server only if not given. */
  readonly lostValues?: LostValues;
  /** Where commands are written down. */
  readonly audit?: Audit;
  /** It is one of several Kernels, each of which has an archive. */
  readonly group?: GroupPlace;
  /** It is one of several Kernels that share the archive. */
  readonly role?: KernelRole;
}

/** A connection that this Kernel dialled itself. */
export interface DialledConnection {
  /** @throws KomError for the Hello of somebody who is not expected there */
  readonly check: (hello: Hello) => void;
  /** The control lane has its Welcome: the data lane is to be dialled. */
  readonly welcomed: () => void;
  /** It is over; `null`: without an error. */
  readonly over: (error: unknown) => void;
}
