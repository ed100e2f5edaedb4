import { parseArgs } from 'node:util';
import { type CrashReport, crash } from './crash.ts';
import { ms } from './loss.ts';

/*
 * npm run crash -- --kills N --power-cuts N [--json]
 * Writers on the real LevelDB are killed with SIGKILL, and the disk under them loses its power (as root,
 * with nbdkit); after each the ring is opened and held against what the writer said. Exit code 1 if anything
 * that was confirmed is gone, torn, doubled, out of order or wrongly named, if what a crash lost is older
 * than the power-cut bound, or if a write that was confirmed held something older than the bound that the
 * product stated. How long the writer was held up is part of the bound, as the product states it.
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
process.exit(report.violations.length === 0 ? 0 : 1);

function whole(given: string, option: string): number {
  const number = Number(given);
  if (!Number.isSafeInteger(number) || number < 0 || number > COUNT_MAX) {
    console.error(`${option} takes a whole number from 0 to ${COUNT_MAX}, not ${given}`);
    process.exit(2);
  }
  return number;
}

function text(report: CrashReport): string {
  const losses = Object.entries(report.loss).map(([policy, { closest, ...loss }]) => {
    const parts = `slowest write ${ms(closest.writeMs)}, longest stall ${ms(closest.stallMs)}`;
    return (
      `${policy}: lost at a crash (${loss.runs} runs) p50 ${ms(loss.ageMsP50)}, ` +
      `${loss.samplesP50} samples; max ${ms(loss.ageMsMax)}, ${loss.samplesMax} samples; ` +
      `closest to the bound ${ms(closest.ageMs)} of ${ms(closest.boundMs)} (${parts})`
    );
  });
  const skipped = report.powerCutsSkipped;
  return [
    `${report.kills} kills, ${report.powerCuts} power cuts in ${report.seconds} s`,
    ...(skipped === null ? [] : [`power cuts skipped: ${skipped}`]),
    ...(report.powerCuts === 0 ? [] : [`unsynced files lost by the cuts: ${report.unsyncedLost}`]),
    `${report.blocksRead} blocks read, ${report.joined} segments joined, ${report.evicted} samples evicted`,
    ...losses,
    writeLine(report.write),
    `violations: ${report.violations.length}`,
    ...report.violations.slice(0, 20).map((violation) => `  ${violation}`),
  ].join('\n');
}

function writeLine(write: CrashReport['write']): string {
  const plain = `p50 ${ms(write.plainMsP50)}, max ${ms(write.plainMsMax)}`;
  const change = `p50 ${ms(write.changeMsP50)}, max ${ms(write.changeMsMax)}`;
  return (
    `${write.writes} writes, ${plain}; ${write.changes} that changed the segment, ${change}; ` +
    `closest to the bound that was stated ${ms(write.closest.ageMs)} of ${ms(write.closest.boundMs)}`
  );
}
