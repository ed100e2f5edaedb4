import { ByteReader } from '../bytes.ts';
import { CLOCK_FIX_MAX_US, type ClockFix } from '../clock-fix.ts';
import { crc32c } from '../crc32c.ts';
import { invariant } from '../errors.ts';
import {
  type BlockEntry,
  type Entry,
  SAMPLE_CAUSES,
  type SampleValue,
  TIME_GAP_REASONS,
  type TimeGap,
} from '../sample.ts';
import {
  BLOCK_BYTES_MAX,
  BLOCK_MAGIC_0,
  BLOCK_MAGIC_1,
  BLOCK_PREFIX_BYTES,
  BLOCK_VERSION,
  BLOCK_VERSION_1,
  type Block,
  type DecodedBlock,
  ENTRY_CAUSE_SHIFT,
  ENTRY_DEVICE_TIMED,
  ENTRY_KIND_MASK,
  EntryKind,
} from './block.ts';
import { readBody } from './body-reader.ts';
import { readBody1 } from './body-reader-1.ts';
import { BlockBuilder, type SealOptions } from './builder.ts';
import { decompress } from './compression.ts';
import { corrupt } from './corrupt.ts';
import { decodeHeader } from './header.ts';

/** One block of a list of entries. */
export function encodeBlock(entries: readonly BlockEntry[], options: SealOptions): Block {
  const builder = new BlockBuilder();
  for (const entry of entries) builder.add(entry);
  return builder.seal(options);
}

/**
 * Checks the envelope and the CRC and reads the header; the body stays compressed.
 * The result refers to `bytes`; they must not change.
 * @throws KomError KOM_BLOCK_CORRUPT
 */
export function readBlock(bytes: Uint8Array): Block {
  const headerLength = checkEnvelope(bytes);
  return {
    header: decodeHeader(bytes.subarray(BLOCK_PREFIX_BYTES, BLOCK_PREFIX_BYTES + headerLength)),
    bytes,
  };
}

/** All columns of a block that `readBlock` or a builder made. @throws KomError KOM_BLOCK_CORRUPT */
export function decodeBlock(block: Block): DecodedBlock {
  const { header, bytes } = block;
  const headerLength = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(8, true);
  const body = decompress(header.codec, bytes.subarray(BLOCK_PREFIX_BYTES + headerLength), header.bodyBytes);
  const reader = new ByteReader(body);
  const decoded = bytes[2] === BLOCK_VERSION_1 ? readBody1(reader, header) : readBody(reader, header);
  const { kinds, sourceTimesUs, deviceTimesUs } = decoded;
  const deviceTimed = takeDeviceTimed(kinds);
  for (const at of deviceTimed) deviceTimesUs.set(at, sourceTimesUs[at] as number);
  if (reader.remaining > 0) throw corrupt('there are bytes behind the last column');
  return { header, ...decoded };
}

/** True where the entry is a time gap. */
export function isTimeGapAt(block: DecodedBlock, at: number): boolean {
  return ((block.kinds[at] as number) & ENTRY_KIND_MASK) === EntryKind.timeGap;
}

/** True where the entry is a clock fix. */
export function isClockFixAt(block: DecodedBlock, at: number): boolean {
  return ((block.kinds[at] as number) & ENTRY_KIND_MASK) === EntryKind.clockFix;
}

/** True where the entry is a sample. */
export function isSampleAt(block: DecodedBlock, at: number): boolean {
  return ((block.kinds[at] as number) & ENTRY_KIND_MASK) < EntryKind.timeGap;
}

/** One entry of a decoded block as a value of its own; clock fixes are no entries in this sense. */
export function entryAt(block: DecodedBlock, at: number): Entry {
  if (isTimeGapAt(block, at)) return timeGapAt(block, at);
  invariant(isSampleAt(block, at), 'a clock fix is passed over');
  const sample = {
    tagIndex: block.tagIndexes[at] as number,
    sourceTimeUs: block.sourceTimesUs[at] as number,
    value: valueAt(block, at),
    quality: block.qualities[at] as number,
    cause: SAMPLE_CAUSES[(block.kinds[at] as number) >>> ENTRY_CAUSE_SHIFT] ?? 'change',
  };
  const deviceTimeUs = block.deviceTimesUs.get(at);
  return deviceTimeUs === undefined ? sample : { ...sample, deviceTimeUs };
}

/** What a decoded block carries at a position, whatever it is. */
export function blockEntryAt(block: DecodedBlock, at: number): BlockEntry {
  return isClockFixAt(block, at) ? clockFixAt(block, at) : entryAt(block, at);
}

/** The value of a sample of a decoded block; `null` for an entry that is none. */
export function valueAt(block: DecodedBlock, at: number): SampleValue {
  switch ((block.kinds[at] as number) & ENTRY_KIND_MASK) {
    case EntryKind.false:
      return false;
    case EntryKind.true:
      return true;
    case EntryKind.int64:
      return block.integers[at] as bigint;
    case EntryKind.float64:
      return block.floats[at] as number;
    case EntryKind.text:
      return block.texts.get(at) ?? '';
    default:
      return null;
  }
}

/** The time gap at a position. @throws KomError KOM_BLOCK_CORRUPT if its text is not one */
export function timeGapAt(block: DecodedBlock, at: number): TimeGap {
  const text = block.texts.get(at) ?? '';
  let gap: Partial<TimeGap> | null = null;
  try {
    gap = JSON.parse(text) as Partial<TimeGap> | null;
  } catch {
    // Told below with the other ways of not being a time gap.
  }
  const { station, tags, fromUs, toUs, reason, count, isOneClock } = gap ?? {};
  if (
    (station !== null && typeof station !== 'string') ||
    !Array.isArray(tags) ||
    !tags.every((tag) => typeof tag === 'string') ||
    !Number.isSafeInteger(fromUs) ||
    !Number.isSafeInteger(toUs) ||
    !TIME_GAP_REASONS.some((each) => each === reason)
  ) {
    throw corrupt('a time gap is not readable');
  }
  const clocks = isOneClock === true ? { isOneClock } : {};
  const known = { station, tags, fromUs, toUs, reason, ...clocks } as TimeGap;
  return Number.isSafeInteger(count) ? { ...known, count: count as number } : known;
}

/** The clock fix at a position. @throws KomError KOM_BLOCK_CORRUPT if its text is not one */
export function clockFixAt(block: DecodedBlock, at: number): ClockFix {
  let fix: Partial<ClockFix> | null = null;
  try {
    fix = JSON.parse(block.texts.get(at) ?? '') as Partial<ClockFix> | null;
  } catch {
    // Told below with the other ways of not being a clock fix.
  }
  const { streamId, firstSequence = 0, lastSequence = 0, offsetUs = 0, atUs = 0 } = fix ?? {};
  const isReadable =
    typeof streamId === 'string' &&
    STREAM_ID.test(streamId) &&
    [firstSequence, lastSequence, offsetUs, atUs].every(Number.isSafeInteger) &&
    firstSequence >= 1 &&
    firstSequence <= lastSequence &&
    Math.abs(offsetUs) <= CLOCK_FIX_MAX_US;
  if (!isReadable) throw corrupt('a clock fix is not readable');
  return { streamId, firstSequence, lastSequence, offsetUs, atUs };
}

const STREAM_ID = /^[0-9a-f]{32}$/;

function checkEnvelope(bytes: Uint8Array): number {
  if (bytes.length < BLOCK_PREFIX_BYTES || bytes.length > BLOCK_BYTES_MAX)
    throw corrupt('its length is out of range');
  if (bytes[0] !== BLOCK_MAGIC_0 || bytes[1] !== BLOCK_MAGIC_1) throw corrupt('it does not begin with "KB"');
  if (bytes[2] !== BLOCK_VERSION && bytes[2] !== BLOCK_VERSION_1)
    throw corrupt(`its format version ${bytes[2]} is unknown`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(4, true) !== crc32c(bytes.subarray(8))) throw corrupt('its CRC does not match');
  const headerLength = view.getUint32(8, true);
  if (BLOCK_PREFIX_BYTES + headerLength > bytes.length) throw corrupt('its header is longer than the block');
  return headerLength;
}

/** Checks the kinds and takes the bit of the device's time out of them; returns the positions that had it. */
function takeDeviceTimed(kinds: Uint8Array): number[] {
  const positions: number[] = [];
  for (let at = 0; at < kinds.length; at++) {
    let kind = kinds[at] as number;
    if ((kind & ENTRY_DEVICE_TIMED) !== 0) {
      kind &= ~ENTRY_DEVICE_TIMED;
      kinds[at] = kind;
      positions.push(at);
    }
    if (kind >>> ENTRY_CAUSE_SHIFT >= SAMPLE_CAUSES.length) throw corrupt('an entry is of an unknown kind');
  }
  return positions;
}
