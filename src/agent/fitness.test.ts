import { describe, expect, it } from 'vitest';
import { KomError } from '../domain/errors.ts';
import { silentLog } from '../world/log.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { Fitness, type TestedLine } from './fitness.ts';

const HOUR_MS = 3_600_000;

interface FakeLine {
  isTested: boolean;
  isConnected: boolean;
  outcome: boolean | 'fails' | 'hangs' | 'taken';
  tests: number;
}

function fitnessOf(lines: Readonly<Record<string, Partial<FakeLine>>>) {
  const clock = new SimulatedClock();
  const fakes = Object.fromEntries(
    Object.entries(lines).map(([name, given]): [string, FakeLine] => [
      name,
      { isTested: true, isConnected: false, outcome: true, tests: 0, ...given },
    ]),
  );
  const fitness = new Fitness({
    process: 'KomA',
    lines: () =>
      Object.entries(fakes).map(
        ([name, fake]): TestedLine => ({
          ...{ name, isTested: fake.isTested, isConnected: fake.isConnected },
          async prove() {
            fake.tests += 1;
            await clock.sleep(100);
            if (fake.outcome === 'hangs') await new Promise(() => {});
            if (fake.outcome === 'taken') throw new KomError('KOM_LINE_IN_USE', name);
            if (fake.outcome === 'fails') throw new KomError('KOM_DEVICE_UNREACHABLE', name);
            return fake.outcome === true;
          },
        }),
      ),
    settings: { fitnessIntervalMs: HOUR_MS, fitnessMaxAgeMs: 24 * HOUR_MS },
    clock,
    log: silentLog,
  });
  fitness.start();
  const tests = (...names: string[]) => names.map((name) => fakes[name]?.tests);
  const becomes = (name: string, outcome: FakeLine['outcome']): void => {
    Object.assign(fakes[name] ?? {}, { outcome });
  };
  return { clock, fitness, tests, becomes };
}

describe('the fitness of a standby', () => {
  it('tests lines that are not connected at the start and each interval, one after the other', async () => {
    const { clock, fitness, tests } = fitnessOf({ cold: {}, other: {}, hot: { isConnected: true } });
    await clock.advance(11_000);
    expect(tests('cold', 'other', 'hot')).toEqual([1, 1, 0]);
    await clock.advance(HOUR_MS + 20_000);
    expect(tests('cold', 'other', 'hot')).toEqual([2, 2, 0]);
    expect(fitness.status.map(({ line, error, isOverdue }) => [line, error, isOverdue])).toEqual([
      ['cold', null, false],
      ['other', null, false],
      ['hot', null, false],
    ]);
    expect(fitness.status[2]?.provenAgeMs).toBe(0);
    expect(fitness.unfit).toBeNull();
  });

  it('is unfit where no line can be opened, until one can', async () => {
    const { clock, fitness, becomes } = fitnessOf({ cold: { outcome: 'fails' }, serial: { outcome: false } });
    await clock.advance(11_000);
    expect(fitness.status[0]).toMatchObject({ line: 'cold', provenAgeMs: null, isTested: true });
    expect(fitness.status[0]?.error).toContain('cold');
    expect(fitness.status[1]).toMatchObject({ isTested: false, error: null, isOverdue: false });
    expect(fitness.unfit).toContain('no line can be opened; cold');
    becomes('cold', true);
    await clock.advance(HOUR_MS + 20_000);
    expect(fitness.unfit).toBeNull();
  });

  it('is overdue when nothing proved a line for a day, though it fails each hour', async () => {
    const { clock, fitness } = fitnessOf({ cold: { outcome: 'fails' }, off: { isTested: false } });
    await clock.advance(23 * HOUR_MS);
    expect(fitness.status.map(({ isOverdue }) => isOverdue)).toEqual([false, false]);
    await clock.advance(2 * HOUR_MS);
    expect(fitness.status.map(({ isOverdue }) => isOverdue)).toEqual([true, false]);
  });

  it('gives a test up that hangs, and goes on with the next line', async () => {
    const { clock, fitness, tests } = fitnessOf({ cold: { outcome: 'hangs' }, other: {} });
    await clock.advance(10_000 + 31_000);
    expect(fitness.status[0]?.error).toContain('the test of line cold');
    expect(tests('other')).toEqual([1]);
  });

  it('is exercised at once when an operator wants it', async () => {
    const { clock, fitness, tests } = fitnessOf({
      ...{ cold: {}, dead: { outcome: 'fails' }, serial: { outcome: false } },
      ...{ off: { isTested: false }, hot: { isConnected: true } },
    });
    await clock.advance(15_000);
    const exercised = fitness.exercise();
    await clock.advance(1000);
    expect((await exercised).map(({ line, outcome }) => `${line} ${outcome}`)).toEqual([
      ...['cold proven', 'dead failed', 'serial untestable', 'off untestable', 'hot proven'],
    ]);
    expect(tests('cold')).toEqual([2]);
    await fitness.stop();
    await clock.advance(2 * HOUR_MS);
    expect(tests('cold')).toEqual([2]);
  });

  it('does not count a test that ends because the line is opened', async () => {
    const { clock, fitness, becomes } = fitnessOf({ cold: { outcome: 'taken' } });
    await clock.advance(11_000);
    expect(fitness.status[0]).toMatchObject({ error: null, provenAgeMs: null, isTested: true });
    becomes('cold', true);
    await clock.advance(HOUR_MS + 20_000);
    expect(fitness.status[0]?.provenAgeMs).not.toBeNull();
  });
});
