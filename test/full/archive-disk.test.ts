import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { KernelStatus } from '../../src/kernel/kernel.ts';
import { callControl } from '../../src/ops/control.ts';
import { GREEN, Setup } from '../integration/support/setup.ts';
import { sleep, until } from '../integration/support/until.ts';

const isRoot = process.getuid?.() === 0;
if (!isRoot) console.warn('the full disk is skipped: only root can mount');

const START_MAX_MS = 60_000;
/** So long nothing can be written. */
const FULL_MS = 3000;

async function kernelStatus(setup: Setup): Promise<KernelStatus> {
  const path = setup.file('kernel.sock');
  for await (const item of callControl({ ...setup.world, path, method: 'status' }))
    return item as KernelStatus;
  throw new Error('no status');
}

let pieces = 0;

/** Takes what is left of a file system, to the last page. */
function fill(disk: string): void {
  for (let bytes = 1_000_000; bytes >= 4096; ) {
    const path = join(disk, `ballast-${pieces++}`);
    try {
      writeFileSync(path, new Uint8Array(bytes));
    } catch {
      rmSync(path, { force: true });
      bytes /= 2;
    }
  }
}

test.skipIf(!isRoot)(
  'the disk of the embedded archive is full for a while: agents wait, nothing is lost',
  async () => {
    const disk = mkdtempSync(join(tmpdir(), 'kom-archive-disk-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=48m', 'tmpfs', disk]);
    try {
      const archive = { kind: 'embedded', directory: disk, memoryLimit: '128MB' };
      await using setup = await Setup.make({ archive });
      await setup.startPlant();
      const kernel = await setup.spawnKernel(START_MAX_MS);
      await setup.spawnAgent();
      await setup.untilOnline();
      await sleep(1500);
      for (let round = 0; round < 2; round++) {
        const refill = setInterval(() => fill(disk), 50);
        try {
          fill(disk);
          const isFull = async () => (await kernelStatus(setup)).archiveError !== null;
          await until('the Kernel to say so', isFull, 30_000);
          await sleep(FULL_MS);
        } finally {
          clearInterval(refill);
        }
        const { alarms, archiveError } = await kernelStatus(setup);
        expect(archiveError).toContain('No space left on device');
        expect(alarms.map(({ code }) => code)).toEqual(['kernel-archive']);
        const { backlog, uplink } = await setup.status();
        expect(backlog.samples).toBeGreaterThan(20);
        // Neither acknowledged nor refused, and the session goes on.
        expect(uplink.kernel).not.toBeNull();
        expect((await setup.history('P1.volume', 0)).length).toBeGreaterThan(5);
        execFileSync('sh', ['-c', `rm -f ${disk}/ballast-*`]);
        await setup.untilStatus('the backlog to drain', ({ backlog: { state, samples } }) => {
          return state === 'online' && samples < 20;
        });
        await until('the archive to be well', async () => (await kernelStatus(setup)).archiveError === null);
      }
      expect(kernel.log.filter(({ msg }) => msg.startsWith('the archive takes what comes'))).toHaveLength(2);
      await sleep(1000);
      expect(await setup.prove()).toMatchObject(GREEN);
    } finally {
      execFileSync('umount', ['-l', disk]);
      rmSync(disk, { recursive: true, force: true });
    }
  },
);
