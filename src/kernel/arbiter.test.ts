import { beforeEach, describe, expect, it } from 'vitest';
import type { LeaseClaim, Role } from '../domain/lease.ts';
import { termOf } from '../domain/term.ts';
import { type ArbiterEvent, type ArbiterState, choiceRefusal, startArbiter, stepArbiter } from './arbiter.ts';

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

let nowMs = 0;
let state: ArbiterState = startArbiter(null, 0);
/** What the archive does with a raise. */
let archive: 'takes' | 'refuses' | 'hangs' = 'takes';
let said: string[] = [];

/** One event, and what the archive makes of it; decisions go to `said`. */
function happens(event: ArbiterEvent): void {
  const ruling = stepArbiter(state, { ...event, nowMs });
  state = ruling.state;
  const raised: number[] = [];
  for (const decision of ruling.decisions) {
    if (decision.kind === 'raise') {
      said.push(`raise ${decision.term} for ${decision.holder}`);
      raised.push(decision.term);
    } else {
      const { kind, term, holder } = decision.answer;
      said.push(`${decision.instance}: ${kind} ${term} ${holder}`);
    }
  }
  for (const term of raised) {
    if (archive === 'takes') happens({ kind: 'raised', term });
    else if (archive === 'refuses') happens({ kind: 'raise-failed', term });
  }
}

function claims(instance: number, change: Partial<LeaseClaim> = {}): string[] {
  said = [];
  happens({ kind: 'claimed', instance, claim: { ...CLAIM, ...change } });
  return said;
}

function connects(instance: number): void {
  happens({ kind: 'connected', instance });
}

function passes(ms: number): string[] {
  said = [];
  nowMs += ms;
  happens({ kind: 'tick' });
  return said;
}

function active(term: number, role: Role = 'active'): Partial<LeaseClaim> {
  return { role, ownTerm: term, highestTerm: term };
}

const FIRST = termOf(1, 'kernel');
const SECOND = termOf(2, 'kernel');

beforeEach(() => {
  nowMs = 0;
  state = startArbiter(null, 0);
  archive = 'takes';
  said = [];
});

/** Instance 1 holds the lease, 2 stands by. */
function settled(change: Partial<LeaseClaim> = {}): void {
  passes(1440);
  connects(1);
  connects(2);
  claims(1, change);
  claims(2, change);
  claims(1, { ...active(FIRST), ...change });
}

describe('who gets the lease', () => {
  it('is nobody in the first time of a lease and its margin, but the holder that is known and active', () => {
    connects(1);
    expect(claims(1)).toEqual(['1: held-by-other 0 0']);
    passes(1439);
    expect(claims(1)).toEqual(['1: held-by-other 0 0']);
    expect(passes(1)).toEqual([`raise ${FIRST} for 1`, `1: granted ${FIRST} 1`]);

    state = startArbiter({ term: SECOND, holder: 2 }, nowMs);
    connects(1);
    connects(2);
    expect(claims(1)).toEqual([`1: held-by-other ${SECOND} 2`]);
    expect(claims(2)).toEqual([`2: held-by-other ${SECOND} 0`]);
    expect(claims(2, active(SECOND))).toEqual([`2: granted ${SECOND} 2`]);
  });

  it('is who is active under the highest term, else who stands by, else who connected first', () => {
    connects(1);
    connects(2);
    passes(1000);
    claims(1, { role: 'starting' });
    claims(2, active(termOf(7, { instance: 2 })));
    const raised = termOf(8, 'kernel');
    expect(passes(440)).toEqual([
      `raise ${raised} for 2`,
      `1: held-by-other ${raised} 2`,
      `2: granted ${raised} 2`,
    ]);
  });

  it('is a fit one rather than an unfit one, and an unfit one rather than none', () => {
    passes(1440);
    connects(1);
    expect(claims(1, { unfit: 'no port' })).toContain(`1: granted ${FIRST} 1`);
    state = startArbiter(null, nowMs);
    connects(1);
    connects(2);
    passes(1000);
    claims(1, { unfit: 'no port' });
    claims(2);
    expect(passes(440)).toContain(`2: granted ${FIRST} 2`);
  });

  it('is not one that is about to end', () => {
    passes(1440);
    connects(1);
    expect(claims(1, { isLeaving: true })).toEqual(['1: held-by-other 0 0']);
  });
});

describe('the lease of a holder that is gone', () => {
  it('runs out a fifth later than it was granted for', () => {
    settled();
    happens({ kind: 'disconnected', instance: 1 });
    expect(claims(2)).toEqual([`2: held-by-other ${FIRST} 1`]);
    nowMs += 1439;
    expect(claims(2)).toEqual([`2: held-by-other ${FIRST} 1`]);
    expect(passes(1)).toEqual([
      `raise ${SECOND} for 2`,
      `2: held-by-other ${FIRST} 0`,
      `2: granted ${SECOND} 2`,
    ]);
  });

  it('is over at once where its peer sees that its process is dead, and its session has ended', () => {
    settled();
    expect(claims(2, { peerGone: true })).toEqual([`2: held-by-other ${FIRST} 1`]);
    happens({ kind: 'disconnected', instance: 1 });
    expect(claims(2, { peerGone: true })).toContain(`2: granted ${SECOND} 2`);
  });

  it('ends where its connection is there but silent', () => {
    settled();
    nowMs += 1000;
    claims(2);
    expect(passes(440)).toContain(`2: granted ${SECOND} 2`);
  });

  it('is the holder’s again where it is back in time', () => {
    settled();
    happens({ kind: 'disconnected', instance: 1 });
    passes(500);
    connects(1);
    expect(claims(1, active(FIRST))).toEqual([`1: granted ${FIRST} 1`]);
    expect(claims(2)).toEqual([`2: held-by-other ${FIRST} 1`]);
  });

  it('is over where the holder says that it gave it up: it started anew', () => {
    settled();
    happens({ kind: 'disconnected', instance: 1 });
    connects(1);
    const anew = { role: 'starting', highestTerm: FIRST, releasedTerm: FIRST } as const;
    expect(claims(1, anew)).toContain(`2: granted ${SECOND} 2`);
  });
});

describe('a holder whose connection comes and goes', () => {
  /** It is away for so long, and back for as long, 20 times; the other one claims all the time. */
  function movesOf(awayMs: number, { isRestarted = false } = {}): number {
    let moves = 0;
    for (let times = 0; times < 20; times++) {
      const { holder, term } = state.lease;
      const other = 3 - holder;
      happens({ kind: 'disconnected', instance: holder });
      for (let ms = 0; ms < awayMs; ms += 100) {
        nowMs += 100;
        claims(other, { highestTerm: state.lease.term });
      }
      connects(holder);
      const gone = state.lease.holder === other;
      if (gone) moves += 1;
      const back = { highestTerm: state.lease.term, releasedTerm: gone ? term : 0 };
      claims(holder, gone ? { ...back, role: isRestarted ? 'starting' : 'standby' } : active(term));
      for (let ms = 0; ms < awayMs; ms += 100) {
        nowMs += 100;
        claims(state.lease.holder, active(state.lease.term));
        claims(3 - state.lease.holder, { highestTerm: state.lease.term, releasedTerm: 0 });
      }
    }
    return moves;
  }

  it('every two seconds loses the lease once, every three seconds twice: it is waited for longer', () => {
    settled();
    expect(movesOf(2000)).toBe(1);
    state = startArbiter(null, nowMs);
    settled();
    expect(movesOf(3000)).toBe(2);
  });

  it('but whose process was started anew is not: nothing flapped', () => {
    settled();
    expect(movesOf(2000, { isRestarted: true })).toBe(20);
  });

  it('is waited for no longer where an operator wants the other one, or its process is dead', () => {
    settled();
    movesOf(2000);
    const { holder } = state.lease;
    const other = 3 - holder;
    happens({ kind: 'disconnected', instance: holder });
    nowMs += 1440;
    claims(other);
    expect(state.lease.holder).toBe(holder);
    claims(other, { peerGone: true });
    expect(state.lease.holder).toBe(other);
    connects(holder);
    claims(holder);
    happens({ kind: 'disconnected', instance: other });
    passes(1000);
    claims(holder, { wish: { to: holder, operator: 'somebody', force: false } });
    passes(440);
    expect(state.lease.holder).toBe(holder);
  });
});

describe('an operator’s switch', () => {
  const toSecond = { to: 2, operator: 'somebody', force: false };

  it('has a term for the next one before the holder is asked to stand down', () => {
    settled();
    archive = 'hangs';
    said = [];
    happens({ kind: 'chosen', request: toSecond });
    expect(said).toEqual([`raise ${SECOND} for 2`]);
    expect(claims(1, active(FIRST))).toEqual([`1: granted ${FIRST} 1`]);
    happens({ kind: 'raised', term: SECOND });
    expect(claims(1, active(FIRST, 'suspended'))).toEqual([`1: held-by-other ${SECOND} 2`]);
    expect(claims(2)).toEqual([`2: held-by-other ${SECOND} 0`]);
    const released = { ...active(FIRST, 'standby'), releasedTerm: FIRST, highestTerm: SECOND };
    expect(claims(1, released)).toContain(`2: granted ${SECOND} 2`);
  });

  it('may be asked for at an instance', () => {
    settled();
    const wish = claims(1, { ...active(FIRST), wish: toSecond });
    expect(wish).toContain(`1: held-by-other ${SECOND} 2`);
  });

  it('is refused where the instance is not connected, unfit or about to end, but not by force', () => {
    settled();
    expect(choiceRefusal(state, 2)).toBeNull();
    expect(choiceRefusal(state, 3)).toMatch(/not connected/);
    claims(2, { unfit: 'no port' });
    expect(choiceRefusal(state, 2)).toMatch(/no port/);
    expect(claims(1, { ...active(FIRST), wish: toSecond })).toEqual([`1: granted ${FIRST} 1`]);
    const forced = { ...toSecond, force: true };
    expect(claims(1, { ...active(FIRST), wish: forced })).toContain(`1: held-by-other ${SECOND} 2`);
  });

  it('is forgotten when the chosen one has lost the lease', () => {
    settled();
    happens({ kind: 'chosen', request: toSecond });
    claims(1, { role: 'standby', highestTerm: SECOND, releasedTerm: FIRST });
    happens({ kind: 'disconnected', instance: 2 });
    passes(1000);
    claims(1, { highestTerm: SECOND, releasedTerm: FIRST });
    passes(440);
    connects(2);
    claims(2, { highestTerm: SECOND, releasedTerm: SECOND });
    expect(claims(1, active(termOf(3, 'kernel')))).toEqual([`1: granted ${termOf(3, 'kernel')} 1`]);
  });
});

describe('the preferred instance', () => {
  const preferred = { instance: 2, setAtUs: 0 };

  it('gets the lease back when it has been connected and fit for its hold-off, not earlier', () => {
    settled({ preferred: { instance: 0, setAtUs: 0 } });
    for (let ms = 0; ms < 9900; ms += 300) {
      nowMs += 300;
      claims(2, { preferred });
      claims(1, { ...active(FIRST), preferred });
      if (nowMs < 1440 + 10_000) expect(said).toEqual([`1: granted ${FIRST} 1`]);
    }
    nowMs += 300;
    expect(claims(2, { preferred })).toContain(`raise ${SECOND} for 2`);
  });

  it('never gets it while its connection comes and goes each second', () => {
    settled();
    for (let second = 0; second < 60; second++) {
      happens({ kind: 'disconnected', instance: 2 });
      connects(2);
      claims(2, { preferred });
      for (let ms = 0; ms < 1000; ms += 250) {
        nowMs += 250;
        expect(claims(1, { ...active(FIRST), preferred })).toEqual([`1: granted ${FIRST} 1`]);
      }
    }
  });

  it('is the one that an operator set last, on whichever side', () => {
    settled({ preferred });
    const later = { instance: 1, setAtUs: 5 };
    for (let ms = 0; ms < 12_000; ms += 300) {
      nowMs += 300;
      claims(2, { preferred });
      claims(1, { ...active(FIRST), preferred: later });
    }
    expect(claims(1, { ...active(FIRST), preferred: later })).toContain(`1: granted ${FIRST} 1`);
  });
});

describe('terms', () => {
  it('go above what the holder or anybody else has heard of', () => {
    settled();
    const foreign = termOf(9, { instance: 2 });
    const raised = termOf(10, 'kernel');
    expect(claims(2, active(foreign))).toEqual([
      `raise ${raised} for 1`,
      `2: held-by-other ${FIRST} 1`,
      `1: granted ${raised} 1`,
      `2: held-by-other ${raised} 1`,
    ]);
  });

  it('that the archive refuses make the Kernel unable, and are tried again', () => {
    passes(1440);
    archive = 'refuses';
    connects(1);
    expect(claims(1)).toContain('1: unable 0 0');
    archive = 'takes';
    expect(passes(999)).toEqual([]);
    expect(passes(1)).toEqual([`raise ${termOf(2, 'kernel')} for 1`, `1: granted ${termOf(2, 'kernel')} 1`]);
  });

  it('that the archive does not answer in the time of a lease make it unable as well', () => {
    passes(1440);
    archive = 'hangs';
    connects(1);
    expect(claims(1)).toEqual([`raise ${FIRST} for 1`, '1: held-by-other 0 0']);
    expect(passes(1200)).toEqual(['1: unable 0 0']);
  });

  it('are not needed to go on with the holder', () => {
    settled();
    archive = 'refuses';
    happens({ kind: 'chosen', request: { to: 2, operator: 'somebody', force: false } });
    expect(claims(1, active(FIRST))).toEqual([`1: granted ${FIRST} 1`]);
  });
});
