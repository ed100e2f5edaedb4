import { describe, expect, it } from 'vitest';
import { Pair, Server } from '../../test/redundancy/pair.ts';
import { counterOf, termOf } from '../domain/term.ts';
import type { LeaseAnswer } from './ports.ts';

const SWITCH = { to: 2, operator: 'somebody', force: false };

function deedsOf({ deeds }: Server): string[] {
  return deeds.map(({ deed }) => deed);
}

function granted(term: number, holder: number): LeaseAnswer {
  return { kind: 'granted', term, holder, durationMs: 1200, reason: 'holder' };
}

describe('two that start without a Kernel', () => {
  it('listen, and then exactly one is active', async () => {
    const pair = new Pair();
    pair.first.start();
    pair.second.start();
    await pair.clock.advance(3100);
    expect(pair.roles).toBe('starting starting');
    await pair.clock.advance(200);
    expect(pair.roles).toBe('active standby');
    await pair.clock.advance(60_000);
    expect(pair.roles).toBe('active standby');
    expect(pair.second.deeds).toEqual([]);
  });

  it('act apart where they cannot hear each other, and one stands down when they can', async () => {
    const pair = new Pair();
    pair.cut(true);
    pair.first.start();
    pair.second.start();
    await pair.clock.advance(4000);
    expect(pair.roles).toBe('active active');
    expect(pair.first.member.status.isIsolated).toBe(true);
    pair.cut(false);
    await pair.clock.advance(300);
    expect(pair.roles).toBe('active standby');
    expect(deedsOf(pair.second).slice(-2)).toEqual(['stands by', 'stood by']);
  });
});

describe('an active one that ends', () => {
  it('by a kill is followed within 400 ms', async () => {
    const pair = await Pair.settled();
    pair.first.kill();
    const killedMs = pair.nowMs;
    await pair.clock.advance(1000);
    expect(pair.second.role).toBe('active');
    expect(pair.second.activeAtMs - killedMs).toBeLessThanOrEqual(400);
    expect(pair.second.member.status.isIsolated).toBe(false);
  });

  it('without a sign is followed within 1.1 s', async () => {
    const pair = await Pair.settled();
    pair.first.isCut = true;
    pair.first.kill();
    const killedMs = pair.nowMs;
    await pair.clock.advance(2000);
    expect(pair.second.activeAtMs - killedMs).toBeLessThanOrEqual(1100);
    expect(pair.second.member.status.isIsolated).toBe(true);
  });

  it('in order is followed at once', async () => {
    const pair = await Pair.settled();
    const leftMs = pair.nowMs;
    await Promise.all([pair.first.member.leave(), pair.clock.advance(100)]);
    expect(pair.roles).toBe('standby active');
    expect(pair.second.activeAtMs - leftMs).toBeLessThanOrEqual(20);
    await pair.clock.advance(10_000);
    expect(pair.roles).toBe('standby active');
  });

  it('is followed only when the term is durable, however slow the disk is', async () => {
    const pair = await Pair.settled();
    pair.second.fsyncMs = 2000;
    pair.first.kill();
    await pair.clock.advance(2000);
    expect(pair.second.deeds).toEqual([]);
    await pair.clock.advance(400);
    const { term } = pair.second.member;
    expect(deedsOf(pair.second)).toEqual([`active under ${term}, durable ${term}`]);
  });

  it('is followed under a term in memory where the disk is broken, and that is a condition', async () => {
    const pair = await Pair.settled();
    pair.second.isDiskBroken = true;
    pair.first.kill();
    await pair.clock.advance(500);
    const { role, conditions, term } = pair.second.member.status;
    expect(role).toBe('active');
    expect(counterOf(term)).toBe(2);
    expect(conditions.map(({ code }) => code)).toContain('term-not-durable');
  });
});

describe('a peer link that comes and goes, without a Kernel', () => {
  /** How often a role changed while it did, away and back for so long each. */
  async function changesOf(pair: Pair, awayMs: number, times = 20): Promise<number> {
    pair.first.deeds.length = 0;
    pair.second.deeds.length = 0;
    for (let time = 0; time < times; time++) {
      pair.cut(true);
      await pair.clock.advance(awayMs);
      pair.cut(false);
      await pair.clock.advance(awayMs);
    }
    const deeds = [...pair.first.deeds, ...pair.second.deeds];
    return deeds.filter(({ deed }) => /^active|stands by/.test(deed)).length;
  }

  it.each([1000, 1050, 1200])('every %i ms moves the role once at most', async (ms) => {
    const pair = await Pair.settled();
    expect(await changesOf(pair, ms)).toBeLessThanOrEqual(2);
    const active = [pair.first, pair.second].filter(({ role }) => role === 'active');
    expect(active).toHaveLength(1);
  });

  it('is waited for at most eight times as long', async () => {
    const pair = await Pair.settled();
    for (const ms of [1100, 2100, 4100, 8100]) await changesOf(pair, ms, 2);
    const [active, standby] =
      pair.first.role === 'active' ? [pair.first, pair.second] : [pair.second, pair.first];
    pair.cut(true);
    active.kill();
    await pair.clock.advance(7000);
    expect(standby.role).toBe('standby');
    await pair.clock.advance(1100);
    expect(standby.role).toBe('active');
  });

  it('is forgotten after a calm minute', async () => {
    const pair = await Pair.settled();
    await changesOf(pair, 1100);
    await pair.clock.advance(60_000);
    const [active, standby] =
      pair.first.role === 'active' ? [pair.first, pair.second] : [pair.second, pair.first];
    pair.cut(true);
    active.kill();
    const killedMs = pair.nowMs;
    await pair.clock.advance(2000);
    expect(standby.activeAtMs - killedMs).toBeLessThanOrEqual(1100);
  });
});

describe('a process that stands still', () => {
  it('does nothing when it wakes before it knows that it may, and stands down for its follower', async () => {
    const pair = await Pair.settled();
    pair.first.deeds.length = 0;
    pair.first.life.stall(3000);
    await pair.clock.advance(2990);
    expect(pair.second.role).toBe('active');
    await pair.clock.advance(1000);
    expect(pair.roles).toBe('standby active');
    expect(deedsOf(pair.first)).toEqual(['suspended', 'stands by', 'stood by']);
  });

  it('notices it when it is asked before any timer runs', async () => {
    const pair = await Pair.settled();
    expect(pair.first.member.check()).toBe(true);
    pair.first.life.stall(1500);
    await pair.clock.advance(1400);
    expect(pair.first.member.check()).toBe(false);
    expect(pair.first.member.status.role).toBe('suspended');
  });

  it('goes on where a lease that it asked for afterwards is renewed', async () => {
    const pair = await Pair.settled();
    const { member, deeds } = pair.first;
    pair.clock.stepWallMs(5000);
    await pair.clock.advance(60);
    expect(deedsOf(pair.first)).toContain('suspended');
    deeds.length = 0;
    member.leaseSide.sessionChanged(true);
    member.leaseSide.answered(granted(member.term, 1), pair.nowMs);
    expect(member.isActive).toBe(true);
  });

  it('goes on where the peer answers what it said afterwards, and stands by', async () => {
    const pair = await Pair.settled();
    pair.clock.stepWallMs(5000);
    await pair.clock.advance(60);
    expect(pair.first.role).toBe('suspended');
    await pair.clock.advance(600);
    expect(pair.roles).toBe('active standby');
  });

  it('goes on where it hears nothing for as long as it listens', async () => {
    const pair = await Pair.settled();
    pair.second.isCut = true;
    pair.second.kill();
    pair.first.life.stall(1500);
    await pair.clock.advance(4300);
    expect(pair.first.role).toBe('suspended');
    await pair.clock.advance(400);
    expect(pair.first.role).toBe('active');
  });

  it('that stands by takes over from nobody because it heard nothing itself', async () => {
    const pair = await Pair.settled();
    for (let stall = 0; stall < 20; stall++) {
      pair.second.life.stall(stall % 2 === 0 ? 900 : 2500);
      await pair.clock.advance(3000);
    }
    expect(pair.roles).toBe('active standby');
    // It did not even begin to.
    expect(pair.second.notes.highest).toBe(0);
    expect(pair.second.deeds).toEqual([]);
  });
});

describe('a peer link that comes and goes each second', () => {
  it('moves no role', async () => {
    const pair = await Pair.settled();
    for (let second = 0; second < 120; second++) {
      pair.cut(true);
      await pair.clock.advance(650);
      pair.cut(false);
      await pair.clock.advance(350);
    }
    expect(pair.roles).toBe('active standby');
    expect(pair.second.deeds).toEqual([]);
  });
});

describe('a switch without a Kernel', () => {
  it.each([1, 2])('asked for at instance %i hands over in order, with nothing observed twice', async (at) => {
    const pair = await Pair.settled();
    pair.first.facts = { ...pair.first.facts, observedAgeUs: { L1: 5000 } };
    await pair.clock.advance(300);
    pair.first.standByMs = 500;
    const { member } = at === 1 ? pair.first : pair.second;
    expect(member.switchTo(SWITCH)).toBeNull();
    await pair.clock.advance(450);
    expect(pair.roles).toBe('suspended standby');
    await pair.clock.advance(200);
    expect(pair.roles).toBe('standby active');
    const stoodByMs = pair.first.deeds.at(-1)?.atMs ?? Number.NaN;
    expect(pair.second.activeAtMs).toBeGreaterThan(stoodByMs);
    expect(pair.second.ages[0]?.['L1']).toBeGreaterThanOrEqual(5000);
    await pair.clock.advance(10_000);
    expect(pair.roles).toBe('standby active');
  });

  it('comes back where the other one ends before it takes over', async () => {
    const pair = await Pair.settled();
    pair.second.fsyncMs = 5000;
    pair.first.member.switchTo(SWITCH);
    await pair.clock.advance(100);
    pair.second.kill();
    await pair.clock.advance(600);
    expect(pair.first.role).toBe('active');
  });

  it('is refused with the reason, but not by force', async () => {
    const pair = await Pair.settled();
    const { member } = pair.first;
    expect(member.switchTo({ ...SWITCH, to: 1 })).toBe('instance 1 is active');
    expect(member.switchTo({ ...SWITCH, to: 3 })).toBe('there is no instance 3');
    pair.second.member.setFitness('no serial device');
    await pair.clock.advance(10);
    expect(member.switchTo(SWITCH)).toBe('instance 2 is unfit: no serial device');
    pair.second.member.setFitness(null);
    pair.first.facts = { ...pair.first.facts, mirrorLagBytes: 5_000_000 };
    await pair.clock.advance(300);
    expect(member.switchTo(SWITCH)).toMatch(/mirror lags by 5000000 bytes/);
    expect(pair.second.member.switchTo(SWITCH)).toMatch(/mirror lags by 5000000 bytes/);
    pair.cut(true);
    await pair.clock.advance(900);
    pair.cut(false);
    expect(member.switchTo({ ...SWITCH, force: true })).toBeNull();
    await pair.clock.advance(100);
    expect(pair.roles).toBe('standby active');
  });

  it('is refused where the other instance is not connected', async () => {
    const pair = await Pair.settled();
    pair.second.isCut = true;
    await pair.clock.advance(1200);
    expect(pair.first.member.switchTo(SWITCH)).toBe('the other instance is not connected');
  });
});

describe('with a Kernel that answers', () => {
  it('an operator’s wish goes to it, until it has answered', async () => {
    const pair = await Pair.settled();
    const { member } = pair.first;
    member.leaseSide.sessionChanged(true);
    member.leaseSide.answered(granted(termOf(3, { instance: 1, by: 'kernel' }), 1), pair.nowMs);
    await pair.clock.advance(10);
    expect(member.term).toBe(termOf(3, { instance: 1, by: 'kernel' }));
    expect(member.switchTo(SWITCH)).toBeNull();
    expect(member.leaseSide.claim().wish).toEqual(SWITCH);
    const held: LeaseAnswer = {
      ...granted(termOf(4, { instance: 1, by: 'kernel' }), 2),
      kind: 'held-by-other',
      reason: 'switch',
    };
    member.leaseSide.answered(held, pair.nowMs);
    expect(member.leaseSide.claim()).toMatchObject({ wish: null, role: 'suspended', releasedTerm: 0 });
    await pair.clock.advance(10);
    const releasedTerm = termOf(3, { instance: 1, by: 'kernel' });
    expect(member.leaseSide.claim()).toMatchObject({ role: 'standby', releasedTerm });
  });

  it('a standby tells it that the process of its peer is dead, and waits for its grant', async () => {
    const pair = await Pair.settled();
    const { member } = pair.second;
    const held: LeaseAnswer = { ...granted(pair.first.member.term, 1), kind: 'held-by-other' };
    member.leaseSide.sessionChanged(true);
    member.leaseSide.answered(held, pair.nowMs);
    pair.first.kill();
    pair.second.claims = 0;
    await pair.clock.advance(400);
    expect(pair.second.claims).toBe(1);
    expect(member.leaseSide.claim().peerGone).toBe(true);
    expect(pair.second.deeds).toEqual([]);
    member.leaseSide.answered(granted(termOf(2, { instance: 1, by: 'kernel' }), 2), pair.nowMs);
    await pair.clock.advance(10);
    expect(member.isActive).toBe(true);
  });
});

describe('what an operator prefers', () => {
  it('is kept on both sides', async () => {
    const pair = await Pair.settled();
    pair.first.member.prefer(2);
    await pair.clock.advance(50);
    expect(pair.second.notes.preferred?.instance).toBe(2);
    expect(pair.first.notes.preferred).toEqual(pair.second.notes.preferred);
    const again = new Server(pair.clock, 2, pair.second.notes);
    expect(again.member.status.preferredInstance).toBe(2);
  });
});

describe('differences between the two', () => {
  it('are conditions, and prevent nothing', async () => {
    const pair = await Pair.settled();
    pair.first.facts = { ...pair.first.facts, siteHash: 'bb', programVersion: '1.1.0' };
    await pair.clock.advance(300);
    const codes = pair.second.member.status.conditions.map(({ code }) => code);
    expect(codes).toEqual(['site-hash-differs', 'program-version-differs']);
    pair.first.kill();
    await pair.clock.advance(1000);
    expect(pair.second.role).toBe('active');
  });
});
