import { expect, it } from 'vitest';
import { delegated } from '../../test/simulation/delegate.ts';
import { encodeDictionary } from '../domain/dictionary-codec.ts';
import { keptLines } from '../world/log.fixture.ts';
import type { LogFields } from '../world/log.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import type { Disk, Store } from '../world/store.ts';
import { Backlog } from './backlog.ts';
import { MirrorStore } from './mirror-store.ts';
import { blockOf, openTestRing, START_US } from './ring.fixture.ts';

const SECONDS = 120;
type Line = [level: string, message: string, fields: LogFields];
const messages = (lines: readonly Line[]): string[] => lines.map(([level, message]) => `${level} ${message}`);

it('a disk at its brim, which takes small writes and no large ones, is a few lines a minute', async () => {
  const [clock, random] = [new SimulatedClock(), createSimulatedRandom(7)];
  const plain = new SimulatedDisk(clock, random);
  const { lines, log } = keptLines();
  let isBrimful = false;
  const disk = delegated<Disk>(plain, {
    open: async (...given) => {
      const store = await plain.open(...given);
      return delegated<Store>(store, {
        batch: async (writes, options) => {
          const bytes = writes.reduce((sum, each) => sum + (each.type === 'put' ? each.value.length : 0), 0);
          if (isBrimful && given[0] !== 'meta' && bytes > 500) plain.failing = 'write';
          await store.batch(writes, options).finally(() => {
            plain.failing = 'nothing';
          });
        },
      });
    },
  });
  const ring = await openTestRing(disk, { clock, random }, { log });
  const backlog = new Backlog({ ring, policy: 'always', spillAgeMs: 500, windowBytes: 1e6, clock, log });
  let sequence = 1;
  for (let at = 0; at < 2 * SECONDS; at++) {
    isBrimful = at % 10 !== 0 && at < 2 * SECONDS - 10;
    const block = blockOf(ring.stream.streamId, sequence, 10, at % 2 === 0 ? 10 : 900);
    sequence += block.header.count;
    backlog.accept(block);
    await clock.advance(500);
  }
  expect(ring.stat().state).toBe('healthy');
  const said = messages(lines);
  expect(said[0]).toBe('error the ring does not take writes');
  expect(said.at(-1)).toMatch(/ again$/);
  expect(said.length).toBeGreaterThan(4);
  expect(said.length).toBeLessThanOrEqual(4 * (SECONDS / 60 + 1));
});

it('a disk that fails again soon after it healed, and stays so, has that as its last line', async () => {
  const [clock, random] = [new SimulatedClock(), createSimulatedRandom(7)];
  const disk = new SimulatedDisk(clock, random);
  const { lines, log } = keptLines();
  const ring = await openTestRing(disk, { clock, random }, { log });
  const backlog = new Backlog({ ring, policy: 'always', spillAgeMs: 500, windowBytes: 1e6, clock, log });
  let sequence = 1;
  const runs = async (seconds: number) => {
    for (let second = 0; second < seconds; second++) {
      const block = blockOf(ring.stream.streamId, sequence, 10, 10);
      sequence += block.header.count;
      backlog.accept(block);
      await clock.advance(1000);
    }
  };
  const failed = [
    'error the ring does not take writes',
    'error the ring takes nothing; blocks stay in memory',
  ];
  const well = ['info the disk takes writes again', 'info the ring takes blocks again'];
  for (const [failing, seconds] of [
    ['write', 10],
    ['nothing', 10],
    ['write', 200],
    ['nothing', 10],
  ] as const) {
    disk.failing = failing;
    await runs(seconds);
    expect(messages(lines).slice(-2)).toEqual(failing === 'nothing' ? well : failed);
  }
  expect(lines).toHaveLength(8);
});

it('a mirror on a disk that fails in one way and another says so once a minute', async () => {
  const [clock, random] = [new SimulatedClock(), createSimulatedRandom(7)];
  const disk = new SimulatedDisk(clock, random);
  const { lines, log } = keptLines();
  const store = await MirrorStore.open({
    ...{ disk, boundBytes: () => 1e6, segmentBytes: 10_000, clock, log, ownerInstance: 1 },
  });
  const streamId = 'a'.repeat(32);
  const stream = {
    info: { streamId, bootId: 'b'.repeat(32), startedAtUs: START_US, previous: null },
    ...{ ownerInstance: 1, producedTo: 0, endedAtUs: null },
  };
  const dictionary = encodeDictionary({ site: 'S', process: 'KomA', tags: [] });
  for (let second = 0; second < SECONDS; second++) {
    disk.failing = second % 2 === 0 ? 'write' : 'all';
    const block = blockOf(streamId, second * 10 + 1);
    await store.append([{ block, stream, dictionary }]).catch(() => {});
    await clock.advance(1000);
  }
  expect(lines.length).toBeGreaterThan(0);
  expect(lines.length).toBeLessThanOrEqual(6);
});
