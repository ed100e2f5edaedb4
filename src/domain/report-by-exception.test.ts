import { describe, expect, it } from 'vitest';
import { Quality } from './quality.ts';
import { ReportByException, type ReportedTag } from './report-by-exception.ts';
import { type Entry, isTimeGap, type Reading, type SampleValue } from './sample.ts';

const SECOND_US = 1_000_000;

const tags: ReportedTag[] = [
  { name: 'P1.flow', station: 'P1', class: 'measurement', deadband: 0, reportAtLeastEveryMs: 60_000 },
  { name: 'P1.level', station: 'P1', class: 'measurement', deadband: 2, reportAtLeastEveryMs: 60_000 },
  { name: 'P1.trip', station: 'P1', class: 'alarm', deadband: 2, reportAtLeastEveryMs: 60_000 },
  { name: 'P2.flow', station: 'P2', class: 'measurement', deadband: 0, reportAtLeastEveryMs: 60_000 },
];

const at = (seconds: number) => ({ wallUs: seconds * SECOND_US, monotonicMs: seconds * 1000 });

function reading(
  tagIndex: number,
  value: SampleValue,
  seconds: number,
  quality: number = Quality.good,
): Reading {
  return { tagIndex, value, sourceTimeUs: seconds * SECOND_US, quality };
}

function deviceTimed(...[tagIndex, value, seconds]: [number, SampleValue, number]): Reading {
  return { ...reading(tagIndex, value, seconds), isDeviceTime: true };
}

function brief(entries: readonly Entry[]): unknown[] {
  return entries.map((entry) =>
    isTimeGap(entry)
      ? `gap ${entry.reason} ${entry.station} [${entry.tags}] ` +
        `${entry.fromUs / SECOND_US}-${entry.toUs / SECOND_US}`
      : `${entry.tagIndex}=${entry.value} ${entry.cause} @${entry.sourceTimeUs / SECOND_US}`,
  );
}

function pollP1(report: ReportByException, seconds: number, values: readonly SampleValue[]): unknown[] {
  const readings = values.map((value, index) => reading(index, value, seconds));
  return brief(report.report({ station: 'P1', readings }, at(seconds)));
}

describe('report by exception', () => {
  it('reports the first value of every tag as a snapshot and then changes only', () => {
    const report = new ReportByException(tags, null);
    expect(pollP1(report, 1, [1, 10, 0])).toEqual(['0=1 snapshot @1', '1=10 snapshot @1', '2=0 snapshot @1']);
    expect(pollP1(report, 2, [1, 10, 0])).toEqual([]);
    expect(pollP1(report, 3, [2, 10, 0])).toEqual(['0=2 change @3']);
  });

  it('keeps changes within the deadband of the last reported value back; alarms ignore it', () => {
    const report = new ReportByException(tags, null);
    pollP1(report, 1, [1, 10, 0]);
    expect(pollP1(report, 2, [1, 11.5, 0])).toEqual([]);
    expect(pollP1(report, 3, [1, 12, 1])).toEqual(['2=1 change @3']);
    expect(pollP1(report, 4, [1, 12.5, 1])).toEqual(['1=12.5 change @4']);
    expect(pollP1(report, 5, [1, Number.NaN, 1])).toEqual(['1=NaN change @5']);
    expect(pollP1(report, 6, [1, 12.5, 1])).toEqual(['1=12.5 change @6']);
  });

  it('compares int64 exactly', () => {
    const report = new ReportByException(tags, null);
    pollP1(report, 1, [2n ** 53n, 0, 0]);
    expect(pollP1(report, 2, [2n ** 53n + 1n, 0, 0])).toEqual([`0=${2n ** 53n + 1n} change @2`]);
  });

  it('repeats an unchanged value at its period, by the monotonic clock', () => {
    const report = new ReportByException(tags, null);
    pollP1(report, 1, [1, 10, 0]);
    expect(pollP1(report, 60, [1, 10, 0])).toEqual([]);
    expect(pollP1(report, 61, [1, 10, 0])).toHaveLength(3);
    const stepped = { wallUs: 3600 * SECOND_US, monotonicMs: 62_000 };
    expect(report.report({ station: 'P1', readings: [reading(0, 1, 3600)] }, stepped)).toEqual([]);
  });

  it('declares the time until a failure and until the return, then takes a snapshot', () => {
    const report = new ReportByException(tags, null);
    pollP1(report, 1, [1, 10, 0]);
    pollP1(report, 2, [1, 10, 0]);
    const bad = [0, 1, 2].map((index) => reading(index, null, 5, Quality.badTimeout));
    expect(brief(report.report({ station: 'P1', readings: bad }, at(5)))).toEqual([
      'gap station-down P1 [] 2-5',
      '0=null change @5',
      '1=null change @5',
      '2=null change @5',
    ]);
    expect(report.report({ station: 'P1', readings: bad }, at(6))).toEqual([]);
    expect(pollP1(report, 9, [1, 10, 0])).toEqual([
      'gap station-down P1 [] 5-9',
      '0=1 snapshot @9',
      '1=10 snapshot @9',
      '2=0 snapshot @9',
    ]);
  });

  it('names the tags of a gap that is not the whole station', () => {
    const report = new ReportByException(tags, null);
    pollP1(report, 1, [1, 10, 0]);
    const bad = [reading(1, null, 3, Quality.badTimeout)];
    expect(brief(report.report({ station: 'P1', readings: bad }, at(3)))[0]).toBe(
      'gap station-down P1 [P1.level] 1-3',
    );
  });

  it('takes a point that is seen to be bad as observed: no gap', () => {
    const report = new ReportByException(tags, null);
    pollP1(report, 1, [1, 10, 0]);
    const broken = [reading(0, null, 2, Quality.badSensorFailure)];
    expect(brief(report.report({ station: 'P1', readings: broken }, at(2)))).toEqual(['0=null change @2']);
    expect(pollP1(report, 3, [1, 10, 0])).toEqual(['0=1 change @3']);
  });

  it('declares the time since a last run that it learns of late, up to the first word about each tag', () => {
    const report = new ReportByException(tags, null);
    pollP1(report, 130, [1, 10, 0]);
    pollP1(report, 131, [2, 10, 0]);
    expect(brief(report.lastRunEnded(100 * SECOND_US, at(140)))).toEqual([
      'gap agent-stopped P1 [] 100-130',
      'gap agent-stopped P2 [] 100-140',
    ]);
    expect(report.stoppedSinceUs).toBe(140 * SECOND_US);
  });

  it('tells what was not observed since the last run, and declares it when asked, once', () => {
    const report = new ReportByException(tags, 100 * SECOND_US);
    expect(new ReportByException(tags, null).stoppedSinceUs).toBe(null);
    expect(report.stoppedSinceUs).toBe(100 * SECOND_US);
    pollP1(report, 130, [1, 10, 0]);
    expect(report.stoppedSinceUs).toBe(100 * SECOND_US);
    expect(brief(report.declareStopped(at(160)))).toEqual(['gap agent-stopped P2 [] 100-160']);
    expect(report.stoppedSinceUs).toBe(160 * SECOND_US);
    const readings = [reading(3, 7, 170)];
    expect(brief(report.report({ station: 'P2', readings }, at(170)))).toEqual([
      'gap agent-stopped P2 [] 160-170',
      '3=7 snapshot @170',
    ]);
    expect(report.stoppedSinceUs).toBe(null);
    expect(report.declareStopped(at(180))).toEqual([]);
  });

  it('declares the time since the last run, for every station when it is first seen', () => {
    const report = new ReportByException(tags, 100 * SECOND_US);
    expect(pollP1(report, 130, [1, 10, 0])[0]).toBe('gap agent-stopped P1 [] 100-130');
    expect(brief(report.stationLost('P2', Quality.badNotConnected, at(131)))).toEqual(
      ['gap agent-stopped P2 [] 100-131', '3=null change @131'].map((text) =>
        text.replace('change', 'snapshot'),
      ),
    );
    expect(report.stationLost('P2', Quality.badNotConnected, at(132))).toEqual([]);
    expect(brief(report.report({ station: 'P2', readings: [reading(3, 7, 140)] }, at(140)))).toEqual([
      'gap station-down P2 [] 131-140',
      '3=7 snapshot @140',
    ]);
  });

  it('declares what a driver could not see and takes a snapshot after it', () => {
    const report = new ReportByException(tags, null);
    pollP1(report, 1, [1, 10, 0]);
    const unseen = [
      { tagIndexes: [0], fromUs: 2 * SECOND_US, toUs: 3 * SECOND_US, reason: 'overload' as const },
    ];
    const news = { station: 'P1', readings: [reading(0, 1, 3)], unseen };
    expect(brief(report.report(news, at(3)))).toEqual(['gap overload P1 [P1.flow] 2-3', '0=1 snapshot @3']);
    expect(pollP1(report, 4, [1, 10, 0])).toEqual(['1=10 snapshot @4', '2=0 snapshot @4']);
  });

  it('stores a repeated value at the time of the read, with the time of the device beside it', () => {
    const report = new ReportByException(tags, null);
    report.report({ station: 'P1', readings: [deviceTimed(0, 1, 1)] }, at(2));
    report.stationConnected('P1');
    const [sample] = report.report({ station: 'P1', readings: [deviceTimed(0, 1, 1)] }, at(9));
    expect(sample).toMatchObject({ cause: 'snapshot', sourceTimeUs: 9 * SECOND_US, deviceTimeUs: SECOND_US });
  });

  it('stores a change that a repeat has overtaken behind it, so that the old value is not last', () => {
    const report = new ReportByException(tags, null);
    report.report({ station: 'P2', readings: [deviceTimed(3, 1, 10)] }, at(10));
    report.stationConnected('P2');
    report.report({ station: 'P2', readings: [deviceTimed(3, 1, 10)] }, at(20));
    const news = { station: 'P2', readings: [deviceTimed(3, 2, 19)] };
    const [change] = report.report(news, at(21));
    expect(change).toMatchObject({ value: 2, cause: 'change', sourceTimeUs: 21 * SECOND_US });
    expect(change).toMatchObject({ deviceTimeUs: 19 * SECOND_US });
  });

  it('tells a time of the device from its own, which a repeat never takes for one of the device', () => {
    const report = new ReportByException(tags, null);
    const told = (each: Reading) => report.report({ station: 'P1', readings: [each] }, at(9))[0];
    expect(told(deviceTimed(0, 1, 5))).toMatchObject({ sourceTimeUs: 5e6, deviceTimeUs: 5e6 });
    expect(told(reading(0, 2, 8))).not.toHaveProperty('deviceTimeUs');
    report.stationConnected('P1');
    // The clock was set back: the repeat is stamped before what it repeats, and keeps its stamp.
    const repeat = told(reading(0, 2, 3));
    expect(repeat).toMatchObject({ cause: 'snapshot', sourceTimeUs: 3e6 });
    expect(repeat).not.toHaveProperty('deviceTimeUs');
  });

  it('takes what it remembers along when the clock is set, but not what another clock told', () => {
    const report = new ReportByException(tags, 2 * SECOND_US);
    const hour = 3600 * SECOND_US;
    report.report({ station: 'P1', readings: [reading(0, 1, 10), reading(1, 1, 10)] }, at(10));
    report.report({ station: 'P1', readings: [reading(0, null, 12, Quality.badTimeout)] }, at(12));
    report.clockChanged(-hour);
    const back = { wallUs: 20 * SECOND_US - hour, monotonicMs: 20_000 };
    const gaps = report.report({ station: 'P1', readings: [reading(0, 1, 20)] }, back).filter(isTimeGap);
    expect(gaps).toMatchObject([{ reason: 'station-down', fromUs: 12e6 - hour, toUs: 20e6 - hour }]);
    const [stopped] = report.declareStopped({ ...back, wallUs: 30 * SECOND_US });
    expect(stopped).toEqual(expect.objectContaining({ reason: 'agent-stopped', fromUs: 2e6, toUs: 30e6 }));
    expect(stopped).not.toHaveProperty('isOneClock');
    report.clockChanged(hour);
    const [later] = report.declareStopped({ ...back, wallUs: 40 * SECOND_US + hour });
    expect(later).toMatchObject({ fromUs: 30e6 + hour, toUs: 40e6 + hour, isOneClock: true });
  });

  it('repeats what a keep-alive confirms: snapshots that are due, and periods', () => {
    const report = new ReportByException(tags, null);
    report.report({ station: 'P2', readings: [reading(3, 7, 1)] }, at(1));
    const alive = (seconds: number) => ({
      station: 'P2',
      readings: [],
      unchangedUntilUs: seconds * SECOND_US,
    });
    expect(report.report(alive(10), at(10))).toEqual([]);
    expect(brief(report.report(alive(61), at(61)))).toEqual(['3=7 periodic @61']);
    report.stationConnected('P2');
    expect(brief(report.report(alive(62), at(62)))).toEqual(['3=7 snapshot @62']);
  });

  it('does not carry a text without bound', () => {
    const report = new ReportByException(tags, null);
    const long = (length: number) => reading(0, 'x'.repeat(length), 1);
    const [kept] = report.report({ station: 'P1', readings: [long(262_144)] }, at(1));
    expect(kept).toMatchObject({ quality: Quality.good });
    const [cut] = report.report({ station: 'P1', readings: [long(262_145)] }, at(2));
    expect(cut).toMatchObject({ value: null, quality: Quality.badEncodingLimitsExceeded });
  });

  it('does not believe a device time outside of 1970 to 2099', () => {
    const report = new ReportByException(tags, null);
    const wild = { tagIndex: 0, value: 1, quality: Quality.good, sourceTimeUs: -11_644_473_600_000_000 };
    expect(brief(report.report({ station: 'P1', readings: [wild] }, at(5)))).toEqual(['0=1 snapshot @5']);
  });

  it('counts a station that is switched off as not observed for that reason', () => {
    const report = new ReportByException(tags, 50 * SECOND_US);
    expect(brief(report.stationOff('P2', at(60)))).toEqual([
      'gap agent-stopped P2 [] 50-60',
      '3=null snapshot @60',
    ]);
    expect(brief(report.report({ station: 'P2', readings: [reading(3, 1, 90)] }, at(90)))[0]).toBe(
      'gap station-off P2 [] 60-90',
    );
  });
});
