import type { ClockFix } from './clock-fix.ts';

/** What made the agent report a value. The position in this list is the code in a block. */
export const SAMPLE_CAUSES = ['change', 'snapshot', 'periodic', 'backfill', 'substituted'] as const;
export type SampleCause = (typeof SAMPLE_CAUSES)[number];

/**
 * A value by its JavaScript type: boolean is bool, bigint is int64, number is float64, string is text
 * (structures as JSON text). `null` is "no value", which only a bad quality carries.
 */
export type SampleValue = boolean | bigint | number | string | null;

/** What a driver read, before report-by-exception. */
export interface Reading {
  /** Index of the tag in the dictionary of its instance. */
  readonly tagIndex: number;
  /** Integer µs since 1970, UTC: the device's time where it has one, else the time of the read. */
  readonly sourceTimeUs: number;
  /** The source time is the device's own; else the agent stamped it. */
  readonly isDeviceTime?: true;
  readonly value: SampleValue;
  /** OPC UA status code, see `quality.ts`. */
  readonly quality: number;
}

/** One reported value; numbered by the assembler and never changed after. */
export interface Sample extends Omit<Reading, 'isDeviceTime'> {
  readonly cause: SampleCause;
  /**
   * The device's own time in µs, where it gave one. It differs from `sourceTimeUs` where that had to be the
   * time of the read because the device's time was not newer than the last reported one.
   */
  readonly deviceTimeUs?: number;
}

/** Why an interval was not observed. */
export const TIME_GAP_REASONS = [
  'agent-stopped',
  'station-down',
  'station-off',
  'overload',
  'takeover',
  'clock-unknown',
] as const;
export type TimeGapReason = (typeof TIME_GAP_REASONS)[number];

/** An interval in which tags were not observed. It takes a sequence number and travels like a sample. */
export interface TimeGap {
  /** Station name within the process; `null`: every station of the process. */
  readonly station: string | null;
  /** Full tag names; empty: every tag of the station. */
  readonly tags: readonly string[];
  /** Integer µs, inclusive start. */
  readonly fromUs: number;
  /** Integer µs, exclusive end. */
  readonly toUs: number;
  readonly reason: TimeGapReason;
  /** How many samples were lost, where that is known. */
  readonly count?: number;
  /** The clock that told its end told its start too, though its reason is one that another clock begins. */
  readonly isOneClock?: true;
}

/** What the assembler numbers. */
export type Entry = Sample | TimeGap;

/** What a block carries: entries, and corrections of their times. */
export type BlockEntry = Entry | ClockFix;

/** Tells a time gap from a sample. */
export function isTimeGap(entry: BlockEntry): entry is TimeGap {
  return 'fromUs' in entry;
}

/** Tells a clock fix from a sample. */
export function isClockFix(entry: BlockEntry): entry is ClockFix {
  return 'offsetUs' in entry;
}

/** Gaps whose start was told by another clock than their end: that of the run before, or of another box. */
export const STARTED_BY_ANOTHER_CLOCK: ReadonlySet<TimeGapReason> = new Set([
  'agent-stopped',
  'takeover',
  'clock-unknown',
]);

/** A time gap whose clock was off by `offsetUs`, integer µs. Its end is never before its start. */
export function moveTimeGap(gap: TimeGap, offsetUs: number): TimeGap {
  if (offsetUs === 0) return gap;
  const isOneClock = gap.isOneClock === true || !STARTED_BY_ANOTHER_CLOCK.has(gap.reason);
  const fromUs = isOneClock ? gap.fromUs + offsetUs : gap.fromUs;
  return { ...gap, fromUs, toUs: Math.max(fromUs, gap.toUs + offsetUs) };
}

/** Equality of two values as an archive sees it: NaN equals NaN, 0 equals -0, types must agree. */
export function sameValue(a: SampleValue, b: SampleValue): boolean {
  return a === b || (typeof a === 'number' && typeof b === 'number' && Number.isNaN(a) && Number.isNaN(b));
}

/** The value for JSON: int64 as a decimal string, non-finite float64 as its name. */
export function valueToJson(value: SampleValue): string | number | boolean | null {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  return value;
}
