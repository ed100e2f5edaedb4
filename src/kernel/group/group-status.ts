import { KomError } from '../../domain/errors.ts';

/** What an operator sees of a group. */
export interface GroupStatus {
  readonly name: string;
  readonly role: 'starting' | 'standby' | 'hot';
  readonly takesSessions: boolean;
  readonly epoch: number;
  readonly hot: string;
  readonly inSync: readonly string[];
  readonly ringBytes: number;
  readonly ringError: string | null;
  /** This Kernel was hot and learned of another reign; `null`: no. */
  readonly overtakenBy: string | null;
  readonly kernels: readonly OtherStatus[];
}

export interface OtherStatus {
  readonly name: string;
  readonly isConnected: boolean;
  readonly lastError: string | null;
  /** For how long it lacks something that this one has, milliseconds; `null`: it is not known. */
  readonly behindMs: number | null;
  readonly outstandingBytes: number;
}

/** Why an agent is not welcome now. */
export function standby(hot: string): KomError {
  return new KomError('KOM_KERNEL_STANDBY', hot === '' ? 'it is not known who is hot' : `${hot} is hot`);
}
