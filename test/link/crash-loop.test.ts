import { expect, it } from 'vitest';
import { OPEN_END } from '../../src/domain/gap.ts';
import type { ArchivedStream } from '../../src/world/archive.ts';
import { isDelivered, type LinkWorld, makeLinkWorld, untilSo } from './link-world.ts';

const CRASHES = 50;

async function streamsOf({ archive }: LinkWorld): Promise<ArchivedStream[]> {
  return await archive.streams('S', 'KomA');
}

/** Lets an agent deliver what many crashes left; what the archive then has, and the longest Hello. */
async function delivered(options: Parameters<typeof makeLinkWorld>[0]) {
  const world = await makeLinkWorld(options);
  world.produce(5);
  let longest = 0;
  const look = (): void => {
    longest = Math.max(longest, world.presence().status.streams.length);
  };
  await untilSo(world, async () => {
    look();
    return world.state() === 'online' && (await isDelivered(world));
  });
  await world.clock.advance(5000);
  return { world, longest, streams: await streamsOf(world) };
}

it('a chain that no Hello has room for is told in parts, and comes to the same', async () => {
  const whole = await delivered({ crashes: CRASHES });
  const parts = await delivered({ crashes: CRASHES, namedStreamsMax: 8 });
  expect([whole.longest, parts.longest]).toEqual([CRASHES + 1, 8]);
  expect(parts.world.uplink.status.shortSessions, 'a part is no failure').toBe(0);
  const shown = ({ streamId, previous, coverage, startedAtUs }: ArchivedStream) => {
    return { streamId, previous, coverage, startedAtUs };
  };
  const byId = (one: ArchivedStream, other: ArchivedStream) => one.streamId.localeCompare(other.streamId);
  expect(parts.streams.sort(byId).map(shown)).toEqual(whole.streams.sort(byId).map(shown));
  for (const { coverage, streamId } of parts.streams) {
    if (streamId === parts.world.store.ring.stream.streamId) continue;
    expect(coverage).toEqual([
      { first: 1, last: 3, state: 'data' },
      { first: 4, last: OPEN_END, state: 'crash' },
    ]);
  }
});
