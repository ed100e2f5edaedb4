import { beforeEach, describe, expect, it } from 'vitest';
import {
  active,
  beginAnew,
  claims,
  connects,
  FIRST,
  happens,
  passes,
  passesFor,
  run,
  SECOND,
  settled,
} from './arbiter.fixture.ts';
import { startArbiter } from './arbiter.ts';

beforeEach(beginAnew);

describe('the lease of a holder that is gone', () => {
  it('runs out a fifth later than it was granted for', () => {
    settled();
    happens({ kind: 'disconnected', instance: 1 });
    expect(claims(2)).toEqual([`2: held-by-other ${FIRST} 1`]);
    expect(passesFor(1439, 2)).toEqual([`2: held-by-other ${FIRST} 1`]);
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
    passesFor(1400, 2);
    expect(passes(40)).toContain(`2: granted ${SECOND} 2`);
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

describe('a Kernel that heard nobody for a time', () => {
  it('does not take the lease from the one that comes back second', () => {
    settled();
    run.nowMs += 400;
    // Nothing tells of the end of these connections.
    for (let ms = 0; ms < 10_000; ms += 50) expect(passes(50)).toEqual([]);
    expect(claims(2)).toEqual([`2: held-by-other ${FIRST} 1`]);
    expect(passesFor(800, 2)).toEqual([`2: held-by-other ${FIRST} 1`]);
    expect(claims(1, active(FIRST))).toEqual([`1: granted ${FIRST} 1`]);
  });

  it('nor where it was told that they ended', () => {
    settled();
    for (const instance of [1, 2]) happens({ kind: 'disconnected', instance });
    passes(10_000);
    connects(2);
    expect(claims(2)).toEqual([`2: held-by-other ${FIRST} 1`]);
    connects(1);
    expect(claims(1, active(FIRST))).toEqual([`1: granted ${FIRST} 1`]);
  });

  it('takes it where that one does not come back, or is seen to be dead', () => {
    for (const peerGone of [false, true]) {
      run.state = startArbiter(null, run.nowMs);
      settled();
      const { holder } = run.state.lease;
      for (const instance of [1, 2]) happens({ kind: 'disconnected', instance });
      passes(10_000);
      connects(2);
      claims(2, { peerGone });
      expect(run.state.lease.holder).toBe(peerGone ? 2 : holder);
      passesFor(840, 2);
      expect(run.state.lease.holder).toBe(2);
    }
  });
});

describe('a holder whose connection comes and goes', () => {
  /** It is away for so long, and back for as long, 20 times; the other one claims all the time. */
  function movesOf(awayMs: number, { isRestarted = false } = {}): number {
    let moves = 0;
    for (let times = 0; times < 20; times++) {
      const { holder, term } = run.state.lease;
      const other = 3 - holder;
      happens({ kind: 'disconnected', instance: holder });
      for (let ms = 0; ms < awayMs; ms += 100) {
        run.nowMs += 100;
        claims(other, { highestTerm: run.state.lease.term });
      }
      connects(holder);
      const gone = run.state.lease.holder === other;
      if (gone) moves += 1;
      const back = { highestTerm: run.state.lease.term, releasedTerm: gone ? term : 0 };
      claims(holder, gone ? { ...back, role: isRestarted ? 'starting' : 'standby' } : active(term));
      for (let ms = 0; ms < awayMs; ms += 100) {
        run.nowMs += 100;
        claims(run.state.lease.holder, active(run.state.lease.term));
        claims(3 - run.state.lease.holder, { highestTerm: run.state.lease.term, releasedTerm: 0 });
      }
    }
    return moves;
  }

  it('every two seconds loses the lease once, every three seconds twice: it is waited for longer', () => {
    settled();
    expect(movesOf(2000)).toBe(1);
    run.state = startArbiter(null, run.nowMs);
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
    const { holder } = run.state.lease;
    const other = 3 - holder;
    happens({ kind: 'disconnected', instance: holder });
    run.nowMs += 1440;
    claims(other);
    expect(run.state.lease.holder).toBe(holder);
    claims(other, { peerGone: true });
    expect(run.state.lease.holder).toBe(other);
    connects(holder);
    claims(holder);
    happens({ kind: 'disconnected', instance: other });
    passesFor(1000, holder);
    claims(holder, { wish: { to: holder, operator: 'somebody', force: false } });
    passes(440);
    expect(run.state.lease.holder).toBe(holder);
  });
});
