import { formatTimeUs } from '../../../domain/units.ts';
import type { Row } from './connection.ts';

/** Times beyond this, either way, are none that a sample can have. µs */
const TIME_MAX_US = Number.MAX_SAFE_INTEGER;

/** A time as PostgreSQL reads it, exact to the µs. */
export function timeText(timeUs: number): string {
  return formatTimeUs(Math.max(-TIME_MAX_US, Math.min(TIME_MAX_US, timeUs)));
}

/** A time of a column, in a SELECT: integer µs since 1970. */
export function timeUs(column: string): string {
  return `(extract(epoch FROM ${column}) * 1000000)::bigint`;
}

/** A text column. */
export function textOf(row: Row, column: string): string {
  return row[column] ?? '';
}

/** A list that was selected as JSON. */
export function listOf(row: Row, column: string): string[] {
  return JSON.parse(textOf(row, column)) as string[];
}
