import { beforeEach, describe, expect, it } from 'vitest';
import { termOf } from '../domain/term.ts';
import {
  active,
  beginAnew,
  claims,
  connects,
  FIRST,
  grant,
  happens,
  passes,
  passesFor,
  run,
  SECOND,
  settled,
} from './arbiter.fixture.ts';
import { choiceRefusal, startArbiter } from './arbiter.ts';

beforeEach(beginAnew);

describe('who gets the lease', () => {
  it('is nobody in the first time of a lease and its margin, but the holder that is known and active', () => {
    connects(1);
    expect(claims(1)).toEqual(['1: held-by-other 0 0']);
    expect(passesFor(1439, 1)).toEqual(['1: held-by-other 0 0']);
    expect(passes(1)).toEqual([`raise ${FIRST} for 1`, `1: granted ${FIRST} 1`]);

    run.state = startArbiter({ term: SECOND, holder: 2 }, run.nowMs);
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
    claims(2, active(termOf(7, { instance: 2, by: 'itself' })));
    const raised = grant(8, 2);
    expect(passes(440)).toEqual([
      `raise ${raised} for 2`,
      `1: held-by-other ${raised} 2`,
      `2: granted ${raised} 2`,
    ]);
  });

  it('is who took over while there was no Kernel, not the last holder that comes back empty', () => {
    run.state = startArbiter({ term: FIRST, holder: 1 }, 0);
    const own = termOf(2, { instance: 2, by: 'itself' });
    connects(2);
    passes(1400);
    claims(2, active(own));
    connects(1);
    claims(1, { highestTerm: own });
    const raised = grant(3, 2);
    expect(passes(40)).toContain(`2: granted ${raised} 2`);
    expect(claims(1, { highestTerm: raised })).toEqual([`1: held-by-other ${raised} 2`]);
  });

  it('is under its old term no last holder where one that is about to end acts under a later one', () => {
    run.state = startArbiter({ term: FIRST, holder: 1 }, 0);
    const own = termOf(2, { instance: 2, by: 'itself' });
    connects(2);
    connects(1);
    passes(1500);
    claims(2, { ...active(own), isLeaving: true });
    expect(claims(1, { highestTerm: own, isLeaving: true })).toEqual([`1: held-by-other ${FIRST} 0`]);
    const raised = grant(3, 1);
    expect(claims(1, { highestTerm: own })).toContain(`raise ${raised} for 1`);
  });

  it('is a fit one rather than an unfit one, and an unfit one rather than none', () => {
    passes(1440);
    connects(1);
    expect(claims(1, { unfit: 'no port' })).toContain(`1: granted ${FIRST} 1`);
    run.state = startArbiter(null, run.nowMs);
    connects(1);
    connects(2);
    passes(1000);
    claims(1, { unfit: 'no port' });
    claims(2);
    expect(passes(440)).toContain(`2: granted ${grant(1, 2)} 2`);
  });

  it('is not one that is about to end', () => {
    passes(1440);
    connects(1);
    expect(claims(1, { isLeaving: true })).toEqual(['1: held-by-other 0 0']);
  });
});

describe('an operator’s switch', () => {
  const toSecond = { to: 2, operator: 'somebody', force: false };

  it('has a term for the next one before the holder is asked to stand down', () => {
    settled();
    run.archive = 'hangs';
    run.said = [];
    happens({ kind: 'chosen', request: toSecond });
    expect(run.said).toEqual([`raise ${SECOND} for 2`]);
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
    expect(choiceRefusal(run.state, 2)).toBeNull();
    expect(choiceRefusal(run.state, 3)).toMatch(/not connected/);
    claims(2, { unfit: 'no port' });
    expect(choiceRefusal(run.state, 2)).toMatch(/no port/);
    expect(claims(1, { ...active(FIRST), wish: toSecond })).toEqual([`1: granted ${FIRST} 1`]);
    const forced = { ...toSecond, force: true };
    expect(claims(1, { ...active(FIRST), wish: forced })).toContain(`1: held-by-other ${SECOND} 2`);
  });

  it('is forgotten when the chosen one has lost the lease', () => {
    settled();
    happens({ kind: 'chosen', request: toSecond });
    claims(1, { role: 'standby', highestTerm: SECOND, releasedTerm: FIRST });
    happens({ kind: 'disconnected', instance: 2 });
    passesFor(1440, 1, { highestTerm: SECOND, releasedTerm: FIRST });
    connects(2);
    claims(2, { highestTerm: SECOND, releasedTerm: SECOND });
    expect(claims(1, active(grant(3, 1)))).toEqual([`1: granted ${grant(3, 1)} 1`]);
  });
});

describe('the preferred instance', () => {
  const preferred = { instance: 2, setAtUs: 0 };

  it('gets the lease back when it has been connected and fit for its hold-off, not earlier', () => {
    settled({ preferred: { instance: 0, setAtUs: 0 } });
    for (let ms = 0; ms < 9900; ms += 300) {
      run.nowMs += 300;
      claims(2, { preferred });
      claims(1, { ...active(FIRST), preferred });
      if (run.nowMs < 1440 + 10_000) expect(run.said).toEqual([`1: granted ${FIRST} 1`]);
    }
    run.nowMs += 300;
    expect(claims(2, { preferred })).toContain(`raise ${SECOND} for 2`);
  });

  it('never gets it while its connection comes and goes each second', () => {
    settled();
    for (let second = 0; second < 60; second++) {
      happens({ kind: 'disconnected', instance: 2 });
      connects(2);
      claims(2, { preferred });
      for (let ms = 0; ms < 1000; ms += 250) {
        run.nowMs += 250;
        expect(claims(1, { ...active(FIRST), preferred })).toEqual([`1: granted ${FIRST} 1`]);
      }
    }
  });

  it('is the one that an operator set last, on whichever side', () => {
    settled({ preferred });
    const later = { instance: 1, setAtUs: 5 };
    for (let ms = 0; ms < 12_000; ms += 300) {
      run.nowMs += 300;
      claims(2, { preferred });
      claims(1, { ...active(FIRST), preferred: later });
    }
    expect(claims(1, { ...active(FIRST), preferred: later })).toContain(`1: granted ${FIRST} 1`);
  });
});

describe('terms', () => {
  it('go above what the holder or anybody else has heard of', () => {
    settled();
    const foreign = termOf(9, { instance: 2, by: 'itself' });
    const raised = grant(10, 1);
    expect(claims(2, active(foreign))).toEqual([
      `raise ${raised} for 1`,
      `2: held-by-other ${FIRST} 1`,
      `1: granted ${raised} 1`,
      `2: held-by-other ${raised} 1`,
    ]);
  });

  it('that the run.archive refuses make the Kernel unable, and are tried again', () => {
    passes(1440);
    run.archive = 'refuses';
    connects(1);
    expect(claims(1)).toContain('1: unable 0 0');
    run.archive = 'takes';
    expect(passes(999)).toEqual([]);
    expect(passes(1)).toEqual([`raise ${grant(2, 1)} for 1`, `1: granted ${grant(2, 1)} 1`]);
  });

  it('that the run.archive does not answer in the time of a lease make it unable as well', () => {
    passes(1440);
    run.archive = 'hangs';
    connects(1);
    expect(claims(1)).toEqual([`raise ${FIRST} for 1`, '1: held-by-other 0 0']);
    expect(passes(1200)).toEqual(['1: unable 0 0']);
  });

  it('are not needed to go on with the holder', () => {
    settled();
    run.archive = 'refuses';
    happens({ kind: 'chosen', request: { to: 2, operator: 'somebody', force: false } });
    expect(claims(1, active(FIRST))).toEqual([`1: granted ${FIRST} 1`]);
  });
});
