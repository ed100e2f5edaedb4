import { expect, it } from 'vitest';
import {
  dictionaryKey,
  encodeBlockRecord,
  encodeDictionaryRecord,
  positionKey,
} from '../../src/buffer/record.ts';
import { segmentName } from '../../src/buffer/segment.ts';
import { encodeBlock } from '../../src/domain/block/codec.ts';
import type { DictionaryTag } from '../../src/domain/dictionary.ts';
import { encodeDictionary } from '../../src/domain/dictionary-codec.ts';
import { STREAMS_MAX } from '../../src/uplink/limits.ts';
import { NAMED_STREAMS_MAX } from '../../src/uplink/named-streams.ts';
import { T0 } from '../../src/world/archive.fixture.ts';
import type { Disk, StoreWrite } from '../../src/world/store.ts';
import { isDelivered, makeLinkWorld, untilSo } from '../link/link-world.ts';

const RUNS = STREAMS_MAX + 2000;

/** What is left of so many runs of one sample each after the meta database was lost: a segment. */
async function writeRuns(disk: Disk, runs: number): Promise<void> {
  const tag = { name: 'P.T0', station: 'P', class: 'measurement', type: 'float64', unit: '', formerly: [] };
  const dictionary = encodeDictionary({ site: 'S', process: 'KomA', tags: [tag as DictionaryTag] });
  const blocks = Array.from({ length: runs }, (_, run): StoreWrite => {
    const sample = { tagIndex: 0, sourceTimeUs: T0 + run, value: run, quality: 0, cause: 'change' as const };
    const block = encodeBlock([sample], {
      ...{ streamId: `a${run.toString(16).padStart(31, '0')}`, firstSequence: 1 },
      ...{ dictionaryHash: dictionary.hash, sealedMonotonicUs: run },
    });
    return { type: 'put', key: positionKey(run + 1), value: encodeBlockRecord(block) };
  });
  const store = await disk.open(segmentName(1), { writeBufferBytes: 1_000_000 });
  const label = { key: dictionaryKey(dictionary.hash), value: encodeDictionaryRecord(dictionary.bytes) };
  await store.batch([{ type: 'put', ...label }, ...blocks], { sync: true });
  await store.close();
}

it('more streams than any Hello may name: the agent connects, and delivers them', async () => {
  const world = await makeLinkWorld({ prepare: (disk) => writeRuns(disk, RUNS) });
  world.produce(5);
  let longest = 0;
  await untilSo(world, async () => {
    longest = Math.max(longest, world.presence().status.streams.length);
    return world.state() === 'online' && (await isDelivered(world));
  });
  const streams = await world.archive.streams('S', 'KomA');
  expect(longest).toBe(NAMED_STREAMS_MAX);
  expect(streams).toHaveLength(RUNS + 1);
  expect(streams.every(({ coverage }) => coverage[0]?.state === 'data')).toBe(true);
  expect(world.uplink.status.shortSessions).toBe(0);
  expect(world.clock.monotonicMs()).toBeLessThan(60_000);
});
