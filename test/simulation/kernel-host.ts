import { KomError } from '../../src/domain/errors.ts';
import type { PresenceOf } from '../../src/kernel/archive/segments.ts';
import { presenceOf } from '../../src/kernel/queries.ts';
import { KernelServer } from '../../src/kernel/server.ts';
import type { ArchiveTransaction } from '../../src/world/archive.ts';
import type { SimulatedArchive } from '../../src/world/simulated/archive.ts';
import type { SimulatedClock } from '../../src/world/simulated/clock.ts';
import type { SimulatedNetwork } from '../../src/world/simulated/network.ts';
import { createSimulatedRandom, type SimulatedRandom } from '../../src/world/simulated/random.ts';
import type { Transport } from '../../src/world/transport.ts';
import { delegated } from './delegate.ts';
import type { History } from './history.ts';
import { Life, type WallClock } from './life.ts';
import type { Mutation } from './mutations.ts';
import { KERNEL_HOST, KERNEL_PORT } from './site.ts';

export type CommitMoment = 'before' | 'in' | 'after';

export interface KernelHostSetup {
  readonly clock: SimulatedClock;
  readonly network: SimulatedNetwork;
  readonly transport: Transport;
  readonly archive: SimulatedArchive;
  readonly random: SimulatedRandom;
  readonly commitMs: number;
  readonly seed: number;
  readonly history: History;
  readonly mutation: Mutation;
  readonly failed: (error: unknown) => void;
}

/**
 * The Kernel's machine: what its archive committed stays, its processes come and go. A transaction takes
 * time, and is in the archive somewhere within it, so that a crash finds it there, or not, whole.
 */
export class KernelHost {
  readonly #setup: KernelHostSetup;
  readonly #wall: WallClock = { offsetUs: 0 };
  #life: Life | null = null;
  #server: KernelServer | null = null;
  #starts = 0;
  isArchiveAvailable = true;
  /** Time of one transaction. */
  commitMs: number;
  /** Sees each transaction: before it, in the archive but not yet told, and told. */
  onCommit: (when: CommitMoment) => void = () => {};

  constructor(setup: KernelHostSetup) {
    this.#setup = setup;
    this.commitMs = setup.commitMs;
  }

  get isRunning(): boolean {
    return this.#life !== null;
  }

  start(): void {
    const { clock, transport, seed, history, failed } = this.#setup;
    const life = new Life(clock, this.#wall);
    this.#starts += 1;
    this.#life = life;
    history.note('kernel: starts');
    const server = new KernelServer({
      archive: life.archive(this.#archive()),
      programVersion: 'simulated',
      clock: life.clock,
      random: createSimulatedRandom(seed * 2003 + this.#starts),
      log: history.log('kernel'),
    });
    this.#server = server;
    life
      .transport(transport)
      .listen({ host: KERNEL_HOST, port: KERNEL_PORT }, (connection) => server.accept(connection))
      .catch(failed);
  }

  crash(): void {
    this.#setup.history.note('kernel: crashes');
    this.#life?.kill();
    this.#life = null;
    this.#server = null;
    this.#setup.network.killHost(KERNEL_HOST);
  }

  get isStalled(): boolean {
    return this.#life?.isStalled ?? false;
  }

  /** What an operator's queries would know of the agents now. */
  get presence(): PresenceOf {
    const server = this.#server;
    if (server === null || this.#life === null) throw new Error('the Kernel does not run');
    return presenceOf(server, this.#life.clock);
  }

  /** Makes durable how far streams are observed, as an operator's query does. */
  async storeObserved(): Promise<void> {
    await this.#server?.storeObserved();
  }

  stall(ms: number): void {
    this.#life?.stall(ms);
  }

  get archiveError(): string | null {
    return this.#server?.archiveError ?? null;
  }

  #archive(): SimulatedArchive {
    const { mutation, clock, random } = this.#setup;
    const archive = mutation.archive?.(this.#setup.archive) ?? this.#setup.archive;
    const check = () => {
      if (!this.isArchiveAvailable) throw new KomError('KOM_ARCHIVE_UNAVAILABLE', 'simulated');
    };
    return delegated(archive, {
      close: async () => undefined,
      putDictionary: async (hash, bytes, dictionary) => {
        check();
        await archive.putDictionary(hash, bytes, dictionary);
      },
      commit: async (transaction: ArchiveTransaction) => {
        check();
        const { commitMs } = this;
        const beforeMs = commitMs * random.fraction();
        const life = this.#life;
        if (beforeMs > 0) await clock.sleep(beforeMs);
        this.onCommit('before');
        // A process that died meanwhile did not get so far.
        if (life !== this.#life) throw new KomError('KOM_ARCHIVE_UNAVAILABLE', 'the process is gone');
        check();
        await archive.commit(transaction);
        this.onCommit('in');
        if (commitMs > 0) await clock.sleep(commitMs - beforeMs);
        this.onCommit('after');
      },
    });
  }
}
