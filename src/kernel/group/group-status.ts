import { KomError } from '../../domain/errors.ts';
import type { Reign } from '../../domain/reign.ts';
import type { CatchUpStatus } from './catch-up.ts';
import type { Giver } from './giver.ts';
import type { Twins } from './identities.ts';
import type { KernelLink } from './kernel-link.ts';
import type { RefusedStatus } from './refused-blocks.ts';

/** A Kernel that was hot learned of another reign. */
export interface Overtaken {
  readonly by: string;
  readonly epoch: number;
  /** Wall time, integer µs. */
  readonly atUs: number;
}

/** What an operator sees of a group. */
export interface GroupStatus {
  readonly name: string;
  /** For how long it runs, milliseconds. */
  readonly upMs: number;
  readonly role: 'starting' | 'standby' | 'hot';
  readonly takesSessions: boolean;
  readonly epoch: number;
  readonly hot: string;
  /** Where it is not known who is hot: who was it last, as far as is known here. */
  readonly former?: Reign['former'];
  readonly inSync: readonly string[];
  /** What is acknowledged waits for the set. */
  readonly isInSyncAsked: boolean;
  /** Names under which two machines were there lately. */
  readonly twins: readonly Twins[];
  readonly ringBytes: number;
  readonly ringError: string | null;
  /** This Kernel was hot and learned of another reign, and has not been put right since; `null`: no. */
  readonly overtakenBy: string | null;
  /** When that was the last time since this Kernel started; `null`: never. */
  readonly overtaken: Overtaken | null;
  /** As `site/process`: they sent values to the Kernel that was hot before, and nothing to this one. */
  readonly missingAgents: readonly string[];
  readonly kernels: readonly OtherStatus[];
}

export interface OtherStatus {
  readonly name: string;
  readonly isConnected: boolean;
  readonly lastError: string | null;
  /** When it said a word last, so many milliseconds ago; `null`: it said none since this Kernel started. */
  readonly silentMs: number | null;
  /** By how much its clock is ahead of this one's, milliseconds; `null`: it is not known. */
  readonly offsetMs: number | null;
  /** For how long it lacks something that this one has, milliseconds; `null`: it is not known. */
  readonly behindMs: number | null;
  /** Numbers that are data here and of which it knows nothing. */
  readonly lacking: number;
  /** Where it is hot and this one is not: of these, numbers that it is to get of this Kernel. */
  readonly toGive: number;
  /** Where this one is hot: numbers that it has and this Kernel lacks, which come from there. */
  readonly toGet: number;
  /** For how long there are such, milliseconds. */
  readonly toGetMs: number;
  /** It takes itself for a member of the in-sync set that it knows of. */
  readonly isInOwnSet: boolean;
  /** What it refuses for good of what it is given. */
  readonly refused: RefusedStatus;
  readonly outstandingBytes: number;
  /** How far it is with that. */
  readonly catchUp: CatchUpStatus;
}

/** Of another Kernel, by who gives to it and over what. */
export function otherStatus(
  name: string,
  giver: Pick<Giver, 'behindMs' | 'lacking' | 'toGive' | 'refused' | 'outstandingBytes' | 'catchUp'>,
  { isConnected, lastError }: Pick<KernelLink, 'isConnected' | 'lastError'>,
): Omit<OtherStatus, 'silentMs' | 'offsetMs' | 'toGet' | 'toGetMs' | 'isInOwnSet'> {
  const { lacking, toGive, refused, outstandingBytes, catchUp } = giver;
  const behindMs = Number.isFinite(giver.behindMs) ? Math.round(giver.behindMs) : null;
  return { name, isConnected, lastError, behindMs, lacking, toGive, refused, outstandingBytes, catchUp };
}

/** Why an agent is not welcome now. */
export function standby(hot: string): KomError {
  if (hot === '') return new KomError('KOM_KERNEL_STANDBY', 'it is not known who is hot');
  return new KomError('KOM_KERNEL_STANDBY', `${hot} is hot`, {
    hint: `if that lasts, the site file does not name ${hot}, or it is not reached: see kernels there`,
  });
}
