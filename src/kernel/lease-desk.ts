import { describeError, isKomError, KomError } from '../domain/errors.ts';
import type { HandoverRequest, LeaseClaim, Role } from '../domain/lease.ts';
import { counterOf, formatTerm, NO_TERM, type Term } from '../domain/term.ts';
import { checkedCounter } from '../uplink/limits.ts';
import type { Message } from '../uplink/messages.ts';
import type { Archive, ArchivedTerm } from '../world/archive.ts';
import type { Clock, Timer } from '../world/clock.ts';
import type { Log } from '../world/log.ts';
import {
  type ArbiterDecision,
  type ArbiterEvent,
  type ArbiterState,
  choiceRefusal,
  startArbiter,
  stepArbiter,
} from './arbiter.ts';

/** Leases run out and hold-offs end at this pace. */
const TICK_MS = 75;
/** An archive that did not tell its terms is asked again then. */
const LOAD_RETRY_MS = 1000;

/** A process of a site. */
export interface ProcessName {
  readonly site: string;
  readonly process: string;
}

export interface LeaseDeskOptions {
  readonly archive: Pick<Archive, 'terms' | 'raiseTerm'>;
  readonly clock: Clock;
  readonly log: Log;
  /** The lease of a process went to an instance, under a term that the archive has. */
  readonly granted: (process: ProcessName, grant: { readonly holder: number; readonly term: Term }) => void;
}

/** A control session that speaks of leases. */
export interface SeatOptions extends ProcessName {
  readonly instance: number;
  readonly send: (message: Message) => Promise<void>;
}

/** What a session tells the desk. */
export interface Seat {
  /** @throws KomError KOM_LIMIT_EXCEEDED for terms that jump */
  claimed(echoUs: number, claim: LeaseClaim): void;
  /** The session is over. */
  leave(): void;
}

/** Who has the lease of a process, and who could, for the status. */
export interface LeaseStatus {
  /** 0: nobody. */
  readonly holder: number;
  readonly term: Term;
  /** As `formatTerm` writes it. */
  readonly termText: string;
  /** The operator's choice; 0: none. */
  readonly chosen: number;
  /** 0: none. */
  readonly preferred: number;
  readonly instances: readonly {
    readonly instance: number;
    /** `null` before its first claim. */
    readonly role: Role | null;
    readonly unfit: string | null;
  }[];
}

interface Taken extends SeatOptions {
  echoUs: number;
}

/** One process with its arbiter; `null` until the archive has told which term was the last. */
interface Desk {
  readonly name: ProcessName;
  readonly seats: Map<number, Taken>;
  arbiter: ArbiterState | null;
}

/**
 * The lease service of a Kernel: one arbiter for each process, its clock, and its way to the archive and to
 * the agents. It answers at once, whatever the archive does: what is not durable is not granted.
 */
export class LeaseDesk {
  readonly #options: LeaseDeskOptions;
  readonly #desks = new Map<string, Desk>();
  readonly #timer: Timer;
  #stored: Promise<void> | null = null;
  #terms: Map<string, { readonly term: Term; readonly holder: number }> | null = null;
  #retryMs = Number.NEGATIVE_INFINITY;

  constructor(options: LeaseDeskOptions) {
    this.#options = options;
    this.#timer = options.clock.repeat('leases', TICK_MS, () => this.#tick());
  }

  close(): void {
    this.#timer.cancel();
  }

  /** It decides anew, from what the archive has: another Kernel may have decided meanwhile. */
  restart(): void {
    this.#desks.clear();
    this.#terms = null;
    this.#stored = null;
    this.#retryMs = Number.NEGATIVE_INFINITY;
  }

  /** Another Kernel granted these: this one grants higher ones only. */
  heard(terms: readonly ArchivedTerm[]): void {
    for (const heard of terms) {
      const key = keyOf(heard);
      const known = this.#terms?.get(key)?.term ?? NO_TERM;
      if (heard.term > known) this.#terms?.set(key, heard);
      const desk = this.#desks.get(key);
      if (desk !== undefined) this.#step(desk, { kind: 'heard', term: heard.term });
    }
  }

  /** A session began; a session of the same instance before it counts no more. */
  attach(options: SeatOptions): Seat {
    const desk = this.#deskOf(options);
    const { instance } = options;
    const taken: Taken = { ...options, echoUs: 0 };
    desk.seats.set(instance, taken);
    this.#open(desk);
    this.#step(desk, { kind: 'connected', instance });
    return {
      claimed: (echoUs, claim) => {
        if (desk.seats.get(instance) === taken) this.#claimed(desk, taken, { echoUs, claim });
      },
      leave: () => {
        if (desk.seats.get(instance) !== taken) return;
        desk.seats.delete(instance);
        this.#step(desk, { kind: 'disconnected', instance });
      },
    };
  }

  /** `null` for a process of which no instance ever asked. */
  status({ site, process }: ProcessName): LeaseStatus | null {
    const arbiter = this.#desks.get(keyOf({ site, process }))?.arbiter ?? null;
    if (arbiter === null) return null;
    const { lease, choice, seats } = arbiter;
    const isHeld = this.#options.clock.monotonicMs() < lease.untilMs && lease.holder !== 0;
    const preferences = seats.flatMap(({ claim }) => (claim === null ? [] : [claim.preferred]));
    const [preferred] = preferences.toSorted((left, right) => right.setAtUs - left.setAtUs);
    return {
      holder: isHeld ? lease.holder : 0,
      term: lease.term,
      termText: formatTerm(lease.term),
      chosen: choice?.to ?? 0,
      preferred: preferred?.instance ?? 0,
      instances: seats.map(({ instance, claim }) => ({
        ...{ instance, role: claim?.role ?? null, unfit: claim?.unfit ?? null },
      })),
    };
  }

  /** Processes of this name whose instances ask for leases, of any site. */
  named(process: string): readonly ProcessName[] {
    return [...this.#desks.values()].map(({ name }) => name).filter((name) => name.process === process);
  }

  /**
   * An operator wants another instance to be active. Who comes next is decided at once; it takes a moment
   * until that one is active. @throws KomError KOM_USAGE where nothing is known of the process, or that
   * instance is not there or not fit, unless it is forced
   */
  switch(name: ProcessName, request: HandoverRequest): void {
    const desk = this.#desks.get(keyOf(name));
    if (desk === undefined || desk.arbiter === null) {
      throw new KomError('KOM_USAGE', `no instance of ${name.process} asks for a lease`);
    }
    const refusal = choiceRefusal(desk.arbiter, request.to);
    if (refusal !== null && !request.force) throw new KomError('KOM_USAGE', refusal);
    this.#options.log.info({ ...name, ...request }, 'an operator chose the active instance');
    this.#step(desk, { kind: 'chosen', request });
  }

  #claimed(desk: Desk, taken: Taken, { echoUs, claim }: { echoUs: number; claim: LeaseClaim }): void {
    taken.echoUs = echoUs;
    const known = counterOf(desk.arbiter?.highestTerm ?? NO_TERM);
    if (desk.arbiter !== null) {
      for (const term of [claim.ownTerm, claim.highestTerm, claim.releasedTerm]) {
        checkedCounter(`term of ${desk.name.site}/${desk.name.process}`, counterOf(term), known);
      }
      this.#step(desk, { kind: 'claimed', instance: taken.instance, claim });
      return;
    }
    this.#open(desk);
    const answer = { kind: 'unable', term: NO_TERM, holder: 0, durationMs: 0, reason: 'archive' } as const;
    this.#send(taken, { type: 'lease', echoUs, answer });
  }

  #deskOf({ site, process }: ProcessName): Desk {
    const key = keyOf({ site, process });
    const desk = this.#desks.get(key) ?? { name: { site, process }, seats: new Map(), arbiter: null };
    this.#desks.set(key, desk);
    return desk;
  }

  /** Begins to decide for a process, as soon as it is known what was decided before. */
  #open(desk: Desk): void {
    const { clock } = this.#options;
    if (desk.arbiter !== null) return;
    if (this.#terms === null) {
      if (this.#stored === null && clock.monotonicMs() >= this.#retryMs) this.#load();
      return;
    }
    desk.arbiter = startArbiter(this.#terms.get(keyOf(desk.name)) ?? null, clock.monotonicMs());
    for (const instance of desk.seats.keys()) this.#step(desk, { kind: 'connected', instance });
  }

  #load(): void {
    const { archive, log, clock } = this.#options;
    const stored = archive
      .terms()
      .then((terms) => {
        if (this.#stored !== stored) return;
        this.#terms = new Map(terms.map((term) => [keyOf(term), term]));
        for (const desk of this.#desks.values()) this.#open(desk);
      })
      .catch((error: unknown) => {
        this.#retryMs = clock.monotonicMs() + LOAD_RETRY_MS;
        log.warn({ error: describeError(error) }, 'the archive does not tell the terms; no lease is given');
      })
      .finally(() => {
        if (this.#stored === stored) this.#stored = null;
      });
    this.#stored = stored;
  }

  #tick(): void {
    for (const desk of this.#desks.values()) {
      if (desk.seats.size > 0) this.#step(desk, { kind: 'tick' });
    }
  }

  #step(desk: Desk, event: EventWithoutTime): void {
    const { arbiter: before, name } = desk;
    if (before === null) return;
    const nowMs = this.#options.clock.monotonicMs();
    const { state, decisions } = stepArbiter(before, { ...event, nowMs });
    desk.arbiter = state;
    const { holder, term } = state.lease;
    if (holder !== before.lease.holder || term !== before.lease.term) {
      this.#options.log.info({ ...name, holder, term: formatTerm(term) }, 'the lease goes to an instance');
      this.#options.granted(name, { holder, term });
    }
    for (const decision of decisions) this.#carryOut(desk, decision);
  }

  #carryOut(desk: Desk, decision: ArbiterDecision): void {
    if (decision.kind === 'answer') {
      const taken = desk.seats.get(decision.instance);
      if (taken !== undefined) {
        this.#send(taken, { type: 'lease', echoUs: taken.echoUs, answer: decision.answer });
      }
      return;
    }
    const { term, holder } = decision;
    const { archive, log } = this.#options;
    archive.raiseTerm({ ...desk.name, term, holder }).then(
      () => this.#step(desk, { kind: 'raised', term }),
      (error: unknown) => {
        if (!isKomError(error)) log.error({ error: describeError(error) }, 'a term was not raised');
        this.#step(desk, { kind: 'raise-failed', term });
      },
    );
  }

  #send(taken: Taken, message: Message): void {
    taken.send(message).catch((error: unknown) => {
      this.#options.log.debug({ error: describeError(error) }, 'a lease found nobody');
    });
  }
}

type EventWithoutTime = ArbiterEvent extends infer Event
  ? Event extends ArbiterEvent
    ? Omit<Event, 'nowMs'>
    : never
  : never;

function keyOf({ site, process }: ProcessName): string {
  return `${site}\n${process}`;
}
