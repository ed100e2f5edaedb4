import { expect, it } from 'vitest';
import { KomError } from '../../src/domain/errors.ts';
import { delegated } from '../simulation/delegate.ts';
import { isDelivered, type LinkWorld, makeLinkWorld, untilSo } from './link-world.ts';

const KBIT_64 = 8000;
const TAGS = 300;
const EARLIER_SAMPLES = 60_000;

const isUp = ({ uplink }: LinkWorld): boolean => uplink.status.kernel !== null;

it('live values have their names soon, whatever names the backlog was made under', async () => {
  const world = await makeLinkWorld({ tagCount: TAGS, earlierSamples: EARLIER_SAMPLES });
  world.network.setLink('agent', 'kernel', { bytesPerSecond: KBIT_64, latencyMs: 40 });
  await untilSo(world, () => isUp(world));
  // Said once, and as good as ever before their dictionary is through.
  world.produce(TAGS);
  await world.clock.advance(12_000);
  expect(world.state()).toBe('catch-up');
  const values = world.presence().values();
  expect(values.filter(({ tag }) => tag.startsWith('P.'))).toHaveLength(TAGS);
  await untilSo(world, () => world.state() === 'online');
  await world.clock.advance(2000);
  expect(await isDelivered(world)).toBe(true);
});

it('an archive that takes nothing holds a new dictionary up, and ends no session', async () => {
  let isAvailable = true;
  const check = (): void => {
    if (!isAvailable) throw new KomError('KOM_ARCHIVE_UNAVAILABLE', 'the disk is full');
  };
  const world = await makeLinkWorld({
    tagCount: TAGS,
    wrapArchive: (archive) =>
      delegated(archive, {
        dictionary: async (hash) => {
          check();
          return await archive.dictionary(hash);
        },
        coverage: async (streamId) => {
          check();
          return await archive.coverage(streamId);
        },
        putDictionary: async (hash, bytes, dictionary) => {
          // From the first dictionary on.
          isAvailable &&= world.clock.monotonicMs() > availableMs;
          check();
          await archive.putDictionary(hash, bytes, dictionary);
        },
        commit: async (transaction) => {
          check();
          await archive.commit(transaction);
        },
      }),
  });
  const availableMs = world.clock.monotonicMs() + 30_000;
  await untilSo(world, () => isUp(world));
  const { sinceUs } = world.uplink.status;
  await world.live(20_000, TAGS);
  expect(isAvailable).toBe(false);
  expect(world.presence().values(), 'an operator sees the present').toHaveLength(TAGS);
  await world.live(15_000, TAGS);
  isAvailable = true;
  await untilSo(world, () => world.state() === 'online');
  await world.clock.advance(2000);
  expect(world.uplink.status.sinceUs, 'one session all the time').toBe(sinceUs);
  expect(await isDelivered(world)).toBe(true);
});

it('a session that ends while its dictionary waits leaves nothing behind', async () => {
  let isAvailable = true;
  const world = await makeLinkWorld({
    wrapArchive: (archive) =>
      delegated(archive, {
        putDictionary: async (hash, bytes, dictionary) => {
          if (!isAvailable) throw new KomError('KOM_ARCHIVE_UNAVAILABLE', 'the disk is full');
          await archive.putDictionary(hash, bytes, dictionary);
        },
      }),
  });
  isAvailable = false;
  await world.live(3000, 2);
  expect(isUp(world)).toBe(true);
  for (let round = 0; round < 300; round++) {
    world.network.cut('agent', 'kernel', 'reset');
    await world.clock.advance(100);
    world.network.heal('agent', 'kernel');
    await untilSo(world, () => isUp(world));
    await world.clock.advance(1000);
  }
  isAvailable = true;
  await world.live(5000, 2);
  await untilSo(world, () => world.state() === 'online');
  expect(await isDelivered(world)).toBe(true);
});
