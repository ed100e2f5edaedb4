import type { PreviousStream } from '../domain/stream.ts';
import type { StreamState } from './messages.ts';
import type { Wire, WireReader } from './wire-reader.ts';

const id = (hex: string): Uint8Array => Buffer.from(hex, 'hex');

/** The message StreamState. */
export function streamToWire(stream: StreamState): Wire {
  return {
    ...stream,
    streamId: id(stream.streamId),
    bootId: id(stream.bootId),
    previous: stream.previous === null ? null : previousToWire(stream.previous),
    endedAtUs: stream.endedAtUs ?? 0,
  };
}

/** @throws KomError KOM_FRAME_INVALID */
export function streamFromWire(wire: WireReader): StreamState {
  const ownerInstance = wire.instance('ownerInstance');
  return {
    streamId: wire.id('streamId'),
    bootId: wire.id('bootId', true),
    startedAtUs: wire.timeUs('startedAtUs'),
    previous: wire.has('previous') ? previousFromWire(wire.message('previous')) : null,
    held: wire.ranges('held'),
    heldFromUs: wire.timeUs('heldFromUs'),
    producedTo: wire.sequence('producedTo'),
    endedAtUs: wire.timeUs('endedAtUs') || null,
    running: wire.bool('running'),
    ...(ownerInstance === 0 ? {} : { ownerInstance }),
  };
}

export function previousToWire(previous: PreviousStream): Wire {
  return { ...previous, streamId: id(previous.streamId) };
}

export function previousFromWire(wire: WireReader): PreviousStream {
  return {
    streamId: wire.id('streamId'),
    lastDurableSequence: wire.sequence('lastDurableSequence'),
    endedCleanly: wire.bool('endedCleanly'),
    aliveUntilUs: wire.timeUs('aliveUntilUs'),
    lostAtMost: wire.number('lostAtMost'),
  };
}
