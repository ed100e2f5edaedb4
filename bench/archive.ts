/**
 * Measures the embedded archive: `node bench/archive.ts [samples]`.
 * Prints rows a second, latency of small commits, time of queries over one tag, and bytes a row.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DecodedBlock } from '../src/domain/block/block.ts';
import { decodeBlock, encodeBlock } from '../src/domain/block/codec.ts';
import type { Sample, SampleValue } from '../src/domain/sample.ts';
import { openDuckdbArchive } from '../src/kernel/archive/duckdb-archive.ts';
import { silentLog } from '../src/world/log.ts';

const TAGS = 1000;
const BLOCK = 8192;
const BLOCKS_PER_COMMIT = 16;
const STREAM = 'a'.repeat(32);
const HASH = 'd'.repeat(32);
const T0 = Date.UTC(2026, 10, 2) * 1000;

const total = Number(process.argv[2] ?? 5_000_000);
const dictionary = {
  ...{ site: 'S', process: 'KomA' },
  tags: Array.from({ length: TAGS }, (_, i) => ({
    ...{ name: `P.t${i}`, station: 'P', class: 'measurement', type: 'float64', unit: '', formerly: [] },
  })) as never,
};

function valueAt(sequence: number): SampleValue {
  const kind = sequence % 10;
  if (kind < 6) return Math.round(Math.sin(sequence / 900) * 1e4) / 100;
  return kind < 8 ? BigInt(sequence) : sequence % 3 === 0;
}

function blockFrom(firstSequence: number, count: number): DecodedBlock {
  const entries = Array.from({ length: count }, (_, i): Sample => {
    const sequence = firstSequence + i;
    const time = { tagIndex: sequence % TAGS, sourceTimeUs: T0 + sequence * 1000 };
    return { ...time, value: valueAt(sequence), quality: 0, cause: 'change' };
  });
  const options = { streamId: STREAM, firstSequence, dictionaryHash: HASH, sealedMonotonicUs: 0 };
  return decodeBlock(encodeBlock(entries, options));
}

const directory = mkdtempSync(join(tmpdir(), 'kom-bench-archive-'));
const archive = await openDuckdbArchive({ directory, memoryLimitBytes: 512e6, log: silentLog });
await archive.putDictionary(HASH, new Uint8Array([1]), dictionary);
const info = { streamId: STREAM, bootId: 'e'.repeat(32), startedAtUs: T0, previous: null };
const streams = [{ ...info, site: 'S', process: 'KomA', instance: 1 }];
const empty = { streams, gaps: [], ended: [], observed: [], receivedAtUs: T0 };

let next = 1;
const latencies: number[] = [];
let cpuUs = 0;
while (next < total) {
  const blocks = Array.from({ length: BLOCKS_PER_COMMIT }, () => {
    const block = blockFrom(next, BLOCK);
    next += BLOCK;
    return { block, dictionary };
  });
  const before = process.cpuUsage();
  latencies.push(await timed(() => archive.commit({ ...empty, blocks })));
  const used = process.cpuUsage(before);
  cpuUs += used.user + used.system;
}
const seconds = latencies.reduce((sum, ms) => sum + ms, 0) / 1000;
report('rows/s', (next - 1) / seconds);
report('CPU of commits, rows/s of one core', ((next - 1) / cpuUs) * 1e6);
reportTimes(`commit of ${BLOCK * BLOCKS_PER_COMMIT} rows, ms`, latencies);

const small: number[] = [];
for (let i = 0; i < 300; i++) {
  const block = blockFrom(next, 100);
  next += 100;
  const observed = [{ streamId: STREAM, untilUs: T0 + next }];
  small.push(await timed(() => archive.commit({ ...empty, blocks: [{ block, dictionary }], observed })));
}
reportTimes('commit of 100 rows, ms', small);

const tag = { site: 'S', tag: 'P.t77' };
const span = (next * 1000) / 2;
const all = { ...tag, fromUs: T0, toUs: T0 + next * 1000, limit: 5000, withPrevious: true };
const minute = { ...all, fromUs: T0 + span, toUs: T0 + span + 60e6 };
reportTimes('a tag, all of it (5,000 rows), ms', await repeat(() => archive.samples(all)));
reportTimes('a tag, one minute from the middle, ms', await repeat(() => archive.samples(minute)));
reportTimes('changes of quality, all of it, ms', await repeat(() => archive.qualityChanges(all)));
const stat = await archive.stat();
report('bytes/row', stat.sizeBytes / stat.samples);
reportTimes('close, ms', [await timed(() => archive.close())]);
reportTimes('open, ms', [
  await timed(async () =>
    (await openDuckdbArchive({ directory, memoryLimitBytes: 512e6, log: silentLog })).close(),
  ),
]);
report('RSS, MB', process.memoryUsage().rss / 1e6);
rmSync(directory, { recursive: true });

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

async function repeat(work: () => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < 10; i++) times.push(await timed(work));
  return times;
}

function report(what: string, value: number): void {
  process.stdout.write(`${what}: ${value >= 100 ? Math.round(value) : value.toFixed(1)}\n`);
}

function reportTimes(what: string, times: readonly number[]): void {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): string => (sorted[Math.floor((sorted.length - 1) * share)] ?? 0).toFixed(1);
  process.stdout.write(`${what}: median ${at(0.5)}, 99 % ${at(0.99)}, worst ${at(1)}\n`);
}
