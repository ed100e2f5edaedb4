import type { PostgresArchiveConfig } from '../../../config/model/kernel.ts';
import type { Clock } from '../../../world/clock.ts';
import type { Log } from '../../../world/log.ts';
import type { SharedReign } from '../../../world/shared-archive.ts';

export interface PostgresArchiveOptions {
  readonly config: PostgresArchiveConfig;
  readonly clock: Clock;
  readonly log: Log;
  /** Only questions are asked, beside whoever writes; nothing is made. */
  readonly readOnly?: boolean;
  /** Several Kernels share it: it is written only in this epoch, and until the signal. */
  readonly reign?: SharedReign;
}
