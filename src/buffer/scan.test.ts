import { expect, test } from 'vitest';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { SimulatedDisk } from '../world/simulated/disk.ts';
import { createSimulatedRandom } from '../world/simulated/random.ts';
import { encodeBlockRecord, positionKey } from './record.ts';
import { blockOf } from './ring.fixture.ts';
import { scanSegment } from './scan.ts';
import { emptySegment, withBlock } from './segment.ts';

test('an unreadable block between two others is lost, with the time that lies between them', async () => {
  const disk = new SimulatedDisk(new SimulatedClock(), createSimulatedRandom(1));
  const store = await disk.open('segment');
  const streamId = 'a'.repeat(32);
  const [before, torn, after] = [blockOf(streamId, 1), blockOf(streamId, 11), blockOf(streamId, 21)];
  const damaged = encodeBlockRecord(torn);
  damaged[damaged.length >> 1] = (damaged[damaged.length >> 1] ?? 0) ^ 1;
  await store.batch(
    [
      { type: 'put', key: positionKey(1), value: encodeBlockRecord(before) },
      { type: 'put', key: positionKey(2), value: damaged },
      { type: 'put', key: positionKey(3), value: encodeBlockRecord(after) },
    ],
    { sync: true },
  );
  const known = withBlock(emptySegment(1, 1), before);
  const { facts, lost } = await scanSegment(store, known);
  expect(facts.lastPosition).toBe(3);
  const span = { fromUs: before.header.toUs, toUs: after.header.toUs };
  const range = { firstSequence: 11, lastSequence: 20, countAtMost: 10 };
  expect(lost).toEqual([{ streamId, ...range, ...span, reason: 'corrupt' }]);
  const [gap] = lost;
  expect(gap?.fromUs).toBeLessThan(torn.header.fromUs);
  expect(gap?.toUs).toBeGreaterThan(torn.header.toUs);
});
