import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCommandLine } from '../../src/cli/program.ts';
import { realWorld } from '../../src/cli/world.ts';
import { loadKernelConfig } from '../../src/config/load.ts';
import type { Sample } from '../../src/domain/sample.ts';
import { openDuckdbArchive } from '../../src/kernel/archive/duckdb-archive.ts';
import { openArchive } from '../../src/kernel/archive/open.ts';
import { Kernel } from '../../src/kernel/kernel.ts';
import { queryHandlers } from '../../src/kernel/queries.ts';
import {
  blockOf,
  DICTIONARY,
  HASH,
  STREAM,
  sampleOf,
  streamOf,
  T0,
  transactionOf,
} from '../../src/world/archive.fixture.ts';
import { silentLog } from '../../src/world/log.ts';
import { freePort } from './support/until.ts';

const HOUR_US = 3_600_000_000;
const SPRING_US = Date.UTC(2026, 2, 28, 23) * 1000;
const AUTUMN_US = Date.UTC(2026, 9, 24, 22) * 1000;

const directory = mkdtempSync(join(tmpdir(), 'kom-archive-cli-'));
const kernelFile = join(directory, 'kernel.json');
const world = realWorld({ level: 'silent', name: 'test' });

async function run(...args: string[]): Promise<{ code: number; out: string[]; err: string }> {
  const out: string[] = [];
  let err = '';
  const code = await runCommandLine([...args, '--kernel', kernelFile], {
    line: (text) => out.push(text),
    note: (text) => {
      err += text;
    },
    isTerminal: false,
    columns: 100,
  });
  return { code, out, err };
}

/** A sample each half hour, for two days around both changes of the clocks. */
function samples(startUs: number): Sample[] {
  return Array.from({ length: 100 }, (_, i) => sampleOf(startUs - T0 + (i * HOUR_US) / 2, i));
}

beforeAll(async () => {
  const port = await freePort();
  writeFileSync(
    kernelFile,
    JSON.stringify({ listen: `127.0.0.1:${port}`, archive: { directory: './archive' } }),
  );
  const options = { directory: join(directory, 'archive'), memoryLimitBytes: 256e6, log: silentLog };
  const archive = await openDuckdbArchive(options);
  await archive.putDictionary(HASH, new Uint8Array(), DICTIONARY);
  await archive.commit({
    ...transactionOf({
      streams: [streamOf(STREAM, { startedAtUs: SPRING_US - HOUR_US })],
      blocks: [
        blockOf(1, samples(SPRING_US - HOUR_US)),
        { ...blockOf(101, samples(AUTUMN_US - HOUR_US)), marks: 1 },
      ],
      observed: [{ streamId: STREAM, untilUs: AUTUMN_US + 60 * HOUR_US }],
    }),
    receivedAtUs: AUTUMN_US + 100 * HOUR_US,
  });
  await archive.close();
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function asked(file: string): Promise<unknown> {
  const tag = ['--tag', 'P1.a'];
  const prague = ['--tz', 'Europe/Prague'];
  const day = async (date: string, ...more: string[]) => {
    const { out } = await run('archive', 'query', ...tag, ...prague, '--day', date, '--csv', ...more);
    return out.filter((line) => line.endsWith('data,,')).map((line) => line.split(',')[0]?.slice(11, 32));
  };
  const spring = await day('2026-03-29');
  const autumn = await day('2026-10-25');
  // The sample in force at the start is told too, of another state.
  expect([spring.length, autumn.length]).toEqual([46, 50]);
  expect(spring.slice(0, 6)).toEqual([
    ...['00:00:00.000000+01:00', '00:30:00.000000+01:00', '01:00:00.000000+01:00'],
    ...['01:30:00.000000+01:00', '03:00:00.000000+02:00', '03:30:00.000000+02:00'],
  ]);
  expect(autumn.slice(4, 8)).toEqual([
    ...['02:00:00.000000+02:00', '02:30:00.000000+02:00'],
    ...['02:00:00.000000+01:00', '02:30:00.000000+01:00'],
  ]);
  const completeness = await run('archive', 'completeness', ...prague, '--day', '2026-03-29', '--json');
  const late = await run('archive', 'completeness', '--late', '--from', '2026-01-01', '--to', '2027-01-01');
  const out = join(directory, file);
  const year = ['--from', '2026-01-01', '--to', '2027-01-01'];
  const exported = [
    await run('archive', 'export', ...prague, '--day', '2026-10-25', '--csv', `${out}.csv`, ...tag),
    await run('archive', 'export', ...year, '--parquet', `${out}.parquet`),
  ];
  const again = await run('archive', 'export', '--csv', `${out}.csv`);
  expect(again.code).toBe(2);
  expect(again.err).toMatch(/it is there already/);
  expect(readFileSync(`${out}.parquet`).subarray(0, 4).toString()).toBe('PAR1');
  const csv = readFileSync(`${out}.csv`, 'utf8').trimEnd().split('\n');
  expect(csv[0]).toMatch(/^site,process,station,tag,source_time,.*raw_time,.*term,marks$/);
  expect(csv).toHaveLength(51);
  return [completeness, late, exported.map(({ out: [line] }) => line?.replace(/\/.*/, '')), csv];
}

describe('kom archive', () => {
  let offline: unknown;

  test('days of 23 and 25 hours, completeness, late ranges and exports, without a Kernel', async () => {
    offline = await asked('offline');
    const [completeness, late, exported] = offline as [{ out: string[] }, { out: string[] }, unknown];
    expect(completeness.out.map((line) => JSON.parse(line))).toEqual([
      {
        ...{ site: 'S', process: 'KomA', station: 'P1', tags: 2 },
        shares: { data: 0.5, bad: 0, pending: 0, gap: 0, unknown: 0.5 },
      },
      {
        ...{ site: 'S', process: 'KomA', station: 'P2', tags: 1 },
        shares: { data: 0, bad: 0, pending: 0, gap: 0, unknown: 1 },
      },
    ]);
    expect(late.out).toHaveLength(2);
    expect(late.out[1]).toMatch(/^S +KomA +P1 +2026-03-28T22:00:00.000000Z +2026-10-26T22:30:00.000001Z/);
    expect(exported).toEqual(['50 samples in ', '200 samples in ']);
  });

  test('the same through a running Kernel, which writes the files', async () => {
    const { config } = await loadKernelConfig(kernelFile);
    const kernel = await Kernel.start({
      ...world,
      config,
      openArchive: () => openArchive(config.archive, { clock: world.clock, log: silentLog }),
      handlers: (archive, server) => queryHandlers(archive, server, world.clock),
    });
    try {
      expect(await asked('online')).toEqual(offline);
    } finally {
      await kernel.stop();
    }
  });

  test('what is not usable is told, and nothing is written', async () => {
    const told = async (...args: string[]): Promise<string> => {
      const { code, err } = await run('archive', ...args);
      expect(code).toBe(2);
      return err;
    };
    expect(await told('completeness', '--tz', 'Europe/Atlantis')).toMatch(/--tz is not a time zone/);
    expect(await told('completeness', '--day', '2026-02-30')).toMatch(/--day is not a date/);
    expect(await told('completeness', '--day', '2026-03-29', '--from', '-1h')).toMatch(/exclude each other/);
    const both = ['export', '--csv', join(directory, 'x'), '--parquet', join(directory, 'y')];
    expect(await told(...both)).toMatch(/one file/);
    const unknown = ['export', '--csv', join(directory, 'x'), '--tag', 'P1.a', 'P9.x'];
    expect(await told(...unknown)).toMatch(/no tag "P9.x"/);
    expect(await told('export', '--csv', '/nowhere/at/all.csv')).toMatch(/cannot be written/);
    expect(existsSync(join(directory, 'x'))).toBe(false);
  });
});
