import { expect, it } from 'vitest';
import { decodeDictionaryRecord, encodeDictionaryRecord } from './record.ts';

const bytes = Buffer.from(JSON.stringify(Array.from({ length: 1000 }, (_, at) => `Plant.Pump${at}.Level`)));

it('keeps a dictionary compressed', () => {
  const record = encodeDictionaryRecord(bytes);
  expect(record.length).toBeLessThan(bytes.length / 3);
  expect(Buffer.from(decodeDictionaryRecord(record) ?? [])).toEqual(bytes);
  const short = Buffer.from('{}');
  expect(Buffer.from(decodeDictionaryRecord(encodeDictionaryRecord(short)) ?? [])).toEqual(short);
});

it('reads one that is not compressed, as older rings have it', () => {
  expect(Buffer.from(decodeDictionaryRecord(Buffer.from([2, 0, ...bytes])) ?? [])).toEqual(bytes);
});

it('gives nothing for one that is damaged, whatever its length says', () => {
  const record = encodeDictionaryRecord(bytes);
  for (let at = 0; at < 40; at += 1) {
    const damaged = record.slice();
    damaged[at] = (damaged[at] ?? 0) ^ 0xff;
    const got = decodeDictionaryRecord(damaged);
    // The prefix has a byte that nobody reads, and what zstd does not notice the hash does.
    if (got !== undefined) expect(got.length).toBe(bytes.length);
  }
  expect(decodeDictionaryRecord(record.subarray(0, 5))).toBeUndefined();
  expect(decodeDictionaryRecord(record.subarray(0, record.length - 3))).toBeUndefined();
});
