import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

it('ten seconds of damaged traffic, a turn at least, with a fresh seed', { retry: 0 }, async () => {
  const args = ['test/fuzz/main.ts', '--seconds', '10', '--json'];
  const { stdout } = await promisify(execFile)(process.execPath, args).catch(
    (error: { readonly stdout: string }) => error,
  );
  const result = JSON.parse(stdout) as { seed: number; failures: number; turns: number };
  expect(result, stdout).toMatchObject({ failures: 0 });
  expect(result.turns).toBeGreaterThan(0);
});
