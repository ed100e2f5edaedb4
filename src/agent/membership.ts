import type { Process, Server, Site } from '../config/model.ts';
import { invariant, KomError } from '../domain/errors.ts';
import type { HandoverRequest } from '../domain/lease.ts';
import type { Term } from '../domain/term.ts';
import { Member, type MemberFacts } from '../redundancy/member.ts';
import type { MemberStatus } from '../redundancy/member-status.ts';
import type { MirrorPort, MirrorSide } from '../redundancy/mirror-ports.ts';
import { PeerLink, type PeerNetworkStatus } from '../redundancy/peer-link.ts';
import type { FieldPort, LeasePort, LeaseSide } from '../redundancy/ports.ts';
import { StoredTerms } from '../redundancy/stored-terms.ts';
import type { Clock } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import type { Random } from '../world/random.ts';
import type { SideStore } from '../world/side-store.ts';
import type { TlsOptions, Transport } from '../world/transport.ts';

/** How an instance reaches the other one, and is reached by it. */
export interface PeerAccess {
  readonly transport: Pick<Transport, 'connect'>;
  /** The listeners of this server take connections for the link from now on. */
  readonly add: (link: PeerLink) => void;
}

export interface MembershipOptions {
  readonly site: Site;
  readonly server: Server;
  readonly process: Process;
  readonly peers: PeerAccess;
  readonly tls?: TlsOptions;
  readonly notes: SideStore;
  /** The system's: what the agent corrects of the wall clock is no jump. */
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly programVersion: string;
  /** What the instance knows of itself. */
  readonly facts: () => Omit<MemberFacts, 'siteHash' | 'programVersion'>;
}

/** For the status: the member, and the networks between the servers. */
export interface MembershipStatus extends MemberStatus {
  readonly networks: readonly PeerNetworkStatus[];
}

/**
 * An instance of a process that another comm server runs too: its role, and the link to the other instance.
 * Between them they see to it that one of the two observes, whoever dies.
 */
export class Membership {
  readonly #member: Member;
  readonly #link: PeerLink | null;
  readonly #stop = new AbortController();
  #linkRun: Promise<void> = Promise.resolve();

  /** What a disk does not tell is told to the log: it starts as one that never ran. */
  static async open(options: MembershipOptions, mirror: MirrorSide | null): Promise<Membership> {
    return new Membership(options, await StoredTerms.load(options.notes, options.log), mirror);
  }

  private constructor(options: MembershipOptions, notes: StoredTerms, mirror: MirrorSide | null) {
    const { site, server, process, programVersion, peers } = options;
    const other = otherServer(options);
    const hasLink = server.peers.length > 0 && other.peers.length > 0;
    const facts = (): MemberFacts => ({ ...options.facts(), siteHash: site.hash, programVersion });
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
          ...{ siteHash: site.hash, addresses: other.peers, networks: server.peers.length },
          ...{ settings: process.redundancy, side: this.#member.peerSide },
          ...(mirror === null ? {} : { mirror }),
          transport: peers.transport,
        })
      : null;
    if (this.#link !== null) peers.add(this.#link);
  }

  /** What the uplink says of the lease, and hears. */
  get leaseSide(): LeaseSide {
    return this.#member.leaseSide;
  }

  /** Where what mirrors say goes out; `null`: there is no link. */
  get mirrorPort(): MirrorPort | null {
    return this.#link;
  }

  /** The term for what is numbered now. */
  get term(): Term {
    return this.#member.term;
  }

  get status(): MembershipStatus {
    return { ...this.#member.status, networks: this.#link?.networks ?? [] };
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
  }
}

/** Another comm server runs the process too. */
export function isShared(process: Process): boolean {
  return process.servers.length > 1;
}

function otherServer({ site, server, process }: MembershipOptions): Server {
  const other = site.servers.find(({ name }) => name !== server.name && process.servers.includes(name));
  invariant(other !== undefined, 'a process that is shared has another server');
  return other;
}
