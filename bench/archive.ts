import type { DecodedBlock } from '../src/domain/block/block.ts';
import { decodeBlock, encodeBlock } from '../src/domain/block/codec.ts';
import type { Sample, SampleValue } from '../src/domain/sample.ts';
import type { Presence } from '../src/domain/timeline.ts';
import { openDuckdbArchive } from '../src/kernel/archive/duckdb-archive.ts';
import { archiveQueries } from '../src/kernel/archive/query.ts';
import type { Archive } from '../src/world/archive.ts';
import { silentLog } from '../src/world/log.ts';
import type { Bench, Figure } from './support/bench.ts';
import { inDirectory, quantile, rounded, timed } from './support/measure.ts';

const TAGS = 1000;
/** Fifteen blocks are a row group, as the Kernel commits in a bulk load. */
const BLOCK = 8192;
const BLOCKS_PER_COMMIT = 15;
/** The samples are spread evenly over so long. */
const DAYS = 28;
const DAY_US = 86_400_000_000;
const STREAM = 'a'.repeat(32);
const HASH = 'd'.repeat(32);
const T0 = Date.UTC(2026, 10, 2) * 1000;
const OPTIONS = { memoryLimitBytes: 512e6, log: silentLog };

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

function blockFrom(firstSequence: number, count: number, stepUs: number): DecodedBlock {
  const entries = Array.from({ length: count }, (_, i): Sample => {
    const sequence = firstSequence + i;
    const time = { tagIndex: sequence % TAGS, sourceTimeUs: T0 + Math.floor(sequence * stepUs) };
    return { ...time, value: valueAt(sequence), quality: 0, cause: 'change' };
  });
  const options = { streamId: STREAM, firstSequence, dictionaryHash: HASH, sealedMonotonicUs: 0 };
  return decodeBlock(encodeBlock(entries, options));
}

const INFO = { streamId: STREAM, bootId: 'e'.repeat(32), startedAtUs: T0, previous: null };
const STREAMS = [{ ...INFO, site: 'S', process: 'KomA', instance: 1 }];
const EMPTY = { streams: STREAMS, gaps: [], ended: [], observed: [], receivedAtUs: T0 };

export const archiveBench: Bench = {
  about: "the Kernel's embedded archive: rows, small commits, queries over one tag, bytes a row",
  run: ({ quick, samples }) =>
    inDirectory((directory) => measure(directory, samples ?? (quick ? 500_000 : 5_000_000))),
};

async function measure(directory: string, total: number): Promise<readonly Figure[]> {
  const archive = await openDuckdbArchive({ directory, ...OPTIONS });
  await archive.putDictionary(HASH, new Uint8Array([1]), dictionary);
  const stepUs = (DAYS * DAY_US) / total;
  const figures = await fill(archive, total, stepUs);
  figures.push(...(await queries(archive, total, stepUs)));
  figures.push(...(await dayWhileFilling(archive, total, stepUs)));
  figures.push(...(await smallCommits(archive, total * 2)));
  const stat = await archive.stat();
  figures.push(figure('bytesPerRow', 'B', 'on disk, a row', stat.sizeBytes / stat.samples));
  figures.push(figure('closeMs', 'ms', 'close', await timedMs(() => archive.close())));
  const open = async () => (await openDuckdbArchive({ directory, ...OPTIONS })).close();
  figures.push(figure('openMs', 'ms', 'open', await timedMs(open)));
  figures.push(figure('rssMb', 'MB', 'memory of this process', process.memoryUsage().rss / 1e6));
  return figures;
}

async function fill(archive: Archive, total: number, stepUs: number): Promise<Figure[]> {
  const latencies: number[] = [];
  let next = 1;
  let cpuUs = 0;
  while (next < total) {
    const blocks = Array.from({ length: BLOCKS_PER_COMMIT }, () => {
      const block = blockFrom(next, BLOCK, stepUs);
      next += BLOCK;
      return { block, dictionary };
    });
    const before = process.cpuUsage();
    latencies.push(await timedMs(() => archive.commit({ ...EMPTY, blocks })));
    const used = process.cpuUsage(before);
    cpuUs += used.user + used.system;
  }
  const seconds = latencies.reduce((sum, ms) => sum + ms, 0) / 1000;
  return [
    figure('rowsPerS', 'rows/s', 'in large commits', (next - 1) / seconds),
    figure('rowsPerCpuS', 'rows/s', 'the same, of one core', ((next - 1) / cpuUs) * 1e6),
    ...times('largeCommit', `commit of ${BLOCK * BLOCKS_PER_COMMIT} rows`, latencies),
  ];
}

async function smallCommits(archive: Archive, first: number): Promise<Figure[]> {
  const latencies: number[] = [];
  for (let next = first; latencies.length < 300; next += 100) {
    const blocks = [{ block: blockFrom(next, 100, 1), dictionary }];
    const observed = [{ streamId: STREAM, untilUs: T0 + next }];
    latencies.push(await timedMs(() => archive.commit({ ...EMPTY, blocks, observed })));
  }
  return times('smallCommit', 'commit of 100 rows', latencies);
}

async function queries(archive: Archive, total: number, stepUs: number): Promise<Figure[]> {
  const span = Math.floor((total * stepUs) / 2);
  const all = {
    site: 'S',
    tag: 'P.t77',
    fromUs: T0,
    toUs: T0 + DAYS * DAY_US,
    limit: 5000,
    withPrevious: true,
  };
  const minute = { ...all, fromUs: T0 + span, toUs: T0 + span + 60e6 };
  return [
    ...times('tagAll', 'a tag, the first 5,000 rows', await repeat(() => archive.samples(all))),
    ...times('tagMinute', 'a tag, a minute from the middle', await repeat(() => archive.samples(minute))),
    ...times('qualityChanges', 'changes of quality', await repeat(() => archive.qualityChanges(all))),
  ];
}

/** What an operator asks for, on an idle archive and while a backlog comes in. */
async function dayWhileFilling(archive: Archive, total: number, stepUs: number): Promise<Figure[]> {
  const fromUs = T0 + 13 * DAY_US;
  const day = { site: 'S', tag: 'P.t77', fromUs, toUs: fromUs + DAY_US };
  const presence = (): Presence => ({ producedTo: {}, heldFromUs: {}, nowUs: T0 });
  const ask = async (): Promise<void> => {
    for await (const _ of archiveQueries(archive, presence).query(day)) {
      // Every line is made, as for the command line.
    }
  };
  const idle = await repeat(ask);
  let isDone = false;
  const made = Array.from({ length: BLOCKS_PER_COMMIT }, (_, i) => blockFrom(1 + i * BLOCK, BLOCK, stepUs));
  const filling = (async () => {
    for (let next = 3 * total; !isDone; next += BLOCKS_PER_COMMIT * BLOCK) {
      // The making of samples is not the Kernel's work: the same ones come under new numbers.
      const blocks = made.map((block, i) => {
        const header = { ...block.header, firstSequence: next + i * BLOCK };
        return { block: { ...block, header }, dictionary };
      });
      await archive.commit({ ...EMPTY, blocks });
    }
  })();
  const busy = await repeat(ask);
  isDone = true;
  await filling;
  return [
    ...times('tagDay', 'a tag, a day, with its states', idle),
    ...times('tagDayWhileFilling', 'the same while a backlog comes in', busy),
  ];
}

async function timedMs(work: () => Promise<unknown>): Promise<number> {
  return (await timed(work)).seconds * 1000;
}

async function repeat(work: () => Promise<unknown>): Promise<number[]> {
  const latencies: number[] = [];
  for (let i = 0; i < 10; i++) latencies.push(await timedMs(work));
  return latencies;
}

function figure(key: string, unit: string, about: string, value: number): Figure {
  return { key, unit, about, value: rounded(value) };
}

function times(key: string, about: string, latencies: readonly number[]): Figure[] {
  return [
    figure(`${key}.p50Ms`, 'ms', `${about}, median`, quantile(latencies, 0.5)),
    figure(`${key}.p99Ms`, 'ms', `${about}, 99 of 100`, quantile(latencies, 0.99)),
    figure(`${key}.maxMs`, 'ms', `${about}, worst`, quantile(latencies, 1)),
  ];
}
