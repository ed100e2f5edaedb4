/** A ring has at least so many segments; dropping the oldest costs no larger part of it. */
const SEGMENTS_MIN = 10;
/** A segment's write buffer is held in memory whole, so a segment is not larger than this by default. */
const SEGMENT_BYTES_MAX_DEFAULT = 8_000_000;

/** Size of the segments of a ring: a tenth of it, and no larger than what memory allows. */
export function segmentBytesOf(capacityBytes: number, segmentBytesMax = SEGMENT_BYTES_MAX_DEFAULT): number {
  return Math.min(segmentBytesMax, Math.floor(capacityBytes / SEGMENTS_MIN));
}

/** Largest segment with the profile `small`. */
export const SMALL_SEGMENT_BYTES = 2_000_000;

/** Blocks of a sealed segment with more samples than this, on average, gain too little by being joined. */
export const JOINED_BLOCK_SAMPLES_MAX = 1024;
/**
 * Joined blocks that take more of what they were made of are not worth their writing, see buffer/README.md.
 */
export const JOINED_SHARE_MAX = 0.5;
