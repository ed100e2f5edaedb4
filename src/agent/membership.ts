import type { Process, Server, Site } from '../config/model.ts';
import { invariant, KomError } from '../domain/errors.ts';
import type { HandoverRequest } from '../domain/lease.ts';
import type { Term } from '../domain/term.ts';
import { Member, type MemberFacts } from '../redundancy/member.ts';
import type { MemberStatus } from '../redundancy/member-status.ts';
import { type Mirror, type MirrorPlace, type MirrorStatus, openMirror } from '../redundancy/mirror.ts';
import { PeerLink, type PeerNetworkStatus } from '../redundancy/peer-link.ts';
import type { FieldPort, LeasePort, LeaseSide } from '../redundancy/ports.ts';
import type { Phase } from '../redundancy/role-state.ts';
import { StoredTerms } from '../redundancy/stored-terms.ts';
import type { UplinkMirror } from '../uplink/block-source.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Random } from '../world/random.ts';
import type { SideStore } from '../world/side-store.ts';
import type { Disk } from '../world/store.ts';
import type { TlsOptions, Transport } from '../world/transport.ts';
import type { ClassStore } from './class-store.ts';

/** How an instance reaches the other one, and is reached by it. */
export interface PeerAccess {
  readonly transport: Pick<Transport, 'connect'>;
  /** The listeners of this server take connections for the link from now on. */
  readonly add: (link: PeerLink) => void;
}

/** Where what is mirrored of the other instance lies: beside the store of each class. */
export interface MirrorDisks {
  readonly main: Disk;
  /** `null`: alarms go with the rest. */
  readonly alarms: Disk | null;
}

/** The stores of the instance. */
export interface MemberStores {
  readonly main: ClassStore;
  readonly alarms: ClassStore | null;
}

export interface MembershipOptions {
  readonly site: Site;
  readonly server: Server;
  readonly process: Process;
  readonly peers: PeerAccess;
  /** Without it neither instance holds the backlog of the other one. */
  readonly mirrorDisks?: MirrorDisks;
  readonly tls?: TlsOptions;
  readonly notes: SideStore;
  /** The system's: what the agent corrects of the wall clock is no jump. */
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly programVersion: string;
  /** What the instance knows of itself. */
  readonly facts: () => Omit<MemberFacts, 'siteHash' | 'programVersion' | 'mirrorLagBytes'>;
}

/** What an instance knows of itself. */
type OwnFacts = ReturnType<MembershipOptions['facts']>;

/** For the status: the member, and the networks between the servers. */
export interface MembershipStatus extends MemberStatus {
  readonly networks: readonly PeerNetworkStatus[];
  /** `null`: neither instance holds the backlog of the other one. */
  readonly mirror: MirrorStatus | null;
}

/**
 * An instance of a process that another comm server runs too: its role, and the link to the other instance.
 * Between them they see to it that one of the two observes, whoever dies.
 */
export class Membership {
  readonly #member: Member;
  readonly #link: PeerLink | null;
  readonly #mirror: Mirror | null;
  readonly #stop = new AbortController();
  #siteHash: string;
  #linkRun: Promise<void> = Promise.resolve();

  /** What a disk does not tell is told to the log: it starts as one that never ran. */
  static async open(options: MembershipOptions, stores: MemberStores): Promise<Membership> {
    const notes = await StoredTerms.load(options.notes, options.log);
    return new Membership(options, notes, await openMirrorOf(options, stores));
  }

  private constructor(options: MembershipOptions, notes: StoredTerms, mirror: Mirror | null) {
    const { site, server, process, programVersion, peers } = options;
    this.#siteHash = site.hash;
    const siteHash = (): string => this.#siteHash;
    const other = otherServer(options);
    const hasLink = isLinked(options);
    const facts = (): MemberFacts => ({
      ...options.facts(),
      ...{ siteHash: siteHash(), programVersion, mirrorLagBytes: mirror?.lagBytes ?? 0 },
    });
    const { peerTimeoutMs, preferredInstance, preferHoldOffMs } = process.redundancy;
    const { leaseMs } = process.uplink;
    const { instance } = server;
    this.#member = new Member(
      {
        ...options,
        ...{ notes, facts },
        settings: { instance, hasPeer: true, peerTimeoutMs, leaseMs, preferredInstance, preferHoldOffMs },
      },
      hasLink,
    );
    const identity = { site: site.name, process: process.name };
    this.#link = hasLink
      ? new PeerLink({
          ...options,
          ...{ own: { ...identity, instance }, peer: { ...identity, instance: other.instance } },
          ...{ siteHash, addresses: other.peers, networks: server.peers.length },
          ...{ settings: process.redundancy, side: this.#member.peerSide },
          ...(mirror === null ? {} : { mirror }),
          transport: peers.transport,
        })
      : null;
    this.#mirror = mirror;
    if (this.#link === null) return;
    mirror?.attach(this.#link);
    peers.add(this.#link);
  }

  /** The site file was read anew. */
  siteChanged(hash: string): void {
    this.#siteHash = hash;
  }

  /** What the uplink says of the lease, and hears. */
  get leaseSide(): LeaseSide {
    return this.#member.leaseSide;
  }

  /** What the uplink delivers in place of the other instance; `null`: nothing. */
  get uplinkMirror(): UplinkMirror | null {
    return this.#mirror?.source ?? null;
  }

  /** The term for what is numbered now. */
  get term(): Term {
    return this.#member.term;
  }

  get phase(): Phase {
    return this.#member.phase;
  }

  get status(): MembershipStatus {
    return {
      ...this.#member.status,
      networks: this.#link?.networks ?? [],
      mirror: this.#mirror?.status ?? null,
    };
  }

  /** Sees whether the process stood still until now, before anything goes in or out. */
  check(): void {
    this.#member.check();
  }

  /** To be called before the uplink runs. */
  start(ports: { readonly field: FieldPort; readonly lease: LeasePort }): void {
    this.#member.start({ ...ports, peer: this.#link });
    this.#linkRun = this.#link?.run(this.#stop.signal) ?? Promise.resolve();
  }

  /** `null`: it could be active; else why not. */
  setFitness(unfit: string | null): void {
    this.#member.setFitness(unfit);
  }

  /** An operator's switch. @throws KomError KOM_USAGE that says why it is refused */
  switchTo(request: HandoverRequest): void {
    const refusal = this.#member.switchTo(request);
    if (refusal === null) return;
    throw new KomError('KOM_USAGE', refusal, request.force ? {} : { hint: '--force, if it must be' });
  }

  /** An operator's preference; 0: what the site file says. */
  prefer(instance: number): void {
    this.#member.prefer(instance);
  }

  /** Nothing is numbered any more when it resolves, and the others have been told. */
  leave(): Promise<void> {
    return this.#member.leave();
  }

  /** After `leave`, when nothing more is to be said. */
  async stop(): Promise<void> {
    this.#member.stop();
    this.#stop.abort();
    await this.#linkRun;
    await this.#mirror?.close();
  }
}

/** `null` where no other server runs the process. `facts`: `null` before the instance runs. */
export async function openMembership(
  options: Omit<MembershipOptions, 'peers' | 'facts'> & {
    readonly peers?: PeerAccess;
    readonly facts: () => OwnFacts | null;
  },
  stores: MemberStores,
): Promise<Membership | null> {
  const { process, peers, facts } = options;
  if (!isShared(process)) return null;
  invariant(peers !== undefined, 'who shares a process is told how to reach the other instance');
  const nothing = { stations: 0, stationsAnswering: 0, observedAgeUs: {} };
  return await Membership.open({ ...options, peers, facts: () => facts() ?? nothing }, stores);
}

/** Another comm server runs the process too. */
export function isShared(process: Process): boolean {
  return process.servers.length > 1;
}

/** The two comm servers of a process know addresses of each other. */
export function isLinked(pair: Pick<MembershipOptions, 'site' | 'server' | 'process'>): boolean {
  return isShared(pair.process) && pair.server.peers.length > 0 && otherServer(pair).peers.length > 0;
}

async function openMirrorOf(
  options: MembershipOptions,
  { main, alarms }: MemberStores,
): Promise<Mirror | null> {
  const { mirrorDisks: disks, process, clock, log } = options;
  if (disks === undefined || !isLinked(options)) return null;
  const { buffer } = process;
  const place = (disk: Disk, store: ClassStore, share: number): MirrorPlace => ({
    disk,
    capacityBytes: buffer.capacityBytes * share,
    ownBytes: () => store.backlog.stat().ring.diskBytes,
  });
  return await openMirror({
    stores: alarms === null ? [main] : [alarms, main],
    main: place(disks.main, main, 1 - buffer.alarmShare),
    alarms:
      alarms === null || disks.alarms === null || buffer.alarmShare === 0
        ? null
        : place(disks.alarms, alarms, buffer.alarmShare),
    memoryBytes: buffer.windowBytes,
    writesAll: buffer.store === 'always',
    ...(buffer.segmentBytesMax === undefined ? {} : { segmentBytesMax: buffer.segmentBytesMax }),
    ...{ peerInstance: otherServer(options).instance, clock, log },
  });
}

function otherServer({
  site,
  server,
  process,
}: Pick<MembershipOptions, 'site' | 'server' | 'process'>): Server {
  const other = site.servers.find(({ name }) => name !== server.name && process.servers.includes(name));
  invariant(other !== undefined, 'a process that is shared has another server');
  return other;
}
