/** Appends to a ring as fast as it goes and says after each append what is durable, until it is killed. */
import { writeSync } from 'node:fs';
import { blocksOf, openTestRing, smallBlocks } from '../../src/buffer/ring.fixture.ts';
import { createClock } from '../../src/world/real/clock.ts';
import { openLevelDisk } from '../../src/world/real/level-disk.ts';
import { createRandom } from '../../src/world/real/random.ts';

const [path = '', policy = 'always', size = 'large'] = process.argv.slice(2);
const world = { clock: createClock(), random: createRandom() };
const ring = await openTestRing(await openLevelDisk(path), world, {
  policy: policy === 'always' ? 'always' : 'on-outage',
});
for (let block = 1; ; block += 3) {
  const last = (block + 2) * 10;
  await ring.append(size === 'large' ? blocksOf(ring, block, block + 2) : smallBlocks(ring, last - 29, last));
  writeSync(1, `${ring.stream.streamId} ${last}\n`);
  // A segment that is sealed too soon after another one leaves that as it is.
  if (size === 'small') await world.clock.sleep(10);
  if (block % 5 === 1) await ring.markAlive(world.clock.wallUs(), last + 1);
  if (block % 4 === 1) await ring.acknowledge(ring.stream.streamId, block * 5);
}
