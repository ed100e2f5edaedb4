import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { OPEN_END } from './gap.ts';
import { Quality } from './quality.ts';
import {
  type Presence,
  type TimelineGap,
  type TimelineInput,
  type TimelineStream,
  timeline,
} from './timeline.ts';

const AWAY: Presence = { producedTo: {}, heldFromUs: {}, nowUs: 1000 };
const S1: TimelineStream = {
  ...{ streamId: 's1', instance: 1, startedAtUs: 100, observedUntilUs: 500, endedAtUs: null },
  ...{ coverage: [{ first: 1, last: 9, state: 'data' }], knowsTag: true },
};
const GOOD = [{ sourceTimeUs: 110, quality: Quality.good }];

function timeGap(fromUs: number, toUs: number, streamId = 's1'): TimelineGap {
  return { kind: 'time', streamId, station: null, tags: [], fromUs, toUs, reason: 'station-down' };
}
function takeover(fromUs: number, toUs: number, streamId: string): TimelineGap {
  return { kind: 'time', streamId, station: null, tags: [], fromUs, toUs, reason: 'takeover' };
}
function lost(fromUs: number, toUs: number, streamId = 's1'): TimelineGap {
  const numbers = { firstSequence: 1, lastSequence: OPEN_END, countAtMost: 1 };
  return { kind: 'sequence', streamId, fromUs, toUs, reason: 'evicted', ...numbers };
}

/** "data 110-500" for each segment. */
function told(more: Partial<TimelineInput>): string[] {
  const base = { fromUs: 0, toUs: 1000, qualities: GOOD, gaps: [], streams: [S1], presence: AWAY };
  return timeline({ ...base, ...more }).map(
    ({ fromUs, toUs, state, reason }) =>
      `${reason === null ? state : `${state}:${reason}`} ${fromUs}-${toUs}`,
  );
}

const S2: TimelineStream = { ...S1, streamId: 's2', startedAtUs: 600, observedUntilUs: 800 };
const OTHER: TimelineStream = { ...S1, streamId: 'o', instance: 2, startedAtUs: 300, observedUntilUs: 700 };
const ALL_GOOD = ['unknown 0-110', 'data 110-500', 'unknown 500-1000'];

const TABLE: readonly [name: string, input: Partial<TimelineInput>, segments: readonly string[]][] = [
  ['nothing known', { streams: [], qualities: [] }, ['unknown 0-1000']],
  ['observed, then silence', {}, ALL_GOOD],
  ['no sample yet', { qualities: [] }, ['unknown 0-1000']],
  [
    'a stream that does not know the tag says nothing',
    { streams: [{ ...S1, knowsTag: false }] },
    ['unknown 0-1000'],
  ],
  [
    'of two instances the one that was active knows why nothing was observed',
    {
      streams: [{ ...OTHER, startedAtUs: 50 }, S1],
      gaps: [takeover(50, 700, 'o'), timeGap(350, 400)],
    },
    [
      ...['unknown 0-50', 'gap:takeover 50-100', 'unknown 100-110', 'data 110-350'],
      'gap:station-down 350-400',
      ...['data 400-500', 'gap:takeover 500-700', 'unknown 700-1000'],
    ],
  ],
  [
    'a time gap of all stations, of a store that has not the tag, says nothing of it',
    {
      streams: [S1, { ...S1, streamId: 'alarms', knowsTag: false }],
      gaps: [timeGap(200, 300, 'alarms')],
    },
    ALL_GOOD,
  ],
  [
    'in force before the interval',
    { fromUs: 200, toUs: 300, qualities: [{ sourceTimeUs: 110, quality: 0 }] },
    ['data 200-300'],
  ],
  [
    'bad until the next usable',
    {
      qualities: [
        ...GOOD,
        { sourceTimeUs: 200, quality: Quality.badTimeout },
        { sourceTimeUs: 250, quality: Quality.badSensorFailure },
        { sourceTimeUs: 300, quality: Quality.uncertain },
      ],
    },
    [
      ...['unknown 0-110', 'data 110-200', 'bad:BadTimeout 200-250', 'bad:BadSensorFailure 250-300'],
      ...['data 300-500', 'unknown 500-1000'],
    ],
  ],
  [
    'a time gap is half-open and outweighs the data',
    { gaps: [timeGap(200, 300)] },
    ['unknown 0-110', 'data 110-200', 'gap:station-down 200-300', 'data 300-500', 'unknown 500-1000'],
  ],
  ['an empty time gap says nothing', { gaps: [timeGap(200, 200)] }, ALL_GOOD],
  [
    'a time gap where no stream is',
    { gaps: [timeGap(20, 700)] },
    ['unknown 0-20', 'gap:station-down 20-700', 'unknown 700-1000'],
  ],
  [
    'lost numbers include their last moment',
    { gaps: [lost(200, 200)] },
    ['unknown 0-110', 'data 110-200', 'gap:evicted 200-201', 'data 201-500', 'unknown 500-1000'],
  ],
  [
    'lost numbers leave doubt until the next sample',
    { gaps: [lost(200, 300)], sampleAfterGapUs: () => 333 },
    ['unknown 0-110', 'data 110-200', 'gap:evicted 200-333', 'data 333-500', 'unknown 500-1000'],
  ],
  [
    'lost numbers with no sample after them',
    { gaps: [lost(200, 300)], sampleAfterGapUs: () => undefined },
    ['unknown 0-110', 'data 110-200', 'gap:evicted 200-1000'],
  ],
  [
    'of two gaps the one of time is told',
    { gaps: [lost(200, 299), timeGap(250, 280)] },
    [
      ...['unknown 0-110', 'data 110-200', 'gap:evicted 200-250', 'gap:station-down 250-280'],
      ...['gap:evicted 280-300', 'data 300-500', 'unknown 500-1000'],
    ],
  ],
  [
    'connected and holding numbers beyond the coverage',
    { presence: { ...AWAY, producedTo: { s1: 12 } } },
    ['unknown 0-110', 'data 110-500', 'pending 500-1000'],
  ],
  ['connected and holding nothing', { presence: { ...AWAY, producedTo: { s1: 9 } } }, ALL_GOOD],
  [
    'a hole that the site still holds',
    {
      streams: [{ ...S1, coverage: [{ first: 5, last: 9, state: 'data' }] }],
      presence: { ...AWAY, producedTo: { s1: 9 } },
    },
    ['unknown 0-110', 'data 110-500', 'pending 500-1000'],
  ],
  [
    'a backlog of a stream that is not known yet',
    { presence: { ...AWAY, heldFromUs: { 1: 650 } } },
    ['unknown 0-110', 'data 110-500', 'unknown 500-650', 'pending 650-1000'],
  ],
  [
    'a backlog of one instance says nothing of the other',
    {
      streams: [S1, OTHER],
      gaps: [timeGap(700, 900)],
      presence: { ...AWAY, heldFromUs: { 2: 750 } },
    },
    [...['unknown 0-110', 'data 110-700', 'gap:station-down 700-750', 'pending 750-1000']],
  ],
  [
    'a gap outweighs pending',
    { gaps: [timeGap(600, 700)], presence: { ...AWAY, producedTo: { s1: 12 }, heldFromUs: { 1: 500 } } },
    ['unknown 0-110', 'data 110-500', 'pending 500-600', 'gap:station-down 600-700', 'pending 700-1000'],
  ],
  [
    'between two streams without a record',
    { streams: [{ ...S1, endedAtUs: 500 }, S2] },
    ['unknown 0-110', 'data 110-500', 'unknown 500-600', 'data 600-800', 'unknown 800-1000'],
  ],
  [
    'pending of an old stream stops where the next one starts',
    { streams: [S1, S2], presence: { ...AWAY, producedTo: { s1: 12, s2: 9 } } },
    ['unknown 0-110', 'data 110-500', 'pending 500-600', 'data 600-800', 'unknown 800-1000'],
  ],
  [
    'what another instance observed fills a gap of this one',
    { streams: [S1, OTHER], gaps: [timeGap(200, 400)] },
    ['unknown 0-110', 'data 110-200', 'gap:station-down 200-300', 'data 300-700', 'unknown 700-1000'],
  ],
  [
    'what a standby still holds is not of the time since it stood down',
    {
      streams: [S1, { ...OTHER, observedUntilUs: 600 }],
      gaps: [takeover(600, 700, 'o')],
      presence: {
        ...AWAY,
        producedTo: { s1: 12 },
        heldFromUs: { 1: 450, 2: 450 },
        observedUntilUs: { 1: 550 },
      },
    },
    ['unknown 0-110', 'data 110-600', 'gap:takeover 600-700', 'pending 700-1000'],
  ],
  [
    'the hole of a takeover is what neither observed',
    {
      streams: [
        { ...S1, observedUntilUs: 400 },
        { ...OTHER, startedAtUs: 100, observedUntilUs: 900 },
      ],
      gaps: [takeover(100, 460, 'o')],
    },
    ['unknown 0-110', 'data 110-400', 'gap:takeover 400-460', 'data 460-900', 'unknown 900-1000'],
  ],
  [
    'a standby that was never active says nothing',
    { streams: [S1, { ...OTHER, observedUntilUs: 300 }] },
    ALL_GOOD,
  ],
  [
    'nothing is known of the future',
    { presence: { ...AWAY, nowUs: 300 }, gaps: [timeGap(290, 400)] },
    ['unknown 0-110', 'data 110-290', 'gap:station-down 290-300', 'unknown 300-1000'],
  ],
];

describe('timeline', () => {
  test.each(TABLE)('%s', (_, input, segments) => {
    expect(told(input)).toEqual(segments);
  });

  test('always covers the interval, in order, without overlap, and neighbours differ', () => {
    const time = fc.integer({ min: 0, max: 60 });
    const span = fc.tuple(time, time);
    const id = fc.constantFrom('s1', 's2', 'o');
    const stream = fc.tuple(span, id, fc.boolean()).map(
      ([[startedAtUs, observedUntilUs], streamId, knowsTag]): TimelineStream => ({
        ...{ ...S1, startedAtUs, observedUntilUs, streamId, knowsTag },
        ...{ instance: streamId === 'o' ? 2 : 1 },
      }),
    );
    const gap = fc
      .tuple(span, fc.boolean(), id)
      .map(([[from, to], isTime, streamId]) =>
        isTime ? timeGap(from, to, streamId) : lost(from, to, streamId),
      );
    const quality = fc.record({ sourceTimeUs: time, quality: fc.constantFrom(0, 0x8000_0000, 0x800a_0000) });
    const presence = fc.record({
      producedTo: fc.constantFrom({}, { s1: 20 }),
      heldFromUs: fc.constantFrom({}, { 1: 20 }, { 2: 5 }, { 1: 40, 2: 3 }),
      nowUs: time,
    });
    fc.assert(
      fc.property(
        fc.record({
          span,
          streams: fc.array(stream, { maxLength: 4 }),
          gaps: fc.array(gap, { maxLength: 5 }),
          qualities: fc.array(quality, { maxLength: 6 }),
          presence,
        }),
        ({ span: [a, b], qualities, ...rest }) => {
          const [fromUs, toUs] = a < b ? [a, b] : [b, a];
          const ascending = qualities.toSorted((x, y) => x.sourceTimeUs - y.sourceTimeUs);
          const segments = timeline({ fromUs, toUs, qualities: ascending, ...rest });
          let at = fromUs;
          let before = '';
          for (const segment of segments) {
            expect(segment.fromUs).toBe(at);
            expect(segment.toUs).toBeGreaterThan(at);
            expect(`${segment.state} ${segment.reason}`).not.toBe(before);
            at = segment.toUs;
            before = `${segment.state} ${segment.reason}`;
          }
          expect(at).toBe(toUs);
        },
      ),
      { numRuns: 500 },
    );
  });
});
