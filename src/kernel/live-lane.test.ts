import { expect, it } from 'vitest';
import type { Dictionary } from '../domain/dictionary.ts';
import type { KomError } from '../domain/errors.ts';
import { SimulatedArchive } from '../world/simulated/archive.ts';
import { SimulatedClock } from '../world/simulated/clock.ts';
import { DictionaryShelf } from './dictionary-shelf.ts';
import { LiveLane } from './live-lane.ts';
import { Presence } from './presence.ts';

const HASH = 'd'.repeat(32);
const STREAM = 'a'.repeat(32);

function dictionaryOf(count: number): Dictionary {
  const common = { station: 'P', class: 'measurement', type: 'int64', unit: '', formerly: [] } as const;
  const tags = Array.from({ length: count }, (_, at) => ({ ...common, name: `P.${at}` }));
  return { site: 'S', process: 'KomA', tags };
}

function liveOf(sequence: number, tagIndexes: readonly number[]) {
  const values = tagIndexes.map((tagIndex) => ({
    ...{ tagIndex, sequence, sourceTimeUs: sequence, quality: 0, value: BigInt(sequence) },
  }));
  return { streamId: STREAM, dictionaryHash: HASH, values };
}

function setUp(archive = new SimulatedArchive()) {
  const clock = new SimulatedClock();
  const presence = new Presence(clock).of('S', 'KomA');
  const instance = presence.instance(1);
  const dictionaries = new DictionaryShelf(archive);
  const lane = new LiveLane({ instance, dictionaries, clock });
  const shown = () => Object.fromEntries(presence.values().map(({ tag, value }) => [tag, value]));
  return { clock, archive, dictionaries, lane, shown };
}

it('values wait for the dictionary that names them, the latest of each tag', async () => {
  const { lane, shown } = setUp();
  await lane.show(liveOf(1, [0, 1]));
  await lane.show(liveOf(3, [0]));
  await lane.show(liveOf(2, [0]));
  expect(shown()).toEqual({});
  lane.named('0'.repeat(32), dictionaryOf(2));
  expect(shown(), 'another dictionary').toEqual({});
  lane.named(HASH, dictionaryOf(2));
  expect(shown()).toEqual({ 'P.0': 3n, 'P.1': 1n });
});

it('so many values wait, and no more', async () => {
  const { lane, shown } = setUp();
  for (let first = 0; first < 120_000; first += 10_000) {
    await lane.show(
      liveOf(
        1,
        Array.from({ length: 10_000 }, (_, at) => first + at),
      ),
    );
  }
  lane.named(HASH, dictionaryOf(120_000));
  expect(Object.keys(shown())).toHaveLength(100_000);
  await lane.show(liveOf(1, [119_999]));
  lane.named(HASH, dictionaryOf(120_000));
  expect(Object.keys(shown()), 'what was named made room').toHaveLength(100_001);
});

it('a dictionary on its way into the archive names values already, and no block yet', async () => {
  const archive = new SimulatedArchive();
  const { clock, dictionaries, lane, shown } = setUp(archive);
  archive.failNext(3);
  const refusals: KomError[] = [];
  const stored = dictionaries.put(
    { hash: HASH, content: new Uint8Array([1]), dictionary: dictionaryOf(1) },
    { clock, isOver: () => false, refused: (error) => refusals.push(error) },
  );
  await lane.show(liveOf(1, [0]));
  expect(shown()).toEqual({ 'P.0': 1n });
  expect(await dictionaries.get(HASH)).toBeUndefined();
  await clock.runUntil(stored);
  expect(refusals).toHaveLength(3);
  expect(await dictionaries.get(HASH)).toEqual(dictionaryOf(1));
});

it('an archive that cannot be asked ends nothing on the live lane', async () => {
  const archive = new SimulatedArchive();
  const { lane, shown } = setUp(archive);
  await archive.close();
  await lane.show(liveOf(1, [0]));
  lane.named(HASH, dictionaryOf(1));
  expect(shown()).toEqual({ 'P.0': 1n });
});

it('as many dictionaries are kept as have so many tags, the last used ones', async () => {
  const archive = new SimulatedArchive();
  const asked: string[] = [];
  const counted = new Proxy(archive, {
    get: (of, key) => {
      if (key !== 'dictionary') return Reflect.get(of, key).bind(of);
      return async (hash: string) => {
        asked.push(hash);
        return await of.dictionary(hash);
      };
    },
  });
  for (const hash of ['a', 'b', 'c']) await archive.putDictionary(hash, new Uint8Array([1]), dictionaryOf(4));
  const shelf = new DictionaryShelf(counted, 10);
  for (const hash of ['a', 'b', 'a', 'c', 'a', 'b']) await shelf.get(hash);
  expect(asked).toEqual(['a', 'b', 'c', 'b']);
});
