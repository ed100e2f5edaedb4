/* Messages of kernel.proto by their numbers, as far as a Kernel says or hears them. */

import type { Range } from './coverage.ts';
import { type Fields, frame, message } from './wire.ts';

export const FRAME = {
  ...{ hello: 1, welcome: 2, bye: 3, heartbeat: 4, dictionary: 5, needDictionary: 6, block: 7, gap: 8 },
  ...{ ack: 9, nack: 10, live: 11, streamEnd: 12, command: 32, commandResult: 33 },
  // Of version 2, which this Kernel does not speak.
  ...{ leaseRenewal: 13, lease: 14, peerState: 15, handover: 16, mirrorBlock: 17, mirrorStreams: 18 },
  ...{ spilled: 19, mirrorAck: 20, deliveryRight: 21 },
  // Of version 3.
  ...{ kernelWord: 22, forwardStreams: 23, forwardCoverage: 24, forwardTerms: 25 },
} as const;

export const LANE = { control: 0, data: 1, probe: 2 } as const;
export const BYE = {
  stopping: 1,
  protocolError: 2,
  version: 3,
  replaced: 4,
  forbidden: 5,
  timeout: 6,
} as const;
export const NACK = { undecodable: 1, tooLarge: 2, forbidden: 3 } as const;
const MAGIC = 0x314d4f4b;

export interface StreamState {
  readonly streamId: string;
  readonly startedAtUs: number;
  readonly previous: {
    readonly streamId: string;
    readonly lastDurable: number;
    readonly endedCleanly: boolean;
    readonly aliveUntilUs: number;
    readonly lostAtMost: number;
  } | null;
  readonly held: readonly Range[];
  readonly producedTo: number;
  readonly endedAtUs: number;
  readonly running: boolean;
}

export interface Hello {
  readonly protocolMin: number;
  readonly protocolMax: number;
  readonly lane: number;
  readonly sessionId: string;
  readonly owner: string;
  readonly wallUs: number;
  readonly streams: readonly StreamState[];
  readonly heartbeatMs: number;
  readonly silenceMaxMs: number;
  readonly dictionaries: readonly string[];
  readonly highestEpoch: number;
  readonly isPartial: boolean;
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

export function readHello(fields: Fields): Hello {
  const magic = Buffer.from(fields.bytes(1));
  if (magic.length !== 4 || magic.readUInt32LE() !== MAGIC) throw new Error('not of this protocol');
  return {
    protocolMin: fields.number(2),
    protocolMax: fields.number(3),
    lane: fields.number(5),
    sessionId: fields.hex(6),
    owner: JSON.stringify([fields.text(7), fields.text(8), fields.number(9)]),
    wallUs: fields.number(11),
    streams: fields.messages(12).map(readStream),
    heartbeatMs: fields.number(13),
    silenceMaxMs: fields.number(14),
    dictionaries: fields.all(15).map(hex),
    highestEpoch: fields.number(17),
    isPartial: fields.number(18) === 1,
  };
}

export function readStream(fields: Fields): StreamState {
  const [previous] = fields.messages(4);
  return {
    streamId: fields.hex(1),
    startedAtUs: fields.number(3),
    previous:
      previous === undefined
        ? null
        : {
            streamId: previous.hex(1),
            lastDurable: previous.number(2),
            endedCleanly: previous.number(3) === 1,
            aliveUntilUs: previous.number(4),
            lostAtMost: previous.number(5),
          },
    held: fields.messages(5).map((range) => ({ first: range.number(1), last: range.number(2) })),
    producedTo: fields.number(7),
    endedAtUs: fields.number(8),
    running: fields.number(9) === 1,
  };
}

export interface Told {
  readonly streamId: string;
  readonly through: number;
  readonly held: readonly Range[];
}

function coverage({ streamId, through, held }: Told): Uint8Array {
  const ranges = held.map(
    ({ first, last }) =>
      [
        3,
        message([
          [1, first],
          [2, last],
        ]),
      ] as const,
  );
  return message([[1, Buffer.from(streamId, 'hex')], [2, through], ...ranges]);
}

export function welcome(said: {
  readonly sessionId: string;
  readonly wallUs: number;
  readonly coverage?: readonly Told[];
  readonly heartbeatMs?: number;
  readonly silenceMaxMs?: number;
  readonly known?: readonly string[];
}): Uint8Array {
  return frame(
    FRAME.welcome,
    message([
      [1, 1],
      [2, 'third party'],
      [3, Buffer.from(said.sessionId, 'hex')],
      [4, said.wallUs],
      ...(said.coverage ?? []).map((each) => [5, coverage(each)] as const),
      [6, said.heartbeatMs ?? 0],
      [7, said.silenceMaxMs ?? 0],
      ...(said.known ?? []).map((each) => [8, Buffer.from(each, 'hex')] as const),
    ]),
  );
}

export function ack(told: readonly Told[], archived: readonly (Range & { streamId: string })[]): Uint8Array {
  const blocks = archived.map(({ streamId, first, last }) => {
    return [
      2,
      message([
        [1, Buffer.from(streamId, 'hex')],
        [2, first],
        [3, last],
      ]),
    ] as const;
  });
  return frame(FRAME.ack, message([...told.map((each) => [1, coverage(each)] as const), ...blocks]));
}

export function heartbeat(said: {
  readonly wallUs: number;
  readonly receivedBytes: number;
  readonly echo: { readonly monotonicUs: number; readonly receivedUs: number } | null;
}): Uint8Array {
  const { wallUs, receivedBytes, echo } = said;
  const echoed = [
    [8, echo?.monotonicUs ?? 0],
    [9, echo?.receivedUs ?? 0],
  ] as const;
  return frame(FRAME.heartbeat, message([[1, wallUs], [5, receivedBytes], ...echoed]));
}

export function bye(reason: number, text: string): Uint8Array {
  return frame(
    FRAME.bye,
    message([
      [1, reason],
      [2, text],
    ]),
  );
}

export function needDictionary(hash: string): Uint8Array {
  return frame(FRAME.needDictionary, message([[1, Buffer.from(hash, 'hex')]]));
}

export function nack(streamId: string, { first, last }: Range, reason: number, text: string): Uint8Array {
  const numbers = [
    [2, first],
    [3, last],
  ] as const;
  return frame(FRAME.nack, message([[1, Buffer.from(streamId, 'hex')], ...numbers, [4, reason], [5, text]]));
}
