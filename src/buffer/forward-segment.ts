/** What a segment of the forwarding ring is made of: blocks of any stream, found by stream and number. */
import { type Block, lastSequence } from '../domain/block/block.ts';
import { joinTouching, type SequenceRange, within } from '../domain/coverage.ts';
import type { Store, StoreWrite } from '../world/store.ts';
import { decodeBlockRecord, encodeBlockRecord, RECORD_OVERHEAD_BYTES } from './record.ts';

const STREAM_BYTES = 16;
const KEY_BYTES = STREAM_BYTES + 8;
const READ_BYTES = 1024 * 1024;

/** A block as it came. */
export interface ForwardedBlock extends Block {
  /** It came while its agent caught up; not given: it is not known. */
  readonly isReplayed?: boolean;
}

/** What is known of a segment without reading it. */
export interface ForwardSegment {
  readonly number: number;
  readonly bytes: number;
  /** By stream, the numbers of its blocks. */
  readonly held: Readonly<Record<string, readonly SequenceRange[]>>;
}

export function emptyForwardSegment(number: number): ForwardSegment {
  return { number, bytes: 0, held: {} };
}

/** `usedBytes` on the disk, where that is more than was counted. */
export function sealedForwardSegment(segment: ForwardSegment, usedBytes: number): ForwardSegment {
  return { ...segment, bytes: Math.max(segment.bytes, usedBytes) };
}

/**
 * Key of a block: its stream and its last number. What begins at a number and goes on behind it is therefore
 * found with one look, and a block that was cut anew with the same end takes the place of the shorter one.
 */
export function forwardKey(streamId: string, sequence: number): Uint8Array {
  const key = new Uint8Array(KEY_BYTES);
  key.set(Buffer.from(streamId, 'hex'));
  new DataView(key.buffer).setBigUint64(STREAM_BYTES, BigInt(sequence));
  return key;
}

/** The same, with how the block came: the last byte of a key that is longer by one. */
function markedKey(streamId: string, sequence: number, isReplayed: boolean | undefined): Uint8Array {
  const key = forwardKey(streamId, sequence);
  return isReplayed === undefined ? key : Uint8Array.of(...key, Number(isReplayed));
}

/** The segment with more blocks, and what is to be written for it. */
export function withForwarded(
  segment: ForwardSegment,
  blocks: readonly ForwardedBlock[],
): { readonly segment: ForwardSegment; readonly writes: readonly StoreWrite[] } {
  const held: Record<string, readonly SequenceRange[]> = { ...segment.held };
  let { bytes } = segment;
  const writes = blocks.map((block): StoreWrite => {
    const { streamId, firstSequence: first } = block.header;
    const last = lastSequence(block.header);
    held[streamId] = withRange(held[streamId] ?? [], { first, last });
    bytes += forwardedBytes(block);
    return { type: 'put', key: markedKey(streamId, last, block.isReplayed), value: encodeBlockRecord(block) };
  });
  return { segment: { number: segment.number, bytes, held }, writes };
}

/** What a block takes in a segment. */
export function forwardedBytes({ bytes }: Block): number {
  return bytes.length + RECORD_OVERHEAD_BYTES;
}

/** What a segment has of which nothing is known. @throws KomError KOM_STORE_READ */
export async function scanForwardSegment(store: Store, number: number): Promise<ForwardSegment> {
  let segment = emptyForwardSegment(number);
  let after: Uint8Array | undefined;
  for (;;) {
    const range = after === undefined ? {} : { gt: after };
    const records = await store.read({ ...range, limitBytes: READ_BYTES });
    if (records.length === 0) return segment;
    after = records.at(-1)?.key;
    const blocks = records.flatMap(({ value }) => decodeBlockRecord(value) ?? []);
    segment = withForwarded(segment, blocks).segment;
  }
}

/**
 * The first blocks of a segment that have numbers of a range, about so many bytes; what is damaged is not.
 */
export async function blocksIn(
  store: Store,
  { streamId, range, limitBytes }: { streamId: string; range: SequenceRange; limitBytes: number },
): Promise<ForwardedBlock[]> {
  const bounds = {
    gte: forwardKey(streamId, range.first),
    lte: forwardKey(streamId, Number.MAX_SAFE_INTEGER),
  };
  const records = await store.read({ ...bounds, limitBytes });
  return records
    .flatMap(({ key, value }): ForwardedBlock[] => {
      const block = decodeBlockRecord(value);
      if (block === undefined) return [];
      return [key.length === KEY_BYTES ? block : { ...block, isReplayed: key[KEY_BYTES] === 1 }];
    })
    .filter(({ header }) => header.firstSequence <= range.last);
}

/** The numbers of a range that a segment has, ascending. */
export function heldOf(segment: ForwardSegment, streamId: string, range: SequenceRange): SequenceRange[] {
  return within(range, segment.held[streamId] ?? []);
}

function withRange(ranges: readonly SequenceRange[], range: SequenceRange): SequenceRange[] {
  return joinTouching([...ranges, range].sort((one, other) => one.first - other.first));
}
