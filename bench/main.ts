import { cpus } from 'node:os';
import { runCommand } from '../test/command/run.ts';
import { BENCH, BENCHES } from './command.ts';
import type { Figure } from './support/bench.ts';
import { isMissed } from './support/bench.ts';

await runCommand(BENCH, async ({ json, quick, samples }, name) => {
  const bench = await BENCHES[name]?.();
  if (bench === undefined) throw new Error(`${name} is no bench`);
  const figures = await bench.run({ quick, ...(samples === undefined ? {} : { samples }) });
  if (json) process.stdout.write(`${JSON.stringify(asJson(figures))}\n`);
  else for (const line of asTable(figures)) process.stdout.write(`${line}\n`);
  return figures.some(isMissed) ? 1 : 0;
});

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
