import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { RunEncoder } from '../src/domain/block/run-encoder.ts';
import { openDatabase } from '../src/kernel/archive/duckdb.ts';
import { connect } from '../src/kernel/archive/postgres/connection.ts';
import { openPostgresArchive } from '../src/kernel/archive/postgres/postgres-archive.ts';
import type { Archive, ArchivedSample } from '../src/world/archive.ts';
import { silentLog } from '../src/world/log.ts';
import { createClock } from '../src/world/real/clock.ts';
import { sleep } from '../test/integration/support/until.ts';
import { PAST, PAST_TAGS } from '../test/kernels/past.ts';
import { type KernelName, RealKernels, type RealOptions } from '../test/kernels/real-kernels.ts';
import { NO_POSTGRES, PostgresServer } from '../test/postgres/server.ts';
import type { Bench, Figure } from './support/bench.ts';
import { inDirectory, quantile, rounded, timed } from './support/measure.ts';
import type { Watched } from './support/watch-process.ts';

const NAMES = ['KernelA', 'KernelB'] as const;
/** So long both Kernels have everything, for comparison. */
const CALM_MS = 15_000;
const WATCH = new URL('./support/watch-process.ts', import.meta.url).href;
/** How often the agent is asked whether something was acknowledged. */
const ASK_MS = 50;
const PAGE_ROWS = 65_536;
const ALWAYS = { fromUs: 0, toUs: Number.MAX_SAFE_INTEGER, limit: 100_000_000, withMarked: true };

export const kernelsBench: Bench = {
  about:
    'an empty standby is filled from rows: against reading them raw, and what it costs the hot one meanwhile',
  async run({ quick, samples }) {
    const rows = samples ?? (quick ? 200_000 : 1_000_000);
    const embedded = await measure('duckdb', rows, { options: {}, readRaw: readEmbedded });
    if (NO_POSTGRES !== null) {
      return [...embedded, figure('postgres', 'rows/s', `not measured: ${NO_POSTGRES}`, null)];
    }
    const settings = { shared_buffers: '256MB', max_wal_size: '2GB' };
    await using server = await PostgresServer.start({ settings });
    const options = { archives: inDatabase(server) };
    const analyse = () => void server.sql('VACUUM (ANALYZE) kernela.sample_rows');
    return [
      ...embedded,
      ...(await measure('postgres', rows, { options, readRaw: () => readServer(server), analyse })),
    ];
  },
};

/** Reads every row of the past out of the archive of the first Kernel; returns how many there were. */
type ReadRaw = (kernels: RealKernels) => Promise<number>;

interface Measuring {
  readonly options: Partial<RealOptions>;
  readonly readRaw: ReadRaw;
  /** What a database does by itself some minutes after so many rows came. */
  readonly analyse?: () => void;
}

async function measure(name: string, past: number, measuring: Measuring): Promise<readonly Figure[]> {
  return await inDirectory((directory) => measureIn(directory, name, { ...measuring, past }));
}

async function measureIn(
  directory: string,
  name: string,
  { options, readRaw, analyse, past }: Measuring & { readonly past: number },
): Promise<readonly Figure[]> {
  const watchFile = (each: KernelName): string => join(directory, `${each}.jsonl`);
  const kernelEnv = (each: KernelName) => ({ NODE_OPTIONS: `--import=${WATCH}`, KOM_WATCH: watchFile(each) });
  await using kernels = await RealKernels.start({
    ...{ ...options, past, ringCapacity: '10MB', isFilledLater: true, kernelEnv },
  });
  const ackWaitMs = await untilFilled(kernels);
  const filledUs = Date.now() * 1000;
  await sleep(CALM_MS);
  for (const each of NAMES) await kernels.kill(each, 'SIGTERM');
  const [one, other] = await Promise.all(NAMES.map((each) => kernels.withArchive(each, rowsOf)));
  if (one === undefined || other === undefined) throw new Error('no archives');
  const arrivals = other.past.map(({ receivedAtUs }) => receivedAtUs);
  const fromUs = arrivals.reduce((a, b) => Math.min(a, b));
  const toUs = arrivals.reduce((a, b) => Math.max(a, b));
  const perS = other.past.length / ((toUs - fromUs) / 1e6);
  const raw = await timed(() => readRaw(kernels));
  const rawPerS = raw.result / raw.seconds;
  const make = () => timed(() => kernels.withArchive('KernelA', (archive) => makeAgain(archive, past)));
  const made = await make();
  analyse?.();
  const analysed = analyse === undefined ? null : await make();
  const lags = lagsMs(one.present, other.present);
  const during = lags.filter(({ atUs }) => atUs >= fromUs && atUs <= toUs).map(({ lagMs }) => lagMs);
  const behind = lags.filter(({ atUs }) => atUs > toUs + 2_000_000).map(({ lagMs }) => lagMs);
  return [
    figure(
      `${name}.rowsPerS`,
      'rows/s',
      `${name}: an empty standby is filled, both Kernels on this machine`,
      perS,
    ),
    ...costs(name, watched(watchFile('KernelA')), { fromUs, filledUs, ackWaitMs }),
    figure(`${name}.shareOfRaw`, '×', `${name}: of reading the same rows raw in this run`, perS / rawPerS),
    figure(`${name}.rawRowsPerS`, 'rows/s', `${name}: read raw, in one process`, rawPerS),
    figure(`${name}.madePerS`, 'rows/s', `${name}: read by number and made into blocks`, past / made.seconds),
    ...(analysed === null
      ? []
      : [
          figure(
            `${name}.analysedShare`,
            '×',
            `${name}: the same once the database has looked at its tables (VACUUM ANALYZE), against before`,
            made.seconds / analysed.seconds,
          ),
        ]),
    figure(`${name}.lagMs`, 'ms', `${name}: lag of the present meanwhile, median`, quantile(during, 0.5)),
    figure(`${name}.lagP99Ms`, 'ms', `${name}: the same, 99 of 100`, quantile(during, 0.99)),
    figure(
      `${name}.calmLagMs`,
      'ms',
      `${name}: lag of the present when all is there, median`,
      quantile(behind, 0.5),
    ),
    figure(`${name}.calmLagP99Ms`, 'ms', `${name}: the same, 99 of 100`, quantile(behind, 0.99)),
  ];
}

/**
 * Until the second Kernel is in the set. Returns the longest time in which nothing of the agent was
 * acknowledged though something waited, milliseconds, as far as asking it tells.
 */
async function untilFilled(kernels: RealKernels): Promise<number> {
  let [longestMs, sinceMs, acknowledged] = [0, performance.now(), 0];
  let isFilled = false;
  const filled = kernels.untilInSync('KernelA').finally(() => {
    isFilled = true;
  });
  while (!isFilled) {
    const { backlog } = await kernels.agentStatus();
    const nowMs = performance.now();
    if (backlog.counters.deliveredSamples > acknowledged || backlog.samples === 0) sinceMs = nowMs;
    acknowledged = backlog.counters.deliveredSamples;
    longestMs = Math.max(longestMs, nowMs - sinceMs);
    await sleep(ASK_MS);
  }
  await filled;
  return longestMs;
}

function watched(file: string): readonly Watched[] {
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Watched);
}

interface Filling {
  /** From the first row of the past to the set, integer µs. */
  readonly fromUs: number;
  readonly filledUs: number;
  readonly ackWaitMs: number;
}

/** What it costs the hot Kernel and the agent that another one is filled. */
function costs(
  name: string,
  hot: readonly Watched[],
  { fromUs, filledUs, ackWaitMs }: Filling,
): readonly Figure[] {
  const busy = hot.filter(({ atUs }) => atUs >= fromUs && atUs <= filledUs);
  const calm = hot.filter(({ atUs }) => atUs > filledUs + 2_000_000);
  const most = (lines: readonly Watched[], of: (line: Watched) => number) => Math.max(0, ...lines.map(of));
  const rssMb = ({ rssBytes }: Watched) => rssBytes / 1e6;
  return [
    figure(
      `${name}.inSyncS`,
      's',
      `${name}: from the first row of the past until it is in the in-sync set`,
      (filledUs - fromUs) / 1e6,
    ),
    figure(
      `${name}.ackWaitMs`,
      'ms',
      `${name}: longest time without an acknowledgement meanwhile`,
      ackWaitMs,
    ),
    figure(
      `${name}.hotRssMb`,
      'MB',
      `${name}: memory of the hot Kernel meanwhile, at most`,
      most(busy, rssMb),
    ),
    figure(`${name}.calmRssMb`, 'MB', `${name}: the same when all is there`, most(calm, rssMb)),
    figure(
      `${name}.hotLateP99Ms`,
      'ms',
      `${name}: event loop of the hot Kernel late meanwhile, 99 of 100, of the worst half second`,
      most(busy, ({ lateP99Ms }) => lateP99Ms),
    ),
    figure(
      `${name}.hotLateMaxMs`,
      'ms',
      `${name}: the same, at most`,
      most(busy, ({ lateMaxMs }) => lateMaxMs),
    ),
    figure(
      `${name}.calmLateMaxMs`,
      'ms',
      `${name}: the same when all is there`,
      most(calm, ({ lateMaxMs }) => lateMaxMs),
    ),
  ];
}

interface Rows {
  readonly past: readonly ArchivedSample[];
  readonly present: readonly ArchivedSample[];
}

async function rowsOf(archive: Archive): Promise<Rows> {
  const past: ArchivedSample[] = [];
  const present: ArchivedSample[] = [];
  for (const { site, name } of await archive.tags()) {
    const to = PAST_TAGS.some((each) => each === name) ? past : present;
    for (const row of await archive.samples({ ...ALWAYS, site, tag: name })) to.push(row);
  }
  return { past, present };
}

/** How much later than the first Kernel the second one had a number. */
function lagsMs(
  one: readonly ArchivedSample[],
  other: readonly ArchivedSample[],
): { readonly atUs: number; readonly lagMs: number }[] {
  const key = ({ streamId, sequence }: ArchivedSample): string => `${streamId} ${sequence}`;
  const known = new Map(one.map((row) => [key(row), row.receivedAtUs]));
  return other.flatMap((row) => {
    const atUs = known.get(key(row));
    return atUs === undefined ? [] : [{ atUs, lagMs: (row.receivedAtUs - atUs) / 1000 }];
  });
}

async function makeAgain(archive: Archive, past: number): Promise<void> {
  const encoder = new RunEncoder();
  for (let first = 1; first <= past; ) {
    const asked = { streamId: PAST, first, last: past, limit: 32_768 };
    const { runs, through } = await archive.entries(asked);
    for (const run of runs) encoder.encode(run, 8192);
    first = through + 1;
  }
}

async function readEmbedded(kernels: RealKernels): Promise<number> {
  const directory = kernels.archiveDirectory('KernelA');
  const database = await openDatabase({ directory, memoryLimitBytes: 256e6 });
  try {
    let rows = 0;
    for (const { name } of await database.read(
      "SELECT table_name AS name FROM duckdb_tables() WHERE table_name LIKE 'samples_%'",
    )) {
      for (let from = 0, read = -1; read !== 0; from += PAGE_ROWS) {
        const page = `rowid BETWEEN ${from} AND ${from + PAGE_ROWS - 1}`;
        read = (await database.read(`SELECT * FROM ${String(name)} WHERE ${page}`)).length;
        rows += read;
      }
    }
    return rows;
  } finally {
    database.close();
  }
}

async function readServer(server: PostgresServer): Promise<number> {
  const config = server.config({ schema: 'kernela' });
  const connection = await connect({ config, login: config.login, clock: createClock() });
  try {
    const ask = (sql: string) => connection.query(sql, [], config.answerTimeoutMs);
    await ask('BEGIN; DECLARE every CURSOR FOR SELECT * FROM kernela.sample_rows');
    let rows = 0;
    for (let read = -1; read !== 0; rows += read) {
      read = (await ask(`FETCH ${PAGE_ROWS} FROM every`)).length;
    }
    return rows;
  } finally {
    await connection.close();
  }
}

function inDatabase(server: PostgresServer): NonNullable<RealOptions['archives']> {
  const schemaOf = (name: KernelName): string => name.toLowerCase();
  const clock = createClock();
  return {
    described: (name) => ({
      ...{ kind: 'postgres', directory: './archive' },
      postgres: {
        ...{ hosts: [`${server.directory}:${server.port}`], database: 'postgres', user: 'postgres' },
        schema: schemaOf(name),
      },
    }),
    open: (name) =>
      openPostgresArchive({ config: server.config({ schema: schemaOf(name) }), clock, log: silentLog }),
  };
}

function figure(key: string, unit: string, about: string, value: number | null): Figure {
  return { key, unit, about, value: value === null ? null : rounded(value) };
}
