import type { Backlog } from '../buffer/backlog.ts';
import type { SendMode } from '../buffer/send-gate.ts';
import { describeError } from '../domain/errors.ts';
import type { Log } from '../world/log.ts';
import type { SideStore } from '../world/side-store.ts';

const KEY = Buffer.from('send-mode');

/** Whether the backlog goes by itself or on request; it outlives the process. */
export class SendModeNotes {
  readonly #notes: SideStore;
  readonly #backlogs: readonly Backlog[];

  constructor(notes: SideStore, backlogs: readonly Backlog[]) {
    this.#notes = notes;
    this.#backlogs = backlogs;
  }

  get mode(): SendMode {
    return this.#backlogs[0]?.gate.mode ?? 'auto';
  }

  /** Takes up the mode of the run before. A disk that does not tell it is told to the log. */
  async resume(log: Log): Promise<void> {
    try {
      const value = await this.#notes.look(undefined, (store) => store.get(KEY));
      if (value !== undefined && Buffer.from(value).toString() === 'on-request') this.#apply('on-request');
    } catch (error) {
      log.warn({ error: describeError(error) }, 'the send mode of the run before is not known; it is auto');
    }
  }

  /** @throws KomError KOM_STORE_OPEN, KOM_STORE_WRITE; then nothing is changed */
  async set(mode: SendMode): Promise<void> {
    await this.#notes.use((store) =>
      store.batch([{ type: 'put', key: KEY, value: Buffer.from(mode) }], { sync: true }),
    );
    this.#apply(mode);
  }

  #apply(mode: SendMode): void {
    for (const backlog of this.#backlogs) backlog.setSendMode(mode);
  }
}
