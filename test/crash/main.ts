import { runCommand } from '../command/run.ts';
import { CRASH } from './command.ts';
import { type CrashReport, crash } from './crash.ts';
import { ms } from './loss.ts';

await runCommand(CRASH, async (values) => {
  const report = await crash({ kills: values.kills, powerCuts: values['power-cuts'] });
  console.log(values.json ? JSON.stringify(report) : text(report));
  return report.violations.length === 0 ? 0 : 1;
});

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
