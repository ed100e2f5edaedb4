import { expect, test } from 'vitest';
import { timeZone } from './time-zone.ts';
import { parseTimeUs } from './units.ts';

const HOUR_US = 3_600_000_000;
const utc = (text: string): number => parseTimeUs(text, 0) ?? Number.NaN;

test('a day of 23 hours, one of 25, and the days beside them', () => {
  const prague = timeZone('Europe/Prague');
  const hours = (date: string): number => {
    const day = prague?.day(date);
    return ((day?.toUs ?? 0) - (day?.fromUs ?? 0)) / HOUR_US;
  };
  const dates = ['2026-03-28', '2026-03-29', '2026-03-30', '2026-10-24', '2026-10-25', '2026-10-26'];
  expect(dates.map(hours)).toEqual([24, 23, 24, 24, 25, 24]);
  expect(prague?.day('2026-03-29')).toEqual({
    fromUs: utc('2026-03-28T23:00Z'),
    toUs: utc('2026-03-29T22:00Z'),
  });
  expect(prague?.day('2026-10-25')).toEqual({
    fromUs: utc('2026-10-24T22:00Z'),
    toUs: utc('2026-10-25T23:00Z'),
  });
  expect(timeZone('UTC')?.day('2026-03-29')).toEqual({
    ...{ fromUs: utc('2026-03-29T00:00Z'), toUs: utc('2026-03-30T00:00Z') },
  });
});

test('times are told with the offset in force, to the microsecond', () => {
  const prague = timeZone('Europe/Prague');
  expect(prague?.format(utc('2026-03-29T00:59:59.999999Z'))).toBe('2026-03-29T01:59:59.999999+01:00');
  expect(prague?.format(utc('2026-03-29T01:00:00Z'))).toBe('2026-03-29T03:00:00.000000+02:00');
  expect(prague?.format(utc('2026-10-25T00:30Z'))).toBe('2026-10-25T02:30:00.000000+02:00');
  expect(prague?.format(utc('2026-10-25T01:30Z'))).toBe('2026-10-25T02:30:00.000000+01:00');
  expect(timeZone('America/St_Johns')?.format(utc('2026-01-01T00:00Z'))).toBe(
    '2025-12-31T20:30:00.000000-03:30',
  );
});

test('of an hour that comes twice the first is meant; one that is left out counts on', () => {
  const prague = timeZone('Europe/Prague');
  expect(prague?.fromCivil(utc('2026-10-25T02:30Z'))).toBe(utc('2026-10-25T00:30Z'));
  expect(prague?.fromCivil(utc('2026-03-29T02:30Z'))).toBe(utc('2026-03-29T01:30Z'));
  expect(prague?.fromCivil(utc('2026-07-01T12:00:00.000001Z'))).toBe(utc('2026-07-01T10:00:00.000001Z'));
});

test('what is not a zone or not a date is told', () => {
  expect(timeZone('Europe/Atlantis')).toBeNull();
  const zone = timeZone('Europe/Prague');
  expect(['2026-02-30', '2026-3-1', 'today', ''].map((date) => zone?.day(date))).toEqual([
    null,
    null,
    null,
    null,
  ]);
});
