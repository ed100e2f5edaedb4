import { describe, expect, it } from 'vitest';
import { agreedPace, SilenceWatch, silenceCheckMs } from './silence.ts';

const SILENCE_MAX_MS = 1200;
const CHECK_MS = silenceCheckMs(SILENCE_MAX_MS);

/** Checks at its pace until the peer counts as dead; `heardMs` is when it was heard last. */
function diesAfterMs(watch: SilenceWatch, fromMs: number, heardMs: number): number {
  for (let nowMs = fromMs; nowMs < 100_000; nowMs += CHECK_MS) {
    if (watch.isDead(nowMs, nowMs - heardMs)) return nowMs - heardMs;
  }
  return Number.POSITIVE_INFINITY;
}

describe('SilenceWatch', () => {
  it('notices a dead peer within the limit and one check', () => {
    const afterMs = diesAfterMs(new SilenceWatch(SILENCE_MAX_MS, 0), CHECK_MS, 0);
    expect(afterMs).toBeGreaterThan(SILENCE_MAX_MS);
    expect(afterMs).toBeLessThanOrEqual(SILENCE_MAX_MS + CHECK_MS);
    expect(afterMs, 'with the default of the site file').toBeLessThanOrEqual(1500);
  });

  it('does not take its own standstill for silence', () => {
    const watch = new SilenceWatch(SILENCE_MAX_MS, 0);
    expect(watch.isDead(100, 100)).toBe(false);
    expect(watch.isDead(8000, 8000), 'woken up').toBe(false);
    expect(watch.isDead(8100, 20), 'what was waiting is read').toBe(false);
    expect(diesAfterMs(watch, 8200, 8080)).toBeLessThanOrEqual(SILENCE_MAX_MS + CHECK_MS);
  });

  it('notices a peer that died during the standstill, a full silence after it', () => {
    const watch = new SilenceWatch(SILENCE_MAX_MS, 0);
    watch.isDead(8000, 8000);
    const diedMs = diesAfterMs(watch, 8000 + CHECK_MS, 0);
    expect(diedMs).toBeGreaterThan(8000 + SILENCE_MAX_MS - 2 * CHECK_MS);
    expect(diedMs).toBeLessThanOrEqual(8000 + SILENCE_MAX_MS + CHECK_MS);
  });

  it('notices a dead peer although every check comes late', () => {
    const watch = new SilenceWatch(SILENCE_MAX_MS, 0);
    let nowMs = 0;
    while (nowMs < 10_000 && !watch.isDead(nowMs, nowMs)) nowMs += 1.9 * CHECK_MS;
    expect(nowMs).toBeLessThanOrEqual(SILENCE_MAX_MS + 2 * CHECK_MS);
  });
});

describe('agreedPace', () => {
  it('is what the agent asks for', () => {
    expect(agreedPace({ heartbeatMs: 400, silenceMaxMs: 1200 })).toEqual({
      heartbeatMs: 400,
      silenceMaxMs: 1200,
    });
  });

  it('stays within bounds, and leaves room for a late heartbeat', () => {
    expect(agreedPace({ heartbeatMs: 1, silenceMaxMs: 1 })).toEqual({ heartbeatMs: 50, silenceMaxMs: 100 });
    expect(agreedPace({ heartbeatMs: 1e9, silenceMaxMs: 1e9 })).toEqual({
      heartbeatMs: 60_000,
      silenceMaxMs: 600_000,
    });
  });

  it('is a patient one for an agent that asks for none', () => {
    expect(agreedPace({ heartbeatMs: 0, silenceMaxMs: 0 })).toEqual({
      heartbeatMs: 500,
      silenceMaxMs: 10_000,
    });
  });
});
