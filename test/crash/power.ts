import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, open, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { sharedMonotonicMs } from './settings.ts';

const run = promisify(execFile);

const TOOLS = ['nbdkit', 'nbdfuse', 'losetup', 'mkfs.ext4', 'mount', 'umount', 'fusermount'] as const;
const IMAGE_BYTES = 96 * 1024 * 1024;
const WAIT_MS = 10_000;

/** Why power cuts cannot be simulated here; `null` if they can. */
export async function reasonAgainstPowerCuts(): Promise<string | null> {
  if (process.getuid?.() !== 0) return 'only root can mount';
  for (const tool of TOOLS) {
    const found = await run('sh', ['-c', `command -v ${tool}`]).catch(() => null);
    if (found === null) return `${tool} is not installed (nbdkit, libnbd-bin, fuse3, e2fsprogs, mount)`;
  }
  if (!existsSync('/dev/fuse')) return '/dev/fuse is not there';
  return null;
}

/**
 * A disk whose power can be cut: a file behind a block cache in a process of its own, as ext4. What was
 * synced is in the file; killing the process loses the rest. Afterwards the file is mounted by itself, and
 * the journal of the file system recovers.
 */
export class CuttableDisk {
  /** Where the file system is while the power is on, or after a cut. */
  readonly mountPoint: string;
  readonly #root: string;
  readonly #image: string;
  #nbdkit: ReturnType<typeof spawn> | null = null;
  #nbdfuse: ReturnType<typeof spawn> | null = null;
  #loop: string | null = null;

  private constructor(root: string) {
    this.#root = root;
    this.#image = join(root, 'disk.img');
    this.mountPoint = join(root, 'mnt');
  }

  static async make(root: string): Promise<CuttableDisk> {
    const disk = new CuttableDisk(root);
    await mkdir(disk.mountPoint, { recursive: true });
    const file = await open(disk.#image, 'w');
    await file.truncate(IMAGE_BYTES);
    await file.close();
    await run('mkfs.ext4', ['-q', '-E', 'lazy_itable_init=0,lazy_journal_init=0', disk.#image]);
    return disk;
  }

  async powerOn(): Promise<void> {
    const socket = join(this.#root, 'nbd.sock');
    const block = join(this.#root, 'block');
    await rm(socket, { force: true });
    await writeFile(block, '');
    this.#nbdkit = spawn(
      'nbdkit',
      ['-f', '-U', socket, '--filter=cache', 'file', this.#image, 'cache=writeback'],
      { stdio: 'inherit' },
    );
    await until(() => existsSync(socket), 'nbdkit listens');
    // It complains when its server dies, which is the point.
    this.#nbdfuse = spawn('nbdfuse', [block, '--unix', socket], { stdio: 'ignore' });
    await until(() => readFileSync('/proc/mounts', 'utf8').includes(` ${block} `), 'nbdfuse is mounted');
    this.#loop = (await run('losetup', ['--find', '--show', block])).stdout.trim();
    await run('mount', [this.#loop, this.mountPoint]);
  }

  /** Nothing reaches the file any more from the moment that is returned, on the clock of all processes. */
  async cut(): Promise<number> {
    const atMs = sharedMonotonicMs();
    await kill(this.#nbdkit);
    this.#nbdkit = null;
    return atMs;
  }

  /** After a cut, when nobody uses the file system: what is left of it, mounted. */
  async recover(): Promise<void> {
    await run('umount', ['-l', this.mountPoint]);
    if (this.#loop !== null) await run('losetup', ['--detach', this.#loop]);
    this.#loop = null;
    await run('fusermount', ['-u', '-z', join(this.#root, 'block')]).catch(() => undefined);
    await kill(this.#nbdfuse);
    this.#nbdfuse = null;
    await run('mount', ['-o', 'loop', this.#image, this.mountPoint]);
  }

  async unmount(): Promise<void> {
    await run('umount', [this.mountPoint]);
  }

  /** Leaves nothing behind, in whatever state it is. */
  async dispose(): Promise<void> {
    await kill(this.#nbdkit);
    await run('umount', ['-l', this.mountPoint]).catch(() => undefined);
    if (this.#loop !== null) await run('losetup', ['--detach', this.#loop]).catch(() => undefined);
    await run('fusermount', ['-u', '-z', join(this.#root, 'block')]).catch(() => undefined);
    await kill(this.#nbdfuse);
  }
}

async function kill(child: ReturnType<typeof spawn> | null): Promise<void> {
  if (child === null || child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'exit');
  child.kill('SIGKILL');
  await closed;
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const endMs = Date.now() + WAIT_MS;
  while (!condition()) {
    if (Date.now() > endMs) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
