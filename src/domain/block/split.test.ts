import { expect, test } from 'vitest';
import { Quality } from '../quality.ts';
import type { Entry } from '../sample.ts';
import { decodeBlock, encodeBlock, entryAt } from './codec.ts';
import { splitBlock } from './split.ts';

test('the parts of a cut block have its entries under its numbers', () => {
  const good = { quality: Quality.good, cause: 'change', tagIndex: 0 } as const;
  const entries: Entry[] = [
    { ...good, sourceTimeUs: 10, value: 'a' },
    { ...good, sourceTimeUs: 20, value: 2n ** 60n, deviceTimeUs: 5 },
    { station: null, tags: [], fromUs: 1, toUs: 2, reason: 'overload' },
    { ...good, sourceTimeUs: 30, value: 'b', deviceTimeUs: 6 },
    { ...good, sourceTimeUs: 40, value: true },
  ];
  const options = { streamId: 'a'.repeat(32), dictionaryHash: 'b'.repeat(32), sealedMonotonicUs: 0 };
  const block = decodeBlock(encodeBlock(entries, { ...options, firstSequence: 7 }));
  const parts = splitBlock(block, 2);
  expect(parts.map(({ header }) => [header.firstSequence, header.count])).toEqual([
    [7, 2],
    [9, 3],
  ]);
  const told = parts.flatMap((part) => Array.from(part.kinds, (_, at) => entryAt(part, at)));
  expect(told).toEqual(entries);
});
