import type { Ring, RingStream } from '../../src/buffer/ring.ts';
import type { Driver, LinkBatch } from '../../src/drivers/driver.ts';
import type { KernelGroup } from '../../src/kernel/group/group.ts';
import type { SharedArchive } from '../../src/world/shared-archive.ts';
import type { SimulatedArchive } from '../../src/world/simulated/archive.ts';
import type { SimulatedSharedArchive } from '../../src/world/simulated/shared-archive.ts';
import type { Disk } from '../../src/world/store.ts';
import type { Transport } from '../../src/world/transport.ts';
import { delegated } from './delegate.ts';
import { FAULTS, type Fault, type LineOptions, type Swarm } from './options.ts';

/**
 * A defect that is planted around the product, not in it, to see that the checkers find one like it. One
 * object lives for one seed, and is on every machine of it.
 */
export interface Mutation {
  /** What a reader would call the defect. */
  readonly defect: string;
  /** It is one of a pair; else of one instance alone. */
  readonly isOfPair?: true;
  /** It is one of two Kernels. */
  readonly isOfKernels?: true;
  /** It is one of Kernels that share an archive. */
  readonly isOfSharing?: true;
  /** Faults, and other options, that show it soon. */
  readonly shownBy: { readonly faults: readonly Fault[] } & Partial<Omit<Swarm, 'faults'>>;
  readonly disk?: (disk: Disk) => Disk;
  /** Of what is mirrored. */
  readonly mirrorDisk?: (disk: Disk) => Disk;
  readonly ring?: (ring: Ring) => Ring;
  readonly driver?: (driver: Driver) => Driver;
  readonly archive?: (archive: SimulatedArchive) => SimulatedArchive;
  /** Of Kernels that share an archive: as one of them has it. */
  readonly shared?: (shared: SharedArchive) => SharedArchive;
  /** And what is theirs. */
  readonly database?: (database: SimulatedSharedArchive) => void;
  /** Of each of two Kernels. */
  readonly group?: (group: KernelGroup) => void;
  /** The Kernel's. */
  readonly transport?: (transport: Transport) => Transport;
}

export const NO_MUTATION: Mutation = { defect: 'none', shownBy: { faults: FAULTS } };

const LATE_US = 4_000_000;
const EVERY_COMMIT = 40;

/** One fast line: a short pause shows, and a seed takes little time. */
const FAST_LINE: LineOptions = {
  ...{ name: 'L1', kind: 'poll', publishMs: 250, keepAliveMs: 1000 },
  stations: [{ name: 'P11', periodMs: 50, scanMs: 100, noteBytes: 10 }],
};
const FAST = {
  ...{ lines: [FAST_LINE], faultEveryMs: 3000, syncMs: { min: 1, max: 20 } },
  ...{ blockAgeMs: 50, commitMs: 6, hasRealTimeClock: true },
};

/** By name, each made anew for each seed. */
export const MUTATIONS = {
  'unsynced-write': () => ({
    defect: 'a synced write is not: a power cut takes what was confirmed',
    shownBy: {
      ...{ ...FAST, faults: ['power-cut', 'link-hang', 'kernel-crash'], policy: 'always' },
      ...{ runMs: 40_000, capacityBytes: 16 * 1024 * 1024 },
    },
    disk: (disk) => delegated(disk, { open: async (...args) => unsynced(await disk.open(...args)) }),
  }),
  'silent-eviction': () => ({
    defect: 'what a full ring evicts is declared to nobody',
    shownBy: {
      faults: ['link-hang', 'kernel-crash'],
      runMs: 40_000,
      capacityBytes: 64 * 1024,
      windowBytes: 16 * 1024,
      alarmShare: 0,
    },
    ring: (ring) => delegated(ring, { gaps: () => ring.gaps().filter(({ reason }) => reason !== 'evicted') }),
  }),
  'early-mark': () => ({
    defect: 'the alive mark passes over what a crash can still lose',
    shownBy: { ...FAST, faults: ['agent-kill'], runMs: 40_000, aliveMarkMs: 250 },
    ring: (ring) => delegated(ring, { markAlive: (us, ...rest) => ring.markAlive(us + LATE_US, ...rest) }),
  }),
  'first-run': () => ({
    defect: 'each run takes itself for the first one, and declares no pause',
    shownBy: { ...FAST, faults: ['agent-kill', 'agent-stop'] },
    ring: (ring) =>
      new Proxy(delegated(ring, {}), {
        get: (of, key) => (key === 'stream' ? { ...ring.stream, previous: null } : Reflect.get(of, key)),
      }),
  }),
  'clean-end': () => ({
    defect: 'a run that was cut off counts as ended',
    shownBy: { faults: ['agent-kill', 'link-hang'] },
    ring: (ring) => delegated(ring, { streams: () => ring.streams().map(cleanlyFollowed) }),
  }),
  'pause-swallowed': () => ({
    defect: 'what a driver says that it did not see is not declared',
    shownBy: { faults: ['agent-stall'] },
    driver: (driver) => perLink(driver, ({ unseen: _, ...batch }) => batch),
  }),
  reordered: () => ({
    defect: 'the values of a batch are numbered in another order',
    shownBy: { faults: ['link-break'] },
    driver: (driver) => perLink(driver, (batch) => ({ ...batch, readings: batch.readings.toReversed() })),
  }),
  'gap-storm': () => ({
    defect: 'a driver tells with each batch of a moment that it did not see',
    shownBy: { faults: ['link-reset'], faultEveryMs: 8000 },
    driver: (driver) => perLink(driver, withMomentUnseen),
  }),
  'crash-undeclared': () => ({
    defect: 'the Kernel does not declare what a crash may have lost',
    shownBy: { faults: ['agent-kill'] },
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
      shownBy: { ...FAST, faults: ['link-reset'], runMs: 15_000 },
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

function unsynced(store: Awaited<ReturnType<Disk['open']>>) {
  return delegated(store, { batch: (writes) => store.batch(writes, { sync: false }) });
}

function cleanlyFollowed(stream: RingStream): RingStream {
  const { previous } = stream.info;
  return { ...stream, info: { ...stream.info, previous: previous && { ...previous, endedCleanly: true } } };
}

function withMomentUnseen(batch: LinkBatch): LinkBatch {
  const toUs = batch.readings[0]?.sourceTimeUs ?? 0;
  if (batch.unseen !== undefined || toUs <= 0) return batch;
  const moment = { tagIndexes: [], fromUs: toUs - 1, toUs, reason: 'station-down' } as const;
  return { ...batch, unseen: [moment] };
}

/** Each batch of a driver is changed. */
export function perLink(driver: Driver, change: (batch: LinkBatch) => LinkBatch): Driver {
  return {
    connect: async (signal, options) => {
      const link = await driver.connect(signal, options);
      return {
        setRole: async (role) => await link.setRole?.(role),
        [Symbol.asyncDispose]: () => link[Symbol.asyncDispose](),
        async *[Symbol.asyncIterator]() {
          for await (const batch of link) yield change(batch);
        },
      };
    },
  };
}
