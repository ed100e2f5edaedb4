import { isDeepStrictEqual } from 'node:util';
import { expect, it } from 'vitest';
import { type Coverage, countOf, subtract } from '../../src/domain/coverage.ts';
import { Mark } from '../../src/domain/marks.ts';
import type { Name } from '../kernels/kernels-world.ts';
import { AckWatch, HOUR_MS, LongAbsence, toldOf } from '../kernels/long-absence.ts';

/** A member that says nothing holds acknowledgements up for so long at most, and what comes on top. */
const ACK_MAX_MS = 5000 + 1000;
const BACK_MAX_MS = 60_000;

/** How much of what it gives the hot Kernel reads out of its archive. */
function watchRows(absence: LongAbsence): { numbers: number } {
  const { archive } = absence.world.machine('A');
  const watch = { numbers: 0 };
  const entries = archive.entries.bind(archive);
  archive.entries = async (query) => {
    const answer = await entries(query);
    for (const run of answer.runs) watch.numbers += run.entries.length;
    return answer;
  };
  return watch;
}

/** It comes back under load, and is waited for until it is in the set. Returns how long that took. */
async function comeBack(absence: LongAbsence, name: Name): Promise<number> {
  const { world } = absence;
  const acks = new AckWatch();
  const fromMs = world.clock.monotonicMs();
  const passedMs = (): number => world.clock.monotonicMs() - fromMs;
  await absence.comeBack(name);
  while (!world.status('A').inSync.includes(name)) {
    await absence.live(100, 100);
    acks.look(absence.agents, world.clock.monotonicMs());
    expect(passedMs()).toBeLessThan(BACK_MAX_MS);
  }
  expect(acks.longestMs).toBeLessThan(ACK_MAX_MS);
  return passedMs();
}

/** Row for row, with times, qualities, terms and marks, and in coverage. */
async function expectEqual(absence: LongAbsence, names: readonly Name[]) {
  const { world } = absence;
  await absence.live(10_000, 100);
  // How far streams were observed is told every 10 s.
  await world.clock.advance(40_000);
  const one = await toldOf(world.machine('A').archive);
  for (const name of names) {
    const other = await toldOf(world.machine(name).archive);
    expect(other.streams).toEqual(one.streams);
    expect(other.tags).toEqual(one.tags);
    expect(other.ofTags.map(({ tag }) => tag)).toEqual(one.ofTags.map(({ tag }) => tag));
    for (const [at, ofTag] of one.ofTags.entries()) {
      if (!isDeepStrictEqual(other.ofTags[at], ofTag)) expect(other.ofTags[at]).toEqual(ofTag);
    }
  }
  return one;
}

it('standbys were away for a day and for 19 hours, and the ring reaches to the second one', async () => {
  const absence = await LongAbsence.begin({
    ...{ names: ['A', 'B', 'C'], processes: ['P', 'Q', 'R'], ringBytes: 4_500_000 },
  });
  absence.leave('B');
  await absence.passUntil(5);
  absence.leave('C');
  await absence.passUntil(24);
  const rows = watchRows(absence);
  await comeBack(absence, 'C');
  expect(rows.numbers).toBe(0);
  await comeBack(absence, 'B');
  expect(rows.numbers).toBeGreaterThan(10_000);
  const told = await expectEqual(absence, ['B', 'C']);
  // All that it is about was there, and nothing was lost on the way from one Kernel to the other.
  const samples = told.ofTags.flatMap((ofTag) => ofTag.samples);
  expect(samples.length).toBeGreaterThan(350_000);
  for (const mark of [Mark.replayed, Mark.overlap, Mark.duplicate]) {
    expect(samples.filter(({ marks }) => (marks & mark) !== 0).length).toBeGreaterThan(50);
  }
  expect(samples.some((row) => row.sourceTimeUs !== row.rawTimeUs)).toBe(true);
  const reasons = new Set(told.ofTags.flatMap(({ gaps }) => gaps.map(({ reason }) => reason)));
  const expected = ['crash', 'dropped', 'overload', 'station-down', 'station-off', 'takeover'];
  expect([...reasons].sort()).toEqual(expected);
}, 1_200_000);

it('a standby was away for three days, and what retention has dropped meanwhile is a gap there', async () => {
  const absence = await LongAbsence.begin({ names: ['A', 'B'], processes: ['Q'], ringBytes: 400_000 });
  const { world } = absence;
  const startUs = world.clock.wallUs();
  absence.leave('B');
  await absence.passUntil(72);
  const { archive } = world.machine('A');
  archive.dropBefore(startUs + 24 * HOUR_MS * 1000);
  world.network.setLink('A', 'B', { bytesPerSecond: 100_000 });
  await absence.comeBack('B');
  await absence.live(5000, 100);
  // And once more, while it is filled.
  expect(world.status('A').kernels[0]?.lacking).toBeGreaterThan(10_000);
  const keptUs = startUs + 36 * HOUR_MS * 1000;
  archive.dropBefore(keptUs);
  await world.until('the set', () => world.status('A').inSync.includes('B'), BACK_MAX_MS);
  await world.clock.advance(40_000);
  const [one, other] = [await toldOf(archive), await toldOf(world.machine('B').archive)];
  for (const [at, { samples }] of one.ofTags.entries()) {
    const kept = other.ofTags[at]?.samples.filter(({ sourceTimeUs }) => sourceTimeUs >= keptUs);
    expect(isDeepStrictEqual(kept, samples)).toBe(true);
  }
  const evicted = [];
  for (const { streamId, coverage } of one.streams) {
    const there = other.streams.find((each) => each.streamId === streamId)?.coverage ?? [];
    const data = (of: Coverage) => of.filter(({ state }) => state === 'data');
    const gone = there.filter(({ state }) => state === 'evicted');
    evicted.push(...gone);
    // Each number that is data at one is so at the other one, or lost to retention.
    expect(countOf(data(there)) + countOf(gone)).toBe(countOf(data(coverage)));
    expect(gone.flatMap((range) => subtract(range, data(coverage)))).toEqual([]);
  }
  expect(countOf(evicted)).toBeGreaterThan(10_000);
  const ends = other.ofTags.flatMap(({ gaps }) => gaps.filter(({ reason }) => reason === 'evicted'));
  for (const { toUs } of ends) expect(toUs).toBeLessThan(keptUs + 60_000_000);
}, 1_200_000);
