import {
  type ActivationState,
  type HandoverRequest,
  LEASE_KINDS,
  type LeaseClaim,
  ROLES,
} from '../domain/lease.ts';
import { coverageFromWire, coverageToWire } from './answer-codec.ts';
import { PEER_LINES_MAX, REASON_CHARACTERS_MAX, STREAMS_MAX, VERSION_CHARACTERS_MAX } from './limits.ts';
import type { PeerWord, RedundancyMessage } from './messages.ts';
import { streamFromWire, streamToWire } from './stream-codec.ts';
import type { Wire, WireReader } from './wire-reader.ts';

const id = (hex: string): Uint8Array => Buffer.from(hex, 'hex');

export function redundancyToWire(message: RedundancyMessage): Wire {
  switch (message.type) {
    case 'leaseRenewal':
      return { leaseRenewal: { echoUs: message.echoUs, ...claimToWire(message.claim) } };
    case 'lease': {
      const { kind, term, holder, durationMs, reason } = message.answer;
      const holding = { kind: LEASE_KINDS.indexOf(kind), term, holderInstance: holder };
      return { lease: { echoUs: message.echoUs, ...holding, durationMs, reason } };
    }
    case 'peerState':
      return { peerState: peerWordToWire(message.state) };
    case 'handover':
      return { handover: handoverToWire(message.request) };
    case 'mirrorBlock':
      return { mirrorBlock: { block: message.bytes, isSpilled: message.isSpilled } };
    case 'mirrorStreams':
      return { mirrorStreams: { streams: message.streams.map(streamToWire) } };
    case 'spilled':
      return { spilled: { streamId: id(message.streamId), throughSequence: message.throughSequence } };
    case 'mirrorAck':
      return { mirrorAck: { coverage: message.coverage.map(coverageToWire) } };
    case 'deliveryRight':
      return { deliveryRight: { streamIds: message.streamIds.map(id) } };
  }
}

/** `null`: it holds none of these. @throws KomError KOM_FRAME_INVALID */
export function redundancyFromWire(wire: WireReader): RedundancyMessage | null {
  if (wire.has('leaseRenewal')) {
    const renewal = wire.message('leaseRenewal');
    return { type: 'leaseRenewal', echoUs: renewal.number('echoUs'), claim: claimFromWire(renewal) };
  }
  if (wire.has('lease')) return leaseFromWire(wire.message('lease'));
  if (wire.has('peerState')) return { type: 'peerState', state: peerWordFromWire(wire.message('peerState')) };
  if (wire.has('handover')) return { type: 'handover', request: handoverFromWire(wire.message('handover')) };
  if (wire.has('mirrorBlock')) {
    const block = wire.message('mirrorBlock');
    return { type: 'mirrorBlock', bytes: block.bytes('block'), isSpilled: block.bool('isSpilled') };
  }
  if (wire.has('mirrorStreams')) {
    const streams = wire.message('mirrorStreams').list('streams', STREAMS_MAX).map(streamFromWire);
    return { type: 'mirrorStreams', streams };
  }
  if (wire.has('spilled')) {
    const spilled = wire.message('spilled');
    const throughSequence = spilled.sequence('throughSequence');
    return { type: 'spilled', streamId: spilled.id('streamId'), throughSequence };
  }
  if (wire.has('mirrorAck')) {
    const coverage = wire.message('mirrorAck').list('coverage', STREAMS_MAX).map(coverageFromWire);
    return { type: 'mirrorAck', coverage };
  }
  if (wire.has('deliveryRight')) {
    return {
      type: 'deliveryRight',
      streamIds: wire.message('deliveryRight').ids('streamIds', STREAMS_MAX),
    };
  }
  return null;
}

function handoverToWire({ to, operator, force }: HandoverRequest): Wire {
  return { toInstance: to, operator, force };
}

function handoverFromWire(wire: WireReader): HandoverRequest {
  return {
    to: wire.instance('toInstance'),
    operator: wire.name('operator'),
    force: wire.bool('force'),
  };
}

function activationToWire(state: ActivationState): Wire {
  const { role, ownTerm, highestTerm, unfit, isLeaving, preferred } = state;
  return {
    ...{ role: ROLES.indexOf(role), ownTerm, highestTerm, unfit: unfit ?? '', isLeaving },
    ...{ preferredInstance: preferred.instance, preferredSetAtUs: preferred.setAtUs },
  };
}

function activationFromWire(wire: WireReader): ActivationState {
  return {
    role: wire.choice('role', ROLES),
    ownTerm: wire.number('ownTerm'),
    highestTerm: wire.number('highestTerm'),
    unfit: wire.text('unfit').slice(0, REASON_CHARACTERS_MAX) || null,
    isLeaving: wire.bool('isLeaving'),
    preferred: { instance: wire.instance('preferredInstance'), setAtUs: wire.timeUs('preferredSetAtUs') },
  };
}

function claimToWire(claim: LeaseClaim): Wire {
  const { releasedTerm, peerGone, preferHoldOffMs, leaseMs, wish } = claim;
  const wished = wish === null ? {} : { wish: handoverToWire(wish) };
  return { ...activationToWire(claim), releasedTerm, peerGone, preferHoldOffMs, leaseMs, ...wished };
}

function claimFromWire(wire: WireReader): LeaseClaim {
  return {
    ...activationFromWire(wire),
    releasedTerm: wire.number('releasedTerm'),
    peerGone: wire.bool('peerGone'),
    preferHoldOffMs: wire.number('preferHoldOffMs'),
    leaseMs: wire.number('leaseMs'),
    wish: wire.has('wish') ? handoverFromWire(wire.message('wish')) : null,
  };
}

function leaseFromWire(wire: WireReader): RedundancyMessage {
  const answer = {
    kind: wire.choice('kind', LEASE_KINDS),
    term: wire.number('term'),
    holder: wire.instance('holderInstance'),
    durationMs: wire.number('durationMs'),
    reason: wire.text('reason').slice(0, REASON_CHARACTERS_MAX),
  };
  return { type: 'lease', echoUs: wire.number('echoUs'), answer };
}

function peerWordToWire(word: PeerWord): Wire {
  return {
    ...word,
    ...activationToWire(word),
    siteHash: id(word.siteHash),
    lines: Object.entries(word.observedAgeUs).map(([name, observedAgeUs]) => ({ name, observedAgeUs })),
  };
}

function peerWordFromWire(wire: WireReader): PeerWord {
  const lines = wire.list('lines', PEER_LINES_MAX);
  return {
    ...activationFromWire(wire),
    hasLease: wire.bool('hasLease'),
    kernelAnswers: wire.bool('kernelAnswers'),
    siteHash: wire.id('siteHash', true),
    programVersion: wire.text('programVersion').slice(0, VERSION_CHARACTERS_MAX),
    stationsAnswering: wire.number('stationsAnswering'),
    stations: wire.number('stations'),
    observedAgeUs: Object.fromEntries(lines.map((line) => [line.name('name'), line.number('observedAgeUs')])),
    mirrorLagBytes: wire.number('mirrorLagBytes'),
    sentUs: wire.number('sentUs'),
    echoUs: wire.number('echoUs'),
    receivedBytes: wire.number('receivedBytes'),
  };
}
