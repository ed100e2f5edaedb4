/** Two members on virtual time with a peer link between them, for tests. */

import { KomError } from '../../src/domain/errors.ts';
import type { HandoverRequest, Preference } from '../../src/domain/lease.ts';
import type { Term } from '../../src/domain/term.ts';
import { Member, type MemberFacts } from '../../src/redundancy/member.ts';
import type { FieldPort, LeasePort, PeerPort, TermNotes } from '../../src/redundancy/ports.ts';
import { silentLog } from '../../src/world/log.ts';
import { SimulatedClock } from '../../src/world/simulated/clock.ts';
import { Life } from '../simulation/life.ts';

const LATENCY_MS = 2;
const HEARTBEAT_MS = 250;

interface Deed {
  readonly atMs: number;
  readonly deed: string;
}

/** One comm server with one instance. */
export class Server {
  readonly instance: number;
  readonly life: Life;
  readonly clock: SimulatedClock;
  /** What the field was told, in order. */
  readonly deeds: Deed[] = [];
  readonly ages: Readonly<Record<string, number>>[] = [];
  facts: MemberFacts = {
    siteHash: 'aa',
    programVersion: '1.0.0',
    stationsAnswering: 3,
    stations: 3,
    mirrorLagBytes: 0,
    observedAgeUs: {},
  };
  member: Member;
  fsyncMs = 1;
  isDiskBroken = false;
  standByMs = 1;
  claims = 0;
  notes: { highest: Term; preferred: Preference | null };
  heardMs = Number.NEGATIVE_INFINITY;
  goneMs: number | null = null;
  peer: Server | undefined;
  isCut = false;
  /** Of the peer's clock: when it had said what was heard last. */
  #heardSaidMs = Number.NEGATIVE_INFINITY;

  constructor(clock: SimulatedClock, instance: number, notes: Server['notes']) {
    this.clock = clock;
    this.instance = instance;
    this.notes = notes;
    this.life = new Life(clock, { offsetUs: 0 });
    const settings = {
      instance,
      hasPeer: true,
      peerTimeoutMs: 1000,
      leaseMs: 1200,
      preferredInstance: 0,
      preferHoldOffMs: 10_000,
    };
    this.member = new Member(
      {
        settings,
        clock: this.life.clock,
        log: silentLog,
        notes: this.#terms(),
        facts: () => this.facts,
      },
      true,
    );
  }

  start(): void {
    this.member.start({ field: this.#field(), lease: this.#lease(), peer: this.#peerPort() });
    this.life.clock.repeat('heartbeat', HEARTBEAT_MS, () => this.say(null));
  }

  kill(): void {
    this.life.kill();
    const { peer } = this;
    peer?.life.clock.repeat('dial', 100, () => {
      if (!this.isCut) peer.goneMs ??= peer.clock.monotonicMs();
    });
  }

  say(request: HandoverRequest | null): void {
    const { peer } = this;
    if (peer === undefined || this.isCut || this.life.isDead) return;
    const word = request === null ? this.member.peerSide.state() : null;
    const saidMs = this.clock.monotonicMs();
    const echoMs = this.#heardSaidMs;
    // As from a socket: after a stall it comes behind the timers that were due.
    void peer.life.clock.sleep(LATENCY_MS).then(() => {
      if (this.isCut) return;
      peer.heardMs = peer.clock.monotonicMs();
      peer.goneMs = null;
      if (word !== null) {
        peer.#heardSaidMs = saidMs;
        peer.member.peerSide.heard(word, echoMs);
      } else if (request !== null) peer.member.peerSide.handover(request);
    });
  }

  #terms(): TermNotes {
    const { notes } = this;
    const write = async (): Promise<void> => {
      if (this.isDiskBroken) throw new KomError('KOM_STORE_WRITE', 'the disk is broken');
      await this.life.clock.sleep(this.fsyncMs);
    };
    return {
      get highest() {
        return notes.highest;
      },
      get preferred() {
        return notes.preferred;
      },
      raise: async (term) => {
        await write();
        notes.highest = Math.max(notes.highest, term);
      },
      prefer: async (preferred) => {
        await write();
        notes.preferred = preferred;
      },
    };
  }

  #did(deed: string): void {
    this.deeds.push({ atMs: this.clock.monotonicMs(), deed });
  }

  #field(): FieldPort {
    return {
      activate: (ages) => {
        this.ages.push(ages);
        this.#did(`active under ${this.member.term}, durable ${this.notes.highest}`);
      },
      standBy: async () => {
        this.#did('stands by');
        await this.life.clock.sleep(this.standByMs);
        this.#did('stood by');
      },
      suspend: () => this.#did('suspended'),
      isolated: (isIsolated) => this.#did(isIsolated ? 'isolated' : 'not isolated'),
    };
  }

  #lease(): LeasePort {
    return {
      renewNow: () => {
        this.claims++;
      },
    };
  }

  #peerPort(): PeerPort {
    const server = this;
    return {
      get heardMs() {
        return server.heardMs;
      },
      get goneMs() {
        return server.goneMs;
      },
      tellNow: () => server.say(null),
      requestHandover: (request) => server.say(request),
    };
  }

  get role(): string {
    return this.member.status.role;
  }

  /** When it last became active; NaN: never. */
  get activeAtMs(): number {
    return this.deeds.findLast(({ deed }) => deed.startsWith('active'))?.atMs ?? Number.NaN;
  }
}

export class Pair {
  readonly clock = new SimulatedClock();
  readonly first = new Server(this.clock, 1, { highest: 0, preferred: null });
  readonly second = new Server(this.clock, 2, { highest: 0, preferred: null });

  constructor() {
    this.first.peer = this.second;
    this.second.peer = this.first;
  }

  /** The first is active, the second stands by, no Kernel is there. */
  static async settled(): Promise<Pair> {
    const pair = new Pair();
    pair.first.start();
    pair.second.start();
    await pair.clock.advance(5000);
    return pair;
  }

  cut(isCut: boolean): void {
    this.first.isCut = isCut;
    this.second.isCut = isCut;
  }

  get roles(): string {
    return `${this.first.role} ${this.second.role}`;
  }

  get nowMs(): number {
    return this.clock.monotonicMs();
  }
}
