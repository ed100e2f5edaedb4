import type { Ring } from '../../src/buffer/ring.ts';
import { decodeMessage, encodeMessage } from '../../src/uplink/codec.ts';
import { FrameSplitter } from '../../src/uplink/frame.ts';
import type { Connection } from '../../src/world/transport.ts';
import { delegated } from './delegate.ts';
import { type Mutation, perLink } from './mutations.ts';
import type { Swarm } from './options.ts';

const FRAME_BYTES_MAX = 16 * 1024 * 1024;
/** How much wider than two scans rows of two instances are taken for one moment. */
const TOO_WIDE = 60;

const ROOMY = { capacityBytes: 16 * 1024 * 1024, windowBytes: 2 * 1024 * 1024 };

/** A pause shows from about two seconds on. */
const LONG_TAKEOVERS: Partial<Omit<Swarm, 'faults'>> = {
  ...{ runMs: 40_000, faultEveryMs: 4000, alarmShare: 0, syncMs: { min: 1, max: 20 }, blockAgeMs: 50 },
  lines: [
    {
      ...{ name: 'L1', kind: 'poll', publishMs: 250, keepAliveMs: 1000 },
      stations: [{ name: 'P11', periodMs: 50, scanMs: 100, noteBytes: 10 }],
    },
  ],
  pair: {
    ...{ networks: 1, preferredInstance: 0, preferHoldOffMs: 10_000, peerTimeoutMs: 3000 },
    lines: [{ standby: 'cold', isExclusive: false }],
    ...{ isMirrored: true, clockOffsetsUs: [0, 0] },
  },
};

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
  'takeover-swallowed': () => ({
    defect: 'what neither instance observed in a takeover is not declared',
    isOfPair: true,
    shownBy: { ...LONG_TAKEOVERS, faults: ['power-cut', 'uplinks-cut'] },
    driver: (driver) => perLink(driver, (batch) => ({ ...batch, observedSinceUs: 1 })),
  }),
  'mirror-unwritten': () => ({
    defect: 'what a mirror holds on its disk is not there',
    isOfPair: true,
    shownBy: {
      ...{ ...ROOMY, faults: ['server-destroyed', 'uplinks-cut', 'kernel-crash'], policy: 'always' },
      ...{ faultEveryMs: 2000, runMs: 40_000, alarmShare: 0 },
    },
    mirrorDisk: (disk) =>
      delegated(disk, {
        open: async (name, ...rest) => {
          const store = await disk.open(name, ...rest);
          return name.startsWith('segment-') ? delegated(store, { read: async () => [] }) : store;
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
