import { describe, expect, it } from 'vitest';
import type { ActivationState, LeaseClaim } from '../domain/lease.ts';
import { decodeMessage, encodeMessage } from './codec.ts';
import { FrameSplitter, frame } from './frame.ts';
import { FRAME_BYTES_MAX } from './limits.ts';
import type { Hello, Message, PeerWord } from './messages.ts';
import { FrameType } from './protobuf.ts';

const A = '00112233445566778899aabbccddeeff';

const STATE: ActivationState = {
  ...{ role: 'active', ownTerm: 31, highestTerm: 47, unfit: null },
  ...{ isLeaving: true, preferred: { instance: 2, setAtUs: 1_795_000_000_000_001 } },
};
const CLAIM: LeaseClaim = {
  ...{ ...STATE, releasedTerm: 15, peerGone: true, preferHoldOffMs: 10_000, leaseMs: 1200 },
  wish: { to: 2, operator: 'anna', force: true },
};
const PLAIN: LeaseClaim = {
  ...{ role: 'starting', ownTerm: 0, highestTerm: 0, unfit: null, isLeaving: false },
  ...{
    preferred: { instance: 0, setAtUs: 0 },
    releasedTerm: 0,
    peerGone: false,
    preferHoldOffMs: 0,
    leaseMs: 0,
  },
  wish: null,
};
const WORD: PeerWord = {
  ...{ ...STATE, role: 'suspended', unfit: 'no line answers', hasLease: true, kernelAnswers: false },
  ...{ siteHash: A, programVersion: '0.2.0', stationsAnswering: 3, stations: 4 },
  ...{
    observedAgeUs: { 'P 1': 0, bus: 1_200_000 },
    mirrorLagBytes: 2 ** 40,
    sentUs: 5,
    echoUs: 0,
    receivedBytes: 77,
  },
};
const STREAM = {
  ...{ streamId: A, bootId: A, startedAtUs: 5, previous: null, held: [{ first: 1, last: 2 }] },
  ...{ heldFromUs: 3, producedTo: 9, endedAtUs: null, running: true },
};

const MESSAGES: readonly Message[] = [
  { type: 'leaseRenewal', echoUs: 2 ** 52, claim: { ...CLAIM, unfit: 'the certificate has expired' } },
  { type: 'leaseRenewal', echoUs: 1, claim: PLAIN },
  {
    type: 'lease',
    echoUs: 7,
    answer: { kind: 'held-by-other', term: 2 ** 52, holder: 15, durationMs: 1200, reason: 'preferred' },
  },
  { type: 'lease', echoUs: 7, answer: { kind: 'unable', term: 0, holder: 0, durationMs: 0, reason: '' } },
  { type: 'peerState', state: WORD },
  { type: 'handover', request: { to: 2, operator: 'anna', force: true } },
  { type: 'mirrorBlock', bytes: new Uint8Array([75, 66, 2]), isSpilled: true },
  { type: 'mirrorStreams', streams: [STREAM, { ...STREAM, ownerInstance: 2 }] },
  { type: 'spilled', streamId: A, throughSequence: 2 ** 52 },
  { type: 'mirrorAck', coverage: [{ streamId: A, throughSequence: 9, held: [{ first: 11, last: 12 }] }] },
  { type: 'deliveryRight', streamIds: [A] },
  { type: 'deliveryRight', streamIds: [] },
];

function payloadOf(bytes: Uint8Array): Uint8Array {
  return new FrameSplitter(FRAME_BYTES_MAX).push(bytes)[0] ?? new Uint8Array();
}

/** What arrives of the fields of a frame. */
function read(fields: Record<string, unknown>): Message {
  return decodeMessage(payloadOf(frame(FrameType.encode(FrameType.create(fields)).finish())));
}

describe('messages of the activation', () => {
  it.each(MESSAGES.map((message) => [message.type, message] as const))(
    '%s comes back as it was',
    (_, message) => {
      const back = decodeMessage(payloadOf(encodeMessage(message)));
      const plain = 'bytes' in back ? { ...back, bytes: new Uint8Array(back.bytes) } : back;
      expect(plain).toEqual(message);
    },
  );

  it('refuses roles, kinds and instances that there are not, and more lines than a server has', () => {
    const lines = Array.from({ length: 1001 }, (_, at) => ({ name: `l${at}`, observedAgeUs: 1 }));
    const wrong = [
      { leaseRenewal: { role: 9 } },
      { leaseRenewal: { preferredInstance: 16 } },
      { leaseRenewal: { wish: { toInstance: 16 } } },
      { lease: { kind: 9 } },
      { lease: { kind: 1, holderInstance: 16 } },
      { handover: { toInstance: 99, operator: 'anna' } },
      { handover: { toInstance: 1, operator: 'an\u0000na' } },
      { peerState: { role: 9 } },
      { peerState: { siteHash: new Uint8Array(3) } },
      { peerState: { lines } },
      { mirrorStreams: { streams: [{ streamId: Buffer.from(A, 'hex'), ownerInstance: 16 }] } },
      { spilled: { streamId: new Uint8Array(3) } },
      { deliveryRight: { streamIds: [new Uint8Array(3)] } },
    ];
    for (const fields of wrong) {
      expect(() => read(fields)).toThrow(expect.objectContaining({ code: 'KOM_FRAME_INVALID' }));
    }
  });

  it('reads what an older side says of a stream, and the Hello of a peer', () => {
    const { streamId } = STREAM;
    const back = read({
      ...{ mirrorStreams: { streams: [{ streamId: Buffer.from(streamId, 'hex'), running: true }] } },
    });
    expect(back).toMatchObject({ streams: [{ streamId, running: true }] });
    expect(back.type === 'mirrorStreams' && back.streams[0]).not.toHaveProperty('ownerInstance');
    const hello: Hello = {
      ...{ protocolMin: 1, protocolMax: 2, programVersion: 'x', lane: 'peer', sessionId: '', site: 's' },
      ...{ process: 'p', instance: 1, siteHash: A, wallUs: 1, streams: [], heartbeatMs: 0, silenceMaxMs: 0 },
      ...{ dictionaryHashes: [], highestTerm: 31, highestKernelEpoch: 0 },
    };
    expect(decodeMessage(payloadOf(encodeMessage({ type: 'hello', hello })))).toEqual({
      type: 'hello',
      hello,
    });
  });
});
