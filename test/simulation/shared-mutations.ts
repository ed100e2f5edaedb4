import type { RoleView, SharedArchive } from '../../src/world/shared-archive.ts';
import { delegated } from './delegate.ts';
import type { Mutation } from './mutations.ts';
import type { Swarm } from './options.ts';

/** Reigns that follow each other fast, and transactions that lie across their ends. */
const FAST: Partial<Omit<Swarm, 'faults'>> = {
  ...{ runMs: 40_000, faultEveryMs: 2500, alarmShare: 0, syncMs: { min: 1, max: 20 }, blockAgeMs: 250 },
  ...{ commitMs: 100, latencyMs: 5, bytesPerSecond: 1_000_000, capacityBytes: 16 * 1024 * 1024 },
  ...{ clockMode: 'system', hasRealTimeClock: true, pair: null, shared: { count: 2 } },
};

/** Defects of Kernels that share a database. */
export const SHARED_MUTATIONS = {
  'epoch-unchecked': () => ({
    defect: 'a transaction does not look at the epoch',
    isOfSharing: true,
    shownBy: { ...FAST, faults: ['kernel-stall', 'database-slow', 'session-lost', 'database-cut'] },
    database: (database) => {
      database.ignoresEpochs = true;
    },
  }),
  'lock-granted': () => ({
    defect: 'a Kernel whose session is lost takes it that it has the lock',
    isOfSharing: true,
    shownBy: { ...FAST, faults: ['session-lost', 'database-restart'] },
    shared: holding,
  }),
} as const satisfies Record<string, () => Mutation>;

/** Once a session has the lock, it hears of nothing else. */
function holding(shared: SharedArchive): SharedArchive {
  return delegated(shared, {
    openSession: async (name) => {
      const session = await shared.openSession(name);
      let held: RoleView | null = null;
      return delegated(session, {
        get isAlive() {
          return held !== null || session.isAlive;
        },
        look: async () => {
          if (held !== null) return held;
          const view = await session.look();
          if (view.holder === 'self') held = view;
          return view;
        },
      });
    },
  });
}
