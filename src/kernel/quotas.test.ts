import { describe, expect, it } from 'vitest';
import { termOf } from '../domain/term.ts';
import {
  COUNTER_JUMP_MAX,
  GAPS_BURST_MAX,
  GAPS_PER_S_MAX,
  NEW_DICTIONARIES_PER_PROCESS_MAX,
  NEW_DICTIONARIES_PER_SESSION_MAX,
  STREAMS_PER_PROCESS_MAX,
} from '../uplink/limits.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { GapPace, ProcessQuotas } from './quotas.ts';

const KERNEL = { instance: 1, by: 'kernel' } as const;
const AGENT = { site: 'S', process: 'A', highestTerm: 0, streams: [] };

describe('quotas of processes', () => {
  it('bound the streams that a process may ever name; those it named before are free', () => {
    const quotas = new ProcessQuotas();
    const streams = Array.from({ length: STREAMS_PER_PROCESS_MAX }, (_, at) => ({ streamId: String(at) }));
    quotas.greet({ ...AGENT, streams });
    quotas.greet({ ...AGENT, streams });
    quotas.greet({ ...AGENT, process: 'B', streams: [{ streamId: 'new' }] });
    expect(() => quotas.greet({ ...AGENT, streams: [{ streamId: 'new' }] })).toThrow(/names more than/);
  });

  it('bound how far a process takes its terms at once', () => {
    const quotas = new ProcessQuotas();
    quotas.greet({ ...AGENT, highestTerm: termOf(7, KERNEL) });
    expect(() => quotas.greet({ ...AGENT, highestTerm: termOf(8 + COUNTER_JUMP_MAX, KERNEL) })).toThrow(
      /term of S\/A/,
    );
    quotas.greet({ ...AGENT, highestTerm: termOf(7 + COUNTER_JUMP_MAX, KERNEL) });
    quotas.greet({ ...AGENT, highestTerm: termOf(8 + COUNTER_JUMP_MAX, KERNEL) });
    quotas.greet(AGENT);
    expect(() =>
      quotas.greet({ ...AGENT, process: 'B', highestTerm: termOf(1 + COUNTER_JUMP_MAX, KERNEL) }),
    ).toThrow();
  });

  it('bound the new dictionaries of a session, and of all sessions of a process', () => {
    const quotas = new ProcessQuotas();
    const fill = (): void => {
      const session = quotas.session('S', 'A');
      for (let at = 0; at < NEW_DICTIONARIES_PER_SESSION_MAX; at++) session.newDictionary(1);
      expect(() => session.newDictionary(1)).toThrow(/in one session/);
    };
    const sessions = NEW_DICTIONARIES_PER_PROCESS_MAX / NEW_DICTIONARIES_PER_SESSION_MAX;
    for (let at = 0; at < sessions; at++) fill();
    expect(() => quotas.session('S', 'A').newDictionary(1)).toThrow(/of one process/);
  });
});

it('gap records beyond a burst come at a steady pace', async () => {
  const clock = new SimulatedClock();
  const pace = new GapPace(clock);
  let taken = 0;
  void (async () => {
    for (; taken < GAPS_BURST_MAX + 5000; taken++) await pace.one();
  })();
  await clock.advance(0);
  expect(taken).toBeLessThanOrEqual(GAPS_BURST_MAX + 1);
  expect(taken).toBeGreaterThanOrEqual(GAPS_BURST_MAX);
  await clock.advance(1000);
  expect(taken - GAPS_BURST_MAX).toBeGreaterThan(GAPS_PER_S_MAX * 0.9);
  expect(taken - GAPS_BURST_MAX).toBeLessThan(GAPS_PER_S_MAX * 1.1);
});
