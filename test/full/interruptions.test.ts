import { describe, expect, it } from 'vitest';
import { MESSAGE_TROUBLES, runInterrupted, type Trouble } from '../simulation/interrupted.ts';

describe('a history with everything that the protocol has', () => {
  it.each(MESSAGE_TROUBLES)('holds with %s at any message', async (message) => {
    const { steps } = await runInterrupted(null);
    await holdsAt(steps.length, (at) => ({ at, message }));
  });

  it.each(['before', 'in', 'after'] as const)('holds with a crash %s any commit', async (commit) => {
    const { commits } = await runInterrupted(null);
    await holdsAt(commits, (at) => ({ at, commit }));
  });

  it.each(['agent-kill', 'power-cut'] as const)('holds with %s at any write of the disk', async (write) => {
    const { writes } = await runInterrupted(null);
    await holdsAt(writes, (at) => ({ at, write }));
  });
});

async function holdsAt(places: number, troubleAt: (at: number) => Trouble): Promise<void> {
  expect(places).toBeGreaterThan(20);
  for (let at = 1; at <= places; at++) {
    const trouble = troubleAt(at);
    expect((await runInterrupted(trouble)).findings, JSON.stringify(trouble)).toEqual([]);
  }
}
