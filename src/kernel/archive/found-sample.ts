import { ENTRY_CAUSE_SHIFT } from '../../domain/block/block.ts';
import { type Moved, toldOffset } from '../../domain/clock-offsets.ts';
import type { FoundEntry } from '../../domain/entry-run.ts';
import { SAMPLE_CAUSES, type SampleValue } from '../../domain/sample.ts';
import { CAUSE_MASK, FLAGS_DEVICE_TIMED, FLAGS_MARKS_SHIFT } from './sample-flags.ts';

/** A row of samples. */
export interface NumberedRow {
  readonly sequence: number;
  /** Small id. */
  readonly tag: number;
  readonly flags: number;
  /** Corrected. */
  readonly sourceTimeUs: number;
  readonly value: SampleValue;
  readonly quality: number;
  /** What is kept of it beside; not given: nothing. */
  readonly deviceTimeUs: number | undefined;
}

/** A row as the block held it that brought it. */
export function foundSample(row: NumberedRow, moved: Moved): FoundEntry<number> {
  const { sequence, tag, flags, value, quality } = row;
  const isDeviceTimed = (flags & FLAGS_DEVICE_TIMED) !== 0;
  const offsetUs = isDeviceTimed ? 0 : toldOffset(moved, sequence);
  const sourceTimeUs = row.sourceTimeUs - offsetUs;
  const cause = SAMPLE_CAUSES[(flags >>> ENTRY_CAUSE_SHIFT) & CAUSE_MASK] ?? 'change';
  const deviceTimeUs = isDeviceTimed ? sourceTimeUs : row.deviceTimeUs;
  const sample = { tagIndex: 0, sourceTimeUs, value, quality, cause };
  return {
    ...{ sequence, tag, marks: flags >>> FLAGS_MARKS_SHIFT },
    sample: deviceTimeUs === undefined ? sample : { ...sample, deviceTimeUs },
  };
}
