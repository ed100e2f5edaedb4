import { runCommand } from '../command/run.ts';
import type { Values } from '../command/usage.ts';
import { ALL_MUTATIONS, SIM } from './command.ts';
import { NO_MUTATION } from './mutations.ts';
import { FAULTS, type Fault } from './options.ts';
import { runSeed, type SeedResult } from './run.ts';

const SEEDS_OF_A_DAY = 1_000_000_000;

function seedsOf({ seed, seeds, first }: Values<typeof SIM.options>): number[] {
  if (seed !== undefined) return [seed];
  const from = first ?? Math.floor(Date.now() / 1000) % SEEDS_OF_A_DAY;
  return Array.from({ length: seeds }, (_, at) => from + at);
}

/** What runs a seed again as it was run. */
function replayOf({ seed, kind }: SeedResult, { faults, mutate }: Values<typeof SIM.options>): string {
  const drawn = faults.length === 0 ? [] : ['--faults', faults.join(',')];
  const planted = mutate === undefined ? [] : ['--mutate', mutate];
  return ['npm run sim -- --seed', seed, '--kind', kind, ...drawn, ...planted].join(' ');
}

function tell(result: SeedResult, lines: number, replay: string): void {
  console.error(`seed ${result.seed} FAILED`);
  for (const finding of result.findings) console.error(`  ${finding}`);
  console.error(`  options: ${JSON.stringify({ ...result.swarm, faults: [...result.swarm.faults] })}`);
  console.error('  last events:');
  for (const line of result.history.slice(-lines)) console.error(`    ${line.slice(0, 300)}`);
  console.error(`replay with: ${replay}\n`);
}

await runCommand(SIM, async (values) => {
  const { json, kind } = values;
  const seeds = seedsOf(values);
  const allowed = values.faults.length === 0 ? FAULTS : values.faults;
  const mutation = ALL_MUTATIONS[values.mutate ?? ''] ?? (() => NO_MUTATION);
  const isVerbose = values.seed !== undefined;
  const startMs = performance.now();
  const sum = { samples: 0, virtualMs: 0 };
  const failed: number[] = [];
  const faults: Partial<Record<Fault, number>> = {};
  for (const seed of seeds) {
    const result = await runSeed(seed, {
      allowed,
      mutation: mutation(),
      ...(kind === undefined ? {} : { kind }),
    });
    sum.samples += result.samples;
    sum.virtualMs += result.virtualMs;
    for (const [fault, count] of Object.entries(result.faults) as [Fault, number][]) {
      faults[fault] = (faults[fault] ?? 0) + count;
    }
    if (result.findings.length > 0) {
      failed.push(seed);
      tell(result, isVerbose ? 2000 : 50, replayOf(result, values));
    } else if (isVerbose && !json) console.log(`seed ${seed} passes; history ${result.digest.slice(0, 16)}`);
  }
  const line = {
    seeds: seeds.length,
    first: seeds[0] ?? 0,
    failures: failed.length,
    failed: failed.slice(0, 20),
    samples: sum.samples,
    virtualHours: Math.round(sum.virtualMs / 36_000) / 100,
    faults,
    seconds: Math.round((performance.now() - startMs) / 10) / 100,
  };
  console.log(JSON.stringify(line));
  return failed.length > 0 ? 1 : 0;
});
