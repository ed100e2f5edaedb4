import type { ForwardRing } from '../../buffer/forward-ring.ts';
import type { Archive } from '../../world/archive.ts';
import type { Clock } from '../../world/clock.ts';
import type { Log } from '../../world/log.ts';

export interface GiverOptions {
  readonly archive: Pick<
    Archive,
    'coverage' | 'streams' | 'tags' | 'gaps' | 'dictionary' | 'dictionaries' | 'entries'
  >;
  readonly ring: Pick<ForwardRing, 'held' | 'read'>;
  /**
   * `all`: this Kernel is hot, and what has come into its archive and has no row there any more it declares
   * as a gap over there. `what it lacks`: the taker is hot, and gets what only this one has. `nothing`:
   * neither is.
   */
  readonly gives: () => 'all' | 'what it lacks' | 'nothing';
  /** The taker's coverage of streams changed. */
  readonly told: (streamIds: readonly string[]) => void;
  /** The taker has no more what it had: its archive was restored, or is another one. */
  readonly shrank: () => void;
  readonly clock: Clock;
  readonly log: Log;
}
