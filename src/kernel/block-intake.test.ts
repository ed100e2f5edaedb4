import { describe, expect, it } from 'vitest';
import { BLOCK_BYTES_MAX } from '../domain/block/block.ts';
import { encodeBlock } from '../domain/block/codec.ts';
import { crc32c } from '../domain/crc32c.ts';
import type { Dictionary } from '../domain/dictionary.ts';
import { TIME_MAX_US } from '../uplink/limits.ts';
import { decode, takeIn } from './block-intake.ts';

const STREAM = 'ab'.repeat(16);
const RANGE = { streamId: STREAM, firstSequence: 7, lastSequence: 7 };
const DICTIONARY: Dictionary = {
  site: 'S',
  process: 'A',
  tags: [{ name: 'T', station: 'P', class: 'measurement', type: 'text', unit: '', formerly: [] }],
};

function bytesOf(sourceTimeUs = 5, tagIndex = 0): Uint8Array {
  const sample = { tagIndex, sourceTimeUs, value: 'x', quality: 0, cause: 'change' } as const;
  const place = { streamId: STREAM, firstSequence: 7, dictionaryHash: STREAM, sealedMonotonicUs: 0 };
  return encodeBlock([sample], place).bytes.slice();
}

/** The block with its CRC made right again. */
function signed(bytes: Uint8Array): Uint8Array {
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(4, crc32c(bytes.subarray(8)), true);
  return bytes;
}

describe('what a Kernel makes of the bytes of a block', () => {
  it('a flipped bit says nothing that could be trusted', () => {
    const bytes = bytesOf();
    bytes[20] = (bytes[20] ?? 0) ^ 1;
    expect(() => takeIn(bytes)).toThrow(/CRC/);
  });

  it('a version that is not known here is refused by its numbers, for a newer Kernel', () => {
    const bytes = bytesOf();
    bytes[2] = 99;
    expect(takeIn(bytes)).toMatchObject({ nack: { ...RANGE, reason: 'undecodable' } });
  });

  it('a block that is too large is refused as that', () => {
    const bytes = signed(Buffer.concat([bytesOf(), Buffer.alloc(BLOCK_BYTES_MAX)]));
    expect(takeIn(bytes)).toMatchObject({ nack: { ...RANGE, reason: 'too-large' } });
  });

  it.each([
    [
      'a body that does not decode',
      (): Uint8Array => signed(Buffer.concat([bytesOf(), Buffer.of(1)])),
      /length/,
    ],
    ['a tag that is not in the dictionary', (): Uint8Array => bytesOf(5, 1), /tag index/],
    ['a time that no clock has shown', (): Uint8Array => bytesOf(TIME_MAX_US + 1), /1970 and 2199/],
  ])('%s is refused', (_, bytes, text) => {
    const taken = takeIn(bytes());
    if ('nack' in taken) throw new Error(taken.nack.text);
    const result = decode(taken.block, DICTIONARY);
    expect(result).toMatchObject({
      nack: { ...RANGE, reason: 'undecodable', text: expect.stringMatching(text) },
    });
  });
});
