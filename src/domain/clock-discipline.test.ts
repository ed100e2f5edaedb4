import { describe, expect, it } from 'vitest';
import { CLOCK_EARLIEST_US, ClockDiscipline, type ClockMode, type SavedClock } from './clock-discipline.ts';

const DAY = 86_400e6;
const HOUR = 3600e6;
const SECOND = 1e6;
/** The true time minus the monotonic clock. */
const TRUE = CLOCK_EARLIEST_US + 300 * DAY;
const BOOT = '1'.repeat(32);

/** What happens at a second: by how much the system's clock and the Kernel's are ahead of the true time. */
interface Moment {
  readonly systemUs: number;
  readonly kernelUs?: number;
}

function discipline(mode: ClockMode, systemUs: number): ClockDiscipline {
  return new ClockDiscipline(mode, { monotonicUs: 0, systemUs: TRUE + systemUs });
}

/** Lets moments pass, half a second each; returns by how much the agent's time is ahead at the end. */
function pass(clock: ClockDiscipline, from: number, moments: readonly Moment[]): number {
  let monotonicUs = from * SECOND;
  for (const { systemUs, kernelUs } of moments) {
    monotonicUs += SECOND / 2;
    const kernel = kernelUs === undefined ? null : { offsetUs: TRUE + kernelUs, uncertaintyUs: 5000 };
    clock.follow({ monotonicUs, systemUs: TRUE + monotonicUs + systemUs }, kernel);
  }
  return clock.era.offsetUs - TRUE;
}

const times = (count: number, moment: Moment): Moment[] => Array.from({ length: count }, () => moment);

describe('the time of the agent', () => {
  // mode, moments, ahead of the true time at the end, source, certain, steps of the agent's own time
  it.each<[string, ClockMode, readonly Moment[], number, string, boolean, number]>([
    ['follows the system', 'system', times(5, { systemUs: 0 }), 0, 'system', true, 0],
    [
      ...(['follows the system where it was set, while no Kernel has confirmed the time', 'system'] as const),
      ...([
        [...times(2, { systemUs: 0 }), ...times(2, { systemUs: HOUR })],
        HOUR,
        'system',
        true,
        1,
      ] as const),
    ],
    [
      ...(['stays where a Kernel has confirmed it, when the system is set', 'system'] as const),
      ...([[{ systemUs: 0, kernelUs: 0 }, ...times(9, { systemUs: HOUR })], 0, 'kernel', true, 0] as const),
    ],
    [
      ...(['follows the system again when that is right again', 'system'] as const),
      [{ systemUs: 0, kernelUs: 0 }, { systemUs: -HOUR }, { systemUs: 0 }],
      ...([0, 'system', true, 0] as const),
    ],
    [
      ...(['follows the system where it was set right, as the Kernel says', 'system'] as const),
      [{ systemUs: HOUR }, { systemUs: 0, kernelUs: 0 }],
      ...([0, 'system', true, 1] as const),
    ],
    [
      ...(['does not follow the system where it was set wrong, as the Kernel says', 'system'] as const),
      [
        { systemUs: 0, kernelUs: 0 },
        { systemUs: HOUR, kernelUs: 0 },
      ],
      ...([0, 'kernel', true, 0] as const),
    ],
    [
      ...(['trusts a system that was never set, though the Kernel differs', 'system'] as const),
      ...([times(9, { systemUs: 0, kernelUs: HOUR }), 0, 'system', true, 0] as const),
    ],
    [
      ...(['leaves the system where it was set wrong, when a Kernel comes', 'system'] as const),
      [{ systemUs: 0 }, { systemUs: HOUR }, { systemUs: HOUR, kernelUs: 0 }, { systemUs: HOUR }],
      ...([0, 'kernel', true, 2] as const),
    ],
    [
      ...(["is the Kernel's from its first word on", 'kernel'] as const),
      [{ systemUs: 0 }, { systemUs: 0, kernelUs: -HOUR }],
      ...([-HOUR, 'kernel', true, 1] as const),
    ],
    [
      ...(["goes on with the Kernel's when that is away, whatever the system does", 'kernel'] as const),
      [{ systemUs: 0, kernelUs: 0 }, { systemUs: HOUR }, { systemUs: -HOUR }],
      ...([0, 'kernel', true, 0] as const),
    ],
    ["is uncertain before the Kernel's first word", 'kernel', [{ systemUs: 0 }], 0, 'system', false, 0],
  ])('%s', (_, mode, moments, aheadUs, source, isCertain, agentSteps) => {
    const clock = discipline(mode, moments[0]?.systemUs ?? 0);
    expect(pass(clock, 0, moments)).toBe(aheadUs);
    expect([clock.source, clock.era.isCertain]).toEqual([source, isCertain]);
    expect(clock.steps.filter(({ what }) => what === 'agent')).toHaveLength(agentSteps);
  });

  it('makes up for drift slowly, and never steps back while it does', () => {
    const clock = discipline('system', 0);
    let beforeUs = 0;
    for (let n = 1; n <= 300; n++) {
      pass(clock, n / 2, [{ systemUs: -900_000 }]);
      const nowUs = clock.timeUs((n / 2 + 0.5) * SECOND);
      expect(nowUs).toBeGreaterThan(beforeUs);
      beforeUs = nowUs;
      if (n === 20) expect(clock.era.offsetUs - TRUE).toBeGreaterThan(-110_000);
    }
    expect(clock.era.offsetUs - TRUE).toBe(-900_000);
  });

  it('notes each step of the system, and keeps the last twenty', () => {
    const clock = discipline('system', 0);
    pass(clock, 0, [{ systemUs: 0, kernelUs: 0 }, ...times(1, { systemUs: HOUR }), { systemUs: 0 }]);
    expect(clock.steps.map(({ byUs, what }) => [what, byUs])).toEqual([
      ['system', HOUR],
      ['system', -HOUR],
    ]);
    for (let n = 0; n < 50; n++) pass(clock, n + 2, [{ systemUs: HOUR * (n % 2) + HOUR }]);
    expect(clock.steps).toHaveLength(20);
    expect(clock.stepCount).toBeGreaterThan(50);
  });

  it('does not believe a Kernel whose word is worth less than a second', () => {
    const clock = discipline('kernel', 0);
    clock.follow({ monotonicUs: SECOND, systemUs: TRUE }, { offsetUs: TRUE + HOUR, uncertaintyUs: 1.5e6 });
    expect(clock.source).toBe('system');
  });
});

describe('a start without a real-time clock', () => {
  const own = (systemUs: number) => ({ bootId: BOOT, now: { monotonicUs: 0, systemUs } });

  it('before the first release is uncertain, and is where the last run was alive', () => {
    const clock = new ClockDiscipline('system', { monotonicUs: 0, systemUs: 7 * SECOND });
    expect(clock.timeUs(0)).toBe(CLOCK_EARLIEST_US);
    clock.begin({ savedUs: TRUE, clock: null }, own(7 * SECOND));
    expect(clock.timeUs(0)).toBe(TRUE);
    expect([clock.source, clock.era.isCertain]).toEqual(['saved', false]);
  });

  it('goes on evenly without a Kernel, and is certain when a Kernel comes', () => {
    const clock = new ClockDiscipline('system', { monotonicUs: 0, systemUs: 7 * SECOND });
    clock.begin({ savedUs: TRUE - HOUR, clock: null }, own(7 * SECOND));
    const rtcUs = 7 * SECOND - TRUE;
    expect(pass(clock, 0, times(9, { systemUs: rtcUs }))).toBe(-HOUR);
    expect(clock.era.isCertain).toBe(false);
    expect(pass(clock, 5, [{ systemUs: rtcUs, kernelUs: 0 }])).toBe(0);
    expect([clock.source, clock.era.isCertain]).toEqual(['kernel', true]);
  });

  it('is certain when somebody sets the clock past it', () => {
    const clock = new ClockDiscipline('system', { monotonicUs: 0, systemUs: 7 * SECOND });
    clock.begin({ savedUs: TRUE - HOUR, clock: null }, own(7 * SECOND));
    expect(pass(clock, 0, times(2, { systemUs: 0 }))).toBe(0);
    expect([clock.source, clock.era.isCertain]).toEqual(['system', true]);
  });

  it('a clock that is less than a second behind the last run is right all the same', () => {
    const clock = new ClockDiscipline('system', { monotonicUs: 0, systemUs: TRUE - 400_000 });
    clock.begin({ savedUs: TRUE, clock: null }, own(TRUE - 400_000));
    expect(clock.timeUs(0)).toBe(TRUE);
    expect([clock.source, clock.era.isCertain]).toEqual(['system', true]);
  });
});

describe('a start in the same boot', () => {
  const saved = (more: Partial<SavedClock>): SavedClock => ({
    ...{ bootId: BOOT, offsetUs: TRUE, isConfirmed: false, source: 'system', kernelAheadUs: null },
    ...more,
  });

  it.each<[string, Partial<SavedClock>, number, number, string, boolean]>([
    ['follows the system, which nobody set', {}, 0, 0, 'system', true],
    ['follows the system, which was set while nothing ran', {}, -HOUR, -HOUR, 'system', true],
    ['stays where a Kernel had confirmed it', { isConfirmed: true }, -HOUR, 0, 'kernel', true],
    ['goes on from a saved time', { source: 'saved', offsetUs: TRUE + HOUR }, 0, HOUR, 'saved', false],
    ['starts from the saved time in another boot', { bootId: '2'.repeat(32) }, -HOUR, 0, 'saved', false],
  ])('%s', (_, more, systemUs, aheadUs, source, isCertain) => {
    const clock = discipline('system', systemUs);
    const own = { bootId: BOOT, now: { monotonicUs: 0, systemUs: TRUE + systemUs } };
    clock.begin({ savedUs: TRUE, clock: saved(more) }, own);
    expect(clock.era.offsetUs - TRUE).toBe(aheadUs);
    expect([clock.source, clock.era.isCertain]).toEqual([source, isCertain]);
  });
});
