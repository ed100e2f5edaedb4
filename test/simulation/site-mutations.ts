import type { KernelGroup } from '../../src/kernel/group/group.ts';
import type { ForwardStream, Message } from '../../src/uplink/messages.ts';
import type { Mutation } from './mutations.ts';
import type { Swarm } from './options.ts';
import { saying } from './saying.ts';

/** Takeovers, fast; what a house decides alone the other one does not hear. */
const FAST: Partial<Omit<Swarm, 'faults'>> = {
  ...{ runMs: 40_000, faultEveryMs: 4000, alarmShare: 0, syncMs: { min: 1, max: 20 }, blockAgeMs: 250 },
  ...{ commitMs: 6, latencyMs: 5, bytesPerSecond: 1_000_000, capacityBytes: 16 * 1024 * 1024 },
  lines: [
    {
      ...{ name: 'L1', kind: 'poll', publishMs: 250, keepAliveMs: 1000 },
      stations: [{ name: 'P11', periodMs: 1000, scanMs: 300, noteBytes: 10 }],
    },
  ],
  pair: {
    ...{ networks: 1, preferredInstance: 0, preferHoldOffMs: 10_000, peerTimeoutMs: 1000 },
    lines: [{ standby: 'cold', isExclusive: false }],
    ...{ isMirrored: true, clockOffsetsUs: [0, 0] },
  },
  kernels: { count: 2, ackPolicy: 'in-sync', ringBytes: 256_000_000 },
};

/** Defects of a whole site: of leases, and of what one Kernel hands over to the next. */
export const SITE_MUTATIONS = {
  'undecided-granted': () => ({
    defect: 'a Kernel that begins grants before the leases of the one before it are over',
    ...{ isOfPair: true, isOfKernels: true },
    shownBy: { ...FAST, faults: ['kernel-switch', 'agent-kill'] },
    transport: (transport) => saying(transport, grantedAtOnce),
  }),
  'former-stays': () => ({
    defect: 'a Kernel that handed over goes on taking agents, and grants leases',
    ...{ isOfPair: true, isOfKernels: true },
    shownBy: { ...FAST, faults: ['kernel-switch', 'link-hang'] },
    group: stayingHot,
  }),
  'observed-untold': () => ({
    defect: 'how far streams were observed is not handed over',
    ...{ isOfPair: true, isOfKernels: true },
    shownBy: { ...FAST, faults: ['kernel-switch', 'agent-stop'] },
    transport: (transport) => saying(transport, unobserved),
  }),
} as const satisfies Record<string, () => Mutation>;

function grantedAtOnce(message: Message): Message {
  if (message.type !== 'lease' || message.answer.term === 0) return message;
  const isUndecided = message.answer.kind === 'held-by-other' && message.answer.holder === 0;
  if (!isUndecided) return message;
  return { ...message, answer: { ...message.answer, kind: 'granted', durationMs: 1200 } };
}

/** Once it was hot, it takes whoever comes. */
function stayingHot(group: KernelGroup): void {
  const takes = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(group), 'takesSessions')?.get;
  let wasHot = false;
  Object.defineProperty(group, 'takesSessions', {
    get: () => {
      wasHot ||= takes?.call(group) === true;
      return wasHot;
    },
  });
}

function unobserved(message: Message): Message {
  if (message.type !== 'forwardStreams') return message;
  // Of the same length, as both sides count bytes.
  const untold = (stream: ForwardStream): ForwardStream =>
    stream.observedUntilUs === 0 ? stream : { ...stream, observedUntilUs: stream.startedAtUs };
  return { ...message, streams: message.streams.map(untold) };
}
