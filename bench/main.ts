/**
 * `npm run bench -- <name> [--json] [--quick] [--samples N]`: figures of one part, as ratios within one run.
 * Exit code 1 where a floor is missed.
 */
import { cpus } from 'node:os';
import type { Bench, Figure } from './support/bench.ts';
import { isMissed } from './support/bench.ts';

const BENCHES: Readonly<Record<string, () => Promise<Bench>>> = {
  archive: async () => (await import('./archive.ts')).archiveBench,
  drain: async () => (await import('./drain.ts')).drainBench,
  failover: async () => (await import('./failover.ts')).failoverBench,
  line: async () => (await import('./line.ts')).lineBench,
  memory: async () => (await import('./memory.ts')).memoryBench,
  postgres: async () => (await import('./postgres.ts')).postgresBench,
  ring: async () => (await import('./ring.ts')).ringBench,
};

const args = process.argv.slice(2);
const name = args.find((arg) => !arg.startsWith('-')) ?? '';
const load = BENCHES[name];
if (load === undefined) {
  for (const [each, of] of Object.entries(BENCHES)) process.stdout.write(`${each}: ${(await of()).about}\n`);
  process.stdout.write('usage: npm run bench -- <name> [--json] [--quick] [--samples N]\n');
  process.exitCode = 2;
} else {
  const bench = await load();
  const figures = await bench.run({ quick: args.includes('--quick'), ...samplesOf(args) });
  if (args.includes('--json')) process.stdout.write(`${JSON.stringify(asJson(figures))}\n`);
  else for (const line of asTable(figures)) process.stdout.write(`${line}\n`);
  if (figures.some(isMissed)) process.exitCode = 1;
}

function samplesOf(all: readonly string[]): { samples?: number } {
  const at = all.indexOf('--samples');
  if (at < 0) return {};
  const samples = Number(all[at + 1]);
  if (!Number.isSafeInteger(samples) || samples < 1) throw new Error('--samples takes a number');
  return { samples };
}

function asJson(figures: readonly Figure[]): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const { key, value } of figures) {
    const [outer, inner] = key.split('.');
    if (outer === undefined) continue;
    if (inner === undefined) result[outer] = value;
    else result[outer] = { ...(result[outer] as object | undefined), [inner]: value };
  }
  return { ...result, missed: figures.filter(isMissed).map(({ key }) => key) };
}

function* asTable(figures: readonly Figure[]): Generator<string> {
  const model = cpus()[0]?.model ?? 'unknown';
  yield `${process.platform} ${process.arch}, ${cpus().length} CPUs (${model}), Node ${process.version}`;
  for (const figure of figures) {
    const { value, unit, floor, about } = figure;
    const number = value === null ? '—' : value.toLocaleString('en', { maximumSignificantDigits: 3 });
    const bound = floor === undefined ? '' : 'atLeast' in floor ? `≥ ${floor.atLeast}` : `≤ ${floor.atMost}`;
    const verdict = floor === undefined ? '' : isMissed(figure) ? 'MISSED' : 'kept';
    yield `${`${number} ${unit}`.padStart(24)}  ${bound.padEnd(12)} ${verdict.padEnd(7)} ${about}`.trimEnd();
  }
}
