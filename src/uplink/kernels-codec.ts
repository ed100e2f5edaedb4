import type { CoverageRange, CoverageState } from '../domain/coverage.ts';
import { SEQUENCE_GAP_REASONS } from '../domain/gap.ts';
import { FORWARDED_RANGES_MAX, KERNELS_MAX, STREAMS_MAX, TERMS_MAX } from './limits.ts';
import type {
  ForwardedStream,
  ForwardedTerm,
  ForwardStream,
  KernelsMessage,
  KernelWord,
} from './messages.ts';
import { previousFromWire, previousToWire } from './stream-codec.ts';
import { invalid, type Wire, type WireReader } from './wire-reader.ts';

const id = (hex: string): Uint8Array => Buffer.from(hex, 'hex');

export function kernelsToWire(message: KernelsMessage): Wire {
  switch (message.type) {
    case 'kernelWord':
      return { kernelWord: wordToWire(message.word) };
    case 'forwardStreams':
      return { forwardStreams: { streams: message.streams.map(streamToWire) } };
    case 'forwardCoverage':
      return { forwardCoverage: { streams: message.streams.map(forwardedToWire) } };
    case 'forwardTerms':
      return { forwardTerms: { terms: message.terms.map(termToWire) } };
  }
}

/** `null`: it holds none of these. @throws KomError KOM_FRAME_INVALID */
export function kernelsFromWire(wire: WireReader): KernelsMessage | null {
  if (wire.has('kernelWord')) return { type: 'kernelWord', word: wordFromWire(wire.message('kernelWord')) };
  if (wire.has('forwardStreams')) {
    const streams = wire.message('forwardStreams').list('streams', STREAMS_MAX).map(streamFromWire);
    return { type: 'forwardStreams', streams };
  }
  if (wire.has('forwardCoverage')) {
    const streams = wire.message('forwardCoverage').list('streams', STREAMS_MAX).map(forwardedFromWire);
    return { type: 'forwardCoverage', streams };
  }
  if (wire.has('forwardTerms')) {
    const terms = wire.message('forwardTerms').list('terms', TERMS_MAX).map(termFromWire);
    return { type: 'forwardTerms', terms };
  }
  return null;
}

function wordToWire({ reign, identity = '', ...word }: KernelWord): Wire {
  return { ...word, ...reign, identity: id(identity) };
}

function wordFromWire(wire: WireReader): KernelWord {
  const identity = wire.id('identity', true);
  const wallUs = wire.timeUs('wallUs');
  const toGive = wire.number('toGive');
  return {
    name: wire.name('name'),
    reign: {
      epoch: wire.number('epoch'),
      hot: wire.name('hot'),
      revision: wire.number('revision'),
      inSync: wire.names('inSync', KERNELS_MAX),
    },
    takesSessions: wire.bool('takesSessions'),
    receivedBytes: wire.number('receivedBytes'),
    ...(identity === '' ? {} : { identity }),
    ...(wallUs === 0 ? {} : { wallUs }),
    ...(toGive === 0 ? {} : { toGive }),
  };
}

function streamToWire(stream: ForwardStream): Wire {
  return {
    ...stream,
    streamId: id(stream.streamId),
    bootId: id(stream.bootId),
    previous: stream.previous === null ? null : previousToWire(stream.previous),
    endedAtUs: stream.ended?.atUs ?? 0,
    endedSequence: stream.ended?.lastSequence ?? 0,
  };
}

function streamFromWire(wire: WireReader): ForwardStream {
  const endedAtUs = wire.timeUs('endedAtUs');
  return {
    site: wire.name('site'),
    process: wire.name('process'),
    instance: wire.instance('instance'),
    streamId: wire.id('streamId'),
    bootId: wire.id('bootId'),
    startedAtUs: wire.timeUs('startedAtUs'),
    previous: wire.has('previous') ? previousFromWire(wire.message('previous')) : null,
    observedUntilUs: wire.timeUs('observedUntilUs'),
    observedSequence: wire.number('observedSequence'),
    ended: endedAtUs === 0 ? null : { atUs: endedAtUs, lastSequence: wire.sequence('endedSequence') },
  };
}

function forwardedToWire({ streamId, coverage }: ForwardedStream): Wire {
  const ranges = coverage.slice(0, FORWARDED_RANGES_MAX);
  return {
    streamId: id(streamId),
    ranges: ranges.map(({ state, ...range }) => ({ ...range, reason: state === 'data' ? '' : state })),
  };
}

function forwardedFromWire(wire: WireReader): ForwardedStream {
  let before = 0;
  const coverage = wire.list('ranges', FORWARDED_RANGES_MAX).map((range): CoverageRange => {
    const [first, last] = [range.number('first'), range.number('last')];
    if (first <= before || last < first) throw invalid('covered ranges are empty or out of order');
    before = last;
    return { first, last, state: stateOf(range.text('reason')) };
  });
  return { streamId: wire.id('streamId'), coverage };
}

function termToWire({ holder: holderInstance, ...term }: ForwardedTerm): Wire {
  return { ...term, holderInstance };
}

function termFromWire(wire: WireReader): ForwardedTerm {
  const [site, process, term] = [wire.name('site'), wire.name('process'), wire.number('term')];
  return { site, process, term, holder: wire.instance('holderInstance') };
}

function stateOf(reason: string): CoverageState {
  if (reason === '') return 'data';
  const known = SEQUENCE_GAP_REASONS.find((each) => each === reason);
  if (known === undefined) throw invalid('a gap has an unknown reason');
  return known;
}
