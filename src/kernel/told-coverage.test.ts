import { expect, it } from 'vitest';
import type { Coverage } from '../domain/coverage.ts';
import { encodeMessage } from '../uplink/codec.ts';
import { FRAME_BYTES_MAX_BEFORE_WELCOME, STREAMS_MAX, WELCOME_RANGES_MAX } from '../uplink/limits.ts';
import { toldCoverage } from './told-coverage.ts';

const FAR = 2 ** 52;

/** Data at every other number. */
function holes(count: number): Coverage {
  return Array.from({ length: count }, (_, at) => {
    return { first: FAR + 2 * at, last: FAR + 2 * at, state: 'data' };
  });
}

it('tells the contiguous end and what lies beyond, of all streams together no more than is asked', () => {
  const coverage: Coverage = [{ first: 1, last: 4, state: 'data' }, ...holes(3)];
  const told = toldCoverage(
    [1, 2].map((id) => ({ streamId: String(id), coverage })),
    4,
  );
  expect(told.map(({ throughSequence, held }) => [throughSequence, held.length])).toEqual([
    [4, 3],
    [4, 1],
  ]);
});

it('a Welcome fits into the frame that an agent takes, whatever the archive looks like', () => {
  const coverage = holes(WELCOME_RANGES_MAX);
  const streams = Array.from({ length: STREAMS_MAX }, (_, at) => {
    return { streamId: at.toString(16).padStart(32, 'f'), coverage: at < 3 ? coverage : [] };
  });
  const none = { heartbeatMs: 60_000, silenceMaxMs: 600_000, knownDictionaries: [] };
  const welcome = {
    ...{ protocol: 1, programVersion: 'x'.repeat(100), sessionId: 'f'.repeat(32), wallUs: FAR },
    ...{ ...none, kernelEpoch: FAR, coverage: toldCoverage(streams, WELCOME_RANGES_MAX) },
  };
  expect(encodeMessage({ type: 'welcome', welcome }).length).toBeLessThan(FRAME_BYTES_MAX_BEFORE_WELCOME);
});
