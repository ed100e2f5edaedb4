import { type Coverage, coverWithData } from '../../src/domain/coverage.ts';
import { type RangeSet, rangesOf } from '../../src/domain/range-set.ts';
import type { ForwardedStream, Message } from '../../src/uplink/messages.ts';
import { delegated } from './delegate.ts';
import type { Mutation } from './mutations.ts';
import { type Saying, saying } from './saying.ts';

/** Defects of two Kernels, by name, each made anew for each seed. */
export const KERNELS_MUTATIONS = {
  'acks-alone': () => ({
    defect: 'the hot Kernel acknowledges what the in-sync set does not have',
    isOfKernels: true,
    shownBy: {
      faults: ['kernel-replaced', 'kernels-cut'],
      ...{ runMs: 40_000, faultEveryMs: 2000, policy: 'on-outage', commitMs: 100, blockAgeMs: 50 },
      ...{ latencyMs: 5, bytesPerSecond: 1_000_000 },
      kernels: { count: 2, ackPolicy: 'in-sync', ringBytes: 256_000_000 },
    },
    group: (group) =>
      Object.defineProperty(group, 'acknowledgeable', { value: (_: string, all: unknown) => all }),
  }),
  'taken-for-had': () => ({
    defect: 'a standby says that it has what it was only told of',
    isOfKernels: true,
    shownBy: { faults: ['kernel-switch'] },
    transport: (transport) => saying(transport, hadAll),
  }),
  'gaps-kept': () => ({
    defect: 'the hot Kernel does not hand on what is lost',
    isOfKernels: true,
    shownBy: { faults: ['agent-kill', 'kernel-crash'] },
    transport: (transport) => saying(transport, withoutGaps),
  }),
  'ring-unstored': () => ({
    defect: 'what came last is not kept for a Kernel that is away',
    isOfKernels: true,
    shownBy: { faults: ['kernel-crash', 'kernels-cut'], runMs: 40_000, faultEveryMs: 1500 },
    disk: (disk) =>
      delegated(disk, {
        open: async (name, ...rest) => {
          const store = await disk.open(name, ...rest);
          return name.startsWith('segment-') ? delegated(store, { batch: async () => undefined }) : store;
        },
      }),
  }),
  'refused-settled': () => ({
    defect: 'what a standby refuses counts as there, and no gap tells of it',
    isOfKernels: true,
    shownBy: { faults: ['kernel-refusing', 'kernels-flapping'], runMs: 40_000, faultEveryMs: 2000 },
    transport: (transport) => saying(transport, hasRefused()),
  }),
} as const satisfies Record<string, () => Mutation>;

function hadAll(message: Message): Message | null {
  if (message.type !== 'forwardCoverage') return message;
  const all = [{ first: 1, last: 1_000_000, state: 'data' }] as const;
  return { ...message, streams: message.streams.map(({ streamId }) => ({ streamId, coverage: all })) };
}

/** No Nack is said; what it was about is covered in what is said from then on. */
function hasRefused(): Saying {
  const refused = new Map<string, RangeSet>();
  const asHad = ({ streamId, coverage }: ForwardedStream): ForwardedStream => {
    const ranges = refused.get(streamId)?.ranges ?? [];
    const had = ranges.reduce((all: Coverage, range) => coverWithData(all, range).coverage, coverage);
    return { streamId, coverage: had };
  };
  return (message) => {
    if (message.type === 'forwardCoverage') return { ...message, streams: message.streams.map(asHad) };
    if (message.type !== 'nack') return message;
    const { streamId, firstSequence: first, lastSequence: last } = message.nack;
    rangesOf(refused, streamId).add({ first, last });
    return null;
  };
}

function withoutGaps(message: Message): Message | null {
  return message.type === 'gap' ? null : message;
}
