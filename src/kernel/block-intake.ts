import {
  BLOCK_BODY_BYTES_MAX,
  BLOCK_BYTES_MAX,
  BLOCK_ENTRIES_MAX,
  BLOCK_MAGIC_0,
  BLOCK_MAGIC_1,
  BLOCK_PREFIX_BYTES,
  type Block,
  type DecodedBlock,
  lastSequence,
} from '../domain/block/block.ts';
import {
  clockFixAt,
  decodeBlock,
  isClockFixAt,
  isTimeGapAt,
  readBlock,
  timeGapAt,
} from '../domain/block/codec.ts';
import { crc32c } from '../domain/crc32c.ts';
import type { Dictionary } from '../domain/dictionary.ts';
import { describeError, isKomError, KomError } from '../domain/errors.ts';
import { TIME_MAX_US } from '../uplink/limits.ts';
import type { BlockRange, Nack } from '../uplink/messages.ts';
import { BlockHeaderType } from '../uplink/protobuf.ts';

/** A block, or why it is refused for good. */
export type Intake<T> = { readonly block: T } | { readonly nack: Nack };

/**
 * Reads envelope and header. A block whose CRC matches and that is too large, or of a format that is not
 * known
 * here, is refused; one whose CRC does not match says nothing that could be trusted.
 * @throws KomError KOM_BLOCK_CORRUPT
 */
export function takeIn(bytes: Uint8Array): Intake<Block> {
  try {
    return { block: readBlock(bytes) };
  } catch (error) {
    if (!isKomError(error, 'KOM_BLOCK_CORRUPT')) throw error;
    const told = toldBy(bytes);
    if (told === null) throw error;
    const isTooLarge = bytes.length > BLOCK_BYTES_MAX || told.bodyBytes > BLOCK_BODY_BYTES_MAX;
    return { nack: { ...told.range, reason: isTooLarge ? 'too-large' : 'undecodable', text: error.message } };
  }
}

/** All of a block. Its CRC was right: what does not decode now never will, here. */
export function decode(block: Block, dictionary: Dictionary): Intake<DecodedBlock> {
  try {
    const decoded = decodeBlock(block);
    checkEntries(decoded, dictionary);
    return { block: decoded };
  } catch (error) {
    if (!isKomError(error, 'KOM_BLOCK_CORRUPT')) throw error;
    return { nack: { ...rangeOf(block), reason: 'undecodable', text: error.message } };
  }
}

/** The numbers of a block. */
export function rangeOf({ header }: Pick<Block, 'header'>): BlockRange {
  return {
    streamId: header.streamId,
    firstSequence: header.firstSequence,
    lastSequence: lastSequence(header),
  };
}

/** What the header of a block says whose CRC matches, whatever its version and sizes; else `null`. */
function toldBy(bytes: Uint8Array): { readonly range: BlockRange; readonly bodyBytes: number } | null {
  if (bytes.length < BLOCK_PREFIX_BYTES || bytes[0] !== BLOCK_MAGIC_0 || bytes[1] !== BLOCK_MAGIC_1)
    return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(4, true) !== crc32c(bytes.subarray(8))) return null;
  const header = headerOf(bytes.subarray(BLOCK_PREFIX_BYTES, BLOCK_PREFIX_BYTES + view.getUint32(8, true)));
  const [firstSequence, count, bodyBytes] = [header['firstSequence'], header['count'], header['bodyBytes']];
  const streamId = header['streamId'];
  if (!(streamId instanceof Uint8Array) || streamId.length !== 16) return null;
  if (
    !isCount(firstSequence) ||
    !isCount(count) ||
    count > BLOCK_ENTRIES_MAX ||
    typeof bodyBytes !== 'number'
  )
    return null;
  const range = { firstSequence, lastSequence: firstSequence + count - 1 };
  return { range: { streamId: Buffer.from(streamId).toString('hex'), ...range }, bodyBytes };
}

function headerOf(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    return BlockHeaderType.toObject(BlockHeaderType.decode(bytes), { defaults: true });
  } catch (error) {
    return { error: describeError(error) };
  }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1;
}

/** What only the dictionary can tell, and times that no clock has shown. */
function checkEntries(block: DecodedBlock, dictionary: Dictionary): void {
  if (block.header.toUs > TIME_MAX_US) throw implausible();
  for (let at = 0; at < block.header.count; at++) {
    if (isTimeGapAt(block, at)) {
      const { fromUs, toUs } = timeGapAt(block, at);
      if (fromUs < 0 || toUs < 0 || Math.max(fromUs, toUs) > TIME_MAX_US) throw implausible();
    } else if (isClockFixAt(block, at)) clockFixAt(block, at);
    else if ((block.tagIndexes[at] as number) >= dictionary.tags.length) {
      throw new KomError('KOM_BLOCK_CORRUPT', 'a tag index is not in the dictionary');
    }
  }
}

function implausible(): KomError {
  return new KomError('KOM_BLOCK_CORRUPT', 'a time is not between 1970 and 2199');
}
