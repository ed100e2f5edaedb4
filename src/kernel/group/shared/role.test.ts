import { describe, expect, it } from 'vitest';
import type { RoleView } from '../../../world/shared-archive.ts';
import { type RoleEvent, type RoleState, reaches, startRole, stepRole } from './role.ts';

const VIEW: RoleView = { epoch: 0, hot: '', next: '', holder: 'nobody', kernels: [] };
const seen = (view: Partial<RoleView>): RoleEvent => ({ kind: 'seen', view: { ...VIEW, ...view } });

/** Kernel A behind these events, each at its time. */
function behind(...events: readonly (readonly [atMs: number, event: RoleEvent])[]): RoleState {
  return events.reduce((state, [atMs, event]) => stepRole(state, event, atMs), startRole('A'));
}

const OPENED = [0, { kind: 'opened' }] as const;
const BEGUN = [10, { kind: 'begun', epoch: 4 }] as const;

describe('when a Kernel reaches for the lock', () => {
  it.each([
    ['nobody ever was hot', seen({}), 0],
    ['it was hot itself', seen({ epoch: 3, hot: 'A' }), 0],
    ['it is meant', seen({ epoch: 3, hot: 'B', next: 'A' }), 0],
    [
      'another one was hot, and the database or this Kernel has just come',
      seen({ epoch: 3, hot: 'B' }),
      5000,
    ],
    ['another one is meant', seen({ epoch: 3, hot: 'A', next: 'B' }), 10_000],
  ])('%s', (_why, event, pauseMs) => {
    const state = behind(OPENED, [1000, event], [1200, event]);
    expect(reaches(state, 1000 + pauseMs)).toBe(true);
    if (pauseMs > 0) expect(reaches(state, 1000 + pauseMs - 1)).toBe(false);
  });

  it('the one that was hot has gone while the database was there', () => {
    const there = seen({ epoch: 3, hot: 'B', holder: 'other' });
    const state = behind(OPENED, [0, there], [1000, seen({ epoch: 3, hot: 'B' })]);
    expect(reaches(state, 1499)).toBe(false);
    expect(reaches(state, 1500)).toBe(true);
    // And came back.
    expect(reaches(stepRole(state, there, 1200), 9000)).toBe(false);
  });

  it('never without a session, nor where somebody has it, nor as the one that has it', () => {
    expect(reaches(behind(), 60_000)).toBe(false);
    expect(reaches(behind(OPENED), 60_000)).toBe(false);
    expect(reaches(behind(OPENED, [0, seen({})], [1, { kind: 'lost' }]), 60_000)).toBe(false);
    expect(reaches(behind(OPENED, [0, seen({ holder: 'other', hot: 'B', epoch: 1 })]), 60_000)).toBe(false);
    expect(reaches(behind(OPENED, [0, seen({})], BEGUN), 60_000)).toBe(false);
  });

  it('what an earlier session saw counts for nothing', () => {
    const there = seen({ epoch: 3, hot: 'B', holder: 'other' });
    const free = seen({ epoch: 3, hot: 'B' });
    const state = behind(
      OPENED,
      [0, there],
      [1000, free],
      [1100, { kind: 'lost' }],
      [1200, { kind: 'opened' }],
    );
    expect(reaches(stepRole(state, free, 8000), 8600)).toBe(false);
    expect(reaches(stepRole(state, free, 8000), 13_000)).toBe(true);
  });

  it('one that had it and could not begin leaves it to others for a while', () => {
    const state = behind(OPENED, [0, seen({})], [1000, { kind: 'failed' }], [1100, { kind: 'opened' }]);
    const again = stepRole(state, seen({ epoch: 1, hot: 'A' }), 1200);
    expect(reaches(again, 5999)).toBe(false);
    expect(reaches(again, 6000)).toBe(true);
    expect(reaches(stepRole(again, { kind: 'forced' }, 1300), 1300)).toBe(true);
  });
});

describe('the end of a reign', () => {
  const HOT = [OPENED, [0, seen({})], BEGUN, [20, seen({ epoch: 4, hot: 'A', holder: 'self' })]] as const;

  it('it is hot for as long as its session has the lock', () => {
    expect(behind(...HOT)).toMatchObject({ role: 'hot', ruledEpoch: 4, knownEpoch: 4, overtakenBy: null });
    expect(behind(...HOT, [30, { kind: 'lost' }])).toMatchObject({ role: 'standby', view: null });
    expect(behind(...HOT, [30, seen({ epoch: 4, hot: 'A' })])).toMatchObject({ role: 'standby' });
  });

  it('a higher epoch is one that overtook it, unless it handed over itself', () => {
    const other = seen({ epoch: 5, hot: 'B', holder: 'other' });
    const overtaken = behind(...HOT, [30, { kind: 'lost' }], [40, { kind: 'opened' }], [50, other]);
    expect(overtaken).toMatchObject({ role: 'standby', ruledEpoch: null, overtakenBy: 'B' });
    expect(behind(...HOT, [30, other])).toMatchObject({ role: 'standby', overtakenBy: 'B' });
    const handed = behind(...HOT, [30, { kind: 'handed', to: 'B' }], [50, other]);
    expect(handed).toMatchObject({ role: 'standby', overtakenBy: null });
    expect(stepRole(overtaken, { kind: 'begun', epoch: 6 }, 60)).toMatchObject({ overtakenBy: null });
  });

  it('one that lost its session and gets the lock again was not overtaken', () => {
    const back = behind(
      ...HOT,
      [30, { kind: 'lost' }],
      [40, { kind: 'opened' }],
      [50, seen({ epoch: 4, hot: 'A' })],
    );
    expect(back).toMatchObject({ role: 'standby', overtakenBy: null });
    expect(reaches(back, 50)).toBe(true);
  });

  it('an epoch that only an agent knows ends it, until the database has it or an operator decides', () => {
    expect(behind(...HOT, [30, { kind: 'heard', epoch: 4 }])).toMatchObject({ role: 'hot', heardEpoch: 0 });
    const free = seen({ epoch: 4, hot: 'A' });
    const heard = behind(...HOT, [30, { kind: 'heard', epoch: 9 }], [40, free]);
    expect(heard).toMatchObject({ role: 'standby', heardEpoch: 9, knownEpoch: 4 });
    expect(reaches(heard, 60_000)).toBe(false);
    expect(reaches(stepRole(heard, seen({ epoch: 9, hot: 'A' }), 50), 50)).toBe(true);
    const forced = stepRole(heard, { kind: 'forced' }, 50);
    expect(forced).toMatchObject({ heardEpoch: 0, knownEpoch: 9 });
    expect(reaches(forced, 50)).toBe(true);
  });

  it('what the database has forgotten is still known', () => {
    expect(behind(...HOT, [30, seen({ epoch: 2, hot: 'B' })])).toMatchObject({ knownEpoch: 4 });
  });
});
