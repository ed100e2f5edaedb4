import { describeError } from '../../domain/errors.ts';
import { NO_REIGN, type Reign } from '../../domain/reign.ts';
import type { Log } from '../../world/log.ts';
import { mintId, type Random } from '../../world/random.ts';
import type { SideStore } from '../../world/side-store.ts';

const KEY = Buffer.from('reign');
const IDENTITY = Buffer.from('identity');

/** Which machine this is, and the newest reign that it knows of; durable beside its forwarding ring. */
export class ReignKeeper {
  readonly #notes: SideStore;
  #reign: Reign;
  #identity: string;

  private constructor(notes: SideStore, reign: Reign, identity: string) {
    this.#notes = notes;
    this.#reign = reign;
    this.#identity = identity;
  }

  /** @throws KomError KOM_STORE_…: without it a Kernel might take itself for hot that is not */
  static async load(notes: SideStore): Promise<ReignKeeper> {
    const value = await notes.look(undefined, (store) => store.get(KEY));
    const reign = value === undefined ? NO_REIGN : (JSON.parse(Buffer.from(value).toString()) as Reign);
    const identity = await notes.look(undefined, (store) => store.get(IDENTITY));
    return new ReignKeeper(notes, reign, identity === undefined ? '' : Buffer.from(identity).toString());
  }

  get reign(): Reign {
    return this.#reign;
  }

  /** 32 hex digits; empty until it was made. */
  get identity(): string {
    return this.#identity;
  }

  /** Makes the identity, once, durably; a disk that does not take it is told to the log. */
  async identify({ random, log }: { readonly random: Random; readonly log: Log }): Promise<void> {
    if (this.#identity !== '') return;
    const identity = mintId(random);
    const value = Buffer.from(identity);
    try {
      await this.#notes.use((store) => store.batch([{ type: 'put', key: IDENTITY, value }], { sync: true }));
      this.#identity = identity;
    } catch (error) {
      log.error({ error: describeError(error) }, 'this Kernel does not say which machine it is');
    }
  }

  /** Durable when it resolves. @throws KomError KOM_STORE_… */
  async keep(reign: Reign): Promise<void> {
    const value = Buffer.from(JSON.stringify(reign));
    await this.#notes.use((store) => store.batch([{ type: 'put', key: KEY, value }], { sync: true }));
    this.#reign = reign;
  }
}
