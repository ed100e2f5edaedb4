import { describeError } from '../domain/errors.ts';
import type { Log } from '../world/log.ts';
import { SideStore } from '../world/side-store.ts';
import type { Disk } from '../world/store.ts';
import type { ReplayRequest } from './replays.ts';

const KEY = Buffer.from('requests');

/**
 * The requests for replays that are not through, in a small database beside the ring, so that a restart does
 * not end them; the next run begins each at its front. A disk that does not take or give them is told to the
 * log: a replay that is forgotten can be asked for again.
 */
export class ReplayNotes {
  readonly #store: SideStore;
  readonly #log: Log;

  constructor({ disk, log }: { readonly disk: Disk; readonly log: Log }) {
    this.#store = new SideStore(disk, 'replays');
    this.#log = log;
  }

  async load(): Promise<readonly ReplayRequest[]> {
    try {
      const value = await this.#store.look(undefined, (store) => store.get(KEY));
      // What was written here is the JSON below, whole or not at all.
      return value === undefined ? [] : (JSON.parse(Buffer.from(value).toString()) as ReplayRequest[]);
    } catch (error) {
      this.#log.warn({ error: describeError(error) }, 'replays of the last run are forgotten');
      return [];
    }
  }

  async save(requests: readonly ReplayRequest[]): Promise<void> {
    const value = Buffer.from(JSON.stringify(requests));
    try {
      await this.#store.use((store) => store.batch([{ type: 'put', key: KEY, value }], { sync: true }));
    } catch (error) {
      this.#log.warn({ error: describeError(error) }, 'a restart will forget the replays that wait');
    }
  }
}
