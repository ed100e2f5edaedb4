import { Quality } from './quality.ts';
import type { Reading, Sample, SampleCause } from './sample.ts';

/** Longest text that is taken, in UTF-16 units; a longer one could make a block that nobody takes. */
const TEXT_LENGTH_MAX = 262_144;

/** Source times outside of 1970 to 2099 are a device without a clock: the time of the read is taken. */
const SOURCE_TIME_MAX_US = 4_102_444_800_000_000;

/** What a reading is stored as. */
export interface Stamped {
  readonly cause: SampleCause;
  /** The last sample of the tag, if there is one. */
  readonly last: Sample | undefined;
  /** Time of the read, integer µs. */
  readonly readUs: number;
}

/**
 * What the agent stamped stays as it is. A time of the device is noted as such; outside of 1970 to 2099 it is
 * none. A repeated value whose device time is not newer than the reported one is stored at the time of read,
 * with the device's time beside it. A change keeps the device's time, unless such a repeat was stored behind
 * that time already: then it is stored like one, so that the value which it replaced does not come after it.
 */
export function stamp(reading: Reading, { cause, last, readUs }: Stamped): Sample {
  const { tagIndex, value, quality, sourceTimeUs } = reading;
  const inRange =
    Number.isSafeInteger(sourceTimeUs) && sourceTimeUs >= 0 && sourceTimeUs <= SOURCE_TIME_MAX_US;
  if (!inRange) return { tagIndex, sourceTimeUs: readUs, value, quality, cause };
  if (reading.isDeviceTime !== true) return { tagIndex, sourceTimeUs, value, quality, cause };
  const notNewer = last !== undefined && sourceTimeUs <= last.sourceTimeUs;
  const wasRepeated = last?.deviceTimeUs !== undefined && last.deviceTimeUs !== last.sourceTimeUs;
  const isOvertaken = wasRepeated && sourceTimeUs > (last.deviceTimeUs ?? 0);
  if (!notNewer || (cause === 'change' && !isOvertaken))
    return { tagIndex, sourceTimeUs, value, quality, cause, deviceTimeUs: sourceTimeUs };
  return { tagIndex, sourceTimeUs: readUs, value, quality, cause, deviceTimeUs: sourceTimeUs };
}

/** The tag is seen, but its text is more than can be carried: told by the quality, without a value. */
export function bounded(reading: Reading): Reading {
  const { value } = reading;
  if (typeof value !== 'string' || value.length <= TEXT_LENGTH_MAX) return reading;
  return { ...reading, value: null, quality: Quality.badEncodingLimitsExceeded };
}
