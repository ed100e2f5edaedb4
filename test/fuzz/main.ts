import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { runCommand } from '../command/run.ts';
import { FUZZ } from './command.ts';
import { fuzz } from './fuzz.ts';

await runCommand(FUZZ, async ({ seconds, json, ...values }) => {
  const seed = values.seed ?? Math.floor(Math.random() * 1e9);
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
  if (!json) {
    for (const { target, seed: failed, error } of failures) {
      console.log(`FAILED ${target}: ${error}\n  again: npm run fuzz -- --seconds 1 --seed ${failed}`);
    }
  }
  const details = json ? { details: failures } : {};
  console.log(JSON.stringify({ ...result, failures: failures.length, ...details }));
  return failures.length > 0 ? 1 : 0;
});
