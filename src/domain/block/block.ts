import type { Term } from '../term.ts';

/**
 * The block: an immutable run of entries of one stream, encoded once; the unit of storing and sending.
 * The same bytes are in the ring, on the wire and at the Kernel.
 *
 * ```
 * offset  bytes  what
 * 0       2      "KB"
 * 2       1      format version, 2; 1 is read too
 * 3       1      0
 * 4       4      CRC32C of everything behind it, little-endian
 * 8       4      length of the header, little-endian
 * 12      …      header: protobuf message BlockHeader of uplink/kernel.proto
 * …       …      body: columns, compressed as the header says
 * ```
 */
export const BLOCK_MAGIC_0 = 0x4b;
export const BLOCK_MAGIC_1 = 0x42;
export const BLOCK_VERSION = 2;
/** What older agents wrote: another layout of the body. */
export const BLOCK_VERSION_1 = 1;
export const BLOCK_PREFIX_BYTES = 12;

/** Bounds on a block from anywhere: a larger one is refused before it is decoded. */
export const BLOCK_BYTES_MAX = 4 * 1024 * 1024;
export const BLOCK_ENTRIES_MAX = 65_536;
export const BLOCK_BODY_BYTES_MAX = 16 * 1024 * 1024;

/** How the body is compressed. The numbers are those of the header field. */
export const BlockCodec = { plain: 0, zstd: 1 } as const;

/** What a block says about itself without decoding its body. */
export interface BlockHeader {
  /** 32 hexadecimal digits. */
  readonly streamId: string;
  readonly firstSequence: number;
  /** Number of entries; the last sequence is `firstSequence + count - 1`. */
  readonly count: number;
  /** Smallest and largest source time in the block (for a time gap: its end), integer µs. */
  readonly fromUs: number;
  readonly toUs: number;
  /** 32 hexadecimal digits: the dictionary that labels the tags. */
  readonly dictionaryHash: string;
  /** Monotonic clock of the boot named in the stream's start when the block was sealed, integer µs. */
  readonly sealedMonotonicUs: number;
  readonly codec: number;
  /** Bytes of the body before compression. */
  readonly bodyBytes: number;
  /** The agent did not know how right its clock was when it stamped these entries. */
  readonly isClockUncertain?: true;
  /** The term under which these entries were numbered; not given: none. */
  readonly term?: Term;
}

/** A sealed block: its bytes and what they say. */
export interface Block {
  readonly header: BlockHeader;
  readonly bytes: Uint8Array;
}

/** Last sequence of a block. */
export function lastSequence(header: Pick<BlockHeader, 'firstSequence' | 'count'>): number {
  return header.firstSequence + header.count - 1;
}

/**
 * Kind of an entry: the lower three bits of its byte in the kind column. The cause: the three bits above;
 * the bit above those says that the source time is the device's own, see `DecodedBlock.deviceTimesUs`.
 */
export const EntryKind = {
  none: 0,
  false: 1,
  true: 2,
  int64: 3,
  float64: 4,
  text: 5,
  timeGap: 6,
  clockFix: 7,
} as const;
export const ENTRY_KIND_MASK = 0x07;
export const ENTRY_CAUSE_SHIFT = 3;
export const ENTRY_DEVICE_TIMED = 0x40;

/** A decoded block, by column. All arrays are `header.count` long. */
export interface DecodedBlock {
  readonly header: BlockHeader;
  /** Index in the dictionary; 0 for a time gap, which names its tags itself, and for a clock fix. */
  readonly tagIndexes: Uint32Array;
  /** Integer µs (below 2^53); for a time gap: its end; for a clock fix: when it was made. */
  readonly sourceTimesUs: Float64Array;
  /** `EntryKind`, and the index in `SAMPLE_CAUSES` shifted left by `ENTRY_CAUSE_SHIFT`. */
  readonly kinds: Uint8Array;
  readonly qualities: Uint32Array;
  /** Valid where the kind is int64. */
  readonly integers: BigInt64Array;
  /** Valid where the kind is float64. */
  readonly floats: Float64Array;
  /** By position: text values, and time gaps and clock fixes as JSON text. */
  readonly texts: ReadonlyMap<number, string>;
  /**
   * By position: the device's own time, integer µs. Where it equals the source time, the device gave that;
   * where it is missing or differs, the agent stamped the source time.
   */
  readonly deviceTimesUs: ReadonlyMap<number, number>;
}
