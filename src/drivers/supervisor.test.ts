import { describe, expect, it } from 'vitest';
import { KomError } from '../domain/errors.ts';
import { silentLog } from '../world/log.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import type { Driver, Link, LinkBatch } from './driver.ts';
import { type LineListener, superviseLine } from './supervisor.ts';

const BATCH: LinkBatch = { station: 'P1', readings: [] };

/** A driver that plays scripted connections one after the other. */
function scripted(connections: readonly (readonly (LinkBatch | Error)[] | Error)[], log: string[]): Driver {
  let at = 0;
  return {
    async connect() {
      const script = connections[at++];
      log.push('connect');
      if (script === undefined) return await new Promise<Link>(() => {});
      if (script instanceof Error) throw script;
      return {
        async *[Symbol.asyncIterator]() {
          for (const step of script) {
            if (step instanceof Error) throw step;
            yield step;
          }
        },
        async [Symbol.asyncDispose]() {
          log.push('dispose');
        },
      };
    },
  };
}

function supervise(driver: Driver, log: string[], listener: Partial<LineListener> = {}) {
  const clock = new SimulatedClock();
  const stop = new AbortController();
  const done = superviseLine(
    {
      name: 'line',
      driver,
      reconnectDelayMinMs: 100,
      reconnectDelayMaxMs: 400,
      listener: {
        connected: () => log.push('connected'),
        batch: () => log.push('batch'),
        lost: (reason) => log.push(`lost: ${reason}`),
        ...listener,
      },
      clock,
      random: createSimulatedRandom(1),
      log: silentLog,
    },
    stop.signal,
  );
  return { clock, stop, done };
}

describe('supervisor', () => {
  it('disposes a lost link before it connects again, after a pause', async () => {
    const log: string[] = [];
    const lost = new KomError('KOM_DEVICE_UNREACHABLE', 'gone');
    const { clock } = supervise(scripted([[BATCH, lost], new Error('a library broke'), [BATCH]], log), log);
    await clock.advance(50);
    expect(log).toEqual(['connect', 'connected', 'batch', 'dispose', `lost: ${lost.message}`]);
    log.length = 0;
    await clock.advance(2000);
    expect(log).toEqual([
      'connect',
      'lost: a library broke',
      'connect',
      'connected',
      'batch',
      'dispose',
      'lost: the link ended',
      'connect',
    ]);
  });

  it('does not go on when what takes the batches over breaks: that would lose them', async () => {
    const log: string[] = [];
    const batch = (): void => {
      throw new Error('invariant broken');
    };
    const { clock, done } = supervise(scripted([[BATCH], [BATCH]], log), log, { batch });
    const failure = expect(done).rejects.toThrow('invariant broken');
    await clock.advance(5000);
    await failure;
    expect(log).toEqual(['connect', 'connected', 'dispose']);
  });

  it('ends when told to', async () => {
    const log: string[] = [];
    const { clock, stop, done } = supervise(scripted([new Error('no')], log), log);
    await clock.advance(10);
    stop.abort();
    await clock.advance(10);
    await done;
    expect(log).toEqual(['connect', 'lost: no']);
  });
});
