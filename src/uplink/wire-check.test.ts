import { describe, expect, it } from 'vitest';
import { decodeMessage, encodeMessage } from './codec.ts';
import { FrameSplitter } from './frame.ts';
import { COUNTER_JUMP_MAX, checkedCounter, FRAME_BYTES_MAX, NAME_CHARACTERS_MAX } from './limits.ts';
import type { Message } from './messages.ts';
import { FrameType } from './protobuf.ts';

const ID = Buffer.from('00112233445566778899aabbccddeeff', 'hex');

function wire(message: object): Uint8Array {
  return FrameType.encode(FrameType.create(message)).finish();
}

function payloadOf(message: Message): Uint8Array {
  return new FrameSplitter(FRAME_BYTES_MAX).push(encodeMessage(message))[0] ?? new Uint8Array();
}

const HELLO = { magic: 0x314d_4f4b, protocolMin: 1, protocolMax: 1, site: 'S', process: 'P', siteHash: ID };
const RANGE = (first: number, last: number): object => ({ first, last });

describe('limits on what another machine says', () => {
  const heartbeat = (streams: number): Uint8Array => {
    const one = Buffer.concat([Buffer.of(0x12, 18, 0x0a, 16), ID]);
    const content = Buffer.concat(Array.from({ length: streams }, () => one));
    const length: number[] = [];
    for (let rest = content.length; ; rest = Math.floor(rest / 128)) {
      length.push(rest >= 128 ? (rest % 128) + 128 : rest);
      if (rest < 128) break;
    }
    return Buffer.concat([Buffer.of(0x22, ...length), content]);
  };

  it.each<[string, Uint8Array, RegExp]>([
    ['a list of 10,001 streams', heartbeat(10_001), /more than 10000 entries/],
    ['fields without number', heartbeat(300_000), /more than 500000 fields/],
    ['a group', Buffer.of(0x0b, 0x0c), /another type/],
    [
      'an unknown group',
      Buffer.concat([payloadOf({ type: 'bye', reason: 'timeout', text: '' }), Buffer.of(0xf3, 0x7f)]),
      /wire type 3/,
    ],
    [
      'two messages',
      Buffer.concat([wire({ bye: { text: 'a' } }), wire({ needDictionary: { hash: ID } })]),
      /more than one/,
    ],
    ['a number where a message is', Buffer.of(0x18, 0x01), /another type/],
    ['a field longer than its message', Buffer.of(0x1a, 0x03, 0x12, 0x05, 0x61), /longer than what holds it/],
    ['a key cut off', Buffer.of(0x1a, 0x01, 0x80), /ends within a number|longer than/],
    [
      'a long name',
      wire({ hello: { ...HELLO, site: 'x'.repeat(NAME_CHARACTERS_MAX + 1) } }),
      /longer than 200 characters/,
    ],
    ['a name with a line break', wire({ hello: { ...HELLO, process: 'a\nb' } }), /control characters/],
    [
      'ranges out of order',
      wire({ ack: { coverage: [{ streamId: ID, held: [RANGE(5, 9), RANGE(9, 12)] }] } }),
      /out of order/,
    ],
    [
      'a last number that is none',
      wire({ hello: { ...HELLO, streams: [{ streamId: ID, producedTo: Number.MAX_SAFE_INTEGER }] } }),
      /producedTo is no sequence number/,
    ],
    [
      'a Nack of more than a block',
      wire({ nack: { streamId: ID, firstSequence: 1, lastSequence: 70_000 } }),
      /no block can have/,
    ],
    [
      'a time of the year 2200',
      wire({ streamEnd: { streamId: ID, lastSequence: 1, endedAtUs: 7_258_118_400_000_001 } }),
      /year 2199/,
    ],
    [
      'a live text of 2 MiB',
      wire({ live: { streamId: ID, dictionaryHash: ID, values: [{ text: 'x'.repeat(2 ** 21) }] } }),
      /too long/,
    ],
  ])('%s is refused', (_, payload, why) => {
    expect(() => decodeMessage(payload)).toThrow(why);
  });

  it('a field that is not known is passed over', () => {
    const bye = payloadOf({ type: 'bye', reason: 'timeout', text: 'x' });
    const later = Buffer.concat([bye, Buffer.of(0xf8, 0x7f, 1)]);
    expect(decodeMessage(later)).toEqual({ type: 'bye', reason: 'timeout', text: 'x' });
  });

  it('a goodbye is understood though its reason is one of a later version', () => {
    const later = wire({ bye: { reason: 99, text: 'x' } });
    expect(decodeMessage(later)).toEqual({ type: 'bye', reason: 'unspecified', text: 'x' });
  });

  it('a counter may jump by a million and no more', () => {
    expect(checkedCounter('term', 7 + COUNTER_JUMP_MAX, 7)).toBe(7 + COUNTER_JUMP_MAX);
    expect(() => checkedCounter('term', 8 + COUNTER_JUMP_MAX, 7)).toThrow(/claimed term is too far ahead/);
    expect(checkedCounter('term', 1, 7)).toBe(1);
  });
});
