import { BLOCK_ENTRIES_MAX } from '../domain/block/block.ts';
import { REASON_CHARACTERS_MAX, STREAMS_MAX } from './limits.ts';
import { type BlockRange, type Message, NACK_REASONS, type Nack, type StreamCoverage } from './messages.ts';
import { invalid, type Wire, type WireReader } from './wire-reader.ts';

type Ack = Extract<Message, { type: 'ack' }>;

export function coverageToWire(coverage: StreamCoverage): Wire {
  return { ...coverage, streamId: Buffer.from(coverage.streamId, 'hex') };
}

/** @throws KomError KOM_FRAME_INVALID */
export function coverageFromWire(wire: WireReader): StreamCoverage {
  return {
    streamId: wire.id('streamId'),
    throughSequence: wire.number('throughSequence'),
    held: wire.ranges('held'),
  };
}

export function ackToWire({ coverage, archived = [] }: Ack): Wire {
  return {
    coverage: coverage.map(coverageToWire),
    archived: archived.map((range) => ({ ...range, streamId: Buffer.from(range.streamId, 'hex') })),
  };
}

/** @throws KomError KOM_FRAME_INVALID */
export function ackFromWire(wire: WireReader): Ack {
  const coverage = wire.list('coverage', STREAMS_MAX).map(coverageFromWire);
  const archived = wire.list('archived', STREAMS_MAX).map(blockRangeFromWire);
  return archived.length === 0 ? { type: 'ack', coverage } : { type: 'ack', coverage, archived };
}

export function nackToWire(nack: Nack): Wire {
  return {
    ...nack,
    streamId: Buffer.from(nack.streamId, 'hex'),
    reason: NACK_REASONS.indexOf(nack.reason),
  };
}

/** @throws KomError KOM_FRAME_INVALID */
export function nackFromWire(wire: WireReader): Nack {
  return {
    ...blockRangeFromWire(wire),
    reason: wire.choice('reason', NACK_REASONS),
    text: wire.text('text').slice(0, REASON_CHARACTERS_MAX),
  };
}

function blockRangeFromWire(wire: WireReader): BlockRange {
  const firstSequence = wire.number('firstSequence');
  const lastSequence = wire.number('lastSequence');
  const count = lastSequence - firstSequence + 1;
  if (firstSequence < 1 || count < 1 || count > BLOCK_ENTRIES_MAX)
    throw invalid('a range that no block can have');
  return { streamId: wire.id('streamId'), firstSequence, lastSequence };
}
