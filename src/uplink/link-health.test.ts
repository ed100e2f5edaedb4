import { expect, it } from 'vitest';
import { LinkHealth } from './link-health.ts';

const make = (): LinkHealth => new LinkHealth({ stableAfterMs: 10_000, holdMaxMs: 30_000 });

/** Sessions of the same length, a second apart; how long each of them was held. */
function holds(health: LinkHealth, lengthsMs: readonly number[]): number[] {
  let nowMs = 0;
  return lengthsMs.map((lengthMs) => {
    const heldMs = health.began(nowMs);
    health.ended(nowMs + lengthMs, false);
    nowMs += lengthMs + 1000;
    return heldMs;
  });
}

it('trusts a new session at once, also the one after a single loss', () => {
  expect(holds(make(), [60_000, 60_000, 60_000])).toEqual([0, 0, 0]);
  expect(holds(make(), [1000, 60_000])).toEqual([0, 0]);
});

it('holds the sessions of a flapping link, longer each time, up to the bound', () => {
  expect(holds(make(), [1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000])).toEqual([
    0, 0, 2000, 4000, 8000, 16_000, 30_000, 30_000,
  ]);
});

it('never counts a session of a link that is up for a second at a time', () => {
  const health = make();
  holds(health, [1000, 1000]);
  for (let session = 0; session < 100; session++) {
    const beganMs = 10_000 + session * 2000;
    health.began(beganMs);
    for (let ms = 0; ms < 1000; ms += 100) expect(health.heldForMs(beganMs + ms)).toBeGreaterThan(0);
    health.ended(beganMs + 1000, false);
    expect(health.heldForMs(beganMs + 1500), 'nothing is held without a session').toBe(0);
  }
});

it('trusts the link again after a stable session', () => {
  expect(holds(make(), [1000, 1000, 1000, 10_000, 60_000])).toEqual([0, 0, 2000, 4000, 0]);
});

it('does not blame the link for sessions that this side ended', () => {
  const health = make();
  for (let at = 0; at < 5; at++) {
    health.began(at * 100);
    health.ended(at * 100 + 50, true);
  }
  expect(health.shortSessions).toBe(0);
  expect(health.began(1000)).toBe(0);
});
