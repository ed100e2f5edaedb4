import type { ExportRow } from '../buffer/export.ts';
import type { ValueType } from '../domain/dictionary.ts';
import { knownCount, knownEnd } from '../domain/gap.ts';
import { qualityName } from '../domain/quality.ts';
import { type SampleValue, valueToJson } from '../domain/sample.ts';
import { formatTimeUs } from '../domain/units.ts';

const COLUMNS = [
  'kind',
  'time',
  'until',
  'tag',
  'value',
  'quality',
  'cause',
  'reason',
  'count',
  'stream',
  'sequence',
  'last_sequence',
  'device_time',
] as const;

type Cells = Partial<Record<(typeof COLUMNS)[number], string>>;

export const CSV_HEADER = COLUMNS.join(',');

/** A row as CSV (RFC 4180). A gap has no value, so nobody draws a line over it. */
export function csvRow(row: ExportRow): string {
  const cells = cellsOf(row);
  return COLUMNS.map((column) => quoted(cells[column] ?? '')).join(',');
}

/** A row as one JSON object; int64 as a decimal string, its type beside it. */
export function jsonRow(row: ExportRow): string {
  if (row.kind === 'sample') {
    const { tag, sample, streamId, sequence } = row;
    const { sourceTimeUs, quality, cause, deviceTimeUs } = sample;
    return JSON.stringify({
      kind: row.kind,
      time: formatTimeUs(sourceTimeUs),
      tag: tag.name,
      type: typeOf(sample.value) ?? tag.type,
      value: valueToJson(sample.value),
      quality: qualityName(quality),
      cause,
      stream: streamId,
      sequence,
      ...(deviceTimeUs === undefined ? {} : { deviceTime: formatTimeUs(deviceTimeUs) }),
    });
  }
  if (row.kind === 'unreadable') return JSON.stringify(row);
  const { fromUs, toUs, reason, ...rest } = row.gap;
  const place =
    row.kind === 'time-gap'
      ? { stream: row.streamId, sequence: row.sequence }
      : { countAtMost: knownCount(row.gap.countAtMost), lastSequence: knownEnd(row.gap.lastSequence) };
  const span = { from: formatTimeUs(fromUs), to: formatTimeUs(toUs) };
  return JSON.stringify({ kind: row.kind, ...span, reason, ...rest, ...place });
}

/** The type that the value has, which is not the tag's where that changed since; `undefined` for no value. */
function typeOf(value: SampleValue): ValueType | undefined {
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'bigint') return 'int64';
  if (typeof value === 'number') return 'float64';
  return value === null ? undefined : 'text';
}

/** Where something does not read, and why. */
export function unreadableText({
  segment,
  position,
  why,
}: Extract<ExportRow, { kind: 'unreadable' }>): string {
  return `${segment}${position === null ? '' : `, position ${position}`}: ${why}`;
}

function cellsOf(row: ExportRow): Cells {
  if (row.kind === 'sample') {
    const { sample, tag, streamId: stream, sequence } = row;
    return {
      kind: row.kind,
      time: formatTimeUs(sample.sourceTimeUs),
      tag: tag.name,
      value: sample.value === null ? '' : String(sample.value),
      quality: qualityName(sample.quality),
      cause: sample.cause,
      stream,
      sequence: String(sequence),
      ...(sample.deviceTimeUs === undefined ? {} : { device_time: formatTimeUs(sample.deviceTimeUs) }),
    };
  }
  if (row.kind === 'unreadable') return { kind: row.kind, reason: unreadableText(row) };
  const span = {
    time: formatTimeUs(row.gap.fromUs),
    until: formatTimeUs(row.gap.toUs),
    reason: row.gap.reason,
  };
  if (row.kind === 'time-gap') {
    const { station, tags, count } = row.gap;
    const tag = tags.length > 0 ? tags.join(' ') : `${station ?? ''}.*`;
    const place = { stream: row.streamId, sequence: String(row.sequence) };
    return {
      kind: row.kind,
      ...span,
      tag,
      ...place,
      ...(count === undefined ? {} : { count: String(count) }),
    };
  }
  const { streamId, firstSequence, lastSequence, countAtMost } = row.gap;
  return {
    kind: row.kind,
    ...span,
    count: String(knownCount(countAtMost) ?? 'unknown'),
    stream: streamId,
    sequence: String(firstSequence),
    last_sequence: String(knownEnd(lastSequence) ?? ''),
  };
}

function quoted(cell: string): string {
  return /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}
