import { z } from 'zod';
import type { $ZodRawIssue } from 'zod/v4/core';
import { formatDuration, formatSize, parseDurationMs, parseSizeBytes } from '../domain/units.ts';
import type { Address } from '../world/transport.ts';
import { suggestion } from './problems.ts';

/** An object without unknown keys; each unknown key gets a suggestion, one line of the message each. */
export function strict<Shape extends z.ZodRawShape>(shape: Shape): z.ZodObject<Shape, z.core.$strict> {
  return z.strictObject(shape, {
    error: (issue: $ZodRawIssue) =>
      issue.code === 'unrecognized_keys'
        ? issue.keys.map((key) => suggestion(key, Object.keys(shape))).join('\n')
        : undefined,
  });
}

/** A duration with its unit. Bounds in ms, inclusive. */
export function duration(description: string, bounds: { min?: number; max?: number } = {}): z.ZodString {
  const { min = 1, max = 366 * 86_400_000 } = bounds;
  const examples = min < 86_400_000 ? '"250ms", "10s", "5min"' : 'days: "30d", "400d"';
  const error = `a duration with its unit, such as ${examples}`;
  return z
    .string({ error })
    .regex(/^\d+(\.\d+)?\s*(ms|s|min|m|h|d)$/, { error, abort: true })
    .refine((text) => inBounds(parseDurationMs(text), min, max), {
      error: `a duration between ${formatDuration(min)} and ${formatDuration(max)}`,
    })
    .describe(description);
}

/** Milliseconds of a text that the schema has accepted. */
export function milliseconds(text: string): number {
  return parseDurationMs(text) ?? 0;
}

/** A size with its unit. Bounds in bytes, inclusive. */
export function size(description: string, bounds: { min?: number; max?: number } = {}): z.ZodString {
  const { min = 0, max = 2 ** 53 } = bounds;
  return z
    .string({ error: 'a size with its unit, such as "64MB", "2GB", "16MiB"' })
    .regex(/^\d+(\.\d+)?\s*(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$/, {
      error: 'a size with its unit, such as "64MB", "2GB", "16MiB"',
      abort: true,
    })
    .refine((text) => inBounds(parseSizeBytes(text), min, max), {
      error: `a size between ${formatSize(min)} and ${formatSize(max)}`,
    })
    .describe(description);
}

/** Bytes a second, with the unit. Bounds in bytes a second, inclusive. */
export function byteRate(description: string, bounds: { min?: number; max?: number } = {}): z.ZodString {
  const { min = 0, max = 2 ** 53 } = bounds;
  const wanted = 'a rate with its unit, such as "8KB/s", "1MB/s"';
  return z
    .string({ error: wanted })
    .regex(/^\d+(\.\d+)?\s*(B|KB|MB|GB)\/s$/, { error: wanted, abort: true })
    .refine((text) => inBounds(parseByteRate(text), min, max), {
      error: `a rate between ${formatSize(min)}/s and ${formatSize(max)}/s`,
    })
    .describe(description);
}

/** Bytes a second of "8KB/s"; `null` if it is none. */
export function parseByteRate(text: string): number | null {
  return parseSizeBytes(text.replace(/\/s$/, ''));
}

function inBounds(value: number | null, min: number, max: number): boolean {
  return value !== null && value >= min && value <= max;
}

/** `host:port`; the port may be left out where `defaultPort` is given. */
export function address(description: string, defaultPort?: number): z.ZodString {
  const wanted = defaultPort === undefined ? 'host:port' : `host:port or host (port ${defaultPort})`;
  return z
    .string({ error: wanted })
    .refine((text) => parseAddress(text, defaultPort) !== null, { error: wanted })
    .describe(description);
}

/** Address of "10.0.0.5:502", "[fd00::5]:502" or, with a default port, "plc1"; `null` if it is none. */
export function parseAddress(text: string, defaultPort?: number): Address | null {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(text.trim());
  const host = match?.[1] ?? match?.[2];
  if (match === null || host === undefined) return null;
  const port = match[3] === undefined ? defaultPort : Number(match[3]);
  return port === undefined || port > 65_535 ? null : { host, port };
}

/** True for an address that only this machine can reach. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** Names of servers, processes and lines: they become directory names and arguments. */
export const plainName = z.string().regex(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/, {
  error: 'a name of letters, digits, _ and -, starting with a letter, at most 64 characters',
});

/** Names of stations and tags: any letters, and . _ - / : # and spaces inside. */
export const pointName = z
  .string()
  .regex(/^[\p{L}\p{N}_](?:[\p{L}\p{N}_.\-/:# ]{0,126}[\p{L}\p{N}_\-/:#])?$/u, {
    error: 'a name of letters, digits and . _ - / : # or spaces inside, at most 128 characters',
  });

/** A secret never stands in the file itself. */
export function secret(description: string) {
  return z
    .union(
      [
        strict({ env: z.string().min(1).describe('Environment variable that holds the secret.') }),
        strict({
          file: z.string().min(1).describe('File that holds the secret; a final line break is dropped.'),
        }),
      ],
      {
        error: (issue) =>
          typeof issue.input === 'string'
            ? '{"env": "NAME"} or {"file": "path"}, never the secret itself'
            : '{"env": "NAME"} or {"file": "path"}',
      },
    )
    .describe(description);
}
