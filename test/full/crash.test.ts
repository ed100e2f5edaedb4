import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { type CrashReport, crash } from '../crash/crash.ts';
import { reasonAgainstPowerCuts } from '../crash/power.ts';

const MAIN = join(import.meta.dirname, '../crash/main.ts');

test('a store that is killed again and again loses nothing that was confirmed', { retry: 0 }, async () => {
  const asked = ['--kills', '30', '--power-cuts', '0', '--json'];
  const { stdout } = await promisify(execFile)(process.execPath, [MAIN, ...asked]);
  const report: CrashReport = JSON.parse(stdout);
  expect(report.violations).toEqual([]);
  expect(report.blocksRead).toBeGreaterThan(30);
  expect(report.joined).toBeGreaterThan(0);
  expect(report.cleanEnds).toBeGreaterThan(0);
  expect(report.write.writes).toBeGreaterThan(30);
  expect(report.write.changes).toBeGreaterThan(0);
  const all = [report.loss.always, report.loss['on-outage'], report.write];
  for (const { closest } of all) expect(closest.ageMs).toBeLessThanOrEqual(closest.boundMs + 1);
  // Of so few kills those of one policy may all come when nothing is on its way.
  expect(all.some(({ closest }) => closest.ageMs > 0)).toBe(true);
  expect(report.loss.always.runs + report.loss['on-outage'].runs).toBeGreaterThan(10);
});

test('a store whose disk loses its power keeps everything that was synced', { retry: 0 }, async (context) => {
  const reason = await reasonAgainstPowerCuts();
  if (reason !== null) {
    console.warn(`power cuts skipped: ${reason}`);
    context.skip(reason);
  }
  const report = await crash({ kills: 0, powerCuts: 4 });
  expect(report.violations).toEqual([]);
  expect(report.unsyncedLost).toBeGreaterThan(0);
});
