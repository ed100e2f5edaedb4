import { BlockCodec } from '../domain/block/block.ts';
import { compress, decompress } from '../domain/block/compression.ts';
import { DICTIONARY_BYTES_MAX } from '../domain/dictionary.ts';
import { describeError, KomError } from '../domain/errors.ts';
import { SEQUENCE_GAP_REASONS, type SequenceGap } from '../domain/gap.ts';
import type { SampleValue } from '../domain/sample.ts';
import {
  ackFromWire,
  ackToWire,
  coverageFromWire,
  coverageToWire,
  nackFromWire,
  nackToWire,
} from './answer-codec.ts';
import { commandFromWire, commandToWire, resultFromWire, resultToWire } from './command-codec.ts';
import { frame } from './frame.ts';
import { kernelsFromWire, kernelsToWire } from './kernels-codec.ts';
import {
  LIVE_TEXT_BYTES_MAX,
  LIVE_VALUES_MAX,
  NAMED_DICTIONARIES_MAX,
  REASON_CHARACTERS_MAX,
  STREAMS_MAX,
  VERSION_CHARACTERS_MAX,
} from './limits.ts';
import {
  BYE_REASONS,
  HELLO_MAGIC,
  type Heartbeat,
  type Hello,
  LANES,
  type Live,
  type LiveValue,
  type Message,
  UPLINK_STATES,
  type Welcome,
} from './messages.ts';
import { FrameType } from './protobuf.ts';
import { redundancyFromWire, redundancyToWire } from './redundancy-codec.ts';
import { streamFromWire, streamToWire } from './stream-codec.ts';
import { checkWire } from './wire-check.ts';
import { invalid, type Wire, WireReader } from './wire-reader.ts';

/** The message as a frame, ready to send. */
export function encodeMessage(message: Message): Uint8Array {
  return frame(FrameType.encode(toWire(message)).finish());
}

/** The message in the payload of a frame. @throws KomError KOM_FRAME_INVALID, KOM_LIMIT_EXCEEDED */
export function decodeMessage(payload: Uint8Array): Message {
  checkWire(payload);
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
      return { dictionary: dictionaryToWire(message.hash, message.content) };
    case 'needDictionary':
      return { needDictionary: { hash: id(message.hash) } };
    case 'block':
      return { block: { ...message, block: message.bytes } };
    case 'gap':
      return { gap: { ...message.gap, streamId: id(message.gap.streamId) } };
    case 'ack':
      return { ack: ackToWire(message) };
    case 'nack':
      return { nack: nackToWire(message.nack) };
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
    case 'command':
      return { command: commandToWire(message.command) };
    case 'commandResult':
      return { commandResult: resultToWire(message.result) };
    case 'kernelWord':
    case 'forwardStreams':
    case 'forwardCoverage':
    case 'forwardTerms':
      return kernelsToWire(message);
    default:
      return redundancyToWire(message);
  }
}

function fromWire(wire: WireReader): Message {
  if (wire.has('hello')) return { type: 'hello', hello: helloFromWire(wire.message('hello')) };
  if (wire.has('welcome')) return { type: 'welcome', welcome: welcomeFromWire(wire.message('welcome')) };
  if (wire.has('heartbeat'))
    return { type: 'heartbeat', heartbeat: heartbeatFromWire(wire.message('heartbeat')) };
  if (wire.has('block')) {
    const block = wire.message('block');
    return {
      ...{ type: 'block', bytes: block.bytes('block') },
      ...(block.bool('repair') ? { repair: true } : {}),
      ...(block.bool('confirm') ? { confirm: true } : {}),
      ...(block.bool('fromArchive') ? { fromArchive: true } : {}),
      ...(block.bool('replayed') ? { replayed: true } : {}),
      ...(block.number('ageUs') > 0 ? { ageUs: block.number('ageUs') } : {}),
    };
  }
  if (wire.has('ack')) return ackFromWire(wire.message('ack'));
  if (wire.has('live')) return { type: 'live', live: liveFromWire(wire.message('live')) };
  if (wire.has('gap')) return { type: 'gap', gap: gapFromWire(wire.message('gap')) };
  if (wire.has('nack')) return { type: 'nack', nack: nackFromWire(wire.message('nack')) };
  if (wire.has('dictionary')) {
    const dictionary = wire.message('dictionary');
    return { type: 'dictionary', hash: dictionary.id('hash'), content: dictionaryContent(dictionary) };
  }
  if (wire.has('needDictionary'))
    return { type: 'needDictionary', hash: wire.message('needDictionary').id('hash') };
  if (wire.has('streamEnd')) {
    const end = wire.message('streamEnd');
    return {
      type: 'streamEnd',
      streamId: end.id('streamId'),
      lastSequence: end.sequence('lastSequence'),
      endedAtUs: end.timeUs('endedAtUs'),
    };
  }
  if (wire.has('bye')) {
    const bye = wire.message('bye');
    return {
      type: 'bye',
      // It is understood before a version is agreed upon, so also with a reason of a later one.
      reason: BYE_REASONS[bye.number('reason')] ?? 'unspecified',
      text: bye.text('text').slice(0, REASON_CHARACTERS_MAX),
    };
  }
  if (wire.has('command')) return { type: 'command', command: commandFromWire(wire.message('command')) };
  if (wire.has('commandResult'))
    return { type: 'commandResult', result: resultFromWire(wire.message('commandResult')) };
  const message = redundancyFromWire(wire) ?? kernelsFromWire(wire);
  if (message === null) throw invalid('it holds no message that this version knows');
  return message;
}

function dictionaryToWire(hash: string, content: Uint8Array): Wire {
  const { codec, bytes } = compress(content);
  return { hash: id(hash), content: bytes, codec, contentBytes: content.length };
}

function dictionaryContent(wire: WireReader): Uint8Array {
  const codec = wire.number('codec');
  const bytes = wire.bytes('content');
  if (codec === BlockCodec.plain) return bytes;
  const contentBytes = wire.number('contentBytes');
  if (contentBytes > DICTIONARY_BYTES_MAX) throw invalid('a dictionary is too long');
  try {
    const plain = decompress(codec, bytes, contentBytes);
    return new Uint8Array(plain.buffer, plain.byteOffset, plain.length);
  } catch (error) {
    throw invalid(`a dictionary does not decompress (${describeError(error)})`);
  }
}

function helloToWire(hello: Hello): Wire {
  return {
    ...hello,
    magic: HELLO_MAGIC,
    lane: LANES.indexOf(hello.lane),
    sessionId: id(hello.sessionId),
    siteHash: id(hello.siteHash),
    streams: hello.streams.map(streamToWire),
    dictionaryHashes: hello.dictionaryHashes.map(id),
    kernelIdentity: id(hello.kernelIdentity ?? ''),
  };
}

function helloFromWire(wire: WireReader): Hello {
  if (wire.number('magic') !== HELLO_MAGIC) throw invalid('the Hello does not carry the magic number');
  const kernelName = wire.name('kernelName');
  const kernelIdentity = wire.id('kernelIdentity', true);
  return {
    protocolMin: wire.number('protocolMin'),
    protocolMax: wire.number('protocolMax'),
    programVersion: wire.text('programVersion').slice(0, VERSION_CHARACTERS_MAX),
    lane: wire.choice('lane', LANES),
    sessionId: wire.id('sessionId', true),
    site: wire.name('site'),
    process: wire.name('process'),
    instance: wire.number('instance'),
    siteHash: wire.id('siteHash', true),
    wallUs: wire.timeUs('wallUs'),
    streams: wire.list('streams', STREAMS_MAX).map(streamFromWire),
    heartbeatMs: wire.number('heartbeatMs'),
    silenceMaxMs: wire.number('silenceMaxMs'),
    dictionaryHashes: wire.ids('dictionaryHashes', NAMED_DICTIONARIES_MAX),
    highestTerm: wire.number('highestTerm'),
    highestKernelEpoch: wire.number('highestKernelEpoch'),
    ...(wire.bool('isPartial') ? { isPartial: true as const } : {}),
    ...(kernelName === '' ? {} : { kernelName }),
    ...(kernelIdentity === '' ? {} : { kernelIdentity }),
  };
}

function welcomeToWire(welcome: Welcome): Wire {
  return {
    ...welcome,
    sessionId: id(welcome.sessionId),
    coverage: welcome.coverage.map(coverageToWire),
    knownDictionaries: welcome.knownDictionaries.map(id),
  };
}

function welcomeFromWire(wire: WireReader): Welcome {
  return {
    protocol: wire.number('protocol'),
    programVersion: wire.text('programVersion').slice(0, VERSION_CHARACTERS_MAX),
    sessionId: wire.id('sessionId'),
    wallUs: wire.timeUs('wallUs'),
    coverage: wire.list('coverage', STREAMS_MAX).map(coverageFromWire),
    heartbeatMs: wire.number('heartbeatMs'),
    silenceMaxMs: wire.number('silenceMaxMs'),
    knownDictionaries: wire.ids('knownDictionaries', NAMED_DICTIONARIES_MAX),
    kernelEpoch: wire.number('kernelEpoch'),
  };
}

function heartbeatToWire(heartbeat: Heartbeat): Wire {
  return {
    ...heartbeat,
    echoMonotonicUs: heartbeat.echo?.monotonicUs ?? 0,
    echoReceivedUs: heartbeat.echo?.receivedUs ?? 0,
    streams: heartbeat.streams.map(streamToWire),
    uplinkState: UPLINK_STATES.indexOf(heartbeat.uplinkState),
  };
}

function heartbeatFromWire(wire: WireReader): Heartbeat {
  const monotonicUs = wire.number('monotonicUs');
  const echo = { monotonicUs: wire.number('echoMonotonicUs'), receivedUs: wire.number('echoReceivedUs') };
  return {
    wallUs: wire.timeUs('wallUs'),
    streams: wire.list('streams', STREAMS_MAX).map(streamFromWire),
    observedUntilUs: wire.timeUs('observedUntilUs'),
    uplinkState: wire.choice('uplinkState', UPLINK_STATES),
    receivedBytes: wire.number('receivedBytes'),
    isPartial: wire.bool('isPartial'),
    ...(monotonicUs === 0 ? {} : { monotonicUs }),
    ...(echo.monotonicUs === 0 ? {} : { echo }),
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
    fromUs: wire.timeUs('fromUs'),
    toUs: wire.timeUs('toUs'),
    countAtMost: wire.number('countAtMost'),
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
        sequence: value.sequence('sequence'),
        sourceTimeUs: value.timeUs('sourceTimeUs'),
        quality: value.number('quality'),
        value: valueFromWire(value),
      }),
    ),
  };
}

function valueFromWire(wire: WireReader): SampleValue {
  if (wire.has('bool')) return wire.bool('bool');
  if (wire.has('float64')) return wire.float('float64');
  if (wire.has('text')) return liveText(wire.text('text'));
  if (!wire.has('int64')) return null;
  const bytes = wire.bytes('int64');
  if (bytes.length !== 8) throw invalid('an int64 is not 8 bytes long');
  return Buffer.from(bytes).readBigInt64LE();
}

function liveText(text: string): string {
  if (Buffer.byteLength(text) > LIVE_TEXT_BYTES_MAX) throw invalid('a live text is too long');
  return text;
}
