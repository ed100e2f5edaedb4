import type { Reign } from '../../domain/reign.ts';
import { isNewerReign } from '../../domain/reign.ts';
import type { Clock } from '../../world/clock.ts';

/** A member that lacks something, or says nothing, for so long leaves the set. */
const IN_SYNC_PATIENCE_MS = 5000;
/** A Kernel that lacks nothing older than this is on its way into the set. */
const JOIN_MS = 1000;

/** What the set needs to know of another Kernel. */
export interface Follower {
  readonly isTold: boolean;
  readonly behindMs: number;
  hasAllBefore(ms: number): boolean;
}

export interface InSyncOptions {
  readonly self: string;
  /** The other Kernels by name. */
  readonly followers: () => readonly (readonly [string, Follower])[];
  readonly reign: () => Reign;
  /** The reign that another one said it keeps; `null`: it did not say. */
  readonly keptBy: (name: string) => Reign | null;
  /** Makes another set durable here and says it to all. @throws KomError KOM_STORE_… */
  readonly revise: (inSync: readonly string[]) => Promise<void>;
  /** Acknowledgements wait for fewer Kernels than before. */
  readonly eased: () => void;
  readonly clock: Clock;
}

/**
 * For whom a hot Kernel waits before it acknowledges. A member leaves only after the smaller set is durable
 * here and at every remaining member; a Kernel joins by being waited for first, and is in the set as soon as
 * it has all that had been acknowledged without it.
 */
export class InSyncSet {
  readonly #options: InSyncOptions;
  readonly #waits = new Set<string>();
  readonly #joining = new Map<string, number>();
  readonly #troubled = new Map<string, number>();
  readonly #expelled = new Set<string>();
  #isBusy = false;

  constructor(options: InSyncOptions) {
    this.#options = options;
  }

  /** Nothing is acknowledged that these do not have. */
  get waits(): ReadonlySet<string> {
    return this.#waits;
  }

  /** Every member said what it has, so that it can be told what is acknowledged. */
  get isReady(): boolean {
    const followers = new Map(this.#options.followers());
    return [...this.#waits].every((name) => followers.get(name)?.isTold === true);
  }

  /** This Kernel is hot from now on. */
  begin(): void {
    this.#waits.clear();
    this.#joining.clear();
    this.#troubled.clear();
    const { self, reign } = this.#options;
    for (const name of reign().inSync) if (name !== self) this.#waits.add(name);
  }

  /** It is a new machine under an old name: it has nothing of what the set has. */
  expel(name: string): void {
    this.#expelled.add(name);
  }

  /** Looks who has to leave and who may join. @throws KomError KOM_STORE_…: it is tried again */
  async tick(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    try {
      await this.#leave();
      this.#release();
      await this.#join();
    } finally {
      this.#isBusy = false;
    }
  }

  async #leave(): Promise<void> {
    const { reign, revise, self } = this.#options;
    const { inSync } = reign();
    const left = inSync.filter((name) => name === self || !this.#hasToLeave(name));
    if (left.length < inSync.length) await revise(left);
    this.#expelled.clear();
  }

  #hasToLeave(name: string): boolean {
    const { followers, clock } = this.#options;
    const follower = new Map(followers()).get(name);
    if (follower === undefined || this.#expelled.has(name)) return true;
    const nowMs = clock.monotonicMs();
    if (follower.isTold) {
      this.#troubled.delete(name);
      return follower.behindMs > IN_SYNC_PATIENCE_MS;
    }
    const sinceMs = this.#troubled.get(name) ?? nowMs;
    this.#troubled.set(name, sinceMs);
    return nowMs - sinceMs > IN_SYNC_PATIENCE_MS;
  }

  /** Who has left is waited for until every remaining member keeps the smaller set. */
  #release(): void {
    const { reign, keptBy, eased, self } = this.#options;
    const now = reign();
    const isKept = now.inSync.every((name) => {
      const kept = name === self ? now : keptBy(name);
      return kept !== null && !isNewerReign(now, kept);
    });
    if (!isKept) return;
    const gone = [...this.#waits].filter((name) => !now.inSync.includes(name) && !this.#joining.has(name));
    for (const name of gone) this.#waits.delete(name);
    if (gone.length > 0) eased();
  }

  async #join(): Promise<void> {
    const { followers, reign, revise, clock, eased } = this.#options;
    for (const [name, follower] of followers()) {
      if (reign().inSync.includes(name)) {
        this.#joining.delete(name);
        continue;
      }
      const sinceMs = this.#joining.get(name);
      if (sinceMs === undefined) {
        if (this.#waits.has(name) || follower.behindMs > JOIN_MS) continue;
        this.#joining.set(name, clock.monotonicMs());
        this.#waits.add(name);
      } else if (follower.behindMs > IN_SYNC_PATIENCE_MS) {
        this.#joining.delete(name);
        this.#waits.delete(name);
        eased();
      } else if (follower.hasAllBefore(sinceMs)) await revise([...reign().inSync, name]);
    }
  }
}
