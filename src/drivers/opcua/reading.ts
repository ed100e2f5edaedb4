import type { OpcuaTag } from '../../config/model.ts';
import { isBad } from '../../domain/quality.ts';
import type { Reading } from '../../domain/sample.ts';
import type { UnseenInterval } from '../driver.ts';
import { convertVariant, type VariantLike } from './values.ts';

/** What of a data value of the library is read here. */
export interface DataValueLike {
  readonly value: VariantLike;
  readonly statusCode: { readonly value: number };
  readonly sourceTimestamp?: Date | null;
  /** Picoseconds beyond the millisecond of `sourceTimestamp`. */
  readonly sourcePicoseconds?: number;
  readonly serverTimestamp?: Date | null;
  readonly serverPicoseconds?: number;
}

const PICOSECONDS_PER_MICROSECOND = 1_000_000;

/** Low bits of a status code (OPC 10000-4, 7.39.1, table 176). */
const INFO_TYPE_MASK = 0x0c00;
const INFO_TYPE_DATA_VALUE = 0x0400;
const OVERFLOW = 0x0080;
const INFO_BITS = 0x03ff;

/** True: values of this item were discarded at the server between the value before and this one. */
export function hasOverflowed(statusCode: number): boolean {
  return (statusCode & INFO_TYPE_MASK) === INFO_TYPE_DATA_VALUE && (statusCode & OVERFLOW) !== 0;
}

/** The quality as it is stored: the overflow bit speaks about the queue, not about the value. */
export function storedQuality(statusCode: number): number {
  if (!hasOverflowed(statusCode)) return statusCode >>> 0;
  const without = statusCode & ~OVERFLOW;
  return ((without & INFO_BITS) === 0 ? without & ~INFO_TYPE_DATA_VALUE : without) >>> 0;
}

/** Source time, else server time, integer µs; `undefined`: the value came without a time. */
export function timeOf(value: DataValueLike): number | undefined {
  return (
    timestampUs(value.sourceTimestamp, value.sourcePicoseconds) ??
    timestampUs(value.serverTimestamp, value.serverPicoseconds)
  );
}

function timestampUs(at: Date | null | undefined, picoseconds = 0): number | undefined {
  // The library maps "no time" (OPC 10000-6, 5.2.2.5) to a date at or before 1601.
  if (at === null || at === undefined || !(at.getTime() > 0)) return undefined;
  return at.getTime() * 1000 + Math.floor(picoseconds / PICOSECONDS_PER_MICROSECOND);
}

export interface ReadingContext {
  readonly nowUs: number;
  readonly unseen: UnseenInterval[];
  /** The value was queued while the link stood by, since then (integer µs). */
  readonly queuedSinceUs?: number;
}

/** Turns notified values of one station into readings, and finds what its queues lost. */
export class ReadingMaker {
  /** Source time of the last value by tag index; as long as the station has tags. */
  readonly #lastTimeUs = new Map<number, number>();

  /** The reading of a notified value; an interval that its queue lost before it goes to `unseen`. */
  make(tag: OpcuaTag, notified: DataValueLike, into: ReadingContext): Reading {
    const status = notified.statusCode.value;
    const deviceTimeUs = timeOf(notified);
    const sourceTimeUs = deviceTimeUs ?? into.nowUs;
    const time =
      deviceTimeUs === undefined ? { sourceTimeUs } : { sourceTimeUs, isDeviceTime: true as const };
    if (hasOverflowed(status)) {
      const { queuedSinceUs } = into;
      const lastUs = queuedSinceUs ?? this.#lastTimeUs.get(tag.index) ?? sourceTimeUs;
      // A queue that ran over while another instance was active: that one tells what was before.
      const reason = queuedSinceUs === undefined ? 'overload' : 'takeover';
      const fromUs = Math.min(lastUs, sourceTimeUs);
      into.unseen.push({ tagIndexes: [tag.index], fromUs, toUs: sourceTimeUs, reason });
    }
    this.#lastTimeUs.set(tag.index, sourceTimeUs);
    const quality = storedQuality(status);
    if (isBad(quality)) return { tagIndex: tag.index, ...time, value: null, quality };
    const converted = convertVariant(notified.value, tag.type);
    return 'quality' in converted
      ? { tagIndex: tag.index, ...time, value: null, quality: converted.quality }
      : { tagIndex: tag.index, ...time, value: converted.value, quality };
  }
}
