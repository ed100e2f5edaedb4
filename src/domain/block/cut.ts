import { isKomError } from '../errors.ts';
import { type Block, lastSequence } from './block.ts';
import { blockEntryAt, decodeBlock, encodeBlock } from './codec.ts';

/** A block of a few entries takes so many bytes whatever is in it; pieces are not made smaller. */
const PIECE_BYTES_MIN = 512;

/**
 * The entries of a block behind `afterSequence` in blocks of about `bytesMax`, in order; the block itself
 * where it is small enough or cannot be read. Only the bytes are new: the entries keep their numbers.
 */
export function cutBlock(block: Block, bytesMax: number, afterSequence = 0): Block[] {
  const { header, bytes } = block;
  const pieceBytes = Math.max(PIECE_BYTES_MIN, bytesMax);
  if (bytes.length <= pieceBytes) return lastSequence(header) > afterSequence ? [block] : [];
  const skipped = Math.min(header.count, Math.max(0, afterSequence + 1 - header.firstSequence));
  // By the average: values that differ much in length make pieces that differ, too.
  const perPiece = Math.max(1, Math.floor((header.count * pieceBytes) / bytes.length));
  const pieces: Block[] = [];
  try {
    const decoded = decodeBlock(block);
    for (let from = skipped; from < header.count; from += perPiece) {
      const count = Math.min(perPiece, header.count - from);
      const entries = Array.from({ length: count }, (_, at) => blockEntryAt(decoded, from + at));
      pieces.push(encodeBlock(entries, { ...header, firstSequence: header.firstSequence + from }));
    }
  } catch (error) {
    if (!isKomError(error, 'KOM_BLOCK_CORRUPT')) throw error;
    return [block];
  }
  return pieces;
}
