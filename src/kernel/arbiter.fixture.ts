import type { LeaseClaim, Role } from '../domain/lease.ts';
import { type Term, termOf } from '../domain/term.ts';
import { type ArbiterEvent, type ArbiterState, startArbiter, stepArbiter } from './arbiter.ts';

const CLAIM: LeaseClaim = {
  role: 'standby',
  ownTerm: 0,
  highestTerm: 0,
  releasedTerm: 0,
  unfit: null,
  isLeaving: false,
  peerGone: false,
  preferred: { instance: 0, setAtUs: 0 },
  preferHoldOffMs: 10_000,
  leaseMs: 1200,
  wish: null,
};

/** One arbiter under test, its clock and its archive. */
export const run: {
  nowMs: number;
  state: ArbiterState;
  /** What the archive does with a raise. */
  archive: 'takes' | 'refuses' | 'hangs';
  said: string[];
} = { nowMs: 0, state: startArbiter(null, 0), archive: 'takes', said: [] };

/** Each test begins with an arbiter that just started. */
export function beginAnew(): void {
  Object.assign(run, { nowMs: 0, state: startArbiter(null, 0), archive: 'takes', said: [] });
}

/** One event, and what the archive makes of it; decisions go to `run.said`. */
export function happens(event: ArbiterEvent): void {
  const ruling = stepArbiter(run.state, { ...event, nowMs: run.nowMs });
  run.state = ruling.state;
  const raised: number[] = [];
  for (const decision of ruling.decisions) {
    if (decision.kind === 'raise') {
      run.said.push(`raise ${decision.term} for ${decision.holder}`);
      raised.push(decision.term);
    } else {
      const { kind, term, holder } = decision.answer;
      run.said.push(`${decision.instance}: ${kind} ${term} ${holder}`);
    }
  }
  for (const term of raised) {
    if (run.archive === 'takes') happens({ kind: 'raised', term });
    else if (run.archive === 'refuses') happens({ kind: 'raise-failed', term });
  }
}

export function claims(instance: number, change: Partial<LeaseClaim> = {}): string[] {
  run.said = [];
  happens({ kind: 'claimed', instance, claim: { ...CLAIM, ...change } });
  return run.said;
}

export function connects(instance: number): void {
  happens({ kind: 'connected', instance });
}

export function passes(ms: number): string[] {
  run.said = [];
  run.nowMs += ms;
  happens({ kind: 'tick' });
  return run.said;
}

/** Time in which an instance claims as ever; what was run.said last is returned. */
export function passesFor(ms: number, instance: number, change: Partial<LeaseClaim> = {}): string[] {
  for (let leftMs = ms; leftMs > 0; leftMs -= 100) {
    run.nowMs += Math.min(100, leftMs);
    claims(instance, change);
  }
  return run.said;
}

export function active(term: number, role: Role = 'active'): Partial<LeaseClaim> {
  return { role, ownTerm: term, highestTerm: term };
}

/** What a Kernel grants. */
export function grant(counter: number, instance: number): Term {
  return termOf(counter, { instance, by: 'kernel' });
}

/** Of instance 1, then of instance 2. */
export const FIRST = grant(1, 1);
export const SECOND = grant(2, 2);

/** Instance 1 holds the lease, 2 stands by. */
export function settled(change: Partial<LeaseClaim> = {}): void {
  passes(1440);
  connects(1);
  connects(2);
  claims(1, change);
  claims(2, change);
  claims(1, { ...active(FIRST), ...change });
}
