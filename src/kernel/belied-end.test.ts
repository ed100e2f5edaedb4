import { describe, expect, it } from 'vitest';
import { OPEN_END } from '../domain/gap.ts';
import { silentLog } from '../world/log.ts';
import { SimulatedArchive } from '../world/simulated/archive.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { beliedEnd } from './belied-end.ts';
import { Ingest } from './ingest.ts';
import { LostStores } from './lost-stores.ts';
import { Presence } from './presence.ts';

const BEFORE = 'a'.repeat(32);
const previous = {
  ...{ streamId: BEFORE, lastDurableSequence: 7, endedCleanly: true, aliveUntilUs: 50, lostAtMost: 0 },
};
const successor = { previous, startedAtUs: 90 };
const known = {
  coverage: [{ first: 1, last: 7, state: 'data' }],
  heardThrough: 0,
  observedUntilUs: 0,
} as const;
const GAP = {
  ...{ streamId: BEFORE, firstSequence: 8, lastSequence: OPEN_END, countAtMost: OPEN_END },
  ...{ reason: 'crash', fromUs: 50, toUs: 90 },
};

describe('a stream that is said to have ended cleanly', () => {
  it('did, where nobody heard of a higher number', () => {
    expect(beliedEnd(successor, known)).toBeNull();
    expect(beliedEnd(successor, { ...known, heardThrough: 7 })).toBeNull();
    expect(beliedEnd({ ...successor, previous: null }, { ...known, heardThrough: 9 })).toBeNull();
  });

  it('did not, where a higher number was heard of or is there', () => {
    expect(beliedEnd(successor, { ...known, heardThrough: 9 })).toEqual(GAP);
    expect(beliedEnd(successor, { ...known, coverage: [{ first: 1, last: 9, state: 'data' }] })).toEqual(GAP);
  });

  it('lost nothing of a time of which everything is here, nor one that has not begun', () => {
    expect(beliedEnd(successor, { ...known, heardThrough: 9, observedUntilUs: 60 })).toMatchObject({
      ...{ fromUs: 60, toUs: 90 },
    });
    const early = { ...successor, startedAtUs: 40 };
    expect(beliedEnd(early, { ...known, heardThrough: 9 })).toMatchObject({ fromUs: 40, toUs: 40 });
  });

  it('is declared once, and one that was cut off is declared by what its successor says', () => {
    const cut = [...known.coverage, { first: 8, last: OPEN_END, state: 'crash' }] as const;
    expect(beliedEnd(successor, { ...known, heardThrough: 9, coverage: cut })).toBeNull();
    const unclean = { ...successor, previous: { ...previous, endedCleanly: false } };
    expect(beliedEnd(unclean, { ...known, heardThrough: 9 })).toBeNull();
  });
});

it('the Kernel that heard of more declares it when the next run says so', async () => {
  const clock = new SimulatedClock();
  const archive = new SimulatedArchive();
  const ingest = new Ingest({ archive, clock, log: silentLog });
  const lost = new LostStores({ archive, ingest, log: silentLog, isMirrored: () => false });
  const presence = new Presence(clock).of('S', 'P');
  const origin = { site: 'S', process: 'P', instance: 1, bootId: '0'.repeat(32) };
  const streams = [
    { ...origin, streamId: BEFORE, startedAtUs: 1, previous: null },
    { ...origin, streamId: 'b'.repeat(32), startedAtUs: 90, previous },
  ];
  const ended = [{ streamId: BEFORE, lastSequence: 7, atUs: 50 }];
  await clock.runUntil(ingest.commit({ streams, ended, bytes: 0 }));
  const state = { held: [], heldFromUs: 0, endedAtUs: null, running: true };
  const hello = {
    ...{ programVersion: 'test', protocolMin: 1, protocolMax: 1, lane: 'control', wallUs: 100 },
    ...{ site: 'S', process: 'P', instance: 1, siteHash: '', highestTerm: 0, highestKernelEpoch: 0 },
    streams: streams.map((each) => ({ ...each, ...state, producedTo: 0 })),
  };
  const declare = () => clock.runUntil(lost.declare({ hello: hello as never, aheadUs: 0, presence }));
  await declare();
  expect(await archive.coverage(BEFORE)).toEqual([]);
  presence.claim({ streamId: BEFORE, producedTo: 9, untilUs: 70 });
  await declare();
  expect(await archive.coverage(BEFORE)).toEqual([{ first: 8, last: OPEN_END, state: 'crash' }]);
});
