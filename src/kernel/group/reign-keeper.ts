import { NO_REIGN, type Reign } from '../../domain/reign.ts';
import type { SideStore } from '../../world/side-store.ts';

const KEY = Buffer.from('reign');

/** The newest reign that a Kernel knows of, durable beside its forwarding ring. */
export class ReignKeeper {
  readonly #notes: SideStore;
  #reign: Reign;

  private constructor(notes: SideStore, reign: Reign) {
    this.#notes = notes;
    this.#reign = reign;
  }

  /** @throws KomError KOM_STORE_…: without it a Kernel might take itself for hot that is not */
  static async load(notes: SideStore): Promise<ReignKeeper> {
    const value = await notes.look(undefined, (store) => store.get(KEY));
    const reign = value === undefined ? NO_REIGN : (JSON.parse(Buffer.from(value).toString()) as Reign);
    return new ReignKeeper(notes, reign);
  }

  get reign(): Reign {
    return this.#reign;
  }

  /** Durable when it resolves. @throws KomError KOM_STORE_… */
  async keep(reign: Reign): Promise<void> {
    const value = Buffer.from(JSON.stringify(reign));
    await this.#notes.use((store) => store.batch([{ type: 'put', key: KEY, value }], { sync: true }));
    this.#reign = reign;
  }
}
