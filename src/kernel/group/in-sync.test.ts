import { expect, it } from 'vitest';
import type { Reign } from '../../domain/reign.ts';
import { SimulatedClock } from '../../world/simulated/clock.ts';
import { InSyncSet } from './in-sync.ts';

const TOLD_NOTHING = {
  isTold: false,
  behindMs: Number.POSITIVE_INFINITY,
  hasAllBefore: () => false,
} as const;

it.each([
  ['in-sync', true, 'after its time'],
  ['hot', false, 'at once'],
] as const)('with acks %s a dead member is waited for no longer', async (_policy, isAsked, when) => {
  const clock = new SimulatedClock();
  let reign: Reign = { epoch: 1, hot: 'A', revision: 1, inSync: ['A', 'B'] };
  let eased = 0;
  const set = new InSyncSet({
    ...{ self: 'A', isAsked, clock, reign: () => reign, keptBy: () => null },
    followers: () => [['B', TOLD_NOTHING]],
    isStoring: () => true,
    revise: async (inSync) => {
      reign = { ...reign, revision: reign.revision + 1, inSync };
    },
    eased: () => eased++,
  });
  set.begin();
  expect(set.isReady).toBe(false);
  await set.tick();
  expect(set.isReady).toBe(when === 'at once');
  await clock.advance(6000);
  await set.tick();
  expect({ isReady: set.isReady, waits: [...set.waits], inSync: reign.inSync, eased }).toEqual({
    ...{ isReady: true, waits: [], inSync: ['A'], eased: 1 },
  });
});

it('nobody leaves while the archive here takes nothing, and has his time again after that', async () => {
  const clock = new SimulatedClock();
  let reign: Reign = { epoch: 1, hot: 'A', revision: 1, inSync: ['A', 'B', 'C', 'D'] };
  let isStoring = false;
  const lags = { isTold: true, behindMs: 20_000, hasAllBefore: () => false };
  const set = new InSyncSet({
    ...{ self: 'A', isAsked: true, clock, reign: () => reign, keptBy: () => null },
    followers: () => [
      ['B', TOLD_NOTHING],
      ['C', lags],
      ['D', TOLD_NOTHING],
    ],
    isStoring: () => isStoring,
    revise: async (inSync) => {
      reign = { ...reign, revision: reign.revision + 1, inSync };
    },
    eased: () => {},
  });
  set.begin();
  set.expel('D');
  expect(['B', 'C', 'D'].map((name) => set.isMember(name))).toEqual([true, true, false]);
  for (const passed of [20_000, 4000]) {
    await set.tick();
    await clock.advance(passed);
    isStoring = passed === 20_000 ? false : isStoring;
    await set.tick();
    expect(reign.inSync, 'a new machine has nothing of it').toEqual(['A', 'B', 'C']);
    isStoring = true;
  }
  await clock.advance(4000);
  await set.tick();
  await clock.advance(4000);
  await set.tick();
  expect(reign.inSync).toEqual(['A']);
});

it('a dead member leaves although the archive here takes nothing now and then', async () => {
  const clock = new SimulatedClock();
  let reign: Reign = { epoch: 1, hot: 'A', revision: 1, inSync: ['A', 'B'] };
  let isStoring = true;
  const set = new InSyncSet({
    ...{ self: 'A', isAsked: true, clock, reign: () => reign, keptBy: () => null },
    followers: () => [['B', TOLD_NOTHING]],
    isStoring: () => isStoring,
    revise: async (inSync) => {
      reign = { ...reign, revision: reign.revision + 1, inSync };
    },
    eased: () => {},
  });
  set.begin();
  await set.tick();
  for (let second = 1; second <= 12; second++) {
    isStoring = second % 2 === 0;
    await clock.advance(1000);
    await set.tick();
    expect(reign.inSync.includes('B'), `after ${second} s`).toBe(second < 12);
  }
});
