import { KomError } from '../../domain/errors.ts';

/** A Kernel that lacks something for longer is an alarm. */
const BEHIND_MAX_MS = 5000;

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

/** Something about a group that a person has to look at. */
export interface GroupAlarm {
  readonly code: 'kernel-overtaken' | 'kernel-behind' | 'kernel-ring' | 'kernel-waits';
  readonly text: string;
}

/** The alarms that stand, by what a Kernel knows of its group. */
export function groupAlarms(status: GroupStatus): GroupAlarm[] {
  const { role, overtakenBy, ringError, kernels, takesSessions } = status;
  const alarms: GroupAlarm[] = [];
  if (overtakenBy !== null) {
    alarms.push({ code: 'kernel-overtaken', text: `it was hot, and heard of another reign: ${overtakenBy}` });
  }
  if (ringError !== null) {
    alarms.push({
      code: 'kernel-ring',
      text: `the forwarding ring takes nothing, agents wait: ${ringError}`,
    });
  }
  if (role !== 'hot') return alarms;
  if (!takesSessions) alarms.push({ code: 'kernel-waits', text: 'it is hot and takes no sessions yet' });
  for (const { name, behindMs, lastError } of kernels) {
    if (behindMs !== null && behindMs <= BEHIND_MAX_MS) continue;
    const how = behindMs === null ? (lastError ?? 'not connected') : `${Math.round(behindMs / 1000)} s`;
    alarms.push({ code: 'kernel-behind', text: `${name} does not have everything: ${how}` });
  }
  return alarms;
}
