import { isKomError, type KomError } from '../domain/errors.ts';
import type { Clock } from '../world/clock.ts';

const RETRY_MS = 1000;

export interface Patience {
  readonly clock: Clock;
  /** Nobody waits for it any more: what the archive says next is thrown. */
  readonly isOver: () => boolean;
  /** Called each time the archive takes nothing. */
  readonly refused: (error: KomError) => void;
}

/**
 * Asks the archive again for as long as it takes nothing: agents wait and keep their backlog.
 * @throws whatever else goes wrong; KomError KOM_ARCHIVE_UNAVAILABLE only once it is over
 */
export async function withPatience<T>(
  work: () => Promise<T>,
  { clock, isOver, refused }: Patience,
): Promise<T> {
  while (true) {
    try {
      return await work();
    } catch (error) {
      if (!isKomError(error, 'KOM_ARCHIVE_UNAVAILABLE') || isOver()) throw error;
      refused(error);
      await clock.sleep(RETRY_MS);
    }
  }
}
