import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { KomError } from '../errors.ts';
import { BlockCodec } from './block.ts';

/**
 * zstd level 1: measured to lose little against higher levels on these columns, at several times their speed.
 * Most columns are packed already; what is left is in texts, float64 with many decimals, habits of a plant.
 */
const ZSTD_OPTIONS = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

/** A frame may ask for a window of memory before it gives a byte: no more than 32 MiB of it. */
const UNZSTD_OPTIONS = { params: { [constants.ZSTD_d_windowLogMax]: 25 } };

/** Below this a call, of about 30 µs, takes longer than all else that makes the block, and saves little. */
const COMPRESSED_BYTES_MIN = 512;

/** The smaller of zstd and plain, with the codec that says which. */
export function compress(body: Uint8Array): { codec: number; bytes: Uint8Array } {
  if (body.length < COMPRESSED_BYTES_MIN) return { codec: BlockCodec.plain, bytes: body };
  const compressed = zstdCompressSync(body, ZSTD_OPTIONS);
  return compressed.length < body.length
    ? { codec: BlockCodec.zstd, bytes: compressed }
    : { codec: BlockCodec.plain, bytes: body };
}

/** Exactly `bodyBytes` bytes, or KOM_BLOCK_CORRUPT; never allocates more than that. */
export function decompress(codec: number, bytes: Uint8Array, bodyBytes: number): Uint8Array {
  const body = codec === BlockCodec.zstd ? unzstd(bytes, bodyBytes) : bytes;
  if (codec !== BlockCodec.zstd && codec !== BlockCodec.plain) {
    throw new KomError('KOM_BLOCK_CORRUPT', `codec ${codec} is unknown`);
  }
  if (body.length !== bodyBytes) {
    throw new KomError('KOM_BLOCK_CORRUPT', 'the body has another length than the header says', {
      expected: String(bodyBytes),
      got: String(body.length),
    });
  }
  return body;
}

function unzstd(bytes: Uint8Array, bodyBytes: number): Uint8Array {
  try {
    return zstdDecompressSync(bytes, { ...UNZSTD_OPTIONS, maxOutputLength: Math.max(1, bodyBytes) });
  } catch (cause) {
    throw new KomError('KOM_BLOCK_CORRUPT', 'the body does not decompress', { cause });
  }
}
