import { CLOCK_ALARM_US, type ClockStatus } from '../agent/agent-clock.ts';
import { formatDuration, formatTimeUs } from '../domain/units.ts';

const SOURCES = {
  system: 'the clock of this machine',
  kernel: "the Kernel's clock",
  saved: 'the last saved time, going on without a clock',
} as const;

/** What an engineer wants to know of an instance's clock, a line each. */
export function* clockLines(clock: ClockStatus): Generator<string> {
  const { source, state, mode, systemAheadUs, stepCount, steps } = clock;
  const isAsked = source === mode ? '' : `, though the site file asks for ${mode}`;
  yield `  clock        ${state}: follows ${SOURCES[source]}${isAsked}`;
  yield `    Kernel     ${kernelText(clock)}`;
  if (Math.abs(systemAheadUs) > CLOCK_ALARM_US)
    yield `    system     ${aheadText(systemAheadUs)}: it is wrong`;
  const last = steps.at(-1);
  if (last === undefined) return;
  const who = last.what === 'system' ? 'the system clock was set' : 'the time was set';
  yield `    steps      ${stepCount}; the last at ${formatTimeUs(last.atUs)}: ${who} by ${signed(last.byUs)}`;
}

/** Half of the smallest duration that is printed. */
const TOLD_MIN_US = 500;

function kernelText({ kernelAheadUs, kernelUncertaintyUs }: ClockStatus): string {
  if (kernelAheadUs === null) return 'has not told its time yet';
  const within = `± ${formatDuration((kernelUncertaintyUs ?? 0) / 1000)}`;
  const isOff = Math.abs(kernelAheadUs) - (kernelUncertaintyUs ?? 0) > CLOCK_ALARM_US;
  // Less than is told: neither of the two is ahead.
  if (Math.abs(kernelAheadUs) < TOLD_MIN_US) return `agrees with what is stamped (${within})`;
  return `${aheadText(kernelAheadUs)} (${within})${isOff ? ': one of the two clocks is wrong' : ''}`;
}

function aheadText(aheadUs: number): string {
  const by = formatDuration(Math.abs(aheadUs) / 1000);
  return `is ${by} ${aheadUs < 0 ? 'behind' : 'ahead of'} what is stamped`;
}

function signed(us: number): string {
  return `${us < 0 ? '-' : '+'}${formatDuration(Math.abs(us) / 1000)}`;
}
