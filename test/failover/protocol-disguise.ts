import { FrameSplitter, frame } from '../../src/uplink/frame.ts';
import { PROTOCOL_VERSION_MAX } from '../../src/uplink/messages.ts';
import { FrameType } from '../../src/uplink/protobuf.ts';
import type { Disguise, WireDisguise } from './loose-cable.ts';

const FRAME_BYTES_MAX = 8 * 1024 * 1024;
/** Messages that came with version 2: `Frame`, fields 13 to 21. */
const SINCE_VERSION_2 = new Set([
  ...['leaseRenewal', 'lease', 'peerState', 'handover', 'mirrorBlock'],
  ...['mirrorStreams', 'spilled', 'mirrorAck', 'deliveryRight'],
]);
/** No message has a field of this number. */
const UNKNOWN_FIELD = 1900;

/** A message of a frame, as protobuf has it: one field with its name. */
type Fields = Record<string, Record<string, unknown>>;

/**
 * What runs through a cable as if one of its ends were a program of another protocol version. Version 1: no
 * Hello offers more, and no message of a later one may pass. A version that is still to come: a Hello offers
 * it, and each message has fields that this program does not know.
 */
export class ProtocolDisguise implements Disguise {
  /** Messages that the version that was agreed upon does not have. */
  readonly breaches: string[] = [];
  /** The versions that Welcomes named, by the address that the connection came from. */
  readonly agreed = new Map<string, Set<number>>();
  readonly #versions = new Map<string, number>();

  /** What comes from an address (`''`: from anybody) is of this version; holds for connections to come. */
  speak(version: number, from = ''): void {
    this.#versions.set(from, version);
  }

  wire(from: string): WireDisguise {
    const version = this.#versions.get(from) ?? this.#versions.get('') ?? PROTOCOL_VERSION_MAX;
    const welcomed = (protocol: number): void => {
      this.agreed.set(from, (this.agreed.get(from) ?? new Set()).add(protocol));
    };
    const seen = (fields: Fields): void => {
      if (fields['welcome'] !== undefined) welcomed(Number(fields['welcome']['protocol']));
      const [name = ''] = Object.keys(fields);
      if (version === 1 && SINCE_VERSION_2.has(name)) this.breaches.push(`${name} from or to ${from}`);
    };
    const there = new Direction(version, seen);
    const back = new Direction(version, seen);
    return {
      toFar: (bytes) => there.pass(bytes, back),
      toNear: (bytes) => back.pass(bytes, there),
    };
  }
}

/** One direction of a connection: frames as they came, and as they go on. */
class Direction {
  readonly #version: number;
  readonly #seen: (fields: Fields) => void;
  readonly #splitter = new FrameSplitter(FRAME_BYTES_MAX);
  /** Where each frame ended, as it came and as it went on. */
  #ends: { readonly came: number; readonly went: number }[] = [{ came: 0, went: 0 }];

  constructor(version: number, seen: (fields: Fields) => void) {
    this.#version = version;
    this.#seen = seen;
  }

  pass(bytes: Uint8Array, opposite: Direction): Uint8Array {
    return Buffer.concat(this.#splitter.push(bytes).map((payload) => this.#frame(payload, opposite)));
  }

  #frame(payload: Uint8Array, opposite: Direction): Uint8Array {
    const fields = FrameType.toObject(FrameType.decode(payload)) as Fields;
    this.#seen(fields);
    const changed = this.#version === PROTOCOL_VERSION_MAX ? payload : this.#translate(fields, opposite);
    const went = frame(changed);
    const last = this.#ends.at(-1) ?? { came: 0, went: 0 };
    this.#ends.push({ came: last.came + frame(payload).length, went: last.went + went.length });
    return went;
  }

  #translate(fields: Fields, opposite: Direction): Uint8Array {
    const { hello, heartbeat, peerState } = fields;
    if (hello !== undefined) hello['protocolMax'] = this.#version;
    for (const message of [heartbeat, peerState]) {
      const received = message?.['receivedBytes'];
      // Each end counts what it sent itself.
      if (message !== undefined && typeof received === 'number')
        message['receivedBytes'] = opposite.cameOf(received);
    }
    if (this.#version <= PROTOCOL_VERSION_MAX) return FrameType.encode(FrameType.create(fields)).finish();
    return withUnknown(fields);
  }

  /** How much had come when so much had gone on. */
  cameOf(went: number): number {
    const at = this.#ends.findLastIndex((end) => end.went <= went);
    const [end, next] = this.#ends.slice(at, at + 2);
    if (end === undefined) return 0;
    // What is reported is never less again.
    this.#ends.splice(0, at);
    return end.came + Math.min(went - end.went, (next?.came ?? end.came) - end.came);
  }
}

/** The frame, with a text and a number that nobody knows behind the fields of its message. */
function withUnknown(fields: Fields): Uint8Array {
  const [name = ''] = Object.keys(fields);
  const field = FrameType.fields[name];
  if (field === undefined) throw new Error('a frame has one message');
  const frameBytes = FrameType.encode(FrameType.create(fields)).finish();
  // Behind its tag (one byte, or two) comes the length of the message, which is all of the frame.
  const message = frameBytes.subarray(headBytes(frameBytes));
  const unknown = [
    ...[...varint(UNKNOWN_FIELD * 8 + 2), ...varint(5), ...Buffer.from('later')],
    ...[...varint((UNKNOWN_FIELD + 1) * 8), 7],
  ];
  const tag = varint(field.id * 8 + 2);
  return Buffer.from([...tag, ...varint(message.length + unknown.length), ...message, ...unknown]);
}

function headBytes(frameBytes: Uint8Array): number {
  let at = 0;
  for (const _ of ['tag', 'length']) {
    while ((frameBytes[at] ?? 0) >= 0x80) at++;
    at++;
  }
  return at;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return [...bytes, rest];
}
