import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { flashBytes } from './process-io.ts';

it('takes what reached the file system from the figures of the kernel', () => {
  const directory = mkdtempSync(join(tmpdir(), 'kom-io-'));
  const file = join(directory, 'io');
  writeFileSync(file, 'rchar: 5\nwchar: 9999\nwrite_bytes: 4096\ncancelled_write_bytes: 7\n');
  expect(flashBytes(file)).toBe(4096);
  writeFileSync(file, 'rchar: 5\n');
  expect(flashBytes(file)).toBeNull();
  rmSync(directory, { recursive: true });
  expect(flashBytes(file)).toBeNull();
});
