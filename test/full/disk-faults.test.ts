import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { ForwardRing } from '../../src/buffer/forward-ring.ts';
import { MirrorStore } from '../../src/buffer/mirror-store.ts';
import { forgottenStream } from '../../src/buffer/mirrored-stream.ts';
import { blockOf, blocksOf, drained, openTestRing, sequencesOf } from '../../src/buffer/ring.fixture.ts';
import type { Ring } from '../../src/buffer/ring.ts';
import { silentLog } from '../../src/world/log.ts';
import { createClock } from '../../src/world/real/clock.ts';
import { openLevelDisk } from '../../src/world/real/level-disk.ts';
import { createRandom } from '../../src/world/real/random.ts';
import { SideStore } from '../../src/world/side-store.ts';
import { Judge } from '../crash/judge.ts';
import { sayings, sharedMonotonicMs } from '../crash/settings.ts';

const run = promisify(execFile);
const WRITER = join(import.meta.dirname, '../crash/writer.ts');
const root = await mkdtemp(join(tmpdir(), 'kom-disk-faults-'));
const isRoot = process.getuid?.() === 0;
const hasStrace = await run('strace', ['-V']).then(
  () => true,
  () => false,
);
/** A disk that failed is tried again after a second. */
const RETRY_MS = 1050;
/** Each thread of the pool meets its error once, and every one costs a second. */
const EIO_RUN_MS = 8000;
let mountPoint = '';
let count = 0;

beforeEach(async (context) => {
  if (!isRoot) {
    console.warn('faults of a disk skipped: only root can mount');
    context.skip('only root can mount');
  }
  count += 1;
  mountPoint = join(root, `disk-${count}`);
  await mkdir(mountPoint);
  await run('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', mountPoint]);
  return async () => await run('umount', ['-l', mountPoint]);
});

afterAll(() => rm(root, { recursive: true, force: true }));

async function open(): Promise<Ring> {
  const disk = await openLevelDisk(join(mountPoint, 'ring'));
  return await openTestRing(
    disk,
    { clock: createClock(), random: createRandom() },
    { capacityBytes: 1_000_000 },
  );
}

const wait = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, RETRY_MS));

/** Fills the file system to the last page. */
async function fill(): Promise<void> {
  for (let bytes = 1024 * 1024; bytes >= 4096; ) {
    const path = join(mountPoint, `ballast-${bytes}-${Math.random()}`);
    try {
      await writeFile(path, new Uint8Array(bytes));
    } catch {
      await rm(path, { force: true });
      bytes /= 2;
    }
  }
}

async function makeRoom(): Promise<void> {
  await run('sh', ['-c', `rm -f ${join(mountPoint, 'ballast-*')}`]);
}

const FAULTS: readonly [string, () => Promise<void>, () => Promise<void>][] = [
  ['full', fill, makeRoom],
  [
    'remounted read-only',
    async () => {
      await run('mount', ['-o', 'remount,ro', mountPoint]);
    },
    async () => {
      await run('mount', ['-o', 'remount,rw', mountPoint]);
    },
  ],
];

test.each(FAULTS)('a start on a disk that is %s succeeds, and heals', async (_, fault, heal) => {
  const before = await open();
  await before.append(blocksOf(before, 1, 30));
  await before.close();
  await fault();
  const ring = await open();
  expect(ring.stat().state).toBe('volatile');
  await wait();
  await expect(ring.append(blocksOf(ring, 1, 1))).rejects.toMatchObject({ code: 'KOM_STORE_WRITE' });
  await heal();
  await wait();
  await ring.append(blocksOf(ring, 1, 2));
  expect(ring.stream.previous).toMatchObject({ streamId: before.stream.streamId, lastDurableSequence: 300 });
  expect(ring.gaps()).toEqual([]);
  expect([...sequencesOf(await drained(ring))]).toEqual([
    [before.stream.streamId, [{ first: 1, last: 300 }]],
    [ring.stream.streamId, [{ first: 1, last: 20 }]],
  ]);
  await ring.close();
});

test('a disk that is full while the ring runs: nothing durable is lost, and it heals', async () => {
  const ring = await open();
  await ring.append(blocksOf(ring, 1, 30));
  await fill();
  let block = 31;
  let isRefused = false;
  // What LevelDB has allocated already may take a little more.
  for (; block < 900 && !isRefused; block += 1) {
    isRefused = await ring.append(blocksOf(ring, block, block)).then(
      () => false,
      () => true,
    );
  }
  expect(isRefused).toBe(true);
  expect(ring.stat().state).toBe('degraded');
  await wait();
  await expect(ring.markAlive(1, 1000)).rejects.toMatchObject({ code: 'KOM_STORE_WRITE' });
  await makeRoom();
  await wait();
  await ring.append(blocksOf(ring, block - 1, block));
  expect(ring.gaps()).toEqual([]);
  const whole = [{ first: 1, last: block * 10 }];
  expect(sequencesOf(await drained(ring)).get(ring.stream.streamId)).toEqual(whole);
  await ring.close();
  const again = await open();
  expect(sequencesOf(await drained(again)).get(ring.stream.streamId)).toEqual(whole);
  await again.close();
});

/** Stores that keep blocks of others: nothing declares what they lose, so they must not lose it. */
const KEEPERS = {
  'a forwarding ring': async (directory: string) => {
    const disk = await openLevelDisk(directory);
    const bounds = { capacityBytes: 1_000_000, segmentBytes: 60_000 };
    const ring = await ForwardRing.open({ disk, ...bounds, clock: createClock(), log: silentLog });
    return { store: ring, append: (from: number, to: number) => ring.append(foreign(from, to)) };
  },
  'a mirror': async (directory: string) => {
    const disk = await openLevelDisk(directory);
    const bounds = { boundBytes: () => 1_000_000, segmentBytes: 60_000, ownerInstance: 1 };
    const store = await MirrorStore.open({ disk, ...bounds, clock: createClock(), log: silentLog });
    const stream = forgottenStream(FOREIGN, 0, 1);
    const append = (from: number, to: number) =>
      store.append(foreign(from, to).map((block) => ({ block, stream })));
    return { store, append };
  },
};
const FOREIGN = 'f'.repeat(32);
const foreign = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, at) => blockOf(FOREIGN, (from + at - 1) * 10 + 1));

test.each(Object.entries(KEEPERS))('%s is filled up three times and loses nothing', async (_, openKeeper) => {
  const directory = join(mountPoint, 'keeper');
  const { store, append } = await openKeeper(directory);
  let next = 1;
  for (; next <= 500; next += 10) await append(next, next + 9);
  for (let times = 0; times < 3; times++) {
    await fill();
    let isRefused = false;
    for (let tries = 0; tries < 200 && !isRefused; tries++) {
      isRefused = await append(next, next + 9).then(
        () => false,
        () => true,
      );
      if (!isRefused) next += 10;
    }
    expect(isRefused).toBe(true);
    for (let tries = 0; tries < 4; tries++) {
      await wait();
      await append(next, next + 9).catch(() => undefined);
      await store.read(FOREIGN, { first: 1, last: 10_000 }, 1);
    }
    expect(store.lastError).not.toBeNull();
    await makeRoom();
    await wait();
    await append(next, next + 9);
    next += 10;
    expect(store.held(FOREIGN)).toEqual([{ first: 1, last: (next - 1) * 10 }]);
  }
  await fill();
  await store.close();
  await (await openKeeper(directory)).store.close();
  await makeRoom();
  const { store: again } = await openKeeper(directory);
  expect(again.held(FOREIGN)).toEqual([{ first: 1, last: (next - 1) * 10 }]);
  for (let at = 1; at < (next - 1) * 10; at += 10) {
    const [block] = await again.read(FOREIGN, { first: at, last: at }, 1);
    expect(block?.header.firstSequence).toBe(at);
  }
  await again.close();
});

test('notes that a full disk does not open are left as they are', async () => {
  const notes = new SideStore(await openLevelDisk(join(mountPoint, 'notes')), 'notes');
  const key = Uint8Array.of(1);
  const value = () => notes.use((store) => store.get(key));
  await notes.use((store) => store.batch([{ type: 'put', key, value: key }], { sync: true }));
  await fill();
  await expect(value()).rejects.toMatchObject({ code: 'KOM_STORE_OPEN' });
  await makeRoom();
  expect([...((await value()) ?? [])]).toEqual([...key]);
});

test.each(['always', 'on-outage'] as const)(
  'EIO on syncs, policy %s: what was confirmed is there',
  async (policy) => {
    if (!hasStrace) {
      console.warn('EIO skipped: strace is not installed');
      return;
    }
    const directory = join(mountPoint, 'ring');
    const store = { policy, capacityBytes: 120_000, blockAgeMs: 50 };
    const judge = new Judge(store);
    let said = '';
    for (const first of [4, 9]) {
      const inject = `inject=fsync,fdatasync:error=EIO:when=${first}`;
      const args = ['-f', '-qq', '-o', '/dev/null', '-e', 'trace=fsync,fdatasync', '-e', inject];
      const settings = [policy, String(store.capacityBytes), String(store.blockAgeMs)];
      const writer = [process.execPath, WRITER, directory, 'away', ...settings];
      const child = spawn('strace', [...args, ...writer], {
        stdio: ['ignore', 'pipe', 'inherit'],
        detached: true,
      });
      let text = '';
      child.stdout.on('data', (bytes: Buffer) => (text += bytes.toString()));
      await new Promise((resolve) => setTimeout(resolve, EIO_RUN_MS));
      const atMs = sharedMonotonicMs();
      const closed = once(child, 'close');
      // The writer is a child of strace: the group goes, and nothing else.
      process.kill(-(child.pid ?? 0), 'SIGKILL');
      await closed;
      await judge.check(directory, sayings(text), atMs);
      said += text;
    }
    expect(said).toContain('durable');
    expect(judge.violations).toEqual([]);
  },
);
