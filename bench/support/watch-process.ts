/**
 * Loaded into a process before its program (`--import`), with the name of a file in `KOM_WATCH`: appends to
 * it what the process needs and how late its event loop is, see `Watched`.
 */
import { appendFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';

const EVERY_MS = 500;
const RESOLUTION_MS = 1;

/** One line of the file, as JSON. */
export interface Watched {
  /** When it was written, integer µs since 1970. */
  readonly atUs: number;
  readonly rssBytes: number;
  /** Since the line before: delays of the event loop beyond the timer's own resolution, milliseconds. */
  readonly lateP99Ms: number;
  readonly lateMaxMs: number;
}

const file = process.env['KOM_WATCH'];
if (file !== undefined) watch(file);

function watch(path: string): void {
  const loop = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  const beyond = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
  loop.enable();
  const timer = setInterval(() => {
    const late = { lateP99Ms: beyond(loop.percentile(99)), lateMaxMs: beyond(loop.max) };
    const line: Watched = { atUs: Date.now() * 1000, rssBytes: process.memoryUsage.rss(), ...late };
    loop.reset();
    appendFileSync(path, `${JSON.stringify(line)}\n`);
  }, EVERY_MS);
  timer.unref();
}
