/**
 * One instance as a member of its process: owns its role, and drives the field, the uplink's lease and the
 * peer link by it. What decides is `role.ts`.
 */
import { describeError, invariant } from '../domain/errors.ts';
import type { HandoverRequest, LeaseClaim, Preference } from '../domain/lease.ts';
import type { PeerState } from '../domain/peer-state.ts';
import type { Term } from '../domain/term.ts';
import type { Clock, Timer } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import { describeMember, type MemberStatus, type RoleChange } from './member-status.ts';
import type { FieldPort, LeasePort, LeaseSide, PeerPort, PeerSide, TermNotes } from './ports.ts';
import { startRole, stepRole } from './role.ts';
import {
  holdsLease,
  isPeerGone,
  kernelAnswers,
  type Phase,
  REASONS,
  type RoleEffect,
  type RoleEvent,
  type RoleSettings,
  type RoleState,
  roleOf,
} from './role-state.ts';
import { StallWatch } from './stall-watch.ts';
import { impossibleSwitch, type SwitchFacts, unwiseSwitch } from './switch-refusal.ts';

const TICK_MS = 50;
/** How long the evidence of a dead process has to stand: longer than the dials that look for it again. */
const PEER_GONE_MS = 150;
/** A link that was steady for so long flaps no more. */
const CALM_MS = 60_000;
const START_OFFSET_MS = 200;
/** Changes of the role that are kept for `kom status`. */
const CHANGES_MAX = 20;

export interface MemberSettings {
  readonly instance: number;
  /** Another server runs this process too. */
  readonly hasPeer: boolean;
  readonly peerTimeoutMs: number;
  /** How long a lease it asks for. */
  readonly leaseMs: number;
  /** By the site file; 0: none. */
  readonly preferredInstance: number;
  readonly preferHoldOffMs: number;
}

/** What a member tells of its instance and knows nothing of itself. */
export interface MemberFacts {
  readonly siteHash: string;
  readonly programVersion: string;
  readonly stationsAnswering: number;
  readonly stations: number;
  readonly mirrorLagBytes: number;
  readonly observedAgeUs: Readonly<Record<string, number>>;
}

export interface MemberOptions {
  readonly settings: MemberSettings;
  readonly clock: Clock;
  readonly log: Log;
  readonly notes: TermNotes;
  readonly facts: () => MemberFacts;
}

export interface MemberPorts {
  readonly field: FieldPort;
  readonly lease: LeasePort;
  /** `null`: no peer link is configured. */
  readonly peer: PeerPort | null;
}

export class Member {
  readonly #options: MemberOptions;
  readonly #settings: RoleSettings;
  readonly #stalls: StallWatch;
  #state: RoleState;
  #ports: MemberPorts | null = null;
  #timer: Timer | null = null;
  #peer: PeerState | null = null;
  #peerSaidMs = Number.NEGATIVE_INFINITY;
  #isBusy = false;
  /** Events that came while one was worked on: as many as its effects cause. */
  readonly #waiting: RoleEvent[] = [];
  readonly #changes: RoleChange[] = [];
  #leaving: (() => void)[] = [];

  /** `hasPeerLink`: a peer link is configured, and its port is given to `start`. */
  constructor(options: MemberOptions, hasPeerLink: boolean) {
    const { instance, hasPeer, peerTimeoutMs, leaseMs, preferredInstance } = options.settings;
    this.#options = options;
    this.#settings = {
      instance,
      hasPeer,
      hasPeerLink: hasPeer && hasPeerLink,
      peerTimeoutMs,
      peerGoneMs: PEER_GONE_MS,
      kernelTimeoutMs: leaseMs,
      startOffsetMs: START_OFFSET_MS,
      calmMs: CALM_MS,
      tickMs: TICK_MS,
    };
    this.#stalls = new StallWatch(options.clock, Math.min(leaseMs, peerTimeoutMs));
    this.#state = this.#begin(options.notes.preferred ?? { instance: preferredInstance, setAtUs: 0 }).state;
  }

  #begin(preferred: Preference) {
    const nowMs = this.#options.clock.monotonicMs();
    return startRole(this.#settings, { nowMs, highestTerm: this.#options.notes.highest, preferred });
  }

  /** To be called before the uplink and the peer link run. From here on it listens, or is active at once. */
  start(ports: MemberPorts): void {
    invariant(
      (ports.peer !== null) === this.#settings.hasPeerLink || !this.#settings.hasPeer,
      'peer link as told',
    );
    this.#ports = ports;
    this.#stalls.look();
    const { state, effects } = this.#begin(this.#state.preferred);
    this.#state = state;
    this.#noteChange();
    for (const effect of effects) this.#carryOut(effect);
    this.#timer = this.#options.clock.repeat('role', TICK_MS, () => this.#tick());
  }

  /** Ends the ticks; `leave` first, so that the other instance need not wait. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** The term for what is numbered now; 0: none. */
  get term(): Term {
    return this.#state.ownTerm;
  }

  get phase(): Phase {
    return this.#state.phase;
  }

  get isActive(): boolean {
    return this.phase === 'active';
  }

  get status(): MemberStatus {
    return describeMember({
      ...this.#switchFacts(),
      clock: this.#options.clock,
      changes: this.#changes,
      facts: this.#options.facts(),
    });
  }

  /**
   * Whether this instance may observe and number. To be asked before any input or output that comes late: it
   * notices here that its process stood still, and suspends the field before it answers.
   */
  check(): boolean {
    this.#lookForStall();
    return this.#state.phase === 'active';
  }

  readonly leaseSide: LeaseSide = {
    claim: () => this.#claim(),
    answered: (answer, sentMs) => this.#happened({ kind: 'answered', answer, sentMs }),
    sessionChanged: (isThere) => this.#happened({ kind: 'session', isThere }),
  };

  readonly peerSide: PeerSide = {
    state: () => this.#peerState(),
    heard: (word, echoMs) => {
      this.#lookForStall();
      this.#peer = word;
      this.#peerSaidMs = this.#options.clock.monotonicMs();
      this.#happened({ kind: 'peer-said', word, echoMs });
    },
    handover: (request) => {
      this.#options.log.info({ ...request }, 'the other instance asks for a switch');
      this.#happened({ kind: 'handover', request, from: 'peer' });
    },
  };

  /** An operator's switch. `null`: it is under way; else why it is refused. */
  switchTo(request: HandoverRequest): string | null {
    const facts = this.#switchFacts();
    const refusal = impossibleSwitch(facts, request) ?? (request.force ? null : unwiseSwitch(facts, request));
    if (refusal !== null) return refusal;
    this.#options.log.info({ ...request }, 'an operator switches');
    this.#happened({ kind: 'handover', request, from: 'operator' });
    return null;
  }

  /** An operator's preference; the other instance and the Kernel learn of it. */
  prefer(instance: number): void {
    const { clock } = this.#options;
    const setAtUs = Math.max(clock.wallUs(), this.#state.preferred.setAtUs + 1);
    this.#happened({ kind: 'preferred', preferred: { instance, setAtUs } });
  }

  /** `null`: it could be active; else why not. */
  setFitness(unfit: string | null): void {
    if (unfit !== this.#state.unfit) this.#happened({ kind: 'fitness', unfit });
  }

  /** The process is about to end: resolves when nothing is numbered any more and the others were told. */
  async leave(): Promise<void> {
    this.#happened({ kind: 'leave' });
    if (this.#state.phase !== 'standing-down') return;
    await new Promise<void>((resolve) => {
      this.#leaving.push(resolve);
    });
  }

  #switchFacts(): SwitchFacts {
    return {
      settings: this.#settings,
      state: this.#state,
      peer: this.#peer,
      mirrorLagBytes: this.#options.facts().mirrorLagBytes,
      nowMs: this.#options.clock.monotonicMs(),
    };
  }

  #tick(): void {
    const peer = this.#ports?.peer;
    this.#happened({
      kind: 'tick',
      peerHeardMs: peer?.heardMs ?? Number.NEGATIVE_INFINITY,
      peerGoneFromMs: peer?.goneMs ?? null,
    });
  }

  #lookForStall(): void {
    const stalledMs = this.#stalls.look();
    if (stalledMs === 0) return;
    this.#options.log.warn(
      { stalledMs: Math.round(stalledMs) },
      'the process stood still, or its clock jumped',
    );
    this.#run({ kind: 'woke' });
  }

  #happened(event: RoleEvent): void {
    this.#lookForStall();
    this.#run(event);
  }

  #run(event: RoleEvent): void {
    this.#waiting.push(event);
    if (this.#isBusy) return;
    this.#isBusy = true;
    try {
      for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift())
        this.#step(next);
    } finally {
      this.#isBusy = false;
    }
  }

  #step(event: RoleEvent): void {
    const before = this.#state;
    const nowMs = this.#options.clock.monotonicMs();
    const { state, effects } = stepRole(this.#settings, before, { ...event, nowMs });
    this.#state = state;
    if (state.phase !== before.phase) this.#noteChange();
    for (const effect of effects) this.#carryOut(effect);
    if (state.phase !== 'standing-down') for (const resolve of this.#leaving.splice(0)) resolve();
  }

  #noteChange(): void {
    const { phase, why, ownTerm, pending } = this.#state;
    const change = { phase, why, term: pending?.term ?? ownTerm, atUs: this.#options.clock.wallUs() };
    this.#changes.push(change);
    if (this.#changes.length > CHANGES_MAX) this.#changes.shift();
    this.#options.log.info({ phase, term: change.term, why: REASONS[why] }, 'the role changed');
  }

  #carryOut(effect: RoleEffect): void {
    invariant(this.#ports !== null, 'a member is started before anything happens to it');
    const { field, lease, peer } = this.#ports;
    switch (effect.kind) {
      case 'persist':
        this.#persist(effect.term);
        break;
      case 'activate':
        field.activate(this.#observedAgeUs());
        break;
      case 'stand-by':
        this.#standBy(field);
        break;
      case 'suspend':
        field.suspend();
        break;
      case 'isolated':
        field.isolated(effect.isIsolated);
        break;
      case 'tell-peer':
        peer?.tellNow();
        break;
      case 'renew-lease':
        lease.renewNow();
        break;
      case 'ask-peer':
        peer?.requestHandover(effect.request);
        break;
      case 'keep-preference':
        this.#keep(effect.preferred);
        break;
    }
  }

  #persist(term: Term): void {
    this.#options.notes.raise(term).then(
      () => this.#happened({ kind: 'persisted', term, isDurable: true }),
      (error: unknown) => {
        this.#options.log.error({ term, error: describeError(error) }, 'a term is kept in memory only');
        this.#happened({ kind: 'persisted', term, isDurable: false });
      },
    );
  }

  #standBy(field: FieldPort): void {
    field.standBy().then(
      () => this.#happened({ kind: 'stood-down' }),
      (error: unknown) => {
        this.#options.log.error({ error: describeError(error) }, 'the field did not stand by in order');
        this.#happened({ kind: 'stood-down' });
      },
    );
  }

  #keep(preferred: Preference): void {
    this.#options.notes.prefer(preferred).catch((error: unknown) => {
      this.#options.log.warn(
        { error: describeError(error) },
        'the preferred instance is kept in memory only',
      );
    });
  }

  /** What the peer said of its lines, and the time since. */
  #observedAgeUs(): Record<string, number> {
    const sinceUs = Math.round((this.#options.clock.monotonicMs() - this.#peerSaidMs) * 1000);
    const ages = Object.entries(this.#peer?.observedAgeUs ?? {});
    return Object.fromEntries(ages.map(([line, ageUs]) => [line, ageUs + sinceUs]));
  }

  #activation() {
    const { ownTerm, highestTerm, unfit, isLeaving, preferred } = this.#state;
    return { role: roleOf(this.#state), ownTerm, highestTerm, unfit, isLeaving, preferred };
  }

  #claim(): LeaseClaim {
    this.#lookForStall();
    const { settings, clock } = this.#options;
    return {
      ...this.#activation(),
      releasedTerm: this.#state.releasedTerm,
      peerGone: isPeerGone(this.#settings, this.#state, clock.monotonicMs()),
      preferHoldOffMs: settings.preferHoldOffMs,
      leaseMs: settings.leaseMs,
      wish: this.#state.wish,
    };
  }

  #peerState(): PeerState {
    this.#lookForStall();
    const nowMs = this.#options.clock.monotonicMs();
    return {
      ...this.#activation(),
      ...this.#options.facts(),
      instance: this.#settings.instance,
      hasLease: holdsLease(this.#state, nowMs),
      kernelAnswers: kernelAnswers(this.#settings, this.#state, nowMs),
    };
  }
}
