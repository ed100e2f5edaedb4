import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';

/** Runs a job in a directory of its own, on the disk of the temporary files. */
export async function inDirectory<T>(job: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'kom-bench-'));
  try {
    return await job(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

export interface Timed<T> {
  readonly result: T;
  readonly seconds: number;
  /** Of all threads of this process. */
  readonly cpuSeconds: number;
}

export async function timed<T>(job: () => Promise<T> | T): Promise<Timed<T>> {
  const before = process.cpuUsage();
  const startMs = performance.now();
  const result = await job();
  const seconds = (performance.now() - startMs) / 1000;
  const { user, system } = process.cpuUsage(before);
  return { result, seconds, cpuSeconds: (user + system) / 1e6 };
}

/** The value that a share of all values does not exceed; 0 where there are none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

/** Bytes that this process made the file system write (Linux only; `null` elsewhere). */
export function flashBytes(): number | null {
  try {
    const text = readFileSync('/proc/self/io', 'utf8');
    return Number(/^write_bytes: (\d+)$/m.exec(text)?.[1] ?? Number.NaN);
  } catch {
    return null;
  }
}

/** Three significant digits; JSON is read by people too. */
export function rounded(value: number): number {
  return Number(value.toPrecision(3));
}

/** Delays of the event loop beyond the timer's own resolution, milliseconds. */
export async function delayWhile(job: () => Promise<void>): Promise<{ p99: number; max: number }> {
  const resolution = 1;
  const histogram = monitorEventLoopDelay({ resolution });
  histogram.enable();
  await job();
  histogram.disable();
  const beyond = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - resolution);
  return { p99: beyond(histogram.percentile(99)), max: beyond(histogram.max) };
}
