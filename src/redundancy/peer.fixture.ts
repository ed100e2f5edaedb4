import type { PeerAddress } from '../config/model.ts';
import type { HandoverRequest } from '../domain/lease.ts';
import type { PeerState } from '../domain/peer-state.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Random } from '../world/random.ts';
import type { TlsOptions, Transport } from '../world/transport.ts';
import type { MirrorMessage, MirrorSide } from './mirror-ports.ts';
import { PeerLink } from './peer-link.ts';
import { PeerListener } from './peer-listener.ts';
import type { PeerSide } from './ports.ts';

export const SITE_HASH = '5'.repeat(32);

export function peerState(instance: number, change: Partial<PeerState> = {}): PeerState {
  return {
    ...{ instance, role: 'standby', ownTerm: 0, highestTerm: 0, unfit: null, isLeaving: false },
    ...{ preferred: { instance: 0, setAtUs: 0 }, hasLease: false, kernelAnswers: false },
    ...{ siteHash: SITE_HASH, programVersion: 'test', stationsAnswering: 0, stations: 0 },
    ...{ mirrorLagBytes: 0, observedAgeUs: {}, ...change },
  };
}

/** A member that only listens. */
export class ListeningSide implements PeerSide {
  readonly heardOf: { readonly state: PeerState; readonly echoMs: number }[] = [];
  readonly handovers: HandoverRequest[] = [];
  said: PeerState;

  constructor(said: PeerState) {
    this.said = said;
  }

  state(): PeerState {
    return this.said;
  }

  heard(state: PeerState, echoMs: number): void {
    this.heardOf.push({ state, echoMs });
  }

  handover(request: HandoverRequest): void {
    this.handovers.push(request);
  }
}

/** A mirror that notes what happens to it. */
export class ListeningMirror implements MirrorSide {
  readonly events: string[] = [];
  readonly messages: MirrorMessage[] = [];
  whenRoomed: () => void = () => {};

  opened(): void {
    this.events.push('opened');
  }

  closed(): void {
    this.events.push('closed');
  }

  take(message: MirrorMessage): void {
    this.messages.push(message);
  }

  roomed(): void {
    this.whenRoomed();
  }
}

export interface MemberOptions {
  readonly instance: number;
  readonly process?: string;
  /** The peer as this member knows it. */
  readonly peerInstance?: number;
  readonly own: readonly PeerAddress[];
  readonly others: readonly PeerAddress[];
  /** One that only notes what happens if not given. */
  readonly mirrorSide?: MirrorSide;
  readonly transport: Transport;
  readonly tls?: TlsOptions;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** One server with one process: its listener and its link. */
export function startMember(options: MemberOptions) {
  const { instance, process = 'KomA', own, others } = options;
  const peerInstance = options.peerInstance ?? 3 - instance;
  const side = new ListeningSide(peerState(instance));
  const mirror = new ListeningMirror();
  const site = 'Plant 1';
  const link = new PeerLink({
    ...options,
    own: { site, process, instance },
    peer: { site, process, instance: peerInstance },
    ...{ programVersion: 'test', siteHash: () => SITE_HASH, addresses: others, networks: own.length },
    ...{
      settings: { peerTimeoutMs: 1000, peerHeartbeatMs: 250 },
      side,
      mirror: options.mirrorSide ?? mirror,
    },
  });
  const listener = new PeerListener({ ...options, addresses: own, programVersion: 'test' });
  listener.add(link);
  const stop = new AbortController();
  const runs = [listener.run(stop.signal), link.run(stop.signal)];
  return {
    ...{ link, listener, side, mirror },
    async stop(): Promise<void> {
      stop.abort();
      await Promise.all(runs);
    },
  };
}
