import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { compareDurable, sqliteSamplesPerS } from './ring/comparisons.ts';
import { fullBlockBytes, measureReopen, measureTurns } from './ring/disk.ts';
import { measureIngest } from './ring/ingest.ts';
import { joinedWriteAmplification, measureJoin, pacedAtRest, pacedOpen } from './ring/joined.ts';
import type { Bench, BenchOptions, Figure } from './support/bench.ts';
import { inDirectory, rounded } from './support/measure.ts';
import type { PlantName } from './support/workload.ts';

export const ringBench: Bench = {
  about: 'the ring: durable ingest against a file, LevelDB and SQLite; bytes, wear, latency',
  run: async (options) =>
    [
      ...(await speed(options)),
      ...(await bytesPerSample(options)),
      ...(await joining(options)),
      ...(await disk(options)),
      ...(await pace(options)),
    ].map((figure) => (figure.value === null ? figure : { ...figure, value: rounded(figure.value) })),
};

async function speed({ quick }: BenchOptions): Promise<Figure[]> {
  const rates = await compareDurable(quick ? 40e6 : 200e6);
  const ingest = await measureIngest(quick ? 4e6 : 20e6);
  const sqlite = await sqliteSamplesPerS(quick ? 300_000 : 1e6);
  const levelSamplesPerS = rates.levelBytesPerS / ingest.blockBytesPerSample;
  const mb = (bytesPerS: number): number => bytesPerS / 1e6;
  const perS = 'samples/s';
  return [
    {
      key: 'ingestSamplesPerS',
      about: 'samples to durable blocks: assembler, backlog, ring, group commit',
      value: ingest.samplesPerS,
      unit: perS,
      floor: { atLeast: 2e6 },
    },
    {
      key: 'ingestVsRawLevel',
      about: 'blocks appended to the ring, against LevelDB puts of the same bytes in the same groups',
      value: rates.ringBytesPerS / rates.levelBytesPerS,
      unit: '×',
      floor: { atLeast: 0.5 },
    },
    {
      key: 'encodedIngestVsRawLevel',
      about: 'the same with making the blocks: samples/s, against LevelDB puts of ready blocks',
      value: ingest.samplesPerS / levelSamplesPerS,
      unit: '×',
    },
    { key: 'ingestVsSqlite', about: 'against SQLite rows', value: ingest.samplesPerS / sqlite, unit: '×' },
    { key: 'sqliteSamplesPerS', about: 'SQLite rows, WAL, FULL', value: sqlite, unit: perS },
    { key: 'fileMBPerS', about: 'append and fdatasync', value: mb(rates.fileBytesPerS), unit: 'MB/s' },
    { key: 'levelMBPerS', about: 'LevelDB, synced batches', value: mb(rates.levelBytesPerS), unit: 'MB/s' },
    { key: 'ringMBPerS', about: 'the ring', value: mb(rates.ringBytesPerS), unit: 'MB/s' },
    {
      key: 'replaySamplesPerS',
      about: 'read from the ring and decoded',
      value: ingest.replaySamplesPerS,
      unit: perS,
    },
    {
      key: 'ingestCpuUsPerSample',
      about: 'CPU of all threads while ingesting',
      value: ingest.cpuUsPerSample,
      unit: 'µs',
    },
    {
      key: 'reportReadingsPerS',
      about: 'readings through report-by-exception, all of them changes',
      value: ingest.reportPerS,
      unit: 'readings/s',
    },
  ];
}

async function bytesPerSample({ quick }: BenchOptions): Promise<Figure[]> {
  const count = quick ? 100_000 : 1_000_000;
  const mixed = await pacedAtRest('mixed', quick ? 0.5e6 : 2e6, 5);
  const mixedOpen = await pacedOpen('mixed', count / 5);
  const small = await pacedAtRest('small', quick ? 100e3 : 500e3, 5);
  const smallOpen = await pacedOpen('small', count / 10);
  const unit = 'B';
  const figure = (key: string, about: string, value: number | null): Figure => ({ key, about, value, unit });
  const full = async (key: string, about: string, name: PlantName): Promise<Figure> =>
    figure(`bytesPerSample.${key}`, `on disk, ${about}, full blocks`, await fullBlockBytes(name, count));
  const rest = 'five sealed segments and half of one that is written to';
  return [
    {
      ...figure(
        'bytesPerSample.mixed',
        `on disk, 1,000 mixed tags at 1 s in an outage, a block every 250 ms, ${rest}`,
        mixed.diskBytesPerSample,
      ),
      floor: { atMost: 3 },
    },
    figure(
      'bytesPerSample.mixedOpen',
      'the same before a segment is sealed and its blocks are joined',
      mixedOpen.diskBytesPerSample,
    ),
    {
      ...figure(
        'bytesPerSample.small',
        `on disk, 10 tags at 1 s in an outage, a block every second, ${rest}`,
        small.diskBytesPerSample,
      ),
      floor: { atMost: 20 },
    },
    figure(
      'bytesPerSample.smallOpen',
      'the same before a segment is sealed and its blocks are joined',
      smallOpen.diskBytesPerSample,
    ),
    await full('mixedFull', '1,000 mixed tags', 'mixed'),
    await full('float32', 'float32 that are not rounded', 'float32'),
    await full('noise', 'analog noise', 'noise'),
    await full('bool', 'booleans that toggle', 'bool'),
    figure(
      'flashBytesPerSample.mixed',
      'given to the flash for it, each sync at least a page, joining included',
      mixed.flashBytesPerSample,
    ),
    figure('flashBytesPerSample.mixedOpen', 'the same without joining', mixedOpen.flashBytesPerSample),
    figure('flashBytesPerSample.small', 'of the 10 tags', small.flashBytesPerSample),
    figure('flashBytesPerSample.smallOpen', 'the same without joining', smallOpen.flashBytesPerSample),
  ];
}

async function joining({ quick }: BenchOptions): Promise<Figure[]> {
  const writeAmplification = await joinedWriteAmplification(quick ? 600_000 : 3_000_000);
  const join = await measureJoin(quick ? 2e6 : 8e6);
  const figure = (key: string, unit: string, about: string, value: number): Figure => ({
    ...{ key, unit, about, value },
  });
  return [
    {
      key: 'writeAmplificationJoined',
      about: 'bytes to the file system against bytes of small blocks: written, joined, read',
      value: writeAmplification,
      unit: '×',
      floor: { atMost: 2 },
    },
    figure(
      'joinS',
      's',
      `until the small blocks of a segment of ${quick ? 2 : 8} MB are joined`,
      join.seconds,
    ),
    figure('joinDelayP99Ms', 'ms', 'event loop late, 99 of 100, meanwhile', join.delayP99Ms),
    figure('joinDelayMaxMs', 'ms', 'the latest', join.delayMaxMs),
    figure('joinIdleDelayP99Ms', 'ms', 'the same of that process before, idle', join.idleDelayP99Ms),
    figure('joinIdleDelayMaxMs', 'ms', 'the latest', join.idleDelayMaxMs),
    figure('joinCpuShare', 'of a core', 'CPU of that process meanwhile', join.cpuShare),
    figure('joinAppendMaxMs', 'ms', 'the slowest append meanwhile, synced, four a second', join.appendMaxMs),
  ];
}

async function disk({ quick }: BenchOptions): Promise<Figure[]> {
  const turns = await measureTurns(quick ? 32e6 : 100e6);
  return [
    {
      key: 'diskWorstVsCapacity',
      about: 'most on disk over five turns of a full ring',
      value: turns.worstVsCapacity,
      unit: '×',
      floor: { atMost: 1.25 },
    },
    {
      key: 'writeAmplification',
      about: 'bytes to the file system against bytes of blocks meanwhile',
      value: turns.writeAmplification,
      unit: '×',
      floor: { atMost: 2 },
    },
    {
      key: 'reopenMs',
      about: quick
        ? 'opening a full 1 GB ring: left out with --quick'
        : 'opening a full 1 GB ring after kill -9',
      value: quick ? null : await measureReopen(1e9),
      unit: 'ms',
      floor: { atMost: 2000 },
    },
  ];
}

async function pace({ quick }: BenchOptions): Promise<Figure[]> {
  const path = fileURLToPath(new URL('./ring-paced-child.ts', import.meta.url));
  const child = await inDirectory(async (directory) => {
    const seconds = quick ? '4' : '15';
    const { stdout } = await promisify(execFile)(process.execPath, [path, directory, seconds]);
    return JSON.parse(stdout) as Record<string, number>;
  });
  const figure = (key: string, unit: string, about: string): Figure => ({
    key,
    about,
    value: child[key] ?? null,
    unit,
  });
  return [
    figure('appendP50Ms', 'ms', 'an append, synced, at 50,000 samples/s'),
    figure('appendP99Ms', 'ms', 'the same, 99 of 100'),
    figure('appendMaxMs', 'ms', 'the slowest'),
    figure('eventLoopDelayP99Ms', 'ms', 'event loop late, 99 of 100, meanwhile'),
    figure('eventLoopDelayMaxMs', 'ms', 'the latest'),
    figure('idleDelayP99Ms', 'ms', 'the same of an idle process here'),
    figure('cpuShare', 'of a core', 'CPU at 50,000 samples/s, report to disk'),
    figure('rssMb', 'MB', 'memory of that process, its simulated plant included'),
  ];
}
