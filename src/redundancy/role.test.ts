import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  CIRCUMSTANCES,
  HIGHER,
  inPhase,
  OWN,
  roleTable,
  SETTINGS,
} from '../../test/redundancy/role-table.ts';
import { termOf } from '../domain/term.ts';
import { startRole, stepRole } from './role.ts';
import { type PeerWord, PHASES, type RoleState } from './role-state.ts';

const NOW_MS = 100_000;
const NOBODY = { instance: 0, setAtUs: 0 };

describe('the table of events and phases', () => {
  it('is that of docs/REDUNDANCY.md; `npm run docs` writes it', () => {
    expect(readFileSync('docs/REDUNDANCY.md', 'utf8')).toContain(`-->\n${roleTable()}\n<!--`);
  });

  it('holds rules that no event breaks', () => {
    for (const phase of PHASES) {
      for (const { given, event } of CIRCUMSTANCES) {
        const before = inPhase(phase, given);
        const { state, effects } = stepRole(SETTINGS, before, { ...event, nowMs: NOW_MS });
        const kinds = effects.map(({ kind }) => kind);
        // Whoever becomes active does so under a term that is durable, or that it had before.
        if (kinds.includes('activate')) {
          expect(state.phase).toBe('active');
          expect(event.kind === 'persisted' || before.phase === 'suspended').toBe(true);
        }
        if (state.phase === 'taking')
          expect(kinds.includes('persist') || before.phase === 'taking').toBe(true);
        if (phase === 'active' && state.phase !== 'active') {
          expect(kinds.includes('stand-by') || kinds.includes('suspend')).toBe(true);
        }
        expect(state.highestTerm).toBeGreaterThanOrEqual(before.highestTerm);
        expect(state.releasedTerm).toBeGreaterThanOrEqual(before.releasedTerm);
      }
    }
  });
});

describe('a process that only one server runs', () => {
  const settings = { ...SETTINGS, hasPeer: false, hasPeerLink: false };
  const { state, effects } = startRole(settings, { nowMs: 0, highestTerm: 0, preferred: NOBODY });

  it('is active at once, and takes over the term of its Kernel', () => {
    expect(effects).toEqual([{ kind: 'activate' }]);
    const there = stepRole(settings, state, { kind: 'session', isThere: true, nowMs: 1 }).state;
    const answer = { kind: 'granted', term: OWN, holder: 1, durationMs: 1200, reason: '' } as const;
    const granted = stepRole(settings, there, { kind: 'answered', answer, sentMs: 1, nowMs: 2 });
    expect(granted.effects).toContainEqual({ kind: 'persist', term: OWN });
    const event = { kind: 'persisted', term: OWN, isDurable: true, nowMs: 3 } as const;
    expect(stepRole(settings, granted.state, event).state).toMatchObject({ phase: 'active', ownTerm: OWN });
  });

  it('never stands down, and a stall is nothing to it', () => {
    const woke = stepRole(settings, state, { kind: 'woke', nowMs: 5000 });
    expect(woke).toMatchObject({ state: { phase: 'active' }, effects: [] });
  });
});

describe('a process of two servers without a peer link', () => {
  const settings = { ...SETTINGS, hasPeerLink: false };

  it('stays a standby where no Kernel answers, and starts by itself where none ever did', () => {
    const tick = { kind: 'tick', peerHeardMs: Number.NEGATIVE_INFINITY, peerGoneFromMs: null } as const;
    const standby = inPhase('standby');
    expect(stepRole(settings, standby, { ...tick, nowMs: NOW_MS + 60_000 }).state.phase).toBe('standby');
    const starting = inPhase('starting');
    expect(stepRole(settings, starting, { ...tick, nowMs: NOW_MS + 199 }).state.phase).toBe('starting');
    expect(stepRole(settings, starting, { ...tick, nowMs: NOW_MS + 200 }).state.phase).toBe('taking');
  });
});

describe('a lease', () => {
  function leased(change: Partial<RoleState> = {}): RoleState {
    return inPhase('taking', {
      hasSession: true,
      kernelAnsweredMs: NOW_MS - 100,
      pending: { term: HIGHER, from: 'kernel', why: 'lease-granted' },
      leaseTerm: HIGHER,
      leaseUntilMs: NOW_MS + 10,
      ...change,
    });
  }
  const durable = { kind: 'persisted', term: HIGHER, isDurable: true } as const;

  it('that ran out while its term became durable activates nobody', () => {
    const inTime = stepRole(SETTINGS, leased(), { ...durable, nowMs: NOW_MS + 9 });
    expect(inTime.state.phase).toBe('active');
    const late = stepRole(SETTINGS, leased(), { ...durable, nowMs: NOW_MS + 10 });
    expect(late.state).toMatchObject({ phase: 'standby', why: 'lease-ran-out' });
  });

  it('counts from when the claim was sent', () => {
    const answer = { kind: 'granted', term: OWN, holder: 1, durationMs: 1200, reason: '' } as const;
    const there = inPhase('active', { hasSession: true });
    const event = { kind: 'answered', answer, sentMs: NOW_MS - 500, nowMs: NOW_MS } as const;
    expect(stepRole(SETTINGS, there, event).state.leaseUntilMs).toBe(NOW_MS + 700);
  });

  it('is told to the peer when it has run out', () => {
    const active = inPhase('active', { leaseTerm: OWN, leaseUntilMs: NOW_MS - 10 });
    const tick = { kind: 'tick', peerHeardMs: NOW_MS, peerGoneFromMs: null, nowMs: NOW_MS } as const;
    expect(stepRole(SETTINGS, active, tick).effects).toEqual([{ kind: 'tell-peer' }]);
  });
});

describe('a term that an instance grants itself', () => {
  it('has the next counter above all that it has heard of', () => {
    const tick = { kind: 'tick', peerHeardMs: NOW_MS - 1000, peerGoneFromMs: null, nowMs: NOW_MS } as const;
    const standby = inPhase('standby', {
      highestTerm: termOf(41, { instance: 2, by: 'itself' }),
      quietFromMs: 0,
    });
    expect(stepRole(SETTINGS, standby, tick).state.pending?.term).toBe(
      termOf(42, { instance: 1, by: 'itself' }),
    );
  });
});

describe('a silence that was no end', () => {
  /** The peer acts under a higher term. */
  const acts: PeerWord = {
    ...{ instance: 2, role: 'active', ownTerm: HIGHER, highestTerm: HIGHER, unfit: null },
    ...{ hasLease: false, kernelAnswers: false, isLeaving: false, preferred: NOBODY },
  };
  const said = { kind: 'peer-said', word: acts, echoMs: 0 } as const;
  /** What it had said before. */
  const before = { ...said, word: { ...acts, role: 'standby', ownTerm: 0, highestTerm: OWN } } as const;

  /** An active instance whose peer was silent for so long, and took over meanwhile. */
  function afterSilence(silentMs: number, given: Partial<RoleState> = {}): RoleState {
    return inPhase('active', { quietFromMs: NOW_MS - silentMs, ...given });
  }

  it('is learnt from when both are active soon after', () => {
    for (const [silentMs, falseAlarms] of [
      [999, 0],
      [1000, 1],
      [2999, 1],
      [3000, 0],
    ] as const) {
      const { state } = stepRole(SETTINGS, afterSilence(silentMs), { ...said, nowMs: NOW_MS });
      expect(state.holdDown.falseAlarms, String(silentMs)).toBe(falseAlarms);
    }
  });

  it('is learnt from when a tick comes between the connection and the first word', () => {
    const tick = { kind: 'tick', peerHeardMs: NOW_MS - 1, peerGoneFromMs: null, nowMs: NOW_MS } as const;
    const ticked = stepRole(SETTINGS, afterSilence(1100, { tickedMs: NOW_MS - 50 }), tick).state;
    expect(stepRole(SETTINGS, ticked, { ...said, nowMs: NOW_MS + 2 }).state.holdDown.falseAlarms).toBe(1);
  });

  it('is learnt from when first comes what was said before it, and once', () => {
    const given = afterSilence(1100);
    const held = stepRole(SETTINGS, given, { ...before, nowMs: NOW_MS }).state;
    expect(held.holdDown.falseAlarms).toBe(0);
    const met = stepRole(
      SETTINGS,
      { ...held, leaseUntilMs: NOW_MS + 500 },
      { ...said, nowMs: NOW_MS + 2 },
    ).state;
    expect(met.holdDown.falseAlarms).toBe(1);
    expect(stepRole(SETTINGS, met, { ...said, nowMs: NOW_MS + 3 }).state.holdDown.falseAlarms).toBe(1);
  });

  it('says nothing of a peer that stood by for a time after it', () => {
    const held = stepRole(SETTINGS, afterSilence(1100), { ...before, nowMs: NOW_MS }).state;
    const calm = stepRole(SETTINGS, held, { ...before, nowMs: NOW_MS + 500 }).state;
    const later = stepRole(SETTINGS, calm, { ...before, nowMs: NOW_MS + 1000 }).state;
    expect(stepRole(SETTINGS, later, { ...said, nowMs: NOW_MS + 1001 }).state.holdDown.falseAlarms).toBe(0);
  });

  it('is learnt from by who took over', () => {
    const tick = { kind: 'tick', peerHeardMs: NOW_MS - 1000, peerGoneFromMs: null, nowMs: NOW_MS } as const;
    const took = stepRole(SETTINGS, inPhase('standby', { quietFromMs: NOW_MS - 1000 }), tick).state;
    expect(took.phase).toBe('taking');
    const heard = stepRole(SETTINGS, took, { ...tick, peerHeardMs: NOW_MS + 98, nowMs: NOW_MS + 100 }).state;
    expect(stepRole(SETTINGS, heard, { ...said, nowMs: NOW_MS + 101 }).state.holdDown.falseAlarms).toBe(1);
  });
});
