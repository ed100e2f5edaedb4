import { describe, expect, it } from 'vitest';
import type { HeldStream } from '../buffer/held-streams.ts';
import { encodeMessage } from './codec.ts';
import { FRAME_BYTES_MAX_BEFORE_WELCOME, STREAMS_MAX } from './limits.ts';
import type { Hello } from './messages.ts';
import { HELD_RANGES_MAX, NAMED_STREAMS_MAX, namedStreams } from './named-streams.ts';

const LATE_US = 7_000_000_000_000_000;

function streamOf(at: number, more: Partial<HeldStream> = {}): HeldStream {
  const streamId = at.toString(16).padStart(32, 'f');
  const previous = {
    ...{ streamId: 'e'.repeat(32), lastDurableSequence: 2 ** 52, endedCleanly: false },
    ...{ aliveUntilUs: LATE_US, lostAtMost: 300_000 },
  };
  return {
    info: { streamId, bootId: 'b'.repeat(32), startedAtUs: LATE_US, previous },
    ...{ held: [], heldFromUs: LATE_US, endedAtUs: LATE_US, lastSequence: 2 ** 52, isDue: true, ...more },
  };
}

const numbersOf = (streams: readonly HeldStream[], chain: readonly HeldStream[]): number[] =>
  streams.map(({ info }) => chain.findIndex((each) => each.info.streamId === info.streamId));

describe('what a Hello names of a chain', () => {
  it('is all of it where it has room', () => {
    const chain = [0, 1, 2].map((at) => streamOf(at));
    expect(namedStreams(chain, 3)).toEqual(chain);
  });

  it('is else the running one, the oldest that are due, and the newest others, in their order', () => {
    const isDue = (at: number): boolean => ![1, 4, 6, 7].includes(at);
    const chain = Array.from({ length: 10 }, (_, at) => streamOf(at, { isDue: isDue(at) }));
    expect(numbersOf(namedStreams(chain, 4), chain)).toEqual([0, 2, 3, 9]);
    expect(numbersOf(namedStreams(chain, 9), chain)).toEqual([0, 2, 3, 4, 5, 6, 7, 8, 9]);
    const told = chain.map((each, at) => ({ ...each, isDue: at === 9 }));
    expect(numbersOf(namedStreams(told, 3), told)).toEqual([7, 8, 9]);
  });

  it('of two stores always fits into its frame', () => {
    const first = 2 ** 50;
    const held = Array.from({ length: 1000 }, (_, at) => ({
      first: first + 4 * at,
      last: first + 4 * at + 1,
    }));
    const chain = Array.from({ length: 2 * STREAMS_MAX }, (_, at) => streamOf(at, { held }));
    const named = namedStreams(chain);
    expect(named).toHaveLength(NAMED_STREAMS_MAX);
    const ranges = named.reduce((count, each) => count + each.held.length, 0);
    expect(ranges).toBeLessThanOrEqual(HELD_RANGES_MAX);
    expect(named[0]?.held.at(-1)?.last, 'nothing that is held is left out').toBe(held.at(-1)?.last);
    const streams = [...named, ...named].map(({ info, lastSequence, ...each }) => {
      return { ...info, ...each, producedTo: lastSequence ?? 0, running: false };
    });
    const name = 'x'.repeat(200);
    const hello: Hello = {
      ...{ protocolMin: 1, protocolMax: 2, programVersion: name, lane: 'control', sessionId: '' },
      ...{ site: name, process: name, instance: 15, siteHash: 'a'.repeat(32), wallUs: LATE_US, streams },
      ...{ isPartial: true, heartbeatMs: 60_000, silenceMaxMs: 600_000, dictionaryHashes: [] },
      ...{ highestTerm: 2 ** 52, highestKernelEpoch: 2 ** 52 },
    };
    expect(encodeMessage({ type: 'hello', hello }).length).toBeLessThan(FRAME_BYTES_MAX_BEFORE_WELCOME);
  });
});
