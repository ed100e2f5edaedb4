import { KomError } from '../domain/errors.ts';
import type { Archive } from './archive.ts';

/**
 * One archive of several Kernels, and the lock beside it that says which of them writes. The lock belongs to
 * a session and goes with it; the epoch, and who raised it, are durable. Whoever has the lock raises the
 * epoch, and from then on no transaction of a lower epoch goes through, whatever became of the Kernel that
 * began it.
 */
export interface SharedArchive {
  /**
   * Once, before all else: makes what is needed there. One that is away does not keep a Kernel from starting.
   * @throws KomError KOM_ARCHIVE_UNAVAILABLE if a person must put it right
   */
  prepare(): Promise<void>;
  /**
   * A session at the place of the lock, under the name of a Kernel.
   * @throws NameTakenError: a session of this name is there
   * @throws KomError KOM_ARCHIVE_UNAVAILABLE: it is away, or must be put right by a person
   */
  openSession(name: string): Promise<RoleSession>;
  /**
   * For writing, with what is there now and nothing from before. Once a higher epoch is stored, or `signal`
   * is aborted, whatever would write is refused with KOM_KERNEL_STANDBY, and nothing of it happens.
   * @throws KomError KOM_ARCHIVE_UNAVAILABLE, KOM_KERNEL_STANDBY
   */
  rule(reign: SharedReign): Promise<Archive>;
  /** For questions only, answered with what is there when they are asked. */
  follow(): Archive;
}

/** A Kernel is hot in an epoch, until the signal. */
export interface SharedReign {
  readonly epoch: number;
  readonly signal: AbortSignal;
}

/** Who is hot, as a session sees it. */
export interface RoleView {
  /** The highest that was ever raised; 0: none. */
  readonly epoch: number;
  /** Who raised it; empty: nobody did. */
  readonly hot: string;
  /** For whom the lock is meant next; empty: for anyone. */
  readonly next: string;
  readonly holder: 'self' | 'other' | 'nobody';
  /** Every Kernel that ever had a session and did not leave in good order, by name. */
  readonly kernels: readonly { readonly name: string; readonly isPresent: boolean }[];
}

/**
 * KOM_ALREADY_RUNNING: a live session has the name of this Kernel. Its own of a moment ago ends by itself;
 * else two machines have one name.
 */
export class NameTakenError extends KomError {
  /** Where the other session came from. */
  readonly from: string;
  readonly view: RoleView;

  constructor(name: string, { from, view }: { readonly from: string; readonly view: RoleView }) {
    super('KOM_ALREADY_RUNNING', `there is a session of ${name} already, from ${from}`);
    this.from = from;
    this.view = view;
  }
}

/** A Kernel's session. After any error, and once it is not alive, it is of no use any more. */
export interface RoleSession {
  /** False as soon as it is known here that it is lost: the lock may be another Kernel's. */
  readonly isAlive: boolean;
  /** @throws KomError KOM_ARCHIVE_UNAVAILABLE, also where no answer comes in time */
  look(): Promise<RoleView>;
  /**
   * Takes the lock, if nobody has it, and raises the epoch above the stored one and `above`, durably. Returns
   * that epoch; `null`: another Kernel has the lock. @throws KomError KOM_ARCHIVE_UNAVAILABLE
   */
  claim(above: number): Promise<number | null>;
  /** Gives the lock back, for the Kernel of this name. @throws KomError KOM_ARCHIVE_UNAVAILABLE */
  hand(to: string): Promise<void>;
  /**
   * Ends the session that has the lock, whatever its Kernel does, and means the lock for this one. Nothing
   * happens where this one has it.
   * @throws KomError KOM_ARCHIVE_UNAVAILABLE
   */
  depose(): Promise<void>;
  /** Leaves in good order; a lock that it has is free. Never throws. */
  close(): Promise<void>;
}
