import { describeError } from '../domain/errors.ts';
import type { Observed } from '../domain/observed.ts';
import type { Clock, Timer } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Ingest } from './ingest.ts';
import type { Presence } from './presence.ts';

/** The observed time of idle streams is made durable at this pace. */
const STORE_MS = 10_000;

export interface ObservedStoreOptions {
  readonly ingest: Pick<Ingest, 'commit' | 'lastError'>;
  readonly presence: Presence;
  readonly clock: Clock;
  readonly log: Log;
}

/** Makes durable how far streams were observed, where no block tells it to the archive. */
export class ObservedStore {
  readonly #options: ObservedStoreOptions;
  readonly #timer: Timer;
  readonly #stored = new Map<string, Observed>();

  constructor(options: ObservedStoreOptions) {
    this.#options = options;
    this.#timer = options.clock.repeat('store observed', STORE_MS, () => void this.store());
  }

  /** Gives up quietly if the archive takes nothing. */
  async store(): Promise<void> {
    const { ingest, presence, log } = this.#options;
    const observed = presence
      .all()
      .flatMap((process) =>
        // Also of instances that are gone: how far they came is told nowhere else.
        [...process.observed.values()],
      )
      .filter((said) => said !== this.#stored.get(said.streamId));
    if (observed.length === 0 || ingest.lastError !== null) return;
    try {
      await ingest.commit({ observed, bytes: 16 * observed.length });
      for (const said of observed) this.#stored.set(said.streamId, said);
    } catch (error) {
      log.debug({ error: describeError(error) }, 'observed times not stored');
    }
  }

  close(): void {
    this.#timer.cancel();
  }
}
