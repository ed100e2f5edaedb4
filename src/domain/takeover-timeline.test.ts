/** What report by exception of two instances says, united by the timeline. */
import { describe, expect, test } from 'vitest';
import { ReportByException } from './report-by-exception.ts';
import { isTimeGap, type Sample } from './sample.ts';
import { type TimelineGap, type TimelineStream, timeline } from './timeline.ts';

const TAGS = ['P1.flow'].map((name) => ({
  ...({ name, station: 'P1', class: 'measurement', deadband: 0, reportAtLeastEveryMs: 600_000 } as const),
}));

interface Run {
  readonly streamId: string;
  readonly instance: number;
  readonly startedAtUs: number;
  readonly report: ReportByException;
  untilUs: number;
  endedAtUs: number | null;
}

/** Two instances on one clock, in whole µs, and what a Kernel gets of them. */
class Pair {
  readonly #runs: Run[] = [];
  readonly #gaps: TimelineGap[] = [];
  readonly #samples: Sample[] = [];

  start(instance: number, atUs: number, lastRunUs: number | null = null): Run {
    const report = new ReportByException(TAGS, lastRunUs);
    const streamId = `stream ${this.#runs.length}`;
    const run = { streamId, instance, startedAtUs: atUs, report, untilUs: atUs, endedAtUs: null };
    this.#runs.push(run);
    return run;
  }

  standBy(run: Run, atUs: number): void {
    this.#take(run, run.report.standBy(at(atUs)), atUs);
  }

  activate(run: Run, atUs: number): void {
    this.#take(run, run.report.activate(), atUs);
  }

  poll(run: Run, atUs: number): void {
    const readings = [{ tagIndex: 0, sourceTimeUs: atUs, value: 1, quality: 0 }];
    this.#take(run, run.report.report({ station: 'P1', readings }, at(atUs)), atUs);
  }

  /** A heartbeat. */
  beat(run: Run, atUs: number): void {
    this.#take(run, [], atUs);
  }

  /** The end of a run that stood by: where its alive mark stood. */
  die(run: Run): number {
    run.endedAtUs = run.report.stoppedSinceUs ?? run.untilUs;
    return run.endedAtUs;
  }

  told(toUs: number): string[] {
    const streams = this.#runs.map(
      ({ streamId, instance, startedAtUs, untilUs, endedAtUs }): TimelineStream => ({
        ...{ streamId, instance, startedAtUs, endedAtUs, coverage: [], knowsTag: true },
        observedUntilUs: Math.max(untilUs, endedAtUs ?? 0),
      }),
    );
    const qualities = this.#samples.toSorted((a, b) => a.sourceTimeUs - b.sourceTimeUs);
    const presence = { producedTo: {}, heldFromUs: {}, nowUs: toUs };
    const input = { fromUs: 0, toUs, qualities, gaps: this.#gaps, streams, presence };
    return timeline(input).map(
      ({ fromUs, toUs: endUs, state, reason }) => `${reason ?? state} ${fromUs}-${endUs}`,
    );
  }

  #take(run: Run, entries: ReturnType<ReportByException['report']>, atUs: number): void {
    for (const entry of entries) {
      if (isTimeGap(entry)) this.#gaps.push({ kind: 'time', streamId: run.streamId, ...entry });
      else this.#samples.push(entry);
    }
    run.untilUs = Math.max(run.untilUs, run.report.observedUntilUs ?? atUs);
  }
}

function at(us: number) {
  return { wallUs: us, monotonicMs: us / 1000 };
}

describe('the timeline of two instances', () => {
  test('has the hole of each takeover, and no other', () => {
    const pair = new Pair();
    const one = pair.start(1, 0);
    const two = pair.start(2, 0);
    pair.standBy(two, 1);
    for (let us = 10; us <= 100; us += 10) pair.poll(one, us);
    pair.beat(two, 100);
    pair.standBy(one, 105);
    pair.activate(two, 120);
    pair.beat(two, 125);
    for (let us = 130; us <= 200; us += 10) pair.poll(two, us);
    pair.beat(one, 200);
    pair.standBy(two, 205);
    pair.activate(one, 210);
    pair.poll(one, 215);
    pair.poll(one, 300);
    expect(pair.told(300)).toEqual([
      ...['unknown 0-10', 'data 10-100', 'takeover 100-130', 'data 130-200', 'takeover 200-215'],
      'data 215-300',
    ]);
  });

  test('shows the hole while the new one was not heard of a station yet', () => {
    const pair = new Pair();
    const one = pair.start(1, 0);
    const two = pair.start(2, 0);
    pair.standBy(two, 1);
    for (let us = 10; us <= 100; us += 10) pair.poll(one, us);
    pair.activate(two, 120);
    pair.beat(two, 170);
    expect(pair.told(200)).toEqual(['unknown 0-10', 'data 10-100', 'unknown 100-200']);
  });

  test('knows what a run did not see that died while it stood by', () => {
    const pair = new Pair();
    const one = pair.start(1, 0);
    const two = pair.start(2, 0);
    pair.standBy(two, 1);
    for (let us = 10; us <= 100; us += 10) pair.poll(one, us);
    pair.standBy(one, 100);
    pair.activate(two, 100);
    for (let us = 110; us <= 200; us += 10) pair.poll(two, us);
    pair.beat(one, 180);
    const again = pair.start(1, 190, pair.die(one));
    pair.standBy(again, 190);
    for (let us = 210; us <= 300; us += 10) pair.poll(two, us);
    pair.beat(again, 300);
    pair.activate(again, 320);
    pair.poll(again, 330);
    pair.poll(again, 400);
    expect(pair.told(400)).toEqual([
      ...['unknown 0-10', 'data 10-100', 'takeover 100-110', 'data 110-300', 'agent-stopped 300-330'],
      'data 330-400',
    ]);
  });
});
