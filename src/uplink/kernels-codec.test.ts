import { expect, it } from 'vitest';
import { OPEN_END } from '../domain/gap.ts';
import { decodeMessage, encodeMessage } from './codec.ts';
import { FrameSplitter, frame } from './frame.ts';
import { FRAME_BYTES_MAX } from './limits.ts';
import type { ForwardStream, Message } from './messages.ts';
import { FrameType } from './protobuf.ts';

const A = '00112233445566778899aabbccddeeff';
const B = 'ff'.repeat(16);

const STREAM: ForwardStream = {
  ...{ streamId: A, bootId: B, startedAtUs: 5, site: 'Plant 1', process: 'KomA', instance: 2 },
  previous: { streamId: B, lastDurableSequence: 9, endedCleanly: false, aliveUntilUs: 4, lostAtMost: 3 },
  ...{
    observedUntilUs: 1_795_000_000_000_001,
    observedSequence: OPEN_END,
    ended: { atUs: 7, lastSequence: 9 },
  },
};
const MESSAGES: readonly Message[] = [
  {
    type: 'kernelWord',
    word: {
      name: 'KernelB',
      reign: { epoch: 7, hot: 'KernelA', revision: 3, inSync: ['KernelA', 'KernelB'] },
      ...{ takesSessions: true, receivedBytes: 99, identity: B, wallUs: 1_795_000_000_000_001 },
      toGive: 6_000_000,
    },
  },
  {
    type: 'kernelWord',
    word: {
      name: 'B',
      reign: { epoch: 0, hot: '', revision: 0, inSync: [] },
      ...{ takesSessions: false, receivedBytes: 0 },
    },
  },
  { type: 'block', bytes: Uint8Array.of(1, 2), ageUs: 4_000_000_000 },
  { type: 'forwardStreams', streams: [STREAM, { ...STREAM, streamId: B, previous: null, ended: null }] },
  {
    type: 'forwardCoverage',
    streams: [
      {
        streamId: A,
        coverage: [
          { first: 1, last: 10, state: 'data' },
          { first: 11, last: 12, state: 'evicted' },
          { first: 20, last: OPEN_END, state: 'crash' },
        ],
      },
      { streamId: B, coverage: [] },
    ],
  },
  {
    type: 'forwardTerms',
    terms: [
      { site: 'Plant 1', process: 'KomA', term: 2 ** 52, holder: 2 },
      { site: 'Plant 1', process: 'KomB', term: 31, holder: 0 },
    ],
  },
];

function roundTrip(message: Message): Message {
  const [payload] = [...new FrameSplitter(FRAME_BYTES_MAX).push(encodeMessage(message))];
  if (payload === undefined) throw new Error('no frame');
  return decodeMessage(payload);
}

it.each(MESSAGES)('a message between Kernels is what it was: $type', (message) => {
  expect(roundTrip(message)).toEqual(message);
});

it.each([
  [
    'ranges out of order',
    { streams: [{ streamId: Buffer.from(A, 'hex'), ranges: [{ first: 5, last: 4 }] }] },
  ],
  [
    'ranges that overlap',
    {
      streams: [
        {
          streamId: Buffer.from(A, 'hex'),
          ranges: [
            { first: 1, last: 4 },
            { first: 4, last: 5 },
          ],
        },
      ],
    },
  ],
  [
    'a reason that nobody knows',
    { streams: [{ streamId: Buffer.from(A, 'hex'), ranges: [{ first: 1, last: 4, reason: 'boredom' }] }] },
  ],
])('it refuses %s', (_, forwardCoverage) => {
  const bytes = frame(FrameType.encode(FrameType.create({ forwardCoverage })).finish());
  const [payload] = [...new FrameSplitter(FRAME_BYTES_MAX).push(bytes)];
  expect(() => decodeMessage(payload ?? new Uint8Array())).toThrow();
});

it('it refuses more Kernels than a group can have', () => {
  const inSync = Array.from({ length: 65 }, (_, at) => `K${at}`);
  const reign = { epoch: 1, hot: 'K1', revision: 0, inSync };
  const word = { name: 'K1', reign, takesSessions: false, receivedBytes: 0 };
  expect(() => roundTrip({ type: 'kernelWord', word })).toThrow('more than 64');
});
