import type { SequenceRange } from '../domain/coverage.ts';
import { describeError, KomError } from '../domain/errors.ts';
import { SEQUENCE_GAP_REASONS, type SequenceGap } from '../domain/gap.ts';
import type { SampleValue } from '../domain/sample.ts';
import type { PreviousStream } from '../domain/stream.ts';
import { frame } from './frame.ts';
import {
  BYE_REASONS,
  HELLO_MAGIC,
  type Heartbeat,
  type Hello,
  LIVE_VALUES_MAX,
  type Live,
  type LiveValue,
  type Message,
  NACK_REASONS,
  type Nack,
  RANGES_MAX,
  STREAMS_MAX,
  type StreamCoverage,
  type StreamState,
  UPLINK_STATES,
  type Welcome,
} from './messages.ts';
import { FrameType } from './protobuf.ts';

/** The message as a frame, ready to send. */
export function encodeMessage(message: Message): Uint8Array {
  return frame(FrameType.encode(FrameType.create(toWire(message))).finish());
}

/** The message in the payload of a frame. @throws KomError KOM_FRAME_INVALID */
export function decodeMessage(payload: Uint8Array): Message {
  let wire: Wire;
  try {
    wire = FrameType.toObject(FrameType.decode(payload), { defaults: true, arrays: true }) as Wire;
  } catch (cause) {
    throw new KomError('KOM_FRAME_INVALID', `it is not a protobuf message (${describeError(cause)})`, {
      cause,
    });
  }
  return fromWire(new WireReader(wire));
}

type Wire = Readonly<Record<string, unknown>>;

/** Reads fields that may be missing or of any type: the other side wrote them. */
class WireReader {
  readonly #fields: Wire;

  constructor(fields: Wire) {
    this.#fields = fields;
  }

  has(name: string): boolean {
    return this.#fields[name] !== undefined && this.#fields[name] !== null;
  }

  number(name: string): number {
    const value = this.#fields[name] ?? 0;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
      throw invalid(`field ${name} is not a whole number below 2^53`);
    }
    return value;
  }

  float(name: string): number {
    return Number(this.#fields[name] ?? 0);
  }

  bool(name: string): boolean {
    return this.#fields[name] === true;
  }

  text(name: string): string {
    return String(this.#fields[name] ?? '');
  }

  bytes(name: string): Uint8Array {
    const value = this.#fields[name];
    return value instanceof Uint8Array ? value : new Uint8Array();
  }

  /** A 128-bit identity, or empty where the field may be missing. */
  id(name: string, optional = false): string {
    const bytes = this.bytes(name);
    if (bytes.length !== 16 && !(optional && bytes.length === 0))
      throw invalid(`field ${name} is not 128 bits long`);
    return Buffer.from(bytes).toString('hex');
  }

  message(name: string): WireReader {
    return new WireReader((this.#fields[name] ?? {}) as Wire);
  }

  list(name: string, max: number): WireReader[] {
    const value = this.#fields[name];
    const items = Array.isArray(value) ? (value as Wire[]) : [];
    if (items.length > max) throw invalid(`field ${name} has more than ${max} entries`);
    return items.map((item) => new WireReader(item));
  }

  choice<T extends string>(name: string, choices: readonly T[]): T {
    const choice = choices[this.number(name)];
    if (choice === undefined) throw invalid(`field ${name} has an unknown value`);
    return choice;
  }
}

function invalid(what: string): KomError {
  return new KomError('KOM_FRAME_INVALID', what);
}

const id = (hex: string): Uint8Array => Buffer.from(hex, 'hex');

function toWire(message: Message): Wire {
  switch (message.type) {
    case 'hello':
      return { hello: helloToWire(message.hello) };
    case 'welcome':
      return { welcome: welcomeToWire(message.welcome) };
    case 'bye':
      return { bye: { reason: BYE_REASONS.indexOf(message.reason), text: message.text } };
    case 'heartbeat':
      return { heartbeat: heartbeatToWire(message.heartbeat) };
    case 'dictionary':
      return { dictionary: { hash: id(message.hash), content: message.content } };
    case 'needDictionary':
      return { needDictionary: { hash: id(message.hash) } };
    case 'block':
      return { block: { block: message.bytes } };
    case 'gap':
      return { gap: { ...message.gap, streamId: id(message.gap.streamId) } };
    case 'ack':
      return { ack: { coverage: message.coverage.map(coverageToWire) } };
    case 'nack':
      return {
        nack: {
          ...message.nack,
          streamId: id(message.nack.streamId),
          reason: NACK_REASONS.indexOf(message.nack.reason),
        },
      };
    case 'live':
      return { live: liveToWire(message.live) };
    case 'streamEnd':
      return {
        streamEnd: {
          streamId: id(message.streamId),
          lastSequence: message.lastSequence,
          endedAtUs: message.endedAtUs,
        },
      };
  }
}

function fromWire(wire: WireReader): Message {
  if (wire.has('hello')) return { type: 'hello', hello: helloFromWire(wire.message('hello')) };
  if (wire.has('welcome')) return { type: 'welcome', welcome: welcomeFromWire(wire.message('welcome')) };
  if (wire.has('heartbeat'))
    return { type: 'heartbeat', heartbeat: heartbeatFromWire(wire.message('heartbeat')) };
  if (wire.has('block')) return { type: 'block', bytes: wire.message('block').bytes('block') };
  if (wire.has('ack')) {
    return { type: 'ack', coverage: wire.message('ack').list('coverage', STREAMS_MAX).map(coverageFromWire) };
  }
  if (wire.has('live')) return { type: 'live', live: liveFromWire(wire.message('live')) };
  if (wire.has('gap')) return { type: 'gap', gap: gapFromWire(wire.message('gap')) };
  if (wire.has('nack')) return { type: 'nack', nack: nackFromWire(wire.message('nack')) };
  if (wire.has('dictionary')) {
    const dictionary = wire.message('dictionary');
    return { type: 'dictionary', hash: dictionary.id('hash'), content: dictionary.bytes('content') };
  }
  if (wire.has('needDictionary'))
    return { type: 'needDictionary', hash: wire.message('needDictionary').id('hash') };
  if (wire.has('streamEnd')) {
    const end = wire.message('streamEnd');
    return {
      type: 'streamEnd',
      streamId: end.id('streamId'),
      lastSequence: end.number('lastSequence'),
      endedAtUs: end.number('endedAtUs'),
    };
  }
  if (wire.has('bye')) {
    const bye = wire.message('bye');
    return { type: 'bye', reason: bye.choice('reason', BYE_REASONS), text: bye.text('text').slice(0, 500) };
  }
  throw invalid('it holds no message that this version knows');
}

function helloToWire(hello: Hello): Wire {
  return {
    ...hello,
    magic: HELLO_MAGIC,
    lane: hello.lane === 'data' ? 1 : 0,
    sessionId: id(hello.sessionId),
    siteHash: id(hello.siteHash),
    streams: hello.streams.map(streamToWire),
  };
}

function helloFromWire(wire: WireReader): Hello {
  if (wire.number('magic') !== HELLO_MAGIC) throw invalid('the Hello does not carry the magic number');
  return {
    protocolMin: wire.number('protocolMin'),
    protocolMax: wire.number('protocolMax'),
    programVersion: wire.text('programVersion').slice(0, 100),
    lane: wire.choice('lane', ['control', 'data']),
    sessionId: wire.id('sessionId', true),
    site: wire.text('site').slice(0, 200),
    process: wire.text('process').slice(0, 200),
    instance: wire.number('instance'),
    siteHash: wire.id('siteHash', true),
    wallUs: wire.number('wallUs'),
    streams: wire.list('streams', STREAMS_MAX).map(streamFromWire),
  };
}

function streamToWire(stream: StreamState): Wire {
  return {
    ...stream,
    streamId: id(stream.streamId),
    bootId: id(stream.bootId),
    previous: stream.previous === null ? null : previousToWire(stream.previous),
    endedAtUs: stream.endedAtUs ?? 0,
  };
}

function streamFromWire(wire: WireReader): StreamState {
  return {
    streamId: wire.id('streamId'),
    bootId: wire.id('bootId', true),
    startedAtUs: wire.number('startedAtUs'),
    previous: wire.has('previous') ? previousFromWire(wire.message('previous')) : null,
    held: rangesFromWire(wire, 'held'),
    heldFromUs: wire.number('heldFromUs'),
    producedTo: wire.number('producedTo'),
    endedAtUs: wire.number('endedAtUs') || null,
    running: wire.bool('running'),
  };
}

function previousToWire(previous: PreviousStream): Wire {
  return { ...previous, streamId: id(previous.streamId) };
}

function previousFromWire(wire: WireReader): PreviousStream {
  return {
    streamId: wire.id('streamId'),
    lastDurableSequence: wire.number('lastDurableSequence'),
    endedCleanly: wire.bool('endedCleanly'),
    aliveUntilUs: wire.number('aliveUntilUs'),
    lostAtMost: wire.number('lostAtMost'),
  };
}

function rangesFromWire(wire: WireReader, name: string): SequenceRange[] {
  return wire.list(name, RANGES_MAX).map((range) => {
    const first = range.number('first');
    const last = range.number('last');
    if (first < 1 || last < first) throw invalid(`field ${name} has an empty range`);
    return { first, last };
  });
}

function welcomeToWire(welcome: Welcome): Wire {
  return { ...welcome, sessionId: id(welcome.sessionId), coverage: welcome.coverage.map(coverageToWire) };
}

function welcomeFromWire(wire: WireReader): Welcome {
  return {
    protocol: wire.number('protocol'),
    programVersion: wire.text('programVersion').slice(0, 100),
    sessionId: wire.id('sessionId'),
    wallUs: wire.number('wallUs'),
    coverage: wire.list('coverage', STREAMS_MAX).map(coverageFromWire),
  };
}

function coverageToWire(coverage: StreamCoverage): Wire {
  return { ...coverage, streamId: id(coverage.streamId) };
}

function coverageFromWire(wire: WireReader): StreamCoverage {
  return {
    streamId: wire.id('streamId'),
    throughSequence: wire.number('throughSequence'),
    held: rangesFromWire(wire, 'held'),
  };
}

function heartbeatToWire(heartbeat: Heartbeat): Wire {
  return {
    ...heartbeat,
    streams: heartbeat.streams.map(streamToWire),
    uplinkState: UPLINK_STATES.indexOf(heartbeat.uplinkState),
  };
}

function heartbeatFromWire(wire: WireReader): Heartbeat {
  return {
    wallUs: wire.number('wallUs'),
    streams: wire.list('streams', STREAMS_MAX).map(streamFromWire),
    observedUntilUs: wire.number('observedUntilUs'),
    uplinkState: wire.choice('uplinkState', UPLINK_STATES),
  };
}

function gapFromWire(wire: WireReader): SequenceGap {
  const reason = SEQUENCE_GAP_REASONS.find((each) => each === wire.text('reason'));
  const firstSequence = wire.number('firstSequence');
  const lastSequence = wire.number('lastSequence');
  if (reason === undefined || firstSequence < 1 || lastSequence < firstSequence) {
    throw invalid('a gap has an unknown reason or an empty range');
  }
  return {
    streamId: wire.id('streamId'),
    firstSequence,
    lastSequence,
    reason,
    fromUs: wire.number('fromUs'),
    toUs: wire.number('toUs'),
    countAtMost: wire.number('countAtMost'),
  };
}

function nackFromWire(wire: WireReader): Nack {
  return {
    streamId: wire.id('streamId'),
    firstSequence: wire.number('firstSequence'),
    lastSequence: wire.number('lastSequence'),
    reason: wire.choice('reason', NACK_REASONS),
    text: wire.text('text').slice(0, 500),
  };
}

function liveToWire(live: Live): Wire {
  return {
    streamId: id(live.streamId),
    dictionaryHash: id(live.dictionaryHash),
    values: live.values.map(({ value, ...rest }) => ({ ...rest, ...valueToWire(value) })),
  };
}

function valueToWire(value: SampleValue): Wire {
  if (typeof value === 'boolean') return { bool: value };
  if (typeof value === 'number') return { float64: value };
  if (typeof value === 'string') return { text: value };
  if (value === null) return {};
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(value);
  return { int64: bytes };
}

function liveFromWire(wire: WireReader): Live {
  return {
    streamId: wire.id('streamId'),
    dictionaryHash: wire.id('dictionaryHash'),
    values: wire.list('values', LIVE_VALUES_MAX).map(
      (value): LiveValue => ({
        tagIndex: value.number('tagIndex'),
        sequence: value.number('sequence'),
        sourceTimeUs: value.number('sourceTimeUs'),
        quality: value.number('quality'),
        value: valueFromWire(value),
      }),
    ),
  };
}

function valueFromWire(wire: WireReader): SampleValue {
  if (wire.has('bool')) return wire.bool('bool');
  if (wire.has('float64')) return wire.float('float64');
  if (wire.has('text')) return wire.text('text');
  if (!wire.has('int64')) return null;
  const bytes = wire.bytes('int64');
  if (bytes.length !== 8) throw invalid('an int64 is not 8 bytes long');
  return Buffer.from(bytes).readBigInt64LE();
}
