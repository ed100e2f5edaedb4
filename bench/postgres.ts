import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { decodeBlock, encodeBlock } from '../src/domain/block/codec.ts';
import type { Sample } from '../src/domain/sample.ts';
import { openPostgresArchive } from '../src/kernel/archive/postgres/postgres-archive.ts';
import type { Archive } from '../src/world/archive.ts';
import { silentLog } from '../src/world/log.ts';
import { createClock } from '../src/world/real/clock.ts';
import { NO_POSTGRES, PostgresServer } from '../test/postgres/server.ts';
import type { Bench, Figure } from './support/bench.ts';
import { quantile, rounded, timed } from './support/measure.ts';

const TAGS = 1000;
const BLOCK = 8192;
/** As a Kernel commits in a bulk load. */
const BLOCKS_PER_COMMIT = 30;
const DAYS = 28;
const DAY_US = 86_400_000_000;
const STREAM = 'a'.repeat(32);
const HASH = 'd'.repeat(32);
/** Behind them a month ends: the rows are in two partitions. */
const T0 = Date.UTC(2026, 10, 16) * 1000;

const dictionary = {
  ...{ site: 'S', process: 'KomA' },
  tags: Array.from({ length: TAGS }, (_, i) => ({
    ...{ name: `P.t${i}`, station: 'P', class: 'measurement' as const, type: 'float64' as const },
    ...{ unit: '', formerly: [] },
  })),
};
const INFO = { streamId: STREAM, bootId: 'e'.repeat(32), startedAtUs: T0, previous: null };
const STREAMS = [{ ...INFO, site: 'S', process: 'KomA', instance: 1 }];
const EMPTY = { streams: STREAMS, gaps: [], ended: [], observed: [], receivedAtUs: T0 };

export const postgresBench: Bench = {
  about: 'the archive in PostgreSQL: rows against bare COPY of the same rows, small commits, bytes a row',
  async run({ quick, samples }) {
    if (NO_POSTGRES !== null) return [figure('rowsPerS', 'rows/s', `not measured: ${NO_POSTGRES}`, null)];
    const settings = { shared_buffers: '256MB', max_wal_size: '2GB' };
    await using server = await PostgresServer.start({ settings });
    return await measure(server, samples ?? (quick ? 500_000 : 3_000_000));
  },
};

async function measure(server: PostgresServer, total: number): Promise<readonly Figure[]> {
  const clock = createClock();
  const archive = await openPostgresArchive({ config: server.config(), clock, log: silentLog });
  await archive.putDictionary(HASH, new Uint8Array([1]), dictionary);
  const filled = await fill(archive, total);
  const bare = await copies(server);
  const figures = [
    figure('rowsPerS', 'rows/s', 'through the archive, in large commits', filled.rowsPerS),
    figure('cpuUsPerRow', 'µs', 'of the Kernel for a row', filled.cpuUsPerRow),
    figure('bareRowsPerS', 'rows/s', 'bare COPY, a table with the same indexes', bare.indexed),
    figure('plainRowsPerS', 'rows/s', 'bare COPY, a table without an index', bare.plain),
    figure('shareOfBare', '×', 'the archive against the table with indexes', filled.rowsPerS / bare.indexed),
    ...(await smallCommits(archive, 2 * total)),
    ...(await questions(archive)),
  ];
  const stat = await archive.stat();
  figures.push(figure('bytesPerRow', 'B', 'on disk a row, with its indexes', stat.sizeBytes / stat.samples));
  await archive.close();
  return figures;
}

function blockFrom(firstSequence: number, count: number, stepUs: number) {
  const entries = Array.from({ length: count }, (_, i): Sample => {
    const sequence = firstSequence + i;
    const time = { tagIndex: sequence % TAGS, sourceTimeUs: T0 + Math.floor(sequence * stepUs) };
    const kind = sequence % 10;
    const number = kind < 6 ? Math.round(Math.sin(sequence / 900) * 1e4) / 100 : BigInt(sequence);
    return { ...time, value: kind < 8 ? number : sequence % 3 === 0, quality: 0, cause: 'change' };
  });
  const options = { streamId: STREAM, firstSequence, dictionaryHash: HASH, sealedMonotonicUs: 0 };
  return { block: decodeBlock(encodeBlock(entries, options)), dictionary };
}

async function fill(archive: Archive, total: number) {
  let [next, seconds, cpuSeconds] = [1, 0, 0];
  while (next <= total) {
    const blocks = Array.from({ length: BLOCKS_PER_COMMIT }, () => {
      const block = blockFrom(next, BLOCK, (DAYS * DAY_US) / total);
      next += BLOCK;
      return block;
    });
    // The making of samples is not the Kernel's work.
    const commit = await timed(() => archive.commit({ ...EMPTY, blocks }));
    seconds += commit.seconds;
    cpuSeconds += commit.cpuSeconds;
  }
  return { rowsPerS: (next - 1) / seconds, cpuUsPerRow: (cpuSeconds * 1e6) / (next - 1) };
}

/** The same rows from a file of the server, into tables that nothing else is done for. */
async function copies(server: PostgresServer): Promise<{ readonly indexed: number; readonly plain: number }> {
  const file = join(server.directory, 'rows.bin');
  const [counted = ''] = server.sql(
    `COPY (SELECT * FROM kom.sample_rows) TO '${file}' (FORMAT binary);
     SELECT count(*) FROM kom.sample_rows;`,
  );
  const rate = async (table: string, including: string): Promise<number> => {
    server.sql(`CREATE TABLE ${table} (LIKE kom.sample_rows ${including}); CHECKPOINT;`);
    const { seconds } = await timed(() => server.sql(`COPY ${table} FROM '${file}' (FORMAT binary);`));
    server.sql(`DROP TABLE ${table}`);
    return Number(counted) / seconds;
  };
  const rates = { indexed: await rate('indexed', 'INCLUDING INDEXES'), plain: await rate('plain', '') };
  rmSync(file);
  return rates;
}

async function smallCommits(archive: Archive, first: number): Promise<Figure[]> {
  const latencies: number[] = [];
  for (let next = first; latencies.length < 200; next += 100) {
    const blocks = [blockFrom(next, 100, 1)];
    const observed = [{ streamId: STREAM, untilUs: T0 + next }];
    latencies.push((await timed(() => archive.commit({ ...EMPTY, blocks, observed }))).seconds * 1000);
  }
  return [
    figure('smallCommit.p50Ms', 'ms', 'commit of 100 rows, median', quantile(latencies, 0.5)),
    figure('smallCommit.p99Ms', 'ms', 'commit of 100 rows, 99 of 100', quantile(latencies, 0.99)),
  ];
}

async function questions(archive: Archive): Promise<Figure[]> {
  const latencies: number[] = [];
  for (let day = 1; day < DAYS - 1; day++) {
    const fromUs = T0 + day * DAY_US;
    const asked = { site: 'S', tag: `P.t${day * 7}`, fromUs, toUs: fromUs + DAY_US, limit: 5000 };
    const work = () => archive.samples({ ...asked, withPrevious: true });
    latencies.push((await timed(work)).seconds * 1000);
  }
  return [figure('tagDay.p50Ms', 'ms', 'a tag, a day of the 28, median', quantile(latencies, 0.5))];
}

function figure(key: string, unit: string, about: string, value: number | null): Figure {
  return { key, unit, about, value: value === null ? null : rounded(value) };
}
