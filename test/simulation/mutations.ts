import type { Ring } from '../../src/buffer/ring.ts';
import type { Reading } from '../../src/domain/sample.ts';
import type { Driver, LinkBatch } from '../../src/drivers/driver.ts';
import type { SimulatedArchive } from '../../src/world/simulated/archive.ts';
import type { Disk } from '../../src/world/store.ts';
import { delegated } from './delegate.ts';

/**
 * A defect that is planted around the product, not in it, to see that the checkers find one like it. One object
 * lives for one seed, and is on every machine of it.
 */
export interface Mutation {
  /** What a reader would call the defect. */
  readonly defect: string;
  readonly disk?: (disk: Disk) => Disk;
  readonly ring?: (ring: Ring) => Ring;
  readonly driver?: (driver: Driver) => Driver;
  readonly archive?: (archive: SimulatedArchive) => SimulatedArchive;
}

export const NO_MUTATION: Mutation = { defect: 'none' };

const LATE_US = 4_000_000;
const EVERY_COMMIT = 40;

/** By name, each made anew for each seed. */
export const MUTATIONS = {
  'unsynced-write': () => ({
    defect: 'a synced write is not: a power cut takes what was confirmed',
    disk: (disk) => delegated(disk, { open: async (...args) => unsynced(await disk.open(...args)) }),
  }),
  'silent-eviction': () => ({
    defect: 'what a full ring evicts is declared to nobody',
    ring: (ring) => delegated(ring, { gaps: () => ring.gaps().filter(({ reason }) => reason !== 'evicted') }),
  }),
  'early-mark': () => ({
    defect: 'the alive mark passes over what a crash can still lose',
    ring: (ring) => delegated(ring, { markAlive: (us, ...rest) => ring.markAlive(us + LATE_US, ...rest) }),
  }),
  'first-run': () => ({
    defect: 'each run takes itself for the first one, and declares no pause',
    ring: (ring) => withStream(ring, () => ({ ...ring.stream, previous: null })),
  }),
  'clean-end': () => ({
    defect: 'a run that was cut off counts as ended',
    ring: (ring) =>
      withStream(ring, () => {
        const { previous } = ring.stream;
        return { ...ring.stream, previous: previous && { ...previous, endedCleanly: true } };
      }),
  }),
  'snapshot-skipped': () => ({
    defect: 'after a reconnect values that are what they were are not reported',
    driver: (driver) => perLink(driver, skipKnown()),
  }),
  'pause-swallowed': () => ({
    defect: 'what a driver says that it did not see is not declared',
    driver: (driver) => perLink(driver, ({ unseen: _, ...batch }) => batch),
  }),
  reordered: () => ({
    defect: 'the values of a batch are numbered in another order',
    driver: (driver) => perLink(driver, (batch) => ({ ...batch, readings: batch.readings.toReversed() })),
  }),
  'crash-undeclared': () => ({
    defect: 'the Kernel does not declare what a crash may have lost',
    archive: (archive) =>
      delegated(archive, {
        commit: (all) =>
          archive.commit({ ...all, gaps: all.gaps.filter(({ reason }) => reason !== 'crash') }),
      }),
  }),
  'transaction-lost': () => {
    let commits = 0;
    return {
      defect: 'a transaction of the archive is confirmed and not made',
      archive: (archive) =>
        delegated(archive, {
          commit: async (all) => {
            commits += 1;
            const isLost = commits % EVERY_COMMIT === 0 && all.streams.length === 0;
            await archive.commit(isLost ? { ...all, blocks: [], gaps: [] } : all);
          },
        }),
    };
  },
} as const satisfies Record<string, () => Mutation>;

export type MutationName = keyof typeof MUTATIONS;

function unsynced(store: Awaited<ReturnType<Disk['open']>>) {
  return delegated(store, { batch: (writes) => store.batch(writes, { sync: false }) });
}

function withStream(ring: Ring, stream: () => Ring['stream']): Ring {
  return new Proxy(delegated(ring, {}), {
    get: (of, key) => (key === 'stream' ? stream() : Reflect.get(of, key)),
  });
}

function perLink(driver: Driver, change: (batch: LinkBatch) => LinkBatch): Driver {
  return {
    connect: async (signal) => {
      const link = await driver.connect(signal);
      return delegated(link, {
        async *[Symbol.asyncIterator]() {
          for await (const batch of link) yield change(batch);
        },
      });
    },
  };
}

/** Passes only readings on that are not what the tag said last. */
function skipKnown(): (batch: LinkBatch) => LinkBatch {
  const last = new Map<number, Reading>();
  return (batch) => ({
    ...batch,
    readings: batch.readings.filter((reading) => {
      const before = last.get(reading.tagIndex);
      last.set(reading.tagIndex, reading);
      return before?.value !== reading.value || before.quality !== reading.quality;
    }),
  });
}
