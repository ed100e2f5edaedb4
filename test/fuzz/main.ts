import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { fuzz } from './fuzz.ts';

/*
 * npm run fuzz -- --seconds N [--seed S] [--json]
 * Damaged real traffic against frame, message and block decoders, a whole Kernel and a whole agent. Exit code
 * 1
 * if anything crashed, hung, grew, or disturbed an honest session.
 */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string' },
    json: { type: 'boolean' },
  },
});
const seconds = Number(values.seconds);
const seed = values.seed === undefined ? Math.floor(Math.random() * 1e9) : Number(values.seed);
if (!(seconds > 0) || !Number.isSafeInteger(seed) || seed < 0) {
  console.error('usage: npm run fuzz -- --seconds N [--seed S] [--json]');
  process.exit(2);
}
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const stray: string[] = [];
process.on('unhandledRejection', (error) =>
  stray.push(error instanceof Error ? String(error.stack) : String(error)),
);

const endMs = performance.now() + seconds * 1000;
const result = await fuzz({
  seed,
  isOver: () => performance.now() >= endMs,
  nowMs: () => performance.now(),
  heapBytes: () => {
    collect();
    return process.memoryUsage().heapUsed;
  },
});
const failures = [
  ...result.failures,
  ...stray.map((error) => ({ target: 'process', seed, error: `nobody waited for: ${error}` })),
];
if (values.json !== true) {
  for (const { target, seed: failed, error } of failures) {
    console.log(`FAILED ${target}: ${error}\n  again: npm run fuzz -- --seconds 1 --seed ${failed}`);
  }
}
console.log(
  JSON.stringify({
    ...result,
    failures: failures.length,
    ...(values.json === true ? { details: failures } : {}),
  }),
);
process.exitCode = failures.length > 0 ? 1 : 0;
