import { describe, expect, it } from 'vitest';
import { Mark } from './marks.ts';
import { overlapMarks } from './overlap.ts';
import { Quality } from './quality.ts';
import { ReportByException, type ReportedTag, type StationNews } from './report-by-exception.ts';
import { type Entry, isTimeGap, type Reading, type SampleValue, STARTED_BY_ANOTHER_CLOCK } from './sample.ts';

const SECOND_US = 1_000_000;

const tags: ReportedTag[] = ['P1.flow', 'P1.trip', 'P2.flow'].map((name) => ({
  ...{ name, station: name.slice(0, 2), class: 'measurement', deadband: 0, reportAtLeastEveryMs: 600_000 },
}));

const at = (seconds: number) => ({ wallUs: seconds * SECOND_US, monotonicMs: seconds * 1000 });

function polled(tagIndex: number, value: SampleValue, seconds: number, quality = 0): Reading {
  return { tagIndex, value, sourceTimeUs: seconds * SECOND_US, quality };
}

function dated(tagIndex: number, value: SampleValue, seconds: number): Reading {
  return { ...polled(tagIndex, value, seconds), isDeviceTime: true };
}

function brief(entries: readonly Entry[]): string[] {
  return entries.map((entry) =>
    isTimeGap(entry)
      ? `gap ${entry.reason} ${entry.station} [${entry.tags}] ` +
        `${entry.fromUs / SECOND_US}-${entry.toUs / SECOND_US}` +
        (STARTED_BY_ANOTHER_CLOCK.has(entry.reason) && !entry.isOneClock ? ' of two clocks' : '')
      : `${entry.tagIndex}=${entry.value} ${entry.cause} @${entry.sourceTimeUs / SECOND_US}` +
        (entry.quality === 0 ? '' : ` ${entry.quality.toString(16)}`),
  );
}

function told(report: ReportByException, seconds: number, news: Omit<StationNews, 'station'>): string[] {
  return brief(report.report({ station: 'P1', ...news }, at(seconds)));
}

/** Both stations observed until 10 s, then standing by. */
function standingBy(): ReportByException {
  const report = new ReportByException(tags, null);
  told(report, 9, { readings: [polled(0, 1, 9), polled(1, false, 9)] });
  report.report({ station: 'P2', readings: [polled(2, 7, 10)] }, at(10));
  expect(report.standBy(at(10.5))).toEqual([]);
  return report;
}

describe('report by exception while another instance is active', () => {
  it('declares the time since its last observation at the first one after it, and takes a snapshot', () => {
    const report = standingBy();
    expect(report.activate()).toEqual([]);
    expect(told(report, 60, { readings: [polled(0, 1, 60), polled(1, true, 60)] })).toEqual([
      'gap takeover P1 [] 9-60',
      '0=1 snapshot @60',
      '1=true snapshot @60',
    ]);
    expect(brief(report.report({ station: 'P2', readings: [polled(2, 7, 61)] }, at(61)))).toEqual([
      'gap takeover P2 [] 10-61',
      '2=7 snapshot @61',
    ]);
    expect(told(report, 62, { readings: [polled(0, 1, 62)] })).toEqual([]);
  });

  it('tells until when it observed, and since when it did not, until that is declared', () => {
    const report = standingBy();
    const both = (): unknown[] => [report.observedUntilUs, report.stoppedSinceUs];
    expect(both()).toEqual([9 * SECOND_US, 9 * SECOND_US]);
    report.clockChanged(SECOND_US);
    expect(both(), 'the time was set').toEqual([10 * SECOND_US, 10 * SECOND_US]);
    report.activate();
    told(report, 60, { readings: [polled(0, 1, 60), polled(1, true, 60)] });
    expect(both(), 'the other station was not heard of').toEqual([11 * SECOND_US, 11 * SECOND_US]);
    expect(brief(report.declareStopped(at(100)))).toEqual(['gap takeover P2 [] 11-100']);
    expect(both()).toEqual([100 * SECOND_US, 100 * SECOND_US]);
    report.report({ station: 'P2', readings: [polled(2, 7, 101)] }, at(101));
    expect(both()).toEqual([null, null]);
  });

  it('rests with declaring while it stands by, and takes no reading', () => {
    const report = standingBy();
    expect(report.declareStopped(at(100))).toEqual([]);
    expect(report.standBy(at(100)), 'it does already').toEqual([]);
    expect(report.observedUntilUs).toBe(9 * SECOND_US);
    expect(() => told(report, 100, { readings: [polled(0, 1, 100)] })).toThrow('stands by');
  });

  it('ends the loss of a station where it stands down, and tells the loss anew when it is active', () => {
    const report = standingBy();
    report.activate();
    told(report, 60, { readings: [polled(0, 1, 60), polled(1, true, 60)] });
    report.stationLost('P1', Quality.badNotConnected, at(70));
    expect(brief(report.standBy(at(80)))).toEqual(['gap station-down P1 [] 70-80']);
    report.activate();
    expect(brief(report.stationLost('P1', Quality.badNotConnected, at(90)))).toEqual([
      'gap takeover P1 [] 80-90',
      '0=null snapshot @90 808a0000',
      '1=null snapshot @90 808a0000',
    ]);
    expect(report.stationLost('P1', Quality.badNotConnected, at(91))).toEqual([]);
    expect(told(report, 95, { readings: [polled(0, 1, 95), polled(1, true, 95)] })).toEqual([
      'gap station-down P1 [] 90-95',
      '0=1 snapshot @95',
      '1=true snapshot @95',
    ]);
  });

  it('keeps a station that is switched off what it is', () => {
    const report = standingBy();
    report.activate();
    report.stationOff('P1', at(20));
    report.standBy(at(30));
    report.activate();
    expect(brief(report.stationOff('P1', at(40)))).toEqual([
      '0=null snapshot @40 808d0000',
      '1=null snapshot @40 808d0000',
    ]);
    expect(told(report, 50, { readings: [polled(0, 1, 50), polled(1, true, 50)] })[0]).toBe(
      'gap station-off P1 [] 20-50',
    );
  });

  it('counts from the end of the run before where it stood by from its start', () => {
    const report = new ReportByException(tags, 5 * SECOND_US);
    report.standBy(at(20));
    expect(report.observedUntilUs).toBe(5 * SECOND_US);
    report.activate();
    expect(report.observedUntilUs, 'nothing is declared yet').toBe(5 * SECOND_US);
    expect(told(report, 60, { readings: [polled(0, 1, 60), polled(1, true, 60)] })[0]).toBe(
      'gap agent-stopped P1 [] 5-60 of two clocks',
    );
  });

  it('counts from the start of the stream where there was no run before', () => {
    const report = new ReportByException(tags, null);
    report.standBy(at(20));
    report.activate();
    expect(told(report, 60, { readings: [polled(0, 1, 60), polled(1, true, 60)] })[0]).toBe(
      'gap takeover P1 [] 20-60',
    );
  });

  it('declares what it learns of the run before while standing by when it is active', () => {
    const report = new ReportByException(tags, null);
    told(report, 30, { readings: [polled(0, 1, 30), polled(1, false, 30)] });
    report.standBy(at(40));
    expect(report.lastRunEnded(3 * SECOND_US, at(50))).toEqual([]);
    expect(report.stoppedSinceUs).toBe(3 * SECOND_US);
    expect(brief(report.activate())).toEqual(['gap agent-stopped P1 [] 3-30 of two clocks']);
    expect(brief(report.report({ station: 'P2', readings: [polled(2, 7, 60)] }, at(60)))[0]).toBe(
      'gap agent-stopped P2 [] 3-60 of two clocks',
    );
    expect(report.activate(), 'once').toEqual([]);
  });
});

describe('report by exception of a queue that was filled while standing by', () => {
  const flush = { observedSinceUs: 50 * SECOND_US, unchangedUntilUs: 60 * SECOND_US };

  it('ends the gap where the queue begins, with the values at their times', () => {
    const report = standingBy();
    report.activate();
    const readings = [dated(0, 2, 53), dated(0, 3, 55), dated(1, true, 57)];
    expect(told(report, 60, { ...flush, readings })).toEqual([
      'gap takeover P1 [] 9-50',
      '0=2 snapshot @53',
      '0=3 change @55',
      '1=true snapshot @57',
      '0=3 snapshot @60',
      '1=true snapshot @60',
    ]);
    expect(told(report, 61, { readings: [], unchangedUntilUs: 61 * SECOND_US })).toEqual([]);
  });

  it('keeps the time of what was sampled before the takeover and comes after it: it is told once', () => {
    const report = standingBy();
    report.activate();
    const now = at(60.3);
    const first = { station: 'P1', readings: [dated(0, 3, 55), dated(1, true, 57)], ...flush };
    expect(brief(report.report(first, now)).slice(-2)).toEqual(['0=3 snapshot @60', '1=true snapshot @60']);
    expect(told(report, 60.5, { readings: [dated(0, 4, 60.2)] })).toEqual(['0=4 change @60.2']);
    // The former instance told it as well.
    const row = { sourceTimeUs: 60.2 * SECOND_US, value: 4, quality: 0 };
    const rows = [
      { ...row, instance: 1, term: 1 },
      { ...row, instance: 2, term: 2 },
    ];
    expect(overlapMarks(rows, undefined)).toEqual([Mark.duplicate, 0]);
  });

  it('repeats at the present what the device dates ahead of its confirmation', () => {
    const report = standingBy();
    report.activate();
    told(report, 60, { observedSinceUs: 50 * SECOND_US, readings: [dated(0, 3, 59.9), dated(1, true, 57)] });
    const ahead = { readings: [], unchangedUntilUs: 59.5 * SECOND_US, observedSinceUs: 50 * SECOND_US };
    expect(told(report, 60.1, ahead)).toEqual(['0=3 snapshot @60.1', '1=true snapshot @59.5']);
  });

  it('takes a tag of which nothing is in the queue for unchanged, once the queue is told to its end', () => {
    const report = standingBy();
    report.activate();
    const { observedSinceUs } = flush;
    expect(told(report, 60, { observedSinceUs, readings: [dated(0, 2, 53)] })).toEqual([
      'gap takeover P1 [P1.flow] 9-50',
      '0=2 snapshot @53',
    ]);
    expect(told(report, 60, { ...flush, readings: [] })).toEqual([
      'gap takeover P1 [P1.trip] 9-50',
      '0=2 snapshot @60',
      '1=false snapshot @60',
    ]);
  });

  it('stores a value that is older than the queue at the time where the queue begins', () => {
    const report = standingBy();
    report.activate();
    expect(told(report, 60, { ...flush, readings: [dated(0, 1, 4), dated(0, 2, 55)] })).toEqual([
      'gap takeover P1 [] 9-50',
      '0=1 snapshot @50',
      '0=2 change @55',
      '0=2 snapshot @60',
      '1=false snapshot @60',
    ]);
  });

  it('leaves no gap where it began before this instance stood by', () => {
    const report = standingBy();
    report.activate();
    const readings = [dated(0, 2, 12), dated(0, 3, 55)];
    expect(told(report, 60, { ...flush, observedSinceUs: 8 * SECOND_US, readings })).toEqual([
      '0=2 snapshot @12',
      '0=3 change @55',
      '0=3 snapshot @60',
      '1=false snapshot @60',
    ]);
  });

  it('tells the hole before the oldest value of a queue that overflowed', () => {
    const report = standingBy();
    report.activate();
    const unseen = [
      { tagIndexes: [0], fromUs: 50 * SECOND_US, toUs: 57 * SECOND_US, reason: 'takeover' as const },
    ];
    const readings = [dated(0, 2, 57), dated(0, 3, 58)];
    expect(told(report, 60, { ...flush, unseen, readings }).slice(0, 2)).toEqual([
      'gap takeover P1 [P1.flow] 50-57',
      'gap takeover P1 [] 9-50',
    ]);
  });
});
