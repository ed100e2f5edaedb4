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
  /** False: acknowledgements wait for nobody, so whoever is in the set from before leaves it. */
  readonly isAsked: boolean;
  /**
   * The archive of this Kernel takes something. While it does not nothing is acknowledged, and nobody has to
   * leave for what could not be acknowledged without him.
   */
  readonly isStoring: () => boolean;
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
  readonly #expelled = new Set<string>();
  /** For how long the archive of this Kernel has taken something, as far as the looks of this set tell. */
  #storedMs = 0;
  #lookedMs: number | null = null;
  /** What `#storedMs` was when a member lacked nothing last, or began to be judged. */
  readonly #wellMs = new Map<string, number>();
  /** They have said what they have since this reign began. */
  readonly #told = new Set<string>();
  #isBusy = false;

  constructor(options: InSyncOptions) {
    this.#options = options;
  }

  /** Nothing is acknowledged that these do not have. */
  get waits(): ReadonlySet<string> {
    return this.#waits;
  }

  /**
   * Every member has said once in this reign what it has, so that it can be told what is acknowledged. Who
   * says nothing any more holds back what is acknowledged from then on, and no session.
   */
  get isReady(): boolean {
    const followers = new Map(this.#options.followers());
    return [...this.#waits].every((name) => this.#told.has(name) || followers.get(name)?.isTold === true);
  }

  /** This Kernel is hot from now on. */
  begin(): void {
    this.#waits.clear();
    this.#joining.clear();
    this.#wellMs.clear();
    this.#told.clear();
    const { self, reign } = this.#options;
    for (const name of reign().inSync) if (name !== self) this.#waits.add(name);
  }

  /** It is a new machine under an old name, or its archive lost something: it lacks what the set has. */
  expel(name: string): void {
    this.#expelled.add(name);
  }

  /** It has everything that was ever acknowledged. */
  isMember(name: string): boolean {
    return this.#options.isAsked && this.#options.reign().inSync.includes(name) && !this.#expelled.has(name);
  }

  /** It is dealt with anew: nothing is known any more of what it has. */
  forget(name: string): void {
    this.#told.delete(name);
  }

  /** Looks who has to leave and who may join. @throws KomError KOM_STORE_…: it is tried again */
  async tick(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    try {
      for (const [name, { isTold }] of this.#options.followers()) if (isTold) this.#told.add(name);
      await this.#leave();
      this.#release();
      if (this.#options.isAsked) await this.#join();
    } finally {
      this.#isBusy = false;
    }
  }

  async #leave(): Promise<void> {
    const { reign, revise, self, isAsked, isStoring, clock } = this.#options;
    const nowMs = clock.monotonicMs();
    if (isStoring()) this.#storedMs += nowMs - (this.#lookedMs ?? nowMs);
    this.#lookedMs = nowMs;
    const { inSync } = reign();
    // Who is expelled while the set is made durable is judged at the next look.
    const judged = [...this.#expelled];
    const left = inSync.filter((name) => name === self || (isAsked && !this.#hasToLeave(name)));
    if (left.length < inSync.length) await revise(left);
    for (const name of judged) this.#expelled.delete(name);
  }

  /** It lacks something, or says nothing, for too long, not counting when the archive here took nothing. */
  #hasToLeave(name: string): boolean {
    const follower = new Map(this.#options.followers()).get(name);
    if (follower === undefined || this.#expelled.has(name)) return true;
    const knownMs = this.#wellMs.get(name) ?? this.#storedMs;
    const wellMs = follower.isTold ? Math.max(knownMs, this.#storedMs - follower.behindMs) : knownMs;
    this.#wellMs.set(name, wellMs);
    return this.#storedMs - wellMs > IN_SYNC_PATIENCE_MS;
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
