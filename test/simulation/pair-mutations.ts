import type { Ring } from '../../src/buffer/ring.ts';
import { decodeMessage, encodeMessage } from '../../src/uplink/codec.ts';
import { FrameSplitter } from '../../src/uplink/frame.ts';
import type { Connection } from '../../src/world/transport.ts';
import { delegated } from './delegate.ts';
import type { Mutation } from './mutations.ts';

const FRAME_BYTES_MAX = 16 * 1024 * 1024;
/** How much wider than two scans rows of two instances are taken for one moment. */
const TOO_WIDE = 60;

/** Defects of a pair, by name, each made anew for each seed. */
export const PAIR_MUTATIONS = {
  'standby-numbers': () => ({
    defect: 'an instance takes the lease of the other one for its own, and numbers as well',
    isOfPair: true,
    shownBy: { faults: ['link-reset'] },
    transport: (transport) => ({
      ...transport,
      listen: (address, accept, options) =>
        transport.listen(address, (connection) => accept(grantingAll(connection)), options),
    }),
  }),
  'activation-unstored': () => ({
    defect: 'that an instance numbers again is not stored: a crash then looks like the end of a standby',
    isOfPair: true,
    shownBy: { faults: ['agent-kill'], policy: 'on-outage', aliveMarkMs: 5000, faultEveryMs: 1500 },
    ring: withoutActivation,
  }),
  'term-forgotten': () => ({
    defect: 'an instance does not keep its terms through a restart',
    isOfPair: true,
    shownBy: { faults: ['agent-kill', 'uplinks-cut', 'peer-cut', 'kernel-crash'], runMs: 40_000 },
    disk: (disk) =>
      delegated(disk, {
        open: async (name, ...rest) => {
          const store = await disk.open(name, ...rest);
          return name === 'notes' ? delegated(store, { batch: async () => undefined }) : store;
        },
      }),
  }),
  'mark-too-wide': () => ({
    defect: 'a row that nobody tells better is marked as an overlap, and hidden',
    isOfPair: true,
    shownBy: { faults: ['agent-kill', 'agent-stop', 'peer-cut'] },
    archive: (archive) =>
      delegated(archive, {
        putDictionary: (hash, bytes, dictionary) => {
          const tags = dictionary.tags.map((tag) =>
            tag.scanMs === undefined ? tag : { ...tag, scanMs: TOO_WIDE * tag.scanMs },
          );
          return archive.putDictionary(hash, bytes, { ...dictionary, tags });
        },
      }),
  }),
} as const satisfies Record<string, () => Mutation>;

/** Each side hands one whole message to its connection at a time. */
function grantingAll(connection: Connection): Connection {
  return delegated(connection, {
    [Symbol.asyncIterator]: () => connection[Symbol.asyncIterator](),
    send: (bytes) => {
      const [payload] = new FrameSplitter(FRAME_BYTES_MAX).push(bytes);
      const message = payload === undefined ? null : decodeMessage(payload);
      if (message?.type !== 'lease' || message.answer.term === 0) return connection.send(bytes);
      const answer = { ...message.answer, kind: 'granted', durationMs: 1200 } as const;
      return connection.send(encodeMessage({ ...message, answer }));
    },
  });
}

/** The first mark after one of standing by is dropped; so are those that come on its heels. */
function withoutActivation(ring: Ring): Ring {
  let standsBy = false;
  return delegated(ring, {
    markAlive: async (...args) => {
      const isStandby = args[2]?.isStandby === true;
      const isActivation = standsBy && !isStandby;
      standsBy = isStandby;
      if (!isActivation) await ring.markAlive(...args);
    },
  });
}
