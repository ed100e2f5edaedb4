import { expect, it } from 'vitest';
import type { Sample } from '../domain/sample.ts';
import { silentLog } from '../world/log.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { Assembler } from './assembler.ts';
import { Backlog } from './backlog.ts';
import { openTestRing } from './ring.fixture.ts';
import { WINDOW_SAMPLES_MAX } from './window.ts';

it('always: samples that compress well do not fill the window once they are durable', async () => {
  const random = createSimulatedRandom(7);
  const clock = new SimulatedClock();
  const disk = new SimulatedDisk(clock, random);
  const ring = await openTestRing(disk, { clock, random }, { capacityBytes: 4_000_000 });
  const options = { policy: 'always', spillAgeMs: 500, windowBytes: 8_000_000 } as const;
  const backlog = new Backlog({ ...options, ring, clock, log: silentLog });
  const assembler = new Assembler({
    streamId: ring.stream.streamId,
    dictionaryHash: 'd'.repeat(32),
    clock,
    blockAgeMs: 250,
    seal: (block, firstMs) => backlog.accept(block, firstMs),
    hasRoom: () => backlog.hasRoom,
    numbered: () => {},
    overloadEnded: () => {},
  });
  const constant: Sample = { tagIndex: 0, sourceTimeUs: 1e15, value: 1, quality: 0, cause: 'change' };
  const batch = Array.from({ length: 50_000 }, () => constant);
  for (let given = 0; given < 2 * WINDOW_SAMPLES_MAX; given += batch.length) {
    assembler.accept(batch);
    await clock.advance(1000);
  }
  expect(assembler.overloadCount).toBe(0);
  expect(assembler.nextSequence).toBe(2 * WINDOW_SAMPLES_MAX + 1);
  await clock.runUntil(backlog.close());
});
