/** What an operator sees of Kernels that share an archive. */
export interface SharedStatus {
  readonly name: string;
  /** For how long it runs, milliseconds. */
  readonly upMs: number;
  readonly role: 'starting' | 'standby' | 'hot';
  readonly takesSessions: boolean;
  /** The highest that is known. */
  readonly epoch: number;
  /** Who has the lock; empty: nobody, as far as is known. */
  readonly hot: string;
  /** Why it is not known who is hot; `null`: it is. */
  readonly databaseError: string | null;
  /**
   * Another session has the name of this Kernel: where that came from, and for how long, milliseconds, this
   * one is not let in; `null`: none.
   */
  readonly twin: { readonly from: string; readonly forMs: number } | null;
  /** This Kernel was hot, and that ended without its doing; `null`: no. */
  readonly overtakenBy: string | null;
  /** An agent has seen this epoch, which the archive does not know; 0: none has. */
  readonly heardEpoch: number;
  /** The others that have, or had, a session at the database. */
  readonly kernels: readonly { readonly name: string; readonly isPresent: boolean }[];
}
