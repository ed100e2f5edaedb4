import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { bufferHandlers } from '../../src/agent/buffer-handlers.ts';
import { ClassStore } from '../../src/agent/class-store.ts';
import { runCommandLine } from '../../src/cli/program.ts';
import type { Entry } from '../../src/domain/sample.ts';
import { serveControl } from '../../src/ops/control.ts';
import { silentLog } from '../../src/world/log.ts';
import { createClock } from '../../src/world/real/clock.ts';
import { openLevelDisk } from '../../src/world/real/level-disk.ts';
import { createRandom } from '../../src/world/real/random.ts';
import { createTcpTransport } from '../../src/world/real/tcp-transport.ts';

const START_US = Date.UTC(2026, 10, 22, 12) * 1000;
const BIG = 9_007_199_254_740_993n;
let directory = '';

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'kom-buffer-'));
});

afterEach(() => rmSync(directory, { recursive: true }));

async function kom(...args: string[]): Promise<{ code: number; out: string[]; notes: string[] }> {
  const out: string[] = [];
  const notes: string[] = [];
  const code = await runCommandLine(['buffer', ...args], {
    line: (text) => out.push(...text.split('\n')),
    note: (text) => notes.push(text),
    isTerminal: false,
    columns: 100,
  });
  return { code, out, notes };
}

interface StoreOptions {
  readonly name?: string;
  readonly share?: number;
  readonly tagIndexes?: readonly number[];
  readonly capacityBytes?: number;
}

async function openStore(options: StoreOptions = {}): Promise<ClassStore> {
  const tag = { station: 'P1', class: 'measurement', unit: '', formerly: [] } as const;
  return await ClassStore.open({
    disk: await openLevelDisk(join(directory, options.name ?? 'KomA')),
    buffer: {
      store: 'always',
      capacityBytes: options.capacityBytes ?? 10_000_000,
      freeDiskFloorBytes: 0,
      alarmShare: 0,
      whenFull: 'drop-oldest',
      powerCutLossMaxMs: 1000,
      blockAgeMs: 20,
      spillAgeMs: 500,
      aliveMarkMs: 5000,
      windowBytes: 1_000_000,
    },
    share: options.share ?? 1,
    dictionary: {
      site: 'S',
      process: 'KomA',
      tags: [
        { ...tag, name: 'P1.flow', type: 'float64' },
        { ...tag, name: 'P1.count', type: 'int64' },
      ],
    },
    tagIndexes: options.tagIndexes ?? [0, 1],
    clock: createClock(),
    random: createRandom(),
    log: silentLog,
    bootId: 'b'.repeat(32),
    overloadEnded: () => {},
  });
}

async function fill(store: ClassStore): Promise<void> {
  const entries: Entry[] = Array.from({ length: 1000 }, (_, at) => ({
    tagIndex: at % 2,
    sourceTimeUs: START_US + at * 1000,
    value: at % 2 === 0 ? at / 10 : BIG + BigInt(at),
    quality: 0,
    cause: 'change',
  }));
  const gap = { station: 'P1', tags: [], fromUs: START_US, toUs: START_US + 5, reason: 'overload' } as const;
  store.accept([...entries, { ...gap, count: 7 }]);
  for (let tries = 0; store.ring.stat().samples < 1001 && tries < 500; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function close(store: ClassStore): Promise<void> {
  await store.backlog.close();
  await store.ring.endStream(store.producedTo, START_US);
  await store.ring.close();
}

function listen(store: ClassStore, path: string) {
  return serveControl({
    transport: createTcpTransport(),
    path,
    handlers: bufferHandlers(() => [{ process: 'KomA', part: 'main', store }]),
    clock: createClock(),
    log: silentLog,
  });
}

it('answers the same through a running agent and from the directory', async () => {
  const store = await openStore();
  await fill(store);
  const socket = join(directory, 'kom.sock');
  const listener = await listen(store, socket);
  const running = await kom('export', '--socket', socket);
  const verified = await kom('verify', '--json', '--socket', socket);
  const [live] = (await kom('stat', '--json', '--socket', socket)).out.map((line) => JSON.parse(line));
  await listener.close();
  await close(store);

  expect(running.out).toHaveLength(1002);
  expect(running.out[0]).toMatch(/^kind,time,until,tag,value,/);
  const place = `,change,,,${store.ring.stream.streamId},2,,`;
  expect(running.out[2]).toBe(`sample,2026-11-22T12:00:00.001000Z,,P1.count,9007199254740994,Good${place}`);
  expect(running.out[1001]).toMatch(/^time-gap,2026-11-22T12:00:00.000000Z,.*,P1\.\*,,,,overload,7,/);
  expect(JSON.parse(verified.out[0] ?? '')).toMatchObject({ samples: 1001, problems: 0 });
  expect(live).toMatchObject({ capacityBytes: 10_000_000, samples: 1001, unacknowledgedSamples: 1001 });
  expect(live.status.backlog.counters).toMatchObject({ acceptedSamples: 1001, deliveredSamples: 0 });

  const dir = join(directory, 'KomA');
  const before = readdirSync(dir);
  expect((await kom('export', '--dir', dir)).out).toEqual(running.out);
  const [rest] = (await kom('stat', '--json', '--dir', dir)).out.map((line) => JSON.parse(line));
  expect(rest).toMatchObject({ samples: 1001, status: null, streams: [{ end: 'clean', samples: 1001 }] });
  expect(await kom('verify', '--dir', dir)).toMatchObject({ code: 0 });
  expect(readdirSync(dir)).toEqual(before);
  const text = await kom('stat', '--dir', dir);
  expect(text.out.join('\n')).toMatch(/at rest\n {2}held .* 1001 samples/);
});

it('replays through the running agent only', async () => {
  const store = await openStore();
  await fill(store);
  const { streamId } = store.ring.stream;
  const { backlog } = store;
  backlog.linkUp();
  while ((await backlog.next(1e6)).length > 0);
  backlog.acknowledge(streamId, 1001);
  const socket = join(directory, 'kom.sock');
  const listener = await listen(store, socket);
  const from = '2026-11-22T12:00:00.100Z';
  const asked = await kom('replay', '--socket', socket, '--from', from);
  const what = `KomA: ${streamId} 1–1001, what of it is from 2026-11-22T12:00:00.100000Z, is sent again`;
  expect(asked).toMatchObject({ code: 0, out: [what] });
  expect(backlog.stat().replays).toHaveLength(1);
  expect((await backlog.next(1e6)).map(({ header }) => header.firstSequence)).toEqual([1]);
  expect(await kom('replay', '--socket', socket, '--stream', 'xyz')).toMatchObject({ code: 2 });
  expect(await kom('replay', '--socket', socket)).toMatchObject({ code: 2 });
  await listener.close();
  expect(await kom('stat', '--socket', socket)).toMatchObject({ code: 69 });
  const locked = await kom('stat', '--dir', join(directory, 'KomA'));
  expect(locked.notes.join()).toMatch(/a running agent is asked with --config .*KOM_STORE_LOCKED/);
  await close(store);
  expect(await kom('replay', '--dir', join(directory, 'KomA'), '--stream', streamId)).toMatchObject({
    code: 69,
  });
});

it('shows of a damaged directory what there is, and says what there is not', async () => {
  const store = await openStore();
  await fill(store);
  await close(store);
  const dir = join(directory, 'KomA');
  const whole = await kom('export', '--dir', dir);
  rmSync(join(dir, 'meta', 'CURRENT'));
  const exported = await kom('export', '--dir', dir);
  expect(exported).toMatchObject({ code: 1, notes: [expect.stringMatching(/: meta: .*CURRENT is missing/)] });
  expect(exported.out.filter((line) => !line.startsWith('unreadable'))).toEqual(whole.out);
  expect(await kom('verify', '--dir', dir)).toMatchObject({ code: 1 });
  const { code, out } = await kom('stat', '--dir', dir);
  expect(code).toBe(0);
  expect(out.join('\n')).toMatch(/1001 samples.* {2}damaged {6}meta: .*CURRENT is missing/s);
  for (const name of readdirSync(dir)) rmSync(join(dir, name, 'CURRENT'), { force: true });
  expect(await kom('stat', '--dir', dir)).toMatchObject({ code: 69 });
});

it('says which tags it exported nothing of', async () => {
  const store = await openStore();
  await fill(store);
  await close(store);
  const dir = join(directory, 'KomA');
  const { code, out, notes } = await kom('export', '--dir', dir, '--tag', 'P1.flow', 'P1.flwo');
  expect({ code, rows: out.length, notes }).toEqual({
    code: 0,
    rows: 502,
    notes: ['no sample of P1.flwo is there'],
  });
});

it.each([
  [['stat', '--dir', 'a', '--socket', 'b'], /exclude each other/],
  [['verify', '--config', 'a', '--socket', 'b'], /exclude each other/],
  [['export', '--socket', 'a', '--server', 'b'], /--server goes with --config/],
  [['stat', '--dir', 'a', '--process', 'KomA'], /--dir is one ring/],
  [['replay', '--dir', 'a', '--process', 'KomA', '--repair', '--from', '-1h'], /--dir is one ring/],
])('kom buffer %j passes over nothing that was said', async (args, why) => {
  expect(await kom(...args)).toMatchObject({ code: 2, notes: [expect.stringMatching(why)] });
});

it('says that what it prints does not fit on the disk', () => {
  const full = openSync('/dev/full', 'w');
  const { status, stderr } = spawnSync(
    process.execPath,
    [join(import.meta.dirname, '../../bin/kom.cjs'), '--help'],
    {
      stdio: ['ignore', full, 'pipe'],
      encoding: 'utf8',
    },
  );
  closeSync(full);
  expect({ status, stderr }).toEqual({
    status: 69,
    stderr: expect.stringMatching(/ENOSPC.*\[KOM_OUTPUT\]\n$/),
  });
});

it('makes nothing where no ring is', async () => {
  const dir = join(directory, 'empty');
  expect(await kom('stat', '--dir', dir)).toMatchObject({ code: 69 });
  mkdirSync(dir);
  expect(await kom('verify', '--dir', dir)).toMatchObject({ code: 69 });
  expect(readdirSync(dir)).toEqual([]);
});

it('a chatty class does not push out what has a share of its own', async () => {
  const capacityBytes = 500_000;
  const rest = await openStore({ name: 'KomA', share: 0.8, tagIndexes: [0], capacityBytes });
  const alarms = await openStore({ name: 'KomA.alarm', share: 0.2, tagIndexes: [1], capacityBytes });
  const sample = { sourceTimeUs: START_US, quality: 0, cause: 'change' } as const;
  for (const store of [rest, alarms]) store.accept([{ ...sample, tagIndex: 1, value: BIG }]);
  const random = createRandom();
  while ((rest.ring.stat().lostByReason.evicted ?? 0) === 0) {
    const entries = Array.from({ length: 2000 }, () => ({
      ...sample,
      tagIndex: 0,
      value: random.fraction(),
    }));
    for (const store of [rest, alarms]) store.accept(entries);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  for (const store of [rest, alarms]) store.finish();
  for (const store of [rest, alarms]) await close(store);
  const [main, own] = [join(directory, 'KomA'), join(directory, 'KomA.alarm')];
  const kept = await kom('export', '--dir', own, '--jsonl');
  expect(kept.out.map((line) => JSON.parse(line).value)).toEqual([String(BIG)]);
  const [lost] = (await kom('stat', '--dir', main, '--json')).out;
  expect(JSON.parse(lost ?? '').gaps).toMatchObject([{ reason: 'evicted', firstSequence: 1 }]);
});
