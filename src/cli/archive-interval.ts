import type { Command } from 'commander';
import { KomError } from '../domain/errors.ts';
import { type TimeZone, timeZone } from '../domain/time-zone.ts';
import { parseTimeUs } from '../domain/units.ts';

/** Options that choose an interval, and how times are written. */
export interface IntervalOptions {
  readonly from?: string;
  readonly to?: string;
  readonly day?: string;
  readonly tz?: string;
}

export interface Interval {
  readonly fromUs: number;
  readonly toUs: number;
  readonly zone: TimeZone;
}

/** Adds `--from`, `--to`, `--day` and `--tz` to a command. */
export function withInterval(command: Command, defaultFrom: string): Command {
  return command
    .option('--from <time>', `ISO 8601, "now" or "-10min"; without it: ${defaultFrom}`)
    .option('--to <time>', 'end of the interval, not part of it; without it: now')
    .option('--day <date>', 'a day of the time zone, as 2026-03-29, of 23 or 25 hours where clocks are set')
    .option(
      '--tz <zone>',
      'time zone of days, of times without one and of the answer, as Europe/Prague',
      'UTC',
    );
}

/** @throws KomError KOM_USAGE */
export function intervalOf(options: IntervalOptions, defaultFrom: string, nowUs: number): Interval {
  const name = options.tz ?? 'UTC';
  const zone = timeZone(name);
  if (zone === null) {
    throw new KomError('KOM_USAGE', '--tz is not a time zone', { expected: '"Europe/Prague"', got: name });
  }
  if (options.day !== undefined) return { ...dayOf(options, options.day, zone), zone };
  const time = (option: 'from' | 'to', text: string): number => {
    const parsed = timeOf(text, zone, nowUs);
    if (parsed !== null) return parsed;
    throw new KomError('KOM_USAGE', `--${option} is not a time`, {
      expected: '"2026-11-22T20:15:00Z", "-10min" or "now"',
      got: text,
    });
  };
  const fromUs = time('from', options.from ?? defaultFrom);
  const toUs = time('to', options.to ?? 'now');
  if (fromUs >= toUs) throw new KomError('KOM_USAGE', '--from is not before --to');
  return { fromUs, toUs, zone };
}

function dayOf(options: IntervalOptions, date: string, zone: TimeZone): { fromUs: number; toUs: number } {
  if (options.from !== undefined || options.to !== undefined) {
    throw new KomError('KOM_USAGE', '--day and --from or --to exclude each other');
  }
  const day = zone.day(date);
  if (day !== null) return day;
  throw new KomError('KOM_USAGE', '--day is not a date', { expected: '"2026-03-29"', got: date });
}

/** A time that names no offset is one of the zone. */
function timeOf(text: string, zone: TimeZone, nowUs: number): number | null {
  const parsed = parseTimeUs(text, nowUs);
  const isCivil = /^\d/.test(text.trim()) && !/(Z|[+-]\d\d:?\d\d)$/.test(text.trim());
  // A bare date ends like an offset: -11-22.
  const isDate = /^\d{4}-\d\d-\d\d$/.test(text.trim());
  return parsed !== null && (isCivil || isDate) ? zone.fromCivil(parsed) : parsed;
}

/** Times of an answer, which are ISO 8601 in UTC, as times of the zone. */
export function inZone(text: string, zone: TimeZone): string {
  if (zone.name === 'UTC') return text;
  const timeUs = parseTimeUs(text, 0);
  return timeUs === null ? text : zone.format(timeUs);
}
