import { formatTimeUs } from './units.ts';

/**
 * Civil time of one zone of the IANA time zone database, such as `Europe/Prague`. Where clocks are set
 * forward or back a day has 23 or 25 hours.
 */
export interface TimeZone {
  readonly name: string;
  /** ISO 8601 with the offset in force, to the µs: `2026-03-29T03:00:00.000000+02:00`. */
  format(timeUs: number): string;
  /**
   * Integer µs since 1970, UTC, of a civil time that is written as if it were UTC. Of an hour that comes
   * twice the first one; a time that is left out counts on from the last one before it.
   */
  fromCivil(civilUs: number): number;
  /** The civil day, half-open; `null` if it is not a date written as `2026-03-29`. */
  day(date: string): { readonly fromUs: number; readonly toUs: number } | null;
}

const DAY_MS = 86_400_000;

/** `null` if there is no such zone. */
export function timeZone(name: string): TimeZone | null {
  const fields = civilFields(name);
  if (fields === null) return null;
  const offsetMs = (timeMs: number): number => {
    const of: Record<string, number> = {};
    for (const { type, value } of fields.formatToParts(timeMs)) of[type] = Number(value);
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = of;
    return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(timeMs / 1000) * 1000;
  };
  const fromCivil = (civilUs: number): number => {
    const civilMs = Math.floor(civilUs / 1000);
    const offsets = [offsetMs(civilMs - DAY_MS), offsetMs(civilMs + DAY_MS)];
    const times = offsets.filter((offset) => offsetMs(civilMs - offset) === offset);
    const offset = times.length === 0 ? (offsets[0] ?? 0) : Math.max(...times);
    return civilUs - offset * 1000;
  };
  return {
    name,
    format: (timeUs) => {
      const offset = offsetMs(Math.floor(timeUs / 1000));
      return `${formatTimeUs(timeUs + offset * 1000).slice(0, -1)}${offsetText(offset)}`;
    },
    fromCivil,
    day: (date) => {
      if (!/^\d{4}-\d\d-\d\d$/.test(date)) return null;
      const startMs = Date.parse(`${date}T00:00:00Z`);
      if (Number.isNaN(startMs) || new Date(startMs).toISOString().slice(0, 10) !== date) return null;
      return { fromUs: fromCivil(startMs * 1000), toUs: fromCivil((startMs + DAY_MS) * 1000) };
    },
  };
}

function civilFields(name: string): Intl.DateTimeFormat | null {
  try {
    return new Intl.DateTimeFormat('en-US', {
      timeZone: name,
      hourCycle: 'h23',
      ...{ year: 'numeric', month: 'numeric', day: 'numeric' },
      ...{ hour: 'numeric', minute: 'numeric', second: 'numeric' },
    });
  } catch {
    return null;
  }
}

function offsetText(offsetMs: number): string {
  const minutes = Math.round(Math.abs(offsetMs) / 60_000);
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${offsetMs < 0 ? '-' : '+'}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}
