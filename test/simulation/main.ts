import { parseArgs } from 'node:util';
import { KERNELS_MUTATIONS } from './kernels-mutations.ts';
import { MUTATIONS, type Mutation, NO_MUTATION } from './mutations.ts';
import { FAULTS, type Fault } from './options.ts';
import { PAIR_MUTATIONS } from './pair-mutations.ts';
import { KINDS, type Kind, runSeed, type SeedResult } from './run.ts';

/*
 * npm run sim -- --seeds N [--first S]     seeds S to S + N - 1; by default from a seed of the day
 * npm run sim -- --seed S                  one seed, with its history if it fails
 * --kind single|pair|kernels: one comm server, two of them, or two Kernels, whatever the seed says
 * --faults a,b: only these faults, for narrowing down
 * --mutate NAME: with a planted defect of mutations.ts and the faults that show it; it has to fail
 * --json: nothing but the JSON line on standard output
 */

const SEEDS_DEFAULT = 200;
const SEED_MAX = 2 ** 31;

interface Order {
  readonly seeds: number[];
  readonly json: boolean;
  readonly isVerbose: boolean;
  readonly faults: readonly Fault[];
  readonly mutation: () => Mutation;
  readonly kind: Kind | undefined;
}

function mutationOf(name: string | undefined): () => Mutation {
  if (name === undefined) return () => NO_MUTATION;
  const all = { ...MUTATIONS, ...PAIR_MUTATIONS, ...KERNELS_MUTATIONS };
  const [found] = Object.entries(all).filter(([each]) => each === name);
  if (found !== undefined) return found[1];
  console.error(`--mutate takes one of ${Object.keys(all).join(', ')}`);
  process.exit(2);
}

function seedsToRun(): Order {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string' },
      seed: { type: 'string' },
      first: { type: 'string' },
      faults: { type: 'string' },
      mutate: { type: 'string' },
      kind: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const whole = (text: string, option: string): number => {
    const number = Number(text);
    if (!Number.isSafeInteger(number) || number < 0 || number > SEED_MAX) {
      console.error(`${option} takes a whole number from 0 to ${SEED_MAX}, not ${text}`);
      process.exit(2);
    }
    return number;
  };
  const { json } = values;
  const mutation = mutationOf(values.mutate);
  const kind = KINDS.find((each) => each === values.kind);
  if (values.kind !== undefined && kind === undefined) {
    console.error(`--kind takes one of ${KINDS.join(', ')}`);
    process.exit(2);
  }
  const names: readonly string[] = values.faults?.split(',') ?? FAULTS;
  const faults = FAULTS.filter((fault) => names.includes(fault));
  if (values.seed !== undefined)
    return { seeds: [whole(values.seed, '--seed')], json, isVerbose: true, faults, mutation, kind };
  const count = whole(values.seeds ?? String(SEEDS_DEFAULT), '--seeds');
  const first = whole(values.first ?? String(Math.floor(Date.now() / 1000) % 1_000_000_000), '--first');
  const fresh = Array.from({ length: count }, (_, at) => first + at);
  return { seeds: fresh, json, isVerbose: false, faults, mutation, kind };
}

function tell(result: SeedResult, lines: number): void {
  console.error(`seed ${result.seed} FAILED`);
  for (const finding of result.findings) console.error(`  ${finding}`);
  console.error(`  options: ${JSON.stringify({ ...result.swarm, faults: [...result.swarm.faults] })}`);
  console.error('  last events:');
  for (const line of result.history.slice(-lines)) console.error(`    ${line.slice(0, 300)}`);
  const { pair, kernels } = result.swarm;
  const kind = pair !== null ? 'pair' : kernels !== null ? 'kernels' : 'single';
  console.error(`replay with: npm run sim -- --seed ${result.seed} --kind ${kind}\n`);
}

async function main(): Promise<void> {
  const { seeds, json, isVerbose, faults: allowed, mutation, kind } = seedsToRun();
  const startMs = performance.now();
  const sum = { failures: 0, samples: 0, virtualMs: 0 };
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
    for (const [kind, count] of Object.entries(result.faults) as [Fault, number][]) {
      faults[kind] = (faults[kind] ?? 0) + count;
    }
    if (result.findings.length > 0) {
      failed.push(seed);
      tell(result, isVerbose ? 2000 : 50);
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
  if (failed.length > 0) process.exitCode = 1;
}

await main();
