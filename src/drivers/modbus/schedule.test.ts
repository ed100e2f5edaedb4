import { describe, expect, it } from 'vitest';
import type { ModbusLine } from '../../config/model.ts';
import { LineSchedule } from './schedule.ts';
import { modbusLine, modbusStation, modbusTag } from './testing.ts';

/** Runs a schedule over virtual time; every request takes `costMs(station)` and is answered if `alive`. */
function run(
  line: ModbusLine,
  {
    untilMs,
    costMs,
    alive,
  }: { untilMs: number; costMs: (s: string) => number; alive: (s: string, nowMs: number) => boolean },
) {
  const schedule = new LineSchedule(line, 0);
  const served: { station: string; dueMs: number; startMs: number; isProbe: boolean; missed: number }[] = [];
  let nowMs = 0;
  while (true) {
    const next = schedule.next();
    if (next === null) return { served, schedule };
    nowMs = Math.max(nowMs, next.dueMs);
    if (nowMs >= untilMs) return { served, schedule };
    const station = next.slot.station.name;
    const missed = schedule.start(next.slot, nowMs);
    served.push({ station, dueMs: next.dueMs, startMs: nowMs, isProbe: next.isProbe, missed });
    const isAlive = alive(station, nowMs);
    const tries = isAlive ? 1 : schedule.triesFor(next.slot);
    nowMs += costMs(station) * tries;
    if (isAlive) schedule.answered(next.slot, nowMs);
    else schedule.unanswered(next.slot, nowMs);
  }
}

function lineOf(count: number, fields: Partial<ModbusLine> = {}): ModbusLine {
  const stations = Array.from({ length: count }, (_, index) =>
    modbusStation({ name: `P${index}`, unit: index + 1, tags: [modbusTag({ scanMs: 100 })] }),
  );
  return modbusLine({ stations, ...fields });
}

const costMs = (): number => 3;

describe('schedule', () => {
  it('keeps a steady grid without drift, staggered', () => {
    const { served } = run(lineOf(4), { untilMs: 10_000, costMs, alive: () => true });
    for (const [index, phase] of [0, 25, 50, 75].entries()) {
      const starts = served.filter((each) => each.station === `P${index}`).map((each) => each.startMs);
      expect(starts).toEqual(Array.from({ length: 100 }, (_, step) => phase + 100 * step));
    }
  });

  it('skips missed grid points instead of queueing them, and starves nobody', () => {
    const { served } = run(lineOf(4), { untilMs: 10_000, costMs: () => 80, alive: () => true });
    const counts = [0, 1, 2, 3].map((index) => served.filter((each) => each.station === `P${index}`).length);
    for (const count of counts) expect(Math.abs(count - 10_000 / 320)).toBeLessThan(3);
    expect(served.some((each) => each.missed > 0)).toBe(true);
    for (const { dueMs, startMs } of served) expect(startMs - dueMs).toBeLessThanOrEqual(320);
  });

  it('only probes a dead unit, so that the others keep their pace', () => {
    const dead = (station: string) => station !== 'P1';
    const cost = (station: string) => (station === 'P1' ? 200 : 3);
    const { served } = run(lineOf(4), { untilMs: 30_000, costMs: cost, alive: dead });
    const late = served.filter((each) => each.startMs > 2000);
    const probes = late.filter((each) => each.station === 'P1');
    expect(probes.every((each) => each.isProbe)).toBe(true);
    expect(probes.length).toBeLessThanOrEqual(28);
    expect(probes.length).toBeGreaterThan(20);
    for (const name of ['P0', 'P2', 'P3']) {
      const count = late.filter((each) => each.station === name).length;
      expect(count).toBeGreaterThan(280 * 0.75);
    }
  });

  it('restores a unit at its first answer, all of its requests at once', () => {
    const tags = [modbusTag({ address: 0 }), modbusTag({ address: 500, scanMs: 5000 })];
    const line = modbusLine({ stations: [modbusStation({ tags })] });
    const { served } = run(line, { untilMs: 12_000, costMs: () => 20, alive: (_, nowMs) => nowMs > 7000 });
    const back = served.findIndex((each) => each.isProbe && each.startMs > 7000);
    expect(back).toBeGreaterThan(0);
    const after = served.slice(back + 1);
    expect(after.every((each) => !each.isProbe)).toBe(true);
    expect(after[0]?.startMs).toBeLessThan((served[back]?.startMs ?? 0) + 25);
    expect(after.filter((each) => each.missed === 0).length).toBeGreaterThan(40);
  });

  it('does not degrade a unit that leaves only some requests unanswered', () => {
    const tags = [modbusTag({ address: 0 }), modbusTag({ address: 500 })];
    const schedule = new LineSchedule(modbusLine({ stations: [modbusStation({ tags })] }), 0);
    let nowMs = 0;
    for (let round = 0; round < 50; round++) {
      const next = schedule.next();
      if (next === null) throw new Error('nothing due');
      nowMs = Math.max(nowMs, next.dueMs);
      schedule.start(next.slot, nowMs);
      if (next.slot.request.address === 0) schedule.answered(next.slot, nowMs);
      else expect(schedule.unanswered(next.slot, nowMs)).toBe(false);
      expect(next.isProbe).toBe(false);
    }
  });

  it('takes the channel for dead only when every unit stayed silent over several probes', () => {
    const all = run(lineOf(2), { untilMs: 10_000, costMs, alive: () => false });
    expect(all.schedule.isSilent()).toBe(true);
    const one = run(lineOf(2), { untilMs: 10_000, costMs, alive: (station) => station === 'P0' });
    expect(one.schedule.isSilent()).toBe(false);
  });

  it('leaves out stations that are off', () => {
    const off = modbusStation({ mode: 'off', tags: [modbusTag()] });
    expect(new LineSchedule(modbusLine({ stations: [off] }), 0).next()).toBeNull();
  });
});
