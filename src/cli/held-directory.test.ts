import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLog } from '../world/real/log.ts';
import { holdDirectory } from './held-directory.ts';

describe('a directory that a process holds', () => {
  let directory = '';
  const warned: string[] = [];
  const log = {
    ...createLog({ level: 'silent', name: 'kom' }),
    warn: (_: object, text: string) => void warned.push(text),
  };
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'kom-held-'));
    warned.length = 0;
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it("is nobody else's, until it is let go", async () => {
    const ring = join(directory, 'data/ring');
    {
      await using _ = await holdDirectory(ring, log);
      await expect(holdDirectory(ring, log)).rejects.toMatchObject({
        code: 'KOM_ALREADY_RUNNING',
        message: expect.stringContaining(ring),
      });
    }
    await using _again = await holdDirectory(ring, log);
    expect(warned).toEqual([]);
  });

  it('is held also where a first start was cut short', async () => {
    mkdirSync(join(directory, 'lock'));
    writeFileSync(join(directory, 'lock/MANIFEST-000001'), '');
    await using _ = await holdDirectory(directory, log);
    await expect(holdDirectory(directory, log)).rejects.toMatchObject({ code: 'KOM_ALREADY_RUNNING' });
  });

  it('holds up nothing where the disk does not take it', async () => {
    writeFileSync(join(directory, 'lock'), 'in the way, as a failing disk would be');
    await using _ = await holdDirectory(directory, log);
    expect(warned).toEqual(['the directory cannot be held against other processes']);
  });
});
