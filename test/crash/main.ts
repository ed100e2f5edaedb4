import { parseArgs } from 'node:util';
import { type CrashReport, crash } from './crash.ts';

/*
 * npm run crash -- --kills N --power-cuts N [--json]
 * Writers on the real LevelDB are killed with SIGKILL, and the disk under them loses its power (as root,
 * with nbdkit); after each the ring is opened and held against what the writer said. Exit code 1 if anything
 * that was confirmed is gone, torn, doubled, out of order or wrongly named, or if what was not confirmed yet
 * is older than the power-cut bound, plus what the timers of that run were late.
 */

const COUNT_MAX = 100_000;

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '300' },
    'power-cuts': { type: 'string', default: '30' },
    json: { type: 'boolean', default: false },
  },
});

const report = await crash({
  kills: whole(values.kills, '--kills'),
  powerCuts: whole(values['power-cuts'], '--power-cuts'),
});
console.log(values.json ? JSON.stringify(report) : text(report));
const isExceeded = Object.values(report.loss).some(({ overBound }) => overBound > 0);
process.exit(report.violations.length === 0 && !isExceeded ? 0 : 1);

function whole(given: string, option: string): number {
  const number = Number(given);
  if (!Number.isSafeInteger(number) || number < 0 || number > COUNT_MAX) {
    console.error(`${option} takes a whole number from 0 to ${COUNT_MAX}, not ${given}`);
    process.exit(2);
  }
  return number;
}

function text(report: CrashReport): string {
  const losses = Object.entries(report.loss).map(
    ([policy, loss]) =>
      `${policy}: lost at a crash (${loss.runs} runs) p50 ${loss.ageMsP50} ms, ${loss.samplesP50} samples; ` +
      `max ${loss.ageMsMax} ms, ${loss.samplesMax} samples; bound ${loss.boundMs} ms, ` +
      `exceeded ${loss.overBound} times, and ${loss.overBoundByLateness} times by late timers ` +
      `(at most ${loss.latenessMsMax} ms)`,
  );
  const skipped = report.powerCutsSkipped;
  return [
    `${report.kills} kills, ${report.powerCuts} power cuts in ${report.seconds} s`,
    ...(skipped === null ? [] : [`power cuts skipped: ${skipped}`]),
    ...(report.powerCuts === 0 ? [] : [`unsynced files lost by the cuts: ${report.unsyncedLost}`]),
    `${report.blocksRead} blocks read, ${report.evictions} evictions on record`,
    ...losses,
    `violations: ${report.violations.length}`,
    ...report.violations.slice(0, 20).map((violation) => `  ${violation}`),
  ].join('\n');
}
