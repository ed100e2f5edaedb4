import { expect, it } from 'vitest';
import { KomError } from '../../domain/errors.ts';
import { keptLines } from '../../world/log.fixture.ts';
import { SimulatedClock } from '../../world/simulated/clock.ts';
import { Presence } from '../presence.ts';
import { MissingAgents, type MissingAgentsOptions } from './missing-agents.ts';

it('an archive that was away when the reign began is asked again who there was', async () => {
  const clock = new SimulatedClock();
  const { lines, log } = keptLines();
  let isAway = true;
  let asked = 0;
  const check = () => {
    asked += 1;
    if (isAway) throw new KomError('KOM_ARCHIVE_UNAVAILABLE', 'away');
  };
  const observedUntilUs = clock.wallUs();
  const archive = {
    tags: async () => {
      check();
      return [{ site: 'S', process: 'P' }];
    },
    streams: async () => [{ endedAtUs: null, observedUntilUs }],
  } as unknown as MissingAgentsOptions['archive'];
  const presence = new Presence(clock);
  const missing = new MissingAgents({ archive, presence, clock, log });
  const names = async () => {
    void missing.names;
    await clock.advance(10);
    return missing.names;
  };
  missing.began();
  await clock.advance(1000);
  for (let minute = 0; minute < 15; minute++) {
    expect(await names()).toEqual([]);
    await clock.advance(60_000);
  }
  expect(asked, 'not more often than somebody wants to know').toBe(1 + 15);
  isAway = false;
  // However long it was away: it is about who was there when the reign began.
  expect(await names()).toEqual(['S/P']);
  expect(await names()).toEqual(['S/P']);
  expect(asked).toBe(1 + 15 + 1);
  expect(lines.map(([level]) => level)).toEqual(['warn', 'info']);
  presence.of('S', 'P').instance(1).connected([]);
  expect(await names(), 'it has come').toEqual([]);
});
