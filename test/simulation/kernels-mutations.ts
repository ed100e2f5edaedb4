import { decodeMessage, encodeMessage } from '../../src/uplink/codec.ts';
import { FrameSplitter } from '../../src/uplink/frame.ts';
import type { Message } from '../../src/uplink/messages.ts';
import type { Connection, Transport } from '../../src/world/transport.ts';
import { delegated } from './delegate.ts';
import type { Mutation } from './mutations.ts';

const FRAME_BYTES_MAX = 16 * 1024 * 1024;

/** Defects of two Kernels, by name, each made anew for each seed. */
export const KERNELS_MUTATIONS = {
  'acks-alone': () => ({
    defect: 'the hot Kernel acknowledges what the in-sync set does not have',
    isOfKernels: true,
    shownBy: {
      faults: ['kernel-replaced', 'kernels-cut'],
      ...{ runMs: 40_000, faultEveryMs: 3000, policy: 'on-outage', commitMs: 100, blockAgeMs: 50 },
      ...{ latencyMs: 5, bytesPerSecond: 1_000_000 },
      kernels: { ackPolicy: 'in-sync', ringBytes: 256_000_000 },
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
} as const satisfies Record<string, () => Mutation>;

function hadAll(message: Message): Message | null {
  if (message.type !== 'forwardCoverage') return message;
  const all = [{ first: 1, last: 1_000_000, state: 'data' }] as const;
  return { ...message, streams: message.streams.map(({ streamId }) => ({ streamId, coverage: all })) };
}

function withoutGaps(message: Message): Message | null {
  return message.type === 'gap' ? null : message;
}

/** What this side dials or takes says something else; `null`: nothing. */
function saying(transport: Transport, other: (message: Message) => Message | null): Transport {
  const changed = (connection: Connection): Connection =>
    delegated(connection, {
      [Symbol.asyncIterator]: () => connection[Symbol.asyncIterator](),
      send: async (bytes) => {
        const [payload] = new FrameSplitter(FRAME_BYTES_MAX).push(bytes);
        const message = payload === undefined ? null : decodeMessage(payload);
        const said = message === null ? null : other(message);
        if (said !== null) await connection.send(said === message ? bytes : encodeMessage(said));
      },
    });
  return {
    ...transport,
    connect: async (...args) => changed(await transport.connect(...args)),
    listen: (address, accept, options) =>
      transport.listen(address, (connection) => accept(changed(connection)), options),
  };
}
