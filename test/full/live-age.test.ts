import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ClassStore } from '../../src/agent/class-store.ts';
import { WIRED } from '../../src/config/uplink.fixture.ts';
import type { Dictionary } from '../../src/domain/dictionary.ts';
import { openDuckdbArchive } from '../../src/kernel/archive/duckdb-archive.ts';
import { KernelServer } from '../../src/kernel/server.ts';
import { Uplink } from '../../src/uplink/uplink.ts';
import { silentLog } from '../../src/world/log.ts';
import { createClock } from '../../src/world/real/clock.ts';
import { openLevelDisk } from '../../src/world/real/level-disk.ts';
import { createRandom } from '../../src/world/real/random.ts';
import { createTcpTransport } from '../../src/world/real/tcp-transport.ts';
import { sleep, until } from '../integration/support/until.ts';

const TAGS = 200;
const BACKLOG_BYTES = 100_000_000;
const BATCH = 20_000;
/** Agent, Kernel and archive share this one process; 99 of 100 looks. */
const LIVE_AGE_MAX_MS = 1000;

const dictionary: Dictionary = {
  site: 'S',
  process: 'KomA',
  tags: Array.from({ length: TAGS }, (_, at) => ({
    ...{ name: `P.T${at}`, station: 'P', class: 'measurement' as const, type: 'float64' as const },
    ...{ unit: '', formerly: [] },
  })),
};

it('live values are at most a second old while 100 MB of backlog drain', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'kom-live-'));
  const common = { clock: createClock(), random: createRandom(), log: silentLog };
  const { clock } = common;
  const transport = createTcpTransport();
  const store = await ClassStore.open({
    ...common,
    disk: await openLevelDisk(join(directory, 'ring')),
    buffer: {
      ...{ store: 'on-outage', capacityBytes: 400e6, freeDiskFloorBytes: 0, alarmShare: 0 },
      ...{ whenFull: 'drop-oldest', powerCutLossMaxMs: 1000, blockAgeMs: 250, spillAgeMs: 500 },
      ...{ aliveMarkMs: 5000, windowBytes: 16e6 },
    },
    ...{ share: 1, dictionary, tagIndexes: dictionary.tags.map((_, at) => at) },
    ...{ bootId: 'b'.repeat(32), overloadEnded: () => {} },
  });
  const produce = (count: number): void => {
    const sourceTimeUs = clock.wallUs();
    store.accept(
      Array.from({ length: count }, (_, at) => {
        // Noise does not compress: the bytes of the backlog are those of its values.
        const value = common.random.fraction() * 1e6;
        return { tagIndex: at % TAGS, sourceTimeUs, value, quality: 0, cause: 'change' as const };
      }),
    );
  };
  while (store.backlog.stat().ring.unacknowledgedBytes < BACKLOG_BYTES) {
    produce(BATCH);
    await until('room', () => store.backlog.hasRoom);
    await sleep(1);
  }
  const archive = await openDuckdbArchive({
    ...{ directory: join(directory, 'archive'), memoryLimitBytes: 512e6, log: silentLog },
  });
  const kernel = new KernelServer({ ...common, archive, programVersion: 'test' });
  const listener = await transport.listen({ host: '127.0.0.1', port: 0 }, (each) => kernel.accept(each));
  const uplink = new Uplink({
    ...{ ...common, transport, settings: WIRED, sources: [store.source], server: 'A' },
    kernels: [{ ...listener.address, insecure: true, localAddresses: {} }],
    identity: { programVersion: 'test', site: 'S', process: 'KomA', instance: 1, siteHash: 'a'.repeat(32) },
  });
  const stop = new AbortController();
  const run = uplink.run(stop.signal);
  await until('a session', () => uplink.status.kernel !== null);
  // The plant goes on meanwhile: of one that stands still the newest values are as old as that.
  for (let at = 0; at < 15; at++) {
    produce(TAGS);
    await sleep(100);
  }
  const ages: number[] = [];
  const startMs = clock.monotonicMs();
  while (store.backlog.state !== 'online' && clock.monotonicMs() - startMs < 20_000) {
    produce(TAGS);
    await sleep(100);
    const nowUs = clock.wallUs();
    const values = kernel.presence.of('S', 'KomA').values();
    ages.push(Math.max(...values.map(({ sourceTimeUs }) => (nowUs - sourceTimeUs) / 1000)));
  }
  ages.sort((one, other) => one - other);
  const at = (share: number): number => Math.round(ages[Math.floor(share * (ages.length - 1))] ?? Number.NaN);
  const { deliveredSamples } = store.backlog.stat().counters;
  const rate = Math.round((deliveredSamples / (clock.monotonicMs() - startMs)) * 1000);
  console.warn(`live age p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, ${rate} samples/s, ${ages.length} looks`);
  stop.abort();
  await run;
  await kernel.close();
  await listener.close();
  await archive.close();
  if (existsSync(directory)) rmSync(directory, { recursive: true, force: true });
  expect(ages.length).toBeGreaterThan(10);
  expect(at(0.99)).toBeLessThanOrEqual(LIVE_AGE_MAX_MS);
});
