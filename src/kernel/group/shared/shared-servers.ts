import { KomError } from '../../../domain/errors.ts';
import type { Archive } from '../../../world/archive.ts';
import type { Clock } from '../../../world/clock.ts';
import type { Log } from '../../../world/log.ts';
import type { SharedArchive, SharedReign } from '../../../world/shared-archive.ts';
import type { KernelRole } from '../../kernel-role.ts';
import type { KernelServer } from '../../server.ts';
import type { RoleNotes } from './role-notes.ts';
import { type Serving, SharedGroup } from './shared-group.ts';

/** What agents sent last has so long to get into the archive before another Kernel becomes hot. */
const DRAIN_MAX_MS = 10_000;

export interface SharedServersOptions {
  readonly name: string;
  readonly shared: SharedArchive;
  /** Where changes of its role are written down. */
  readonly notes?: RoleNotes;
  readonly makeServer: (archive: Archive, role: KernelRole) => KernelServer;
  readonly clock: Clock;
  readonly log: Log;
}

/** A server, and the archive that it works on. */
export interface Served {
  readonly archive: Archive;
  readonly server: KernelServer;
}

/**
 * The servers of a Kernel that shares its archive: one that stands by, for as long as the Kernel runs, and
 * each time that it becomes hot a new one, over an archive that is opened then. So nothing that a Kernel had
 * in memory when it was hot before, or before another one was, is ever believed.
 */
export class SharedServers implements Serving {
  readonly group: SharedGroup;
  readonly #options: SharedServersOptions;
  readonly #follower: Served;
  #hot: Served | null = null;
  readonly #ending = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  #run: Promise<void> = Promise.resolve();

  constructor(options: SharedServersOptions) {
    this.#options = options;
    this.group = new SharedGroup({ ...options, serving: this });
    const archive = options.shared.follow();
    this.#follower = { archive, server: options.makeServer(archive, this.group.roleIn(null)) };
  }

  /** Reaches for the lock from now on, and is hot whenever it has it. */
  start(): void {
    this.#run = this.group.run(this.#stop.signal);
  }

  /** What connections and questions go to now. */
  get current(): Served {
    return this.#hot ?? this.#follower;
  }

  async begin(reign: SharedReign): Promise<void> {
    const archive = await this.#options.shared.rule(reign);
    if (reign.signal.aborted) {
      await archive.close();
      reign.signal.throwIfAborted();
    }
    const server = this.#options.makeServer(archive, this.group.roleIn(reign.epoch));
    this.#hot = { archive, server };
  }

  async drain(why: string): Promise<void> {
    if ((await this.#hot?.server.drain(why, DRAIN_MAX_MS)) !== false) return;
    throw new KomError('KOM_SWITCH_REFUSED', 'what agents sent last is not in the archive yet');
  }

  end(why: string): void {
    const hot = this.#hot;
    this.#hot = null;
    if (hot === null) return;
    const ending = close(hot, why).finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
  }

  /** Finishes what is under way, and then lets the lock go. */
  async close(): Promise<void> {
    const hot = this.#hot;
    this.#hot = null;
    if (hot !== null) await close(hot);
    await close(this.#follower);
    this.#stop.abort();
    await this.#run;
    // It may have become hot meanwhile.
    this.end('the Kernel stops');
    await Promise.all(this.#ending);
  }
}

/** `why`: agents are to go to another Kernel. */
async function close({ archive, server }: Served, why?: string): Promise<void> {
  await server.close(why);
  await archive.close();
}
