import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeHeader } from '../domain/block/header.ts';
import { isKomError } from '../domain/errors.ts';
import { decodeMessage, encodeMessage } from './codec.ts';
import { FrameSplitter, frame } from './frame.ts';
import { FRAME_BYTES_MAX } from './limits.ts';
import type { Message } from './messages.ts';
import { BlockHeaderType } from './protobuf.ts';

const A = '00112233445566778899aabbccddeeff';
const B = 'ffeeddccbbaa99887766554433221100';

const MESSAGES: Message[] = [
  {
    type: 'hello',
    hello: {
      protocolMin: 1,
      protocolMax: 1,
      programVersion: '0.1.0',
      lane: 'control',
      sessionId: '',
      site: 'plant',
      process: 'KomA',
      instance: 1,
      siteHash: B,
      wallUs: 1_795_000_000_000_001,
      streams: [
        {
          streamId: A,
          bootId: B,
          startedAtUs: 5,
          previous: {
            streamId: B,
            lastDurableSequence: 2 ** 53 - 2,
            endedCleanly: false,
            aliveUntilUs: 4,
            lostAtMost: 1000,
          },
          held: [{ first: 1, last: 2 ** 40 }],
          heldFromUs: 3,
          producedTo: 2 ** 41,
          endedAtUs: null,
          running: true,
        },
      ],
      heartbeatMs: 400,
      silenceMaxMs: 1200,
      dictionaryHashes: [A, B],
      highestTerm: 2 ** 50,
      highestKernelEpoch: 12,
    },
  },
  {
    type: 'welcome',
    welcome: {
      protocol: 1,
      programVersion: '0.1.0',
      sessionId: A,
      wallUs: 7,
      coverage: [{ streamId: A, throughSequence: 9, held: [{ first: 11, last: 12 }] }],
      heartbeatMs: 400,
      silenceMaxMs: 1200,
      knownDictionaries: [B],
      kernelEpoch: 3,
    },
  },
  { type: 'bye', reason: 'protocol-error', text: 'why' },
  {
    type: 'heartbeat',
    heartbeat: {
      ...{ wallUs: 8, streams: [], observedUntilUs: 9, uplinkState: 'catch-up' as const },
      ...{ receivedBytes: 2 ** 40, isPartial: true },
      ...{ monotonicUs: 77, echo: { monotonicUs: 78, receivedUs: 1_795_000_000_000_002 } },
    },
  },
  { type: 'dictionary', hash: B, content: new Uint8Array(5000).fill(7) },
  { type: 'dictionary', hash: A, content: new Uint8Array([1, 2]) },
  { type: 'needDictionary', hash: A },
  { type: 'block', bytes: new Uint8Array([75, 66, 1]) },
  {
    type: 'gap',
    gap: {
      streamId: A,
      firstSequence: 5,
      lastSequence: Number.MAX_SAFE_INTEGER,
      reason: 'crash',
      fromUs: 1,
      toUs: 2,
      countAtMost: 3,
    },
  },
  { type: 'ack', coverage: [{ streamId: A, throughSequence: 0, held: [] }] },
  {
    type: 'nack',
    nack: { streamId: A, firstSequence: 1, lastSequence: 2, reason: 'undecodable', text: 'x' },
  },
  {
    type: 'live',
    live: {
      streamId: A,
      dictionaryHash: B,
      values: [-(2n ** 63n), 2n ** 63n - 1n, false, -0.5, Number.NaN, '', null].map((value, tagIndex) => ({
        tagIndex,
        sequence: 1,
        sourceTimeUs: 2,
        quality: 0x8000_0000,
        value,
      })),
    },
  },
  { type: 'streamEnd', streamId: A, lastSequence: 3, endedAtUs: 4 },
  { type: 'block', bytes: new Uint8Array([75, 66, 1]), repair: true, confirm: true },
  { type: 'block', bytes: new Uint8Array([75, 66, 1]), fromArchive: true, replayed: true },
  {
    type: 'ack',
    coverage: [],
    archived: [{ streamId: A, firstSequence: 4, lastSequence: 9 }],
  },
  {
    type: 'nack',
    nack: { streamId: A, firstSequence: 5, lastSequence: 5, reason: 'too-large', text: '' },
  },
  {
    type: 'command',
    command: {
      ...{ commandId: A, name: 'station', parameters: { station: 'P1', mode: 'off' }, operator: 'anna' },
      ...{ host: 'kernel-1', givenAtUs: 5, timeoutMs: 10_000 },
    },
  },
  {
    type: 'commandResult',
    result: { commandId: A, outcome: 'refused', text: 'not allowed', items: [{ a: '1' }] },
  },
];

function payloadsOf(bytes: Uint8Array): Uint8Array[] {
  return new FrameSplitter(FRAME_BYTES_MAX).push(bytes);
}

const normal = (message: Message): unknown =>
  JSON.parse(
    JSON.stringify(message, (_, value: unknown) =>
      typeof value === 'bigint' || Number.isNaN(value)
        ? String(value)
        : value instanceof Uint8Array
          ? [...value]
          : value,
    ),
  );

describe('messages of the uplink', () => {
  it.each(MESSAGES.map((message) => [message.type, message] as const))(
    '%s comes back as it was',
    (_, message) => {
      const [payload] = payloadsOf(encodeMessage(message));
      expect(normal(decodeMessage(payload!))).toEqual(normal(message));
    },
  );

  it('writes the block header that protobufjs reads', () => {
    const header = {
      streamId: A,
      firstSequence: 2 ** 40,
      count: 77,
      fromUs: 1_795_000_000_000_001,
      toUs: 1_795_000_000_900_001,
      dictionaryHash: B,
      sealedMonotonicUs: 123,
      codec: 1,
      bodyBytes: 999,
      isClockUncertain: true as const,
      term: 47,
    };
    const read = BlockHeaderType.toObject(BlockHeaderType.decode(encodeHeader(header)));
    expect({ ...read, streamId: undefined, dictionaryHash: undefined }).toEqual({
      streamId: undefined,
      firstSequence: 2 ** 40,
      count: 77,
      fromUs: header.fromUs,
      spanUs: 900_000,
      dictionaryHash: undefined,
      sealedMonotonicUs: 123,
      codec: 1,
      bodyBytes: 999,
      isClockUncertain: true,
      term: 47,
    });
    expect(Buffer.from(read['streamId'] as Uint8Array).toString('hex')).toBe(A);
  });

  it('finds the frames however the bytes are cut', () => {
    const stream = Buffer.concat(MESSAGES.map(encodeMessage));
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (steps) => {
        const splitter = new FrameSplitter(FRAME_BYTES_MAX);
        const types: string[] = [];
        for (let at = 0, turn = 0; at < stream.length; turn++) {
          const step = steps[turn % steps.length]!;
          for (const payload of splitter.push(stream.subarray(at, at + step)))
            types.push(decodeMessage(payload).type);
          at += step;
        }
        expect(types).toEqual(MESSAGES.map((message) => message.type));
      }),
    );
  });

  it('refuses a frame that is too large before it arrives', () => {
    const splitter = new FrameSplitter(100);
    expect(() => splitter.push(frame(new Uint8Array(101)).subarray(0, 2))).toThrowError(
      /larger than allowed/,
    );
  });

  it('answers mutated traffic with an operating error only', () => {
    const payloads = MESSAGES.flatMap((message) => payloadsOf(encodeMessage(message)));
    fc.assert(
      fc.property(
        fc.constantFrom(...payloads),
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 6 }),
        fc.nat(),
        (payload, changes, cut) => {
          const mutated = payload.slice(0, payload.length - (cut % 5));
          for (const [at, byte] of changes) if (mutated.length > 0) mutated[at % mutated.length] = byte;
          try {
            decodeMessage(mutated);
          } catch (error) {
            expect(isKomError(error, 'KOM_FRAME_INVALID'), String(error)).toBe(true);
          }
        },
      ),
      { numRuns: 3000 },
    );
  });
});
