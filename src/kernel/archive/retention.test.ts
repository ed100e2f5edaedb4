import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Quality } from '../../domain/quality.ts';
import type { Entry, TimeGap } from '../../domain/sample.ts';
import {
  allOf,
  blockOf,
  DICTIONARY,
  gapOf,
  HASH,
  STREAM,
  sampleOf,
  streamOf,
  T0,
  transactionOf,
} from '../../world/archive.fixture.ts';
import type { Archive } from '../../world/archive.ts';
import { silentLog } from '../../world/log.ts';
import { SimulatedClock } from '../../world/simulated/clock.ts';
import { numbersOf, Refill } from '../group/refill.ts';
import { openDatabase } from './duckdb.ts';
import { openDuckdbArchive } from './duckdb-archive.ts';
import { openArchive } from './open.ts';
import { keptFromUs, keptMonthsMin } from './retention.ts';

const DAY_MS = 86_400_000;
const DAY_US = DAY_MS * 1000;
const HOUR_MS = 3_600_000;
/** Of `T0`, in November, the months from October on are kept. */
const RETENTION_MS = 30 * DAY_MS;
const september = (day: number): number => Date.UTC(2026, 8, day) * 1000 - T0;
const october = (day: number): number => Date.UTC(2026, 9, day) * 1000 - T0;
const ALL = allOf('P1.a');

test('months are kept from the one that the retention reaches into, by UTC', () => {
  const month = (text: string): number => Date.parse(`${text}-01T00:00:00Z`) * 1000;
  const months = ['2026-08', '2026-12', '2026-11'].map(month);
  const from = (nowUs: number, retentionMs: number, observedUntilUs = nowUs): number | null =>
    keptFromUs({ nowUs, retentionMs, streams: [{ observedUntilUs }, { observedUntilUs: 0 }], months })
      ?.fromUs ?? null;
  expect(from(T0, RETENTION_MS)).toBe(month('2026-10'));
  expect(from(month('2026-11'), 31 * DAY_MS)).toBe(month('2026-10'));
  expect(from(month('2026-11') - 1, 31 * DAY_MS)).toBe(month('2026-09'));
  expect(from(T0 * 2, RETENTION_MS, T0), 'observed').toBe(month('2026-10'));
  expect(from(T0 * 2, RETENTION_MS), 'the newest two').toBe(month('2026-11'));
  const few = { nowUs: T0 * 2, retentionMs: RETENTION_MS };
  expect(keptFromUs({ ...few, streams: [], months }), 'no stream').toBeNull();
  const streams = [{ observedUntilUs: T0 * 2 }];
  expect(keptFromUs({ ...few, streams, months: months.slice(1, 2) }), 'one month').toBeNull();
});

test('as many months stay as the retention has, and two', () => {
  expect([1, 65, 366].map((days) => keptMonthsMin(days * DAY_MS))).toEqual([2, 2, 11]);
});

describe('retention of the embedded archive', () => {
  test('months that are wholly older are gone at its start, with their gaps', async () => {
    await using place = await Place.made();
    const before = await place.archive.coverage(STREAM);
    const archive = await place.reopen({ retentionMs: RETENTION_MS });
    expect(await valuesOf(archive)).toEqual([4, 5, 6]);
    expect((await archive.gaps(ALL)).map(({ fromUs, reason }) => [fromUs - T0, reason])).toEqual([
      [september(30), 'station-down'],
      [october(2), 'overload'],
      [october(3), 'evicted'],
    ]);
    expect(await archive.stat()).toMatchObject({ samples: 3, gaps: 3, oldestUs: T0 + october(1) });
    expect(await archive.coverage(STREAM)).toEqual(before);
    const exported = join(place.directory, 'rows.csv');
    const whole = { site: 'S', tags: [], fromUs: 0, toUs: T0 * 2, format: 'csv', path: exported } as const;
    expect(await archive.exportSamples(whole)).toBe(3);
    // And so it is after a start without retention.
    expect(await valuesOf(await place.reopen())).toEqual([4, 5, 6]);
  });

  test('the quality in force went with its month: the time up to the next sample is unknown', async () => {
    await using place = await Place.made();
    const asked = allOf('P1.a', { fromUs: T0 + september(30) });
    const firstChange = async (archive: Archive) => (await archive.qualityChanges(asked))[0];
    const bad = { sourceTimeUs: T0 + september(29), quality: Quality.badNoCommunication };
    expect(await firstChange(place.archive)).toEqual(bad);
    const archive = await place.reopen({ retentionMs: RETENTION_MS });
    expect(await firstChange(archive)).toEqual({ sourceTimeUs: T0 + october(1), quality: Quality.good });
  });

  test('another Kernel is filled with what is left, and numbers without a row are known', async () => {
    await using place = await Place.made();
    const archive = await place.reopen({ retentionMs: RETENTION_MS });
    const { runs } = await archive.entries({ streamId: STREAM, first: 1, last: 49, limit: 1000 });
    const numbers = runs.flatMap(({ firstSequence, entries }) => entries.map((_, at) => firstSequence + at));
    expect(numbers).toEqual([4, 5, 6, 8, 9]);
    const refill = new Refill(archive);
    const made = await refill.blocks(STREAM, { first: 1, last: 9 }, 1e6);
    expect(made.map(({ block }) => numbersOf(block))).toEqual([
      { first: 4, last: 6 },
      { first: 8, last: 9 },
    ]);
    expect(refill.rowless(STREAM)).toEqual([
      { first: 1, last: 3 },
      { first: 7, last: 7 },
    ]);
  });

  test('what comes again of such a month is not taken in; what comes late is kept from then on', async () => {
    await using place = await Place.made();
    const archive = await place.reopen({ retentionMs: RETENTION_MS });
    await archive.commit(transactionOf({ blocks: [blockOf(1, OLD_SAMPLES)] }));
    expect(await valuesOf(archive)).toEqual([4, 5, 6]);
    await archive.commit(transactionOf({ blocks: [blockOf(10, [sampleOf(september(7), 77)])] }));
    const lookedAfter = async (days: number) => {
      place.clock.stepWallMs(days * DAY_MS);
      const observed = [{ streamId: STREAM, untilUs: place.clock.wallUs() }];
      await archive.commit(transactionOf({ observed }));
      await place.clock.advance(HOUR_MS);
      // Its turn is before this one.
      await archive.commit(transactionOf({}));
      return await valuesOf(archive);
    };
    expect(await lookedAfter(0)).toEqual([77, 4, 5, 6]);
    // November stays with October, as the newest two; of September nothing came since.
    expect(await lookedAfter(50)).toEqual([4, 5, 6]);
    expect(await archive.coverage(STREAM)).toContainEqual({ first: 1, last: 10, state: 'data' });
  });

  test('hourly, as months grow older; the newest two stay, whatever the clocks say', async () => {
    await using place = await Place.made();
    const archive = await place.reopen({ retentionMs: 65 * DAY_MS });
    expect(await valuesOf(archive)).toHaveLength(6);
    const observe = (days: number) => {
      place.clock.stepWallMs(days * DAY_MS);
      return archive.commit(transactionOf({ observed: [{ streamId: STREAM, untilUs: T0 + days * DAY_US }] }));
    };
    await observe(14);
    await place.clock.advance(HOUR_MS);
    await expect.poll(() => valuesOf(archive), { timeout: 20_000 }).toEqual([4, 5, 6]);
    await observe(3650);
    await place.clock.advance(HOUR_MS);
    await archive.commit(transactionOf({}));
    expect(await valuesOf(archive)).toEqual([4, 5, 6]);
    await archive.commit(transactionOf({ blocks: [blockOf(11, [sampleOf(3650 * DAY_US, 11)])] }));
    await place.clock.advance(HOUR_MS);
    await expect.poll(() => valuesOf(archive), { timeout: 20_000 }).toEqual([6, 11]);
  });

  test('a clock of the Kernel that runs ahead costs nothing, nor do agents that are away', async () => {
    await using place = await Place.made();
    place.clock.stepWallMs(3650 * DAY_MS);
    const archive = await place.reopen({ retentionMs: 65 * DAY_MS });
    await place.clock.advance(2 * HOUR_MS);
    await archive.commit(transactionOf({}));
    expect(await valuesOf(archive)).toHaveLength(6);
  });

  test('questions go on while months are dropped, and see what is left', async () => {
    await using place = await Place.made();
    const archive = await place.reopen({ retentionMs: 65 * DAY_MS });
    place.clock.stepWallMs(14 * DAY_MS);
    await archive.commit(transactionOf({ observed: [{ streamId: STREAM, untilUs: T0 + 14 * DAY_US }] }));
    let isGone = false;
    const asking = async () => {
      while (!isGone) {
        expect([3, 6]).toContain((await archive.samples(ALL)).length);
        await archive.entries({ streamId: STREAM, first: 1, last: 49, limit: 1000 });
        isGone ||= (await archive.stat()).samples === 3;
      }
    };
    const asked = Array.from({ length: 8 }, asking);
    await place.clock.advance(HOUR_MS);
    await Promise.all(asked);
    expect(await valuesOf(archive)).toEqual([4, 5, 6]);
  });

  test('it is that of the Kernel file, unless the archive is opened only to ask', async () => {
    await using place = await Place.made();
    await place.archive.close();
    const { directory, memoryLimitBytes } = place.options;
    const config = { kind: 'embedded', directory, memoryLimitBytes, retentionMs: RETENTION_MS } as const;
    const { clock } = place;
    const opened = async (kept: number | null, more: { readonly readOnly?: true }) => {
      const archive = await openArchive({ ...config, retentionMs: kept }, { clock, log: silentLog, ...more });
      const values = await valuesOf(archive);
      await archive.close();
      return values.length;
    };
    expect(await opened(RETENTION_MS, { readOnly: true })).toBe(6);
    expect(await opened(null, {})).toBe(6);
    expect(await opened(RETENTION_MS, {})).toBe(3);
    expect(clock.pendingTimers).toEqual([]);
  });

  test('times of devices go with their rows', async () => {
    await using place = await Place.made();
    await place.reopen({ retentionMs: RETENTION_MS });
    await place.archive.close();
    const database = await openDatabase(place.options);
    expect(await database.read('SELECT sequence::INTEGER AS sequence FROM device_times')).toEqual([
      { sequence: 5 },
    ]);
    database.close();
  });
});

const OLD_SAMPLES: readonly Entry[] = [
  sampleOf(september(1), 1, { deviceTimeUs: T0 + september(1) - 5 }),
  sampleOf(september(15), 2),
  sampleOf(september(29), 3, { quality: Quality.badNoCommunication }),
];

const ENTRIES: readonly Entry[] = [
  ...OLD_SAMPLES,
  sampleOf(october(1), 4),
  sampleOf(october(20), 5, { deviceTimeUs: T0 + october(20) - 5 }),
  sampleOf(0, 6),
  gapFrom('agent-stopped', september(10), september(11)),
  gapFrom('station-down', september(30), october(1) + 1),
  gapFrom('overload', october(2), october(3)),
];

function gapFrom(reason: TimeGap['reason'], from: number, to: number): TimeGap {
  return { station: null, tags: [], fromUs: T0 + from, toUs: T0 + to, reason };
}

/** An archive of three months, of which it is `T0`. */
class Place implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'kom-retention-'));
  readonly clock = new SimulatedClock(T0);
  readonly options = { directory: this.directory, memoryLimitBytes: 128e6, log: silentLog };
  archive!: Archive;

  static async made(): Promise<Place> {
    const place = new Place();
    place.archive = await openDuckdbArchive(place.options);
    await place.archive.putDictionary(HASH, new Uint8Array(), DICTIONARY);
    const gapAt = (number: number, at: number) =>
      gapOf(number, number, { fromUs: T0 + at, toUs: T0 + at + 1000 });
    await place.archive.commit(
      transactionOf({
        ...{ streams: [streamOf()], blocks: [blockOf(1, ENTRIES)] },
        gaps: [gapAt(50, september(5)), gapAt(60, october(3))],
        observed: [{ streamId: STREAM, untilUs: T0 }],
        receivedAtUs: T0 + september(30),
      }),
    );
    return place;
  }

  async reopen(kept?: { readonly retentionMs: number }): Promise<Archive> {
    await this.archive.close();
    const retention = kept === undefined ? {} : { retention: { ...kept, clock: this.clock } };
    this.archive = await openDuckdbArchive({ ...this.options, ...retention });
    return this.archive;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.archive.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

async function valuesOf(archive: Archive): Promise<unknown[]> {
  return (await archive.samples(ALL)).map(({ value }) => value);
}
