/** Durations and sizes are written with their unit ("250ms", "2GB") and held as plain numbers. */
const DURATION_UNITS_MS: Readonly<Record<string, number>> = {
  us: 0.001,
  ms: 1,
  s: 1000,
  min: 60_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

const SIZE_UNITS_BYTES: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1000,
  MB: 1000 ** 2,
  GB: 1000 ** 3,
  TB: 1000 ** 4,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
};

function parseWithUnit(text: string, units: Readonly<Record<string, number>>): number | null {
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]+)$/.exec(text.trim());
  const factor = match?.[2] === undefined ? undefined : units[match[2]];
  return match?.[1] === undefined || factor === undefined ? null : Number(match[1]) * factor;
}

/** Milliseconds of "250ms", "10s", "5min", "2h", "1d"; `null` if it is not a duration. */
export function parseDurationMs(text: string): number | null {
  return parseWithUnit(text, DURATION_UNITS_MS);
}

/** Bytes of "512B", "64KB", "64MiB", "2GB"; `null` if it is not a size. */
export function parseSizeBytes(text: string): number | null {
  const bytes = parseWithUnit(text, SIZE_UNITS_BYTES);
  return bytes === null ? null : Math.round(bytes);
}

/** "250 ms", "4.2 s", "3 min 20 s", "5.1 h", "12.4 d". */
export function formatDuration(ms: number): string {
  if (!Number.isFinite(ms)) return 'for ever';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
  if (ms < 48 * 3_600_000) return `${(ms / 3_600_000).toFixed(1)} h`;
  return `${(ms / 86_400_000).toFixed(1)} d`;
}

/** "812 B", "64.0 KB", "2.00 GB" (powers of 1000, as disks are sold). */
export function formatSize(bytes: number): string {
  if (bytes < 1000) return `${Math.round(bytes)} B`;
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} KB`;
  if (bytes < 1e9) return `${(bytes / 1e6).toFixed(1)} MB`;
  return `${(bytes / 1e9).toFixed(2)} GB`;
}

/** UTC, ISO 8601 with µs: `2026-11-22T20:15:00.123456Z`. */
export function formatTimeUs(timeUs: number): string {
  const micros = ((timeUs % 1000) + 1000) % 1000;
  const iso = new Date((timeUs - micros) / 1000).toISOString();
  return `${iso.slice(0, -1)}${String(micros).padStart(3, '0')}Z`;
}

/**
 * Integer µs of an ISO 8601 time (up to µs) or of "now", "-10min" against `nowUs`; `null` if it is neither.
 */
export function parseTimeUs(text: string, nowUs: number): number | null {
  const trimmed = text.trim();
  if (trimmed === 'now') return nowUs;
  if (trimmed.startsWith('-')) {
    const backMs = parseDurationMs(trimmed.slice(1));
    return backMs === null ? null : Math.round(nowUs - backMs * 1000);
  }
  const match = /^(\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?)(?:\.(\d{1,6}))?(Z|[+-]\d\d:?\d\d)?$/.exec(
    trimmed,
  );
  if (match?.[1] === undefined) return null;
  const seconds = match[1].replace(' ', 'T');
  const withClock = seconds.includes('T') ? seconds : `${seconds}T00:00`;
  const ms = Date.parse(withClock + (match[3] ?? 'Z'));
  return Number.isNaN(ms) ? null : ms * 1000 + Number((match[2] ?? '').padEnd(6, '0'));
}
