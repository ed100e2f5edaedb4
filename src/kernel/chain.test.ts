import { describe, expect, it } from 'vitest';
import { OPEN_END } from '../domain/gap.ts';
import type { StreamState } from '../uplink/messages.ts';
import type { ArchivedStream } from '../world/archive.ts';
import { crashGaps, settledCoverage, storeLostGaps, untoldPredecessors } from './chain.ts';

const known: ArchivedStream = {
  ...{ streamId: 'a'.repeat(32), bootId: '0'.repeat(32), startedAtUs: 100, previous: null },
  ...{ site: 'S', process: 'KomA', instance: 1 },
  ...{ coverage: [{ first: 1, last: 7, state: 'data' }] },
  ...{ observedUntilUs: 150, endedAtUs: null, endedSequence: null },
};
const fresh: StreamState = {
  ...{ streamId: 'b'.repeat(32), bootId: '0'.repeat(32), startedAtUs: 200, previous: null },
  ...{ held: [], heldFromUs: 0, producedTo: 0, endedAtUs: null, running: true },
};

/** A Hello with these streams, said when none of what is known here had been. */
const said = (streams: StreamState[], wallUs = 1000, aheadUs = 0) => ({ streams, wallUs, aheadUs });

/** This run of the Kernel was told nothing of any stream. */
const STORED = (_: string, storedUs: number): number => storedUs;

describe('a chain that omits what the Kernel knows', () => {
  it('has lost the rest of a stream that did not end, from where it was observed', () => {
    const gap = { streamId: known.streamId, reason: 'store-lost', fromUs: 180, toUs: 200 };
    expect(storeLostGaps([known], said([fresh]), () => 180)).toMatchObject([
      { ...gap, lastSequence: OPEN_END },
    ]);
    expect(storeLostGaps([known], said([fresh]), STORED)).toMatchObject([{ fromUs: 150 }]);
    expect(storeLostGaps([known], said([fresh]), () => 900)).toMatchObject([{ fromUs: 200 }]);
  });

  it('has lost what is missing of a stream that ended, and nothing of a complete one', () => {
    const ended = (endedSequence: number) => ({ ...known, endedAtUs: 160, endedSequence });
    expect(storeLostGaps([ended(9)], said([fresh]), STORED)).toMatchObject([{ lastSequence: 9 }]);
    const atEnd = { ...ended(7), observedUntilUs: fresh.startedAtUs };
    expect(storeLostGaps([atEnd], said([fresh]), STORED)).toEqual([]);
    const cut = { ...known, coverage: [{ first: 1, last: OPEN_END, state: 'crash' }] } as const;
    expect(storeLostGaps([cut], said([fresh]), STORED)).toEqual([]);
  });

  it('has lost it until it started by the clock of the Kernel, if its own has lost the time', () => {
    const early = { ...fresh, startedAtUs: 20 };
    const gap = { streamId: known.streamId, reason: 'store-lost', fromUs: 150, toUs: 320 };
    expect(storeLostGaps([known], said([early], 50, 300), STORED)).toMatchObject([gap]);
    const ended = { ...known, endedAtUs: 160, endedSequence: 7 };
    expect(storeLostGaps([ended], said([early], 50, 300), STORED)).toMatchObject([gap]);
    const right = said([fresh], 250, 300);
    expect(storeLostGaps([known], right, STORED)).toMatchObject([{ ...gap, toUs: 200 }]);
  });

  it('has lost the pause before a stream too, if that told of nothing yet', () => {
    const before = { streamId: 'f'.repeat(32), lastDurableSequence: 7, endedCleanly: true, lostAtMost: 0 };
    const previous = { ...before, aliveUntilUs: 60 };
    const silent = { ...known, coverage: [], observedUntilUs: known.startedAtUs, previous };
    expect(storeLostGaps([silent], said([fresh]), STORED)).toMatchObject([{ fromUs: 60, toUs: 200 }]);
    expect(storeLostGaps([silent], said([fresh]), () => 180)).toMatchObject([{ fromUs: 180 }]);
    const first = { ...silent, previous: null };
    expect(storeLostGaps([first], said([fresh]), STORED)).toMatchObject([{ fromUs: 100 }]);
  });

  it('does not know of the pause behind a complete one, and the Kernel does', () => {
    const ended = { ...known, observedUntilUs: 160, endedAtUs: 160, endedSequence: 7 };
    const { streamId } = known;
    const pause = { streamId, firstSequence: 8, lastSequence: OPEN_END, countAtMost: 0 };
    const told = { ...pause, reason: 'store-lost', fromUs: 160, toUs: 200 };
    expect(storeLostGaps([ended], said([fresh]), STORED)).toEqual([told]);
    const later = { ...fresh, streamId: 'c'.repeat(32), startedAtUs: 300 };
    expect(storeLostGaps([ended], said([fresh, later]), STORED)).toEqual([told]);
    const covered = [...known.coverage, { first: 8, last: OPEN_END, state: 'store-lost' }] as const;
    expect(storeLostGaps([{ ...ended, coverage: covered }], said([fresh]), STORED)).toEqual([]);
  });

  it('leaves the pause to whoever ran after the complete one, and to the chain that names one', () => {
    const ended = { ...known, observedUntilUs: 160, endedAtUs: 160, endedSequence: 7 };
    const after = { ...known, streamId: 'd'.repeat(32), startedAtUs: 170, observedUntilUs: 175 };
    const gaps = storeLostGaps([ended, after], said([fresh]), STORED);
    expect(gaps).toMatchObject([{ streamId: after.streamId, fromUs: 175, toUs: 200 }]);
    const previous = { lastDurableSequence: 3, endedCleanly: true, aliveUntilUs: 180, lostAtMost: 0 };
    const other = { ...fresh, previous: { streamId: 'c'.repeat(32), ...previous } };
    expect(storeLostGaps([ended], said([other]), STORED)).toEqual([]);
  });

  it('has lost nothing of what it names, as a stream or as the one before', () => {
    const { streamId } = known;
    const previous = {
      streamId,
      lastDurableSequence: 7,
      endedCleanly: true,
      aliveUntilUs: 150,
      lostAtMost: 0,
    };
    expect(storeLostGaps([known], said([{ ...fresh, previous }]), STORED)).toEqual([]);
    expect(storeLostGaps([known], said([{ ...fresh, streamId }, fresh]), STORED)).toEqual([]);
    expect(storeLostGaps([known], said([]), STORED)).toEqual([]);
  });
});

describe('a Hello that was long on its way', () => {
  it('takes nothing from the streams that came after its own', () => {
    const previousOf = (streamId: string) => ({
      ...{ streamId, lastDurableSequence: 0, endedCleanly: false, aliveUntilUs: 0, lostAtMost: 9 },
    });
    const next = { ...known, streamId: 'd'.repeat(32), previous: previousOf(fresh.streamId) };
    const afterNext = { ...known, streamId: 'e'.repeat(32), previous: previousOf(next.streamId) };
    expect(storeLostGaps([afterNext, next], said([fresh], 50), STORED)).toEqual([]);
  });

  it('is told from one whose store runs elsewhere too: that one began before it was said', () => {
    const previous = {
      ...{ streamId: fresh.streamId, lastDurableSequence: 0, endedCleanly: false },
      ...{ aliveUntilUs: 0, lostAtMost: 9 },
    };
    const elsewhere = { ...known, streamId: 'd'.repeat(32), previous };
    const lost = { streamId: elsewhere.streamId, reason: 'store-lost', lastSequence: OPEN_END };
    expect(storeLostGaps([elsewhere], said([fresh]), STORED)).toMatchObject([lost]);
  });
});

describe('a stream that a copy of its store took for cut off', () => {
  const coverage = [
    { first: 1, last: 7, state: 'data' },
    { first: 8, last: OPEN_END, state: 'crash' },
  ] as const;

  it('is not settled while it runs, and is when it is over', () => {
    expect(settledCoverage(coverage, true)).toEqual([{ first: 1, last: 7, state: 'data' }]);
    const cut = [
      { first: 1, last: 3, state: 'refused' },
      { first: 4, last: 7, state: 'crash' },
      { first: 8, last: 9, state: 'data' },
    ] as const;
    expect(settledCoverage(cut, true)).toEqual([cut[0], cut[2]]);
    expect(settledCoverage(coverage, false)).toEqual(coverage);
  });
});

describe('streams that were cut off', () => {
  it('are told by their successors, and without one by not running and having no end', () => {
    const streamId = 'c'.repeat(32);
    const orphan: StreamState = { ...fresh, streamId, producedTo: 4, running: false };
    const gap = { streamId, reason: 'crash', firstSequence: 5, lastSequence: OPEN_END };
    expect(crashGaps(said([orphan, fresh]), () => 0)).toMatchObject([gap]);
    expect(crashGaps(said([{ ...orphan, endedAtUs: 190 }, fresh]), () => 0)).toEqual([]);
    const previous = { streamId, lastDurableSequence: 4, aliveUntilUs: 150, lostAtMost: 9 };
    const successor = (endedCleanly: boolean) => ({ ...fresh, previous: { ...previous, endedCleanly } });
    expect(crashGaps(said([orphan, successor(false)]), () => 0)).toMatchObject([
      { ...gap, fromUs: 150, countAtMost: 9 },
    ]);
    expect(crashGaps(said([orphan, successor(true)]), () => 0)).toEqual([]);
  });

  it('were cut off before the next start, by the clock of the Kernel if the agent lost the time', () => {
    const streamId = 'c'.repeat(32);
    const previous = {
      streamId,
      lastDurableSequence: 4,
      aliveUntilUs: 20,
      lostAtMost: 9,
      endedCleanly: false,
    };
    const early = { ...fresh, startedAtUs: 30, previous };
    const observed = (of: string) => (of === streamId ? 150 : 900);
    expect(crashGaps(said([early], 50, 300), observed)).toMatchObject([{ fromUs: 150, toUs: 330 }]);
    expect(crashGaps(said([early], 50, 300), () => 0)).toMatchObject([{ fromUs: 20, toUs: 30 }]);
    const told = { ...early, previous: { ...previous, aliveUntilUs: 170 } };
    expect(crashGaps(said([told], 50, 300), () => 0)).toMatchObject([{ fromUs: 170, toUs: 330 }]);
  });
});

describe('a Hello with a part of a chain', () => {
  const orphan: StreamState = { ...fresh, streamId: 'c'.repeat(32), producedTo: 4, running: false };

  it('says nothing of what it does not name', () => {
    const part = { ...said([orphan, fresh]), isPartial: true as const };
    expect(storeLostGaps([known], part, STORED)).toEqual([]);
    expect(crashGaps(part, () => 0)).toEqual([]);
  });

  it('leaves a predecessor that nobody has told yet to a later one', () => {
    const before = { lastDurableSequence: 4, endedCleanly: false, aliveUntilUs: 150, lostAtMost: 9 };
    const previous = { ...before, streamId: 'd'.repeat(32) };
    const streams = [orphan, { ...fresh, previous }];
    const untold = (isKnown: boolean, isPartial?: true) => [
      ...untoldPredecessors({ streams, ...(isPartial && { isPartial }) }, () => isKnown),
    ];
    expect([untold(false, true), untold(true, true), untold(false)]).toEqual([[previous.streamId], [], []]);
  });
});
