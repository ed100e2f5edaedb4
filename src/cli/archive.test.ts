import { expect, test } from 'vitest';
import { Quality } from '../domain/quality.ts';
import type { Presence } from '../domain/timeline.ts';
import { archiveQueries, queryTag } from '../kernel/archive/query.ts';
import {
  blockOf,
  DICTIONARY,
  gapOf,
  HASH,
  STREAM,
  sampleOf,
  streamOf,
  T0,
  transactionOf,
} from '../world/archive.fixture.ts';
import { SimulatedArchive } from '../world/simulated/archive.ts';
import { archiveCommand, renderQuery } from './archive.ts';

const S = 1_000_000;
const PRESENCE: Presence = {
  producedTo: { [STREAM]: 20 },
  heldFromUs: {},
  nowUs: T0 + 30 * S,
};

async function archive() {
  const archive = new SimulatedArchive();
  await archive.putDictionary(HASH, new Uint8Array(), DICTIONARY);
  await archive.commit(
    transactionOf({
      streams: [streamOf()],
      blocks: [
        blockOf(1, [
          sampleOf(0, 1, { cause: 'snapshot' }),
          sampleOf(2 * S, 2n ** 63n - 1n),
          sampleOf(4 * S, null, { quality: Quality.badTimeout }),
          { station: 'P1', tags: [], fromUs: T0 + 5 * S, toUs: T0 + 6 * S, reason: 'station-down' },
          sampleOf(6 * S, 'a,"b"'),
        ]),
        blockOf(8, [sampleOf(12 * S, Number.NaN)]),
      ],
      gaps: [gapOf(6, 7, { fromUs: T0 + 8 * S, toUs: T0 + 9 * S })],
      observed: [{ streamId: STREAM, untilUs: T0 + 20 * S }],
    }),
  );
  return archive;
}

async function csv(fromUs: number, toUs: number, format: 'csv' | 'table' | 'json' = 'csv') {
  const lines = archiveQueries(await archive(), () => PRESENCE).query({ tag: 'P1.a', fromUs, toUs });
  return (await Array.fromAsync(renderQuery(lines, format))).map((line) =>
    line.replaceAll('2026-11-22T', ''),
  );
}

test('the five states are told apart and every hole is a row', async () => {
  expect(await csv(T0 - S, T0 + 40 * S)).toEqual([
    'time,value,quality,cause,state,until,reason',
    '11:59:59.000000Z,,,,unknown,12:00:00.000000Z,',
    '12:00:00.000000Z,1,Good,snapshot,data,,',
    '12:00:02.000000Z,9223372036854775807,Good,change,data,,',
    '12:00:04.000000Z,,,,bad,12:00:05.000000Z,BadTimeout',
    '12:00:04.000000Z,,BadTimeout,change,bad,,',
    '12:00:05.000000Z,,,,gap,12:00:06.000000Z,station-down',
    '12:00:06.000000Z,"a,""b""",Good,change,data,,',
    '12:00:08.000000Z,,,,gap,12:00:12.000000Z,evicted',
    '12:00:12.000000Z,NaN,Good,change,data,,',
    '12:00:20.000000Z,,,,pending,12:00:30.000000Z,',
    '12:00:30.000000Z,,,,unknown,12:00:40.000000Z,',
  ]);
});

test('doubt that a lost range left before the interval reaches into it', async () => {
  expect((await csv(T0 + 10 * S, T0 + 11 * S)).slice(1)).toEqual([
    '12:00:06.000000Z,"a,""b""",Good,change,before,,',
    '12:00:10.000000Z,,,,gap,12:00:11.000000Z,evicted',
  ]);
});

test('JSON lines carry every segment and an int64 as decimal text', async () => {
  const lines = (await csv(T0 + S, T0 + 3 * S, 'json')).map((line) => JSON.parse(line));
  expect(lines.map((line) => line.kind)).toEqual(['tag', 'sample', 'segment', 'sample']);
  expect(lines[3]).toMatchObject({ value: '9223372036854775807', type: 'int64', state: 'data' });
  expect(lines[2]).toEqual({
    ...{ kind: 'segment', from: '12:00:01.000000Z', to: '12:00:03.000000Z' },
    ...{ state: 'data', reason: null },
  });
});

test('a page boundary loses and doubles nothing', async () => {
  const own = await archive();
  const many = Array.from({ length: 12_000 }, (_, i) => sampleOf(100 * S + Math.floor(i / 3), i));
  await own.commit(transactionOf({ blocks: [blockOf(100, many)] }));
  const interval = { tag: 'P1.a', fromUs: T0 + 100 * S, toUs: T0 + 200 * S };
  const history = await queryTag(own, () => PRESENCE, interval);
  const rows = await Array.fromAsync(history.samples());
  expect(rows.map((row) => row.sequence)).toEqual([8, ...many.map((_, i) => 100 + i)]);
});

test('an unknown tag, and one in several sites, are refused with what to do', async () => {
  const own = await archive();
  const ask = (tag: string) => queryTag(own, () => PRESENCE, { tag, fromUs: 0, toUs: T0 });
  await expect(ask('P1.x')).rejects.toMatchObject({ code: 'KOM_USAGE' });
  await own.putDictionary('5'.repeat(32), new Uint8Array(), { ...DICTIONARY, site: 'T' });
  await expect(ask('P1.a')).rejects.toThrow('--site: S, T');
});

test('raw tells times as they were stamped, and nothing else changes', async () => {
  const corrected = await archive();
  await corrected.commit(
    transactionOf({
      clockFixes: [{ streamId: STREAM, firstSequence: 1, lastSequence: 1, offsetUs: 500_000 }],
    }),
  );
  const told: string[] = [];
  const output = { line: (text: string) => void told.push(text) };
  const queries = {
    ...archiveQueries(corrected, () => PRESENCE),
    [Symbol.asyncDispose]: async () => undefined,
  };
  const run = (...more: string[]) => {
    const context = { output, exit: () => undefined } as never;
    const command = archiveCommand(
      context,
      async () => queries as never,
      () => T0 + 40_000_000,
    );
    const args = ['query', '--tag', 'P1.a', '--from', '-1h', '--json', ...more];
    return command.parseAsync(args, { from: 'user' });
  };
  const times = () =>
    told.splice(0).flatMap((line) => {
      const { kind, time } = JSON.parse(line) as { readonly kind: string; readonly time: string };
      return kind === 'sample' ? time.slice(11, 23) : [];
    });
  await run();
  const [right] = times();
  await run('--raw');
  const [raw] = times();
  expect([right, raw]).toEqual(['12:00:00.500', '12:00:00.000']);
});
