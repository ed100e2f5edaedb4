import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, openSync, readFileSync } from 'node:fs';
import { constants, setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../command/run.ts';
import { FULL } from './command.ts';

const VITEST = join(import.meta.dirname, '../../node_modules/vitest/vitest.mjs');

/** Projects of vitest.config.ts. */
const PARTS = {
  real: ['full', 'full-timed'],
  virtual: ['full-virtual'],
} as const;
type Part = keyof typeof PARTS;

function reportOf(part: Part): string {
  return join(tmpdir(), `${part}.json`);
}

interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
}

await runCommand(FULL, async ({ only }) => {
  const parts = only === undefined ? (Object.keys(PARTS) as Part[]) : [only];
  const codes = await Promise.all(parts.map((part) => run(part, parts.length > 1)));
  process.stdout.write(`${counted(parts)}\n`);
  return codes.every((code) => code === 0) ? 0 : 1;
});

/** Resolves to the exit code of the test runner. */
async function run(part: Part, isBeside: boolean): Promise<number> {
  const isLater = isBeside && part === 'virtual';
  const projects = PARTS[part].flatMap((project) => ['--project', project]);
  const reports = ['--reporter=default', '--reporter=json', `--outputFile.json=${reportOf(part)}`];
  const printed = join(tmpdir(), `${part}.txt`);
  const out = isLater ? openSync(printed, 'w') : 'inherit';
  const child = spawn(process.execPath, [VITEST, 'run', ...projects, ...reports], {
    stdio: ['ignore', out, out],
  });
  // Before it has children of its own, which take it over.
  if (isLater && child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_LOW);
  const [code] = await once(child, 'close');
  if (isLater) process.stdout.write(readFileSync(printed));
  return code ?? 1;
}

/** As the test runner counted them, not this program. */
function counted(parts: readonly Part[]): string {
  const broken = parts.filter((part) => !existsSync(reportOf(part)));
  if (broken.length > 0) return `the tests did not come to their end: ${broken.join(', ')}`;
  const reports = parts.map((part) => JSON.parse(readFileSync(reportOf(part), 'utf8')) as Report);
  const sum = (name: keyof Report) => reports.reduce((total, report) => total + report[name], 0);
  const [passed, failed] = [sum('numPassedTests'), sum('numFailedTests')];
  return `${passed} passed, ${failed} failed, ${sum('numPendingTests')} skipped`;
}
